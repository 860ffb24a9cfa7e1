"""Periodic activations, and their anti-aliased form: up-sample, activate, down-sample.

Source: Lee et al., "BigVGAN: A Universal Neural Vocoder with Large-Scale Training", 2023, arXiv:2206.04658; the snake
is of Ziyin et al., "Neural Networks Fail to Learn Periodic Functions and How to Fix It", 2020, arXiv:2006.08195.
"""

from __future__ import annotations

import functools
import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.modules.fast_convolution import Scratch, is_plain_inference

__all__ = ["AntiAliasedActivation", "FastActivation", "Snake", "kaiser_filter", "squared_sine_coefficients"]

EPSILON = 1e-9
"""Keeps the amplitude finite where the parameter is 0."""

PIECE = 1 << 17
"""Numbers that the fast form activates at once: enough to hide the calls, few enough for the caches."""

SHORTEST = 1 << 15
"""Numbers of an input below which the plain form is as good."""


class Snake(nn.Module):
    """x + sin(alpha x)^2 / beta for each channel; beta is alpha in the plain kind."""

    beta: nn.Parameter | None

    def __init__(self, channels: int, kind: Literal["snake", "snakebeta"] = "snake", log_scale: bool = False) -> None:
        """Make the parameters, `alpha` (C,) and with "snakebeta" `beta` (C,).

        Args:
            channels: C.
            kind: "snake" has one parameter a channel, "snakebeta" another one for the amplitude.
            log_scale: the parameters are logarithms and start at 0; otherwise they start at 1.

        Raises:
            ValueError: another kind.
        """
        super().__init__()
        if kind not in ("snake", "snakebeta"):
            raise ValueError(f"kind of a snake must be 'snake' or 'snakebeta', got {kind!r}")
        start = torch.zeros(channels) if log_scale else torch.ones(channels)
        self.log_scale = log_scale
        self.alpha = nn.Parameter(start)
        self.beta = nn.Parameter(start.clone()) if kind == "snakebeta" else None

    def forward(self, x: Tensor) -> Tensor:
        """Activate (B, C, ...)."""
        frequency, amplitude = (value.reshape(-1, *[1] * (x.ndim - 2)) for value in self.scales())
        return torch.addcmul(x, amplitude, torch.sin(x * frequency).square())

    def scales(self) -> tuple[Tensor, Tensor]:
        """Frequency and amplitude of the sine, (C,) each."""
        alpha: Tensor = self.alpha
        beta: Tensor = alpha if self.beta is None else self.beta
        if self.log_scale:
            alpha, beta = alpha.exp(), beta.exp()
        return alpha, 1 / (beta + EPSILON)


class AntiAliasedActivation(nn.Module):
    """An activation at a multiple of the rate, so that what it adds above the band does not fold back into it.

    The phases of the up-sampled signal are never interleaved: each of them is a convolution of the input at its own
    rate, and the down-sampled signal is the sum of a convolution of each.
    """

    up: Tensor
    down: Tensor

    def __init__(
        self,
        activation: Snake,
        up_ratio: int = 2,
        down_ratio: int = 2,
        up_kernel_size: int = 12,
        down_kernel_size: int = 12,
    ) -> None:
        """Compute the filters.

        Args:
            activation: what is applied at the higher rate.
            up_ratio: of the two rates.
            down_ratio: the same, or the length would change.
            up_kernel_size: taps of the filter after inserting zeros.
            down_kernel_size: taps of the filter before dropping samples.

        Raises:
            ValueError: the ratios differ, or a kernel is shorter than the ratio.
        """
        super().__init__()
        if up_ratio != down_ratio:
            raise ValueError(f"up_ratio is {up_ratio} and down_ratio {down_ratio}; they must be equal")
        if min(up_kernel_size, down_kernel_size) < up_ratio:
            raise ValueError(f"kernel sizes {up_kernel_size} and {down_kernel_size} must be {up_ratio} or more")
        self.activation = activation
        self.ratio = up_ratio
        up, self.up_reach, self.up_spans = _up_filter(up_ratio, up_kernel_size)
        down, self.down_reach, self.down_spans = _down_filter(up_ratio, down_kernel_size)
        self.register_buffer("up", up, persistent=False)
        self.register_buffer("down", down, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Activate (B, C, T); the same shape."""
        if is_plain_inference(x) and x.shape[1] * x.shape[2] >= SHORTEST:
            return self._fast(x)
        return self.plain(x)

    def plain(self, x: Tensor) -> Tensor:
        """The form for gradients, accelerators and every type."""
        channels, length = x.shape[1:]
        padded = F.pad(x, self.up_reach, mode="replicate")
        phases = []
        for taps, (first, last) in zip(self.up, self.up_spans, strict=True):
            weight = taps[first:last].to(x.dtype).expand(channels, 1, -1)
            seen = padded[..., first : last + length - 1]
            phases.append(self.activation(F.conv1d(seen, weight, groups=channels)))
        # The sequence goes on with its very first and last sample, which are of the first and the last phase.
        before = phases[0][..., :1].expand(-1, -1, self.down_reach[0])
        after = phases[-1][..., -1:].expand(-1, -1, self.down_reach[1])
        total: Tensor | None = None
        for y, taps, (first, last) in zip(phases, self.down, self.down_spans, strict=True):
            weight = taps[first:last].to(x.dtype).expand(channels, 1, -1)
            seen = torch.cat([before, y, after], dim=-1)[..., first : last + length - 1]
            part = F.conv1d(seen, weight, groups=channels)
            total = part if total is None else total + part
        assert total is not None
        return total

    def _fast(self, x: Tensor) -> Tensor:
        prepared, scratch = FastActivation(self), Scratch()
        out = x.new_empty(x.shape[0], x.shape[2], x.shape[1])
        for item, rows in zip(x, out, strict=True):
            prepared(item.T.contiguous(), rows, scratch)
        return out.transpose(1, 2)


class FastActivation:
    """An `AntiAliasedActivation` for inference on the CPU in float32, for signals with channels last.

    It goes in pieces that stay in the cache, the higher rate too. All channels share their filters, so a few outputs
    of a filter that follow each other are a small matrix times the samples that they see: one batch of matrix products
    for a piece, whose inputs overlap in memory and need no copy. The squared sine is a polynomial after the period is
    taken off, which is less work than the sine.
    """

    def __init__(self, module: AntiAliasedActivation) -> None:
        """Prepare; the parameters of the module must not change afterwards."""
        self.module = module
        frequency, amplitude = (value.detach().double() for value in module.activation.scales())
        # Short tiles have fewer zeros in their matrices, long ones more work for a product of few channels.
        self.tile = 4 if len(frequency) >= 64 else 8
        self.up = _tiled(module.up, self.tile, spread=False)
        self.down = _tiled(module.down, self.tile, spread=True)
        samples = self.tile * module.ratio
        self.frequency = (frequency / math.pi).float().repeat(samples)
        self.amplitude = (4 * amplitude).float().repeat(samples)
        first, *others = reversed(squared_sine_coefficients())
        self.first, self.others = first, [torch.tensor(value) for value in others]

    def __call__(self, rows: Tensor, out: Tensor, scratch: Scratch) -> None:
        """Activate.

        Args:
            rows: (T, C), contiguous.
            out: (T, C), contiguous, overwritten; another one.
            scratch: room.
        """
        length, channels = rows.shape
        size = self.tile * max(1, round(PIECE / (self.tile * channels)))
        for start in range(0, length, size):
            self._piece(rows, out, start, min(start + size, length), scratch)

    def _piece(self, rows: Tensor, out: Tensor, start: int, stop: int, scratch: Scratch) -> None:
        """Outputs of a range."""
        length, channels = rows.shape
        tile, ratio, reach = self.tile, self.module.ratio, self.module.down_reach
        low = start - reach[0]
        tiles = -(-(stop + reach[1] - low) // tile)
        high = low + tiles * tile  # samples of the higher rate are computed for times from low to high
        first, last = low - self.module.up_reach[0], high + self.module.up_reach[1]
        if first >= 0 and last <= length:
            seen = rows[first:last]
        else:
            seen = scratch.take(0, (last - first, channels), rows)
            _put_clamped(rows, first, seen)
        raised = scratch.take(1, (tiles, tile * ratio, channels), rows)
        torch.bmm(self.up.expand(tiles, -1, -1), _windows(seen, tiles, tile, self.up.shape[1]), out=raised)
        self._snake(raised.view(tiles, -1), scratch)
        samples = raised.view(-1, channels)
        if low < 0:  # before the first sample of the higher rate comes the first, after the last the last
            samples[: -low * ratio] = samples[-low * ratio]
        if high > length:
            end = (length - low) * ratio
            samples[end:] = samples[end - 1]
        whole, rest = divmod(stop - start, tile)
        if whole:
            made = out[start : stop - rest].view(whole, tile, channels)
            windows = _windows(samples, whole, tile * ratio, self.down.shape[1])
            torch.bmm(self.down.expand(whole, -1, -1), windows, out=made)
        if rest:
            windows = samples[whole * tile * ratio : (stop + sum(reach) - start) * ratio]
            torch.mm(self.down[:rest, : len(windows)], windows, out=out[stop - rest : stop])

    def _snake(self, x: Tensor, scratch: Scratch) -> None:
        """Activate in place, (tiles, tile * ratio * C)."""
        u, q = (scratch.take(number, tuple(x.shape), x) for number in (2, 3))  # no more than the caches hold
        torch.mul(x, self.frequency, out=u)
        torch.round(u, out=q)
        u.sub_(q)
        u.mul_(u)
        torch.add(self.others[0], u, alpha=self.first, out=q)
        for coefficient in self.others[1:]:
            torch.addcmul(coefficient, q, u, out=q)
        q.mul_(u)  # the squared sine of half the angle, v; that of the angle is 4 v (1 - v)
        torch.addcmul(q, q, q, value=-1, out=q)
        torch.addcmul(x, q, self.amplitude, out=x)


def kaiser_filter(cutoff: float, half_width: float, kernel_size: int) -> Tensor:
    """Taps of a low-pass filter with sum 1: a sinc in a Kaiser window.

    Args:
        cutoff: of the sampling rate, at most 0.5.
        half_width: of the transition band, of the sampling rate.
        kernel_size: number of taps.

    Returns:
        (kernel_size,) float32.
    """
    attenuation = 2.285 * (kernel_size // 2 - 1) * math.pi * 4 * half_width + 7.95
    if attenuation > 50:
        beta = 0.1102 * (attenuation - 8.7)
    elif attenuation >= 21:
        beta = 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    else:
        beta = 0.0
    window = torch.kaiser_window(kernel_size, periodic=False, beta=beta)
    middle = 0.5 if kernel_size % 2 == 0 else 0.0
    times = torch.arange(kernel_size) - kernel_size // 2 + middle
    taps = 2 * cutoff * window * torch.sinc(2 * cutoff * times)
    return taps / taps.sum()


@functools.cache
def squared_sine_coefficients(degree: int = 4) -> tuple[float, ...]:
    """Coefficients c with sin(pi r / 2)^2 = sum of c[i] r^(2 i + 2), |r| <= 1 / 2; nearly the least error."""
    nodes = torch.cos(math.pi * (torch.arange(64, dtype=torch.float64) + 0.5) / 64)
    u = (nodes + 1) / 8  # 0 to 1 / 4
    basis = torch.stack([u**power for power in range(1, degree + 1)], dim=1)
    target = torch.sin(math.pi / 2 * u.sqrt()).square()
    found = torch.linalg.lstsq(basis, target[:, None], driver="gelsd").solution
    return tuple(float(value) for value in found[:, 0])


class _Filter(NamedTuple):
    """A filter split into phases, each a correlation with the same neighbours.

    Attributes:
        taps: (ratio, width).
        reach: samples that it sees to each side; the width without the middle.
        spans: first tap of each phase, and the one behind its last; the others are zeros.
    """

    taps: Tensor
    reach: tuple[int, int]
    spans: list[tuple[int, int]]


def _phases(taps: Tensor, places: list[tuple[int, int]]) -> _Filter:
    """Put tap number i into the phase and at the offset that `places[i]` names."""
    ratio = 1 + max(phase for phase, _ in places)
    offsets = [[offset for phase, offset in places if phase == own] for own in range(ratio)]
    low, high = min(map(min, offsets)), max(map(max, offsets))
    weight = taps.new_zeros(ratio, high - low + 1)
    for value, (phase, offset) in zip(taps, places, strict=True):
        weight[phase, offset - low] = value
    return _Filter(weight, (-low, high), [(min(own) - low, max(own) - low + 1) for own in offsets])


def _up_filter(ratio: int, kernel_size: int) -> _Filter:
    """Phases of the up-sampled signal as correlations with the input."""
    cut = (kernel_size - ratio) // 2  # of what the inserted zeros lead to
    # Sample ratio * t + phase is the sum of x[t + i] * taps[phase + cut - ratio * i].
    places = [((tap - cut) % ratio, -((tap - cut) // ratio)) for tap in range(kernel_size)]
    return _phases(ratio * kaiser_filter(0.5 / ratio, 0.6 / ratio, kernel_size), places)


def _down_filter(ratio: int, kernel_size: int) -> _Filter:
    """Phases whose correlations with the phases of a signal sum to the down-sampled one."""
    before = (kernel_size - 1) // 2
    places = [((tap - before) % ratio, (tap - before) // ratio) for tap in range(kernel_size)]
    return _phases(kaiser_filter(0.5 / ratio, 0.6 / ratio, kernel_size), places)


def _tiled(taps: Tensor, tile: int, *, spread: bool) -> Tensor:
    """The matrix that makes a tile of neighbouring outputs of a filter from what they see.

    Args:
        taps: (ratio, width) of the phases.
        tile: outputs at the lower rate.
        spread: whether the phases are those of the input, whose samples lie in their order; otherwise of the output.

    Returns:
        (tile, (tile + width - 1) * ratio) where they are spread, otherwise (tile * ratio, tile + width - 1).
    """
    ratio, width = taps.shape
    matrix = taps.new_zeros(tile, tile + width - 1, ratio)
    for number in range(tile):
        matrix[number, number : number + width] = taps.T
    return matrix.reshape(tile, -1) if spread else matrix.transpose(1, 2).reshape(tile * ratio, -1)


def _windows(rows: Tensor, count: int, step: int, width: int) -> Tensor:
    """Overlapping windows (count, width, C) of rows (T, C), each a step further, without a copy."""
    channels = rows.shape[1]
    return rows.as_strided((count, width, channels), (step * channels, channels, 1))


def _put_clamped(rows: Tensor, start: int, out: Tensor) -> None:
    """Put rows from `start` on into `out`; before the first comes the first, after the last the last."""
    low, high = max(start, 0), min(start + len(out), len(rows))
    out[: low - start] = rows[0]
    out[low - start : high - start] = rows[low:high]
    out[high - start :] = rows[-1]
