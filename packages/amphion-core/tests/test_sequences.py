"""Shared blocks of sequence models: attention, feed-forward transformer, length regulation, positions, masks."""

import pytest
import torch

from amphion_core.modules.attention import SelfAttention
from amphion_core.modules.embedding import sinusoidal_positions
from amphion_core.modules.length_regulator import gaussian_upsampling, regulate_length
from amphion_core.modules.masking import length_mask, masked_mean
from amphion_core.modules.transformer import FFTBlock

TIGHT = {"atol": 1e-5, "rtol": 1e-5}  # sums of a few dozen float32 terms in another order


@pytest.mark.parametrize("kernels", [(3, 1), (5, 3)])
def test_padding_does_not_change_the_valid_part_of_a_block(kernels):
    torch.manual_seed(0)
    block = FFTBlock(8, 2, 16, kernels).eval()
    x = torch.randn(2, 7, 8)
    mask = length_mask(torch.tensor([7, 4]))
    x = x * mask[..., None]
    together = block(x, mask)
    alone = block(x[1:, :4], mask[1:, :4])
    torch.testing.assert_close(together[1:, :4], alone, **TIGHT)
    assert together[1, 4:].abs().sum() == 0


def test_a_block_takes_a_sequence_of_one():
    block = FFTBlock(4, 1, 8, (9, 1)).eval()
    assert block(torch.randn(1, 1, 4), torch.ones(1, 1, dtype=torch.bool)).shape == (1, 1, 4)


def test_attention_equals_that_of_torch():
    torch.manual_seed(0)
    ours, peer = SelfAttention(8, 2).eval(), torch.nn.MultiheadAttention(8, 2, batch_first=True).eval()
    with torch.no_grad():
        parts = (ours.query, ours.key, ours.value)
        peer.in_proj_weight.copy_(torch.cat([p.weight for p in parts]))
        peer.in_proj_bias.copy_(torch.cat([p.bias for p in parts]))
        peer.out_proj.weight.copy_(ours.out.weight)
        peer.out_proj.bias.copy_(ours.out.bias)
    x, mask = torch.randn(2, 5, 8), length_mask(torch.tensor([5, 3]))
    expected = peer(x, x, x, key_padding_mask=~mask)[0]
    torch.testing.assert_close(ours(x, mask), expected, **TIGHT)


def test_heads_that_do_not_divide_the_channels_are_refused():
    with pytest.raises(ValueError, match="3 heads do not divide 8 channels"):
        SelfAttention(8, 3)


def test_repetition_follows_the_durations_and_pads_with_zeros():
    x = torch.tensor([[[1.0], [2.0], [3.0]], [[4.0], [5.0], [6.0]]])
    y, lengths = regulate_length(x, torch.tensor([[2.9, 0.0, 1.0], [-1.0, 1.2, 0.0]]))
    assert y.squeeze(-1).tolist() == [[1, 1, 3], [5, 0, 0]]
    assert lengths.tolist() == [3, 1]


def test_repetition_is_cut_to_a_given_size():
    y, lengths = regulate_length(torch.ones(1, 2, 1), torch.tensor([[3, 4]]), 5)
    assert y.shape == (1, 5, 1)
    assert lengths.tolist() == [7]


def test_very_hard_gaussians_are_repetition():
    x = torch.eye(3)[None]
    durations = torch.tensor([[2.5, 3.0, 2.5]])
    soft = gaussian_upsampling(x, durations, delta=1e4)
    assert soft.argmax(-1).tolist()[0] == [0, 0, 0, 1, 1, 1, 2, 2]


def test_positions_are_sines_and_cosines_of_falling_frequency():
    table = sinusoidal_positions(50, 6)
    assert table[0].tolist() == [0, 1, 0, 1, 0, 1]
    torch.testing.assert_close(table[:, 0], torch.arange(50).float().sin(), **TIGHT)
    torch.testing.assert_close(table[:, 3], (torch.arange(50) / 10000 ** (2 / 6)).cos(), **TIGHT)


def test_masked_mean_counts_valid_places_only():
    values = torch.tensor([[1.0, 2.0, 100.0]])
    assert masked_mean(values, length_mask(torch.tensor([2]), 3)).item() == 1.5
    assert masked_mean(values[..., None].expand(1, 3, 4), length_mask(torch.tensor([2]), 3)).item() == 1.5
