import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from amphion_core.features import MelConfig
from amphion_vocoders import BigVGAN, BigVGANConfig, HiFiGAN, HiFiGANConfig, residual_blocks
from amphion_vocoders.residual_blocks import ResidualBlocks, upsampled

MEL = MelConfig(n_fft=64, win_length=64, hop_length=16, n_mels=10, f_max=None)
ODD, EVEN = ((1, 3, 5), (1, 3), (2, 1)), ((1, 2), (2, 6), (3, 12))
MODELS = {
    "pairs": (HiFiGAN, HiFiGANConfig, {"block_dilations": ODD, "block_kernel_sizes": (3, 7, 11)}),
    "single": (HiFiGAN, HiFiGANConfig, {"block_dilations": EVEN, "block_kernel_sizes": (3, 5, 13), "block": 2}),
    "one tap": (HiFiGAN, HiFiGANConfig, {"block_dilations": ((1, 2), (7, 1)), "block_kernel_sizes": (1, 9)}),
    "snake pairs": (BigVGAN, BigVGANConfig, {"block_dilations": ODD, "block_kernel_sizes": (3, 7, 11)}),
    "snake single": (
        BigVGAN,
        BigVGANConfig,
        {"block_dilations": EVEN, "block_kernel_sizes": (3, 5, 7), "block": 2, "activation": "snake"},
    ),
}


@pytest.fixture(autouse=True)
def even_short_ones(monkeypatch):
    monkeypatch.setattr(residual_blocks, "SHORTEST", 1)


def make(name, channels=128):
    kind, config, values = MODELS[name]
    torch.manual_seed(0)
    model = kind(config(mel=MEL, channels=channels, rates=(4, 4), kernel_sizes=(8, 8), **values)).eval()
    with torch.no_grad():  # a signal that does not die away, so that its rounding is seen
        for key, parameter in model.named_parameters():
            if key.endswith("original0"):
                parameter.mul_(3 if key.startswith("output") else 1.5)
    return model


def blocks_of(model):
    return [module for module in model.modules() if isinstance(module, ResidualBlocks)]


@pytest.mark.parametrize("frames", [1, 2, 7, 61])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", MODELS)
def test_fast_blocks_give_what_the_plain_ones_give(name, batch, frames):
    model = make(name)
    mel = torch.randn(batch, 10, frames)
    with torch.no_grad():
        plain = model(mel)
        fast = model.fold()(mel)
    assert all(blocks._prepared is not None for blocks in blocks_of(model))
    torch.testing.assert_close(fast, plain, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["pairs", "snake pairs"])
def test_two_threads_give_the_same_samples(name):
    model, mel = make(name).fold(), torch.randn(1, 10, 50)
    threads = torch.get_num_threads()
    made = []
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            made.append(model.synthesize(mel))
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(*made, atol=1e-5, rtol=0)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", MODELS)
def test_parts_are_the_whole(name, threads, monkeypatch):
    model, mel = make(name).fold(), torch.randn(2, 10, 300)
    whole = model.synthesize(mel)
    monkeypatch.setattr(residual_blocks, "PART", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        torch.testing.assert_close(model.synthesize(mel), whole, atol=1e-5, rtol=0)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("name", ["pairs", "single", "snake pairs"])
def test_a_batch_is_its_items(name):
    model, mel = make(name).fold(), torch.randn(3, 10, 20)
    torch.testing.assert_close(model.synthesize(mel)[2:], model.synthesize(mel[2:]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["pairs", "snake pairs"])
def test_a_stream_is_the_whole(name):
    model, mel = make(name).fold(), torch.randn(10, 90)
    streamed = torch.cat(list(model.stream(mel.split(13, dim=1))))
    torch.testing.assert_close(streamed, model.synthesize(mel[None])[0], atol=1e-5, rtol=0)


def test_training_and_loading_forget_the_fast_form():
    model, other, mel = make("pairs").fold(), make("pairs"), torch.randn(1, 10, 20)
    before = model.synthesize(mel)
    with torch.no_grad():
        for key, parameter in other.named_parameters():
            parameter.mul_(0.9 if "original0" in key else 1)
    model.load_state_dict(other.state_dict())
    torch.testing.assert_close(model.synthesize(mel), other.synthesize(mel), atol=1e-6, rtol=0)
    torch.testing.assert_close(model.fold().synthesize(mel), other.synthesize(mel), atol=1e-5, rtol=0)
    assert not torch.allclose(before, other.synthesize(mel), atol=1e-4)
    model.train()
    assert all(blocks._prepared is None for blocks in blocks_of(model))
    model(mel).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_keys_are_those_of_a_list_of_blocks():
    keys = make("pairs").fold().state_dict()
    assert "stages.0.blocks.1.dilated.0.parametrizations.weight.original0" in keys
    assert not any("prepared" in key for key in keys)


@pytest.mark.parametrize("name", ["pairs", "snake pairs"])
def test_gradients_pass_through_a_folded_network(name):
    model, mel = make(name).fold(), torch.randn(1, 10, 9, requires_grad=True)
    model(mel).square().sum().backward()
    assert mel.grad is not None and bool(mel.grad.abs().sum() > 0)


def test_double_precision_takes_the_plain_form():
    model = make("pairs").fold().double()
    mel = torch.randn(1, 10, 9, dtype=torch.float64)
    with torch.no_grad():
        fast = model(mel)
    assert all(blocks._prepared is None for blocks in blocks_of(model))
    assert torch.equal(fast, model(mel).detach())


def test_a_copy_is_as_fast_and_independent():
    model, mel = make("pairs").fold(), torch.randn(1, 10, 20)
    expected = model.synthesize(mel)
    other = copy.deepcopy(model)
    assert torch.equal(other.synthesize(mel), expected)


@pytest.mark.parametrize("channels", [4, 12, 16])
@pytest.mark.parametrize("name", ["pairs", "single", "one tap"])
def test_narrow_networks_take_no_other_arithmetic(name, channels):
    model, mel = make(name, channels), torch.randn(2, 10, 20)
    with torch.no_grad():
        plain = model(mel)
    made = model.fold().synthesize(mel)
    kinds = {type(block) for blocks in blocks_of(model) for block in blocks._prepared[1].blocks}
    assert kinds == {residual_blocks._DirectBlock}
    torch.testing.assert_close(made, plain, atol=2e-6, rtol=0)  # the same products, added in another order


def test_short_inputs_keep_the_plain_form(monkeypatch):
    monkeypatch.setattr(residual_blocks, "SHORTEST", 1 << 16)
    model = make("pairs").fold()
    model.synthesize(torch.randn(1, 10, 3))
    assert all(blocks._prepared is None for blocks in blocks_of(model))


@pytest.mark.parametrize("last", [False, True])
def test_upsampling_keeps_the_place_of_the_channels(last):
    layer, x = nn.ConvTranspose1d(6, 4, 8, 4, 2), torch.randn(2, 6, 9)
    with torch.no_grad():
        given = x.mT.contiguous().mT if last else x
        made = upsampled(layer, given)
        torch.testing.assert_close(made, F.conv_transpose1d(x, layer.weight, layer.bias, 4, 2))
    assert (made.stride(1) == 1) is last


def test_scale_of_the_tests_is_that_of_speech():
    wav = make("pairs").synthesize(torch.randn(1, 10, 50))
    assert 0.05 < float(wav.square().mean().sqrt()) < 0.9
    assert math.isfinite(float(wav.sum()))
