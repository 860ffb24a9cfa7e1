"""Periodic activations, and their anti-aliased form: up-sample, activate, down-sample, without interleaving phases.

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

PIECE = 1 << 18
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

    It goes in pieces that stay in the cache. The filters are depthwise convolutions, scaled so that the sine needs no
    product with its frequency. Its square is a polynomial after the period is taken off, which is less work than the
    sine. What is linear goes through one filter of its own, without the higher rate.
    """

    def __init__(self, module: AntiAliasedActivation) -> None:
        """Prepare; the parameters of the module must not change afterwards."""
        self.module = module
        frequency, amplitude = (value.detach().double() for value in module.activation.scales())
        up, down = module.up.double(), module.down.double()
        self.up = [_depthwise(taps[a:b], frequency / math.pi) for taps, (a, b) in zip(up, module.up_spans, strict=True)]
        self.down = [_depthwise(taps[a:b], amplitude) for taps, (a, b) in zip(down, module.down_spans, strict=True)]
        # Both filters one after the other, of all phases: a correlation with the convolution of their taps.
        wide = up.shape[1] - 1
        spread = F.pad(down, (wide, wide))[None]  # (1, ratio, width)
        linear = F.conv1d(spread, up.flip(1)[None])[0, 0]
        self.linear = _depthwise(linear, torch.ones_like(frequency))
        self.before = module.up_reach[0] + module.down_reach[0]
        self.after = module.up_reach[1] + module.down_reach[1]
        first, *others = reversed(squared_sine_coefficients())
        self.first, self.others = first, [torch.tensor(value) for value in others]

    def __call__(self, rows: Tensor, out: Tensor, scratch: Scratch) -> None:
        """Activate.

        Args:
            rows: (T, C), contiguous.
            out: (T, C), overwritten; another one.
            scratch: room.
        """
        length, channels = rows.shape
        edge = self.before + self.after
        if length <= 4 * edge:
            out.copy_(self._plain(rows))
            return
        out[: self.before] = self._plain(rows[: edge + self.before])[: self.before]
        out[length - self.after :] = self._plain(rows[length - edge - self.after :])[edge:]
        inner = length - edge
        pieces = max(1, round(inner * channels / PIECE))
        size = -(-inner // pieces)
        for start in range(0, inner, size):
            stop = min(start + size, inner)
            self._piece(rows[start : stop + edge], out[start + self.before : stop + self.before], scratch)

    def _plain(self, rows: Tensor) -> Tensor:
        return self.module.plain(rows.T[None])[0].T

    def _piece(self, rows: Tensor, out: Tensor, scratch: Scratch) -> None:
        """Outputs of a range; `rows` has what they see on both sides."""
        size = len(out)
        inner = size + sum(self.module.down_reach)
        x = _image(rows)
        y = _rows(F.conv2d(x, self.linear, groups=rows.shape[1]))
        for number, (up, down) in enumerate(zip(self.up, self.down, strict=True)):
            start = self.module.up_spans[number][0]
            t = F.conv2d(x[..., start : start + inner + up.shape[3] - 1], up, groups=rows.shape[1])
            q = _image(self._squared_sine(_rows(t), scratch))
            start = self.module.down_spans[number][0]
            q = q[..., start : start + size + down.shape[3] - 1]
            part = _rows(F.conv2d(q, down, groups=rows.shape[1]))
            torch.add(y, part, out=out if number == len(self.up) - 1 else y)

    def _squared_sine(self, t: Tensor, scratch: Scratch) -> Tensor:
        """sin(pi t)^2; t is overwritten."""
        u, q = scratch.take(0, tuple(t.shape), t), scratch.take(1, tuple(t.shape), t)
        torch.round(t, out=u)
        t.sub_(u)
        torch.mul(t, t, out=u)
        torch.add(self.others[0], u, alpha=self.first, out=q)
        for coefficient in self.others[1:]:
            torch.addcmul(coefficient, q, u, out=q)
        return q.mul_(u)


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
def squared_sine_coefficients(degree: int = 6) -> tuple[float, ...]:
    """Coefficients c with sin(pi r)^2 = sum of c[i] u^(i + 1), u = r^2, |r| <= 1 / 2; nearly the least error."""
    nodes = torch.cos(math.pi * (torch.arange(64, dtype=torch.float64) + 0.5) / 64)
    u = (nodes + 1) / 8  # 0 to 1 / 4
    basis = torch.stack([u**power for power in range(1, degree + 1)], dim=1)
    target = torch.sin(math.pi * u.sqrt()).square()
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


def _depthwise(taps: Tensor, scale: Tensor) -> Tensor:
    """Weight (C, 1, 1, K) of one filter a channel."""
    return (scale[:, None] * taps).float()[:, None, None].contiguous()


def _image(rows: Tensor) -> Tensor:
    """Rows (T, C) as (1, C, 1, T), channels last."""
    return rows[None, None].permute(0, 3, 1, 2)


def _rows(image: Tensor) -> Tensor:
    """The way back; free where the image has channels last."""
    return image[0, :, 0].T.contiguous()
