import copy

import pytest
import torch
from torch import nn

from amphion_core.modules.convolution import fold_weight_norm, same_padding, weight_norm


@pytest.fixture
def layer():
    torch.manual_seed(0)
    normed = weight_norm(nn.Conv1d(3, 4, 5, padding=2))
    with torch.no_grad():
        normed.parametrizations.weight.original0.mul_(1.7)
    return normed


def test_keys_are_those_of_torch(layer):
    ours = set(weight_norm(nn.Conv1d(3, 4, 5)).state_dict())
    assert ours == set(torch.nn.utils.parametrizations.weight_norm(nn.Conv1d(3, 4, 5)).state_dict())


@pytest.mark.parametrize(
    "make", [lambda: nn.Conv1d(3, 4, 5), lambda: nn.ConvTranspose1d(3, 4, 4), lambda: nn.Conv2d(1, 4, 3)]
)
def test_norm_is_over_all_axes_but_the_first(make):
    normed = weight_norm(make())
    gain, direction = normed.parametrizations.weight.original0, normed.parametrizations.weight.original1
    expected = gain * direction / direction.flatten(1).norm(dim=1).reshape(gain.shape)
    torch.testing.assert_close(normed.weight, expected)


def test_splitting_a_weight_does_not_change_it():
    plain = nn.Conv1d(3, 4, 5)
    weight = plain.weight.detach().clone()
    torch.testing.assert_close(weight_norm(plain).weight, weight)


def test_folding_changes_no_bit_of_the_output(layer):
    x = torch.randn(2, 3, 20)
    before = layer(x)
    assert torch.equal(fold_weight_norm(layer)(x), before)


def test_folding_leaves_the_state_dict_as_it_is(layer):
    before = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    after = fold_weight_norm(layer).state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_training_undoes_folding(layer):
    fold_weight_norm(layer).train()
    layer(torch.randn(1, 3, 9)).sum().backward()
    assert layer.parametrizations.weight.original0.grad is not None


def test_loading_weights_undoes_folding(layer):
    other = copy.deepcopy(layer)
    with torch.no_grad():
        other.parametrizations.weight.original1.neg_()
    fold_weight_norm(layer).load_state_dict(other.state_dict())
    assert torch.equal(layer.weight, other.weight)


@pytest.mark.parametrize("kernel_size", [1, 3, 7])
@pytest.mark.parametrize("dilation", [1, 2, 5])
def test_same_padding_keeps_the_length(kernel_size, dilation):
    padded = nn.Conv1d(1, 1, kernel_size, padding=same_padding(kernel_size, dilation), dilation=dilation)
    assert padded(torch.zeros(1, 1, 31)).shape[-1] == 31
