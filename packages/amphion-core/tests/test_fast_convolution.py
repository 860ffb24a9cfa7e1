import math

import pytest
import torch
from torch.nn import functional as F

from amphion_core.modules import fast_convolution
from amphion_core.modules.fast_convolution import (
    CAREFUL_POINTS,
    REAL_POINTS,
    FastConvolution,
    Padded,
    Scratch,
    bilinear_algorithm,
)

CASES = [
    # channels in and out, kernel size, dilation, samples
    (5, 5, 3, 1, 1),
    (5, 4, 3, 5, 2),
    (8, 8, 5, 2, 7),
    (8, 8, 5, 6, 64),
    (8, 16, 7, 1, 63),
    (8, 8, 7, 3, 500),
    (8, 8, 7, 12, 501),
    (16, 8, 9, 1, 88),
    (16, 16, 11, 5, 1003),
    (3, 3, 13, 4, 200),
]


def padded(x, margin):
    made = Padded(torch.full((len(x) + 2 * margin, x.shape[1]), 9.0), margin)
    made.rows.copy_(x)
    return made


def convolved(x, weight, bias, dilation, real_points=REAL_POINTS):
    step = FastConvolution.step_for(x.shape[1], weight.shape[2], (dilation,))
    layer = FastConvolution(weight, bias, dilation, step, real_points)
    target = padded(torch.ones(len(x), len(weight)), layer.margin)
    layer(padded(x, layer.margin), target, Scratch())
    return target


def direct(x, weight, bias, dilation):
    padding = dilation * (weight.shape[2] // 2)
    return F.conv1d(x.T[None], weight, bias, padding=padding, dilation=dilation)[0].T


def make(channels, width, taps, length):
    torch.manual_seed(0)
    weight = torch.randn(width, channels, taps) / math.sqrt(channels * taps)
    return torch.randn(length, channels), weight, torch.randn(width)


@pytest.mark.parametrize(("channels", "width", "taps", "dilation", "length"), CASES)
def test_it_is_the_convolution(channels, width, taps, dilation, length):
    x, weight, bias = make(channels, width, taps, length)
    # rounding of float32 at outputs about 1, some more than that of the direct sums
    torch.testing.assert_close(
        convolved(x, weight, bias, dilation).rows, direct(x, weight, bias, dilation), atol=5e-6, rtol=0
    )


@pytest.mark.parametrize("piece", [64, 1000])
def test_pieces_join_without_seams(monkeypatch, piece):
    x, weight, bias = make(4, 4, 7, 999)
    whole = convolved(x, weight, bias, 3).rows
    monkeypatch.setattr(fast_convolution, "PIECE", piece)
    torch.testing.assert_close(convolved(x, weight, bias, 3).rows, whole, atol=5e-6, rtol=0)


def test_it_adds_to_what_is_there():
    x, weight, bias = make(4, 4, 7, 99)
    layer, there = FastConvolution(weight, bias, 5, 8), torch.randn(99, 4)
    target = padded(there, layer.margin)
    layer(padded(x, layer.margin), target, Scratch(), add=True)
    torch.testing.assert_close(target.rows, there + direct(x, weight, bias, 5), atol=5e-6, rtol=0)


@pytest.mark.parametrize("length", [1, 17, 40])
def test_nothing_is_left_outside_the_signal(length):
    x, weight, bias = make(4, 4, 11, length)
    target = convolved(x, weight, bias, 5)
    around = target.tiles(-target.margin, 1, 1, len(x) + 2 * target.margin, 1)[0]
    assert around.count_nonzero() == target.rows.count_nonzero() == target.rows.numel()


@pytest.mark.parametrize("real_points", [REAL_POINTS, CAREFUL_POINTS])
@pytest.mark.parametrize("outputs", [4, 7, 8, 13])
@pytest.mark.parametrize("taps", [3, 5, 7, 11, 13])
def test_algorithm_is_exact_and_saves_products(outputs, taps, real_points):
    before, after, points = bilinear_algorithm(outputs, taps, real_points)
    x, w = torch.randn(outputs + taps - 1, dtype=torch.float64), torch.randn(taps, dtype=torch.float64)
    expected = F.conv1d(x[None, None], w[None, None])[0, 0]
    torch.testing.assert_close(after @ ((points @ w) * (before @ x)), expected, atol=1e-7, rtol=0)
    assert before.shape[0] < 0.7 * outputs * taps
    assert bool((after[:, 0] == 1).all())


def test_rounding_is_near_that_of_the_direct_sums():
    x, weight, bias = make(64, 64, 11, 512)
    exact = direct(x.double(), weight.double(), bias.double(), 1)
    fast = (convolved(x, weight, bias, 1).rows - exact).square().mean().sqrt()
    careful = (convolved(x, weight, bias, 1, real_points=CAREFUL_POINTS).rows - exact).square().mean().sqrt()
    plain = (direct(x, weight, bias, 1) - exact).square().mean().sqrt()
    assert careful < 0.95 * fast < 4 * plain


def test_no_step_fits_dilations_of_all_factors():
    assert FastConvolution.step_for(64, 7, (2 * 3 * 5 * 7 * 11 * 13,)) is None
    assert FastConvolution.step_for(64, 7, (2, 6)) in (7, 9, 11, 13)


def test_the_step_is_the_cheapest_that_fits():
    assert FastConvolution.step_for(256, 11, (1, 3, 5)) == 14
    assert FastConvolution.step_for(256, 3, (1, 3, 5)) == 8  # short kernels gain less than long tiles cost


def test_wide_kernels_cost_less_than_the_direct_way_and_single_taps_never():
    assert FastConvolution.cost(256, 11, 8) < fast_convolution.direct_cost(256, 11) / 2
    assert FastConvolution.cost(16, 3, 8) > fast_convolution.direct_cost(16, 3)
    assert FastConvolution.cost(256, 1, 8) == math.inf


def test_a_dilation_with_a_common_factor_is_refused():
    with pytest.raises(ValueError, match="dilation 2 and step 8 have a common factor"):
        FastConvolution(torch.randn(2, 2, 3), None, 2, 8)


def test_an_even_kernel_is_refused():
    with pytest.raises(ValueError, match="must be odd, or the length changes; got 4"):
        FastConvolution(torch.randn(2, 2, 4), None, 1, 8)
