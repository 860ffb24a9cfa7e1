import math

import pytest
import torch
from torch.nn import functional as F

from amphion_core.modules import anti_alias
from amphion_core.modules.anti_alias import (
    AntiAliasedActivation,
    FastActivation,
    Snake,
    kaiser_filter,
    squared_sine_coefficients,
)
from amphion_core.modules.fast_convolution import Scratch


def by_inserting_zeros(module, x):
    """The activation as its paper's code has it: a transposed convolution, the activation, a strided convolution."""
    taps = kaiser_filter(0.25, 0.3, 12).to(x.dtype).expand(x.shape[1], 1, -1)
    y = F.conv_transpose1d(F.pad(x, (5, 5), mode="replicate"), taps, stride=2, groups=x.shape[1])
    y = module.activation(2 * y[..., 15:-15])
    return F.conv1d(F.pad(y, (5, 6), mode="replicate"), taps, stride=2, groups=x.shape[1])


@pytest.fixture(params=["snake", "snakebeta"])
def module(request):
    torch.manual_seed(0)
    made = AntiAliasedActivation(Snake(20, request.param, log_scale=True))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_()
    return made


@pytest.mark.parametrize("length", [1, 2, 3, 7, 64, 1001])
@pytest.mark.parametrize("batch", [1, 3])
def test_it_is_the_activation_between_up_and_down_sampling(module, length, batch):
    x = torch.randn(batch, 20, length)
    # float32 sums of 12 products in another order
    torch.testing.assert_close(module(x), by_inserting_zeros(module, x), atol=5e-6, rtol=1e-5)


@pytest.mark.parametrize("length", [1, 5, 40])
def test_gradients_are_those_of_up_and_down_sampling(module, length):
    module = module.double()
    x = torch.randn(2, 20, length, dtype=torch.float64, requires_grad=True)
    inputs = [x, *module.parameters()]
    weights = torch.randn(2, 20, length, dtype=torch.float64)
    ours = torch.autograd.grad((module(x) * weights).sum(), inputs)
    plain = torch.autograd.grad((by_inserting_zeros(module, x) * weights).sum(), inputs)
    for own, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(own, other, atol=1e-10, rtol=1e-10)


def test_filter_is_a_symmetric_low_pass_of_unit_sum():
    taps = kaiser_filter(0.25, 0.3, 12)
    torch.testing.assert_close(taps, taps.flip(0))
    assert taps.sum().item() == pytest.approx(1, abs=1e-6)
    response = torch.fft.rfft(taps, 512).abs()
    assert response[0] == pytest.approx(1, abs=1e-6)
    assert response[-1] < 1e-3


def test_state_dict_holds_the_parameters_alone(module):
    assert set(module.state_dict()) <= {"activation.alpha", "activation.beta"}


def test_a_constant_stays_constant():
    module = AntiAliasedActivation(Snake(1))
    value = 0.7
    expected = value + math.sin(value) ** 2
    torch.testing.assert_close(module(torch.full((1, 1, 30), value)), torch.full((1, 1, 30), expected))


@pytest.mark.parametrize("log_scale", [False, True])
def test_snake_starts_with_a_period_of_pi(log_scale):
    x = torch.linspace(-3, 3, 7).reshape(1, 1, -1)
    torch.testing.assert_close(Snake(1, "snakebeta", log_scale)(x), x + torch.sin(x) ** 2)


def test_another_kind_is_refused():
    with pytest.raises(ValueError, match="must be 'snake' or 'snakebeta', got 'sine'"):
        Snake(1, "sine")


def test_ratios_that_change_the_length_are_refused():
    with pytest.raises(ValueError, match="up_ratio is 2 and down_ratio 4"):
        AntiAliasedActivation(Snake(1), 2, 4)


def activated(module, x):
    out = torch.empty_like(x)
    with torch.no_grad():
        FastActivation(module)(x, out, Scratch())
        return out, module.plain(x.T[None])[0].T


def make(kind, channels):
    torch.manual_seed(0)
    module = AntiAliasedActivation(Snake(channels, kind, log_scale=True))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_()
    return module


@pytest.mark.parametrize("kind", ["snake", "snakebeta"])
@pytest.mark.parametrize(
    ("channels", "length"), [(3, 1), (8, 48), (8, 49), (24, 1001), (32, 5003), (64, 3), (96, 2050)]
)
def test_it_is_the_plain_activation(kind, channels, length):
    ours, plain = activated(make(kind, channels), torch.randn(length, channels))
    # float32; amplitudes go up to 1 / exp(-2.5)
    torch.testing.assert_close(ours, plain, atol=2e-5, rtol=1e-5)


def test_pieces_join_without_seams(monkeypatch):
    module, x = make("snakebeta", 16), torch.randn(3000, 16)
    whole, _ = activated(module, x)
    monkeypatch.setattr(anti_alias, "PIECE", 999)
    torch.testing.assert_close(activated(module, x)[0], whole, atol=1e-5, rtol=1e-5)


def test_rounding_is_near_that_of_the_plain_form():
    module, x = AntiAliasedActivation(Snake(16, "snakebeta", log_scale=True)), 3 * torch.randn(2000, 16)
    ours, plain = activated(module, x)
    with torch.no_grad():
        exact = module.double().plain(x.double().T[None])[0].T
    assert (ours - exact).abs().max() < 4 * (plain - exact).abs().max()


def test_polynomial_is_the_squared_sine():
    r = torch.linspace(-0.5, 0.5, 1001, dtype=torch.float64)
    value = sum(c * r ** (2 * power) for power, c in enumerate(squared_sine_coefficients(), 1))
    assert (value - torch.sin(math.pi * r / 2).square()).abs().max() < 3e-8  # half the step of float32 below 1


def test_inference_takes_the_fast_form_of_each_item():
    module, x = make("snakebeta", 16), torch.randn(2, 16, 3000)
    with torch.no_grad():
        assert torch.equal(module(x)[1:], module(x[1:]))
        torch.testing.assert_close(module(x), module.plain(x), atol=2e-5, rtol=1e-5)
        assert not torch.equal(module(x), module.plain(x))


def test_gradients_and_other_types_take_the_plain_form():
    module, x = make("snakebeta", 16), torch.randn(1, 16, 3000)
    assert torch.equal(module(x), module.plain(x))
    assert module(x).requires_grad
    with torch.no_grad():
        assert torch.equal(module.double()(x.double()), module.plain(x.double()))
