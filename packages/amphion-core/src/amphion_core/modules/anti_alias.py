"""Periodic activations, and their anti-aliased form: up-sample, activate, down-sample, without interleaving phases.

Source: Lee et al., "BigVGAN: A Universal Neural Vocoder with Large-Scale Training", 2023, arXiv:2206.04658; the snake
is of Ziyin et al., "Neural Networks Fail to Learn Periodic Functions and How to Fix It", 2020, arXiv:2006.08195.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["AntiAliasedActivation", "Snake", "kaiser_filter"]

EPSILON = 1e-9
"""Keeps the amplitude finite where the parameter is 0."""


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
        return x + amplitude * torch.sin(x * frequency).square()

    def scales(self) -> tuple[Tensor, Tensor]:
        """Frequency and amplitude of the sine, (C,) each."""
        alpha, beta = self.alpha, self.alpha if self.beta is None else self.beta
        if self.log_scale:
            alpha, beta = alpha.exp(), beta.exp()
        return alpha, 1 / (beta + EPSILON)


class AntiAliasedActivation(nn.Module):
    """An activation at a multiple of the rate, so that what it adds above the band does not fold back into it.

    The phases of the up-sampled signal are kept beside one another as channels: each of them is a convolution of the
    input at its own rate, and the down-sampled signal is the sum of a convolution of each.
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
        up, self.up_reach = _up_phases(up_ratio, up_kernel_size)
        down, self.down_reach = _down_phases(up_ratio, down_kernel_size)
        self.register_buffer("up", up, persistent=False)
        self.register_buffer("down", down, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Activate (B, C, T); the same shape."""
        batch, channels, length = x.shape
        x = F.pad(x, self.up_reach, mode="replicate").reshape(batch * channels, 1, -1)
        y = F.conv1d(x, self.up.to(x.dtype)).reshape(batch, channels, self.ratio, length)
        y = self.activation(y).reshape(batch * channels, self.ratio, length)
        # The sequence goes on with its very first and last sample, which are of the first and the last phase.
        left, right = (y[:, :1, :1], y[:, -1:, -1:])
        before, after = (edge.expand(-1, self.ratio, n) for edge, n in zip((left, right), self.down_reach, strict=True))
        y = F.conv1d(torch.cat([before, y, after], dim=2), self.down.to(x.dtype))
        return y.reshape(batch, channels, length)


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


def _up_phases(ratio: int, kernel_size: int) -> tuple[Tensor, tuple[int, int]]:
    """Weights (ratio, 1, width) of the phases as convolutions of the input, and the samples they see to each side."""
    taps = ratio * kaiser_filter(0.5 / ratio, 0.6 / ratio, kernel_size)
    cut = (kernel_size - ratio) // 2  # of what the inserted zeros lead to
    # Sample ratio * t + phase is the sum of x[t + i] * taps[phase + cut - ratio * i].
    low = -((kernel_size - 1 - cut) // ratio)
    high = (ratio - 1 + cut) // ratio
    weight = torch.zeros(ratio, 1, high - low + 1)
    for phase in range(ratio):
        for i in range(low, high + 1):
            tap = phase + cut - ratio * i
            if 0 <= tap < kernel_size:
                weight[phase, 0, i - low] = taps[tap]
    return weight, (-low, high)


def _down_phases(ratio: int, kernel_size: int) -> tuple[Tensor, tuple[int, int]]:
    """Weights (1, ratio, width) of the phases whose convolutions sum to the output, and the samples they see."""
    taps = kaiser_filter(0.5 / ratio, 0.6 / ratio, kernel_size)
    before = (kernel_size - 1) // 2
    low, high = -(before + ratio - 1) // ratio, (kernel_size - 1 - before) // ratio
    weight = torch.zeros(1, ratio, high - low + 1)
    for tap in range(kernel_size):
        place = tap - before
        weight[0, place % ratio, place // ratio - low] = taps[tap]
    return weight, (-low, high)
