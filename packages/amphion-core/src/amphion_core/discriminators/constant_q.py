"""Discriminators of constant-Q spectrograms at several scales, which align the octaves before they judge.

Source: Gu, Zhang, Xue and Wu, "Multi-Scale Sub-Band Constant-Q Transform Discriminator for High-Fidelity Vocoder",
2023, arXiv:2311.14957. The waveform is raised to twice its rate, so that nine octaves fit.
"""

from __future__ import annotations

import math
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.config import Config
from amphion_core.discriminators.tower import SpectrogramTower
from amphion_core.features.constant_q import ConstantQ
from amphion_core.losses.adversarial import Verdict

__all__ = ["ConstantQConfig", "MultiScaleSubBandConstantQDiscriminator"]


class ConstantQConfig(Config):
    """Hyperparameters of the multi-scale sub-band CQT discriminator; the defaults are the paper's.

    Attributes:
        name: chooses this kind in a recipe.
        sample_rate: Hz of the waveforms; None takes the rate of the generator in a recipe.
        hops: samples at twice the rate between frames, one sub-discriminator for each.
        octaves: of each.
        bins_per_octave: of each.
        f_min: of the lowest bin, Hz.
        channels: width of every layer.
        dilations: along time, of the layers that halve the bins.
    """

    name: Literal["constant_q"] = "constant_q"
    sample_rate: int | None = Field(None, gt=0)
    hops: tuple[int, ...] = (512, 256, 256)
    octaves: tuple[int, ...] = (9, 9, 9)
    bins_per_octave: tuple[int, ...] = (24, 36, 48)
    f_min: float = Field(32.70, gt=0)
    channels: int = Field(32, ge=1)
    dilations: tuple[int, ...] = (1, 2, 4)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.hops or len({len(self.hops), len(self.octaves), len(self.bins_per_octave)}) != 1:
            raise ValueError(
                f"{len(self.hops)} hops, {len(self.octaves)} octaves and {len(self.bins_per_octave)} bins_per_octave; "
                "give one of each for a scale"
            )
        return self

    def check_rate(self, sample_rate: int) -> None:
        """Refuse octaves that waveforms of a rate don't have.

        Raises:
            ValueError: the highest bin lies above the rate, which is half of the one that the transform works at.
        """
        for octaves, bins in zip(self.octaves, self.bins_per_octave, strict=True):
            top = self.f_min * 2 ** (octaves - 1 / bins)
            if top > sample_rate:
                raise ValueError(
                    f"{octaves} octaves from {self.f_min} Hz reach {top:.0f} Hz, more than the constant-Q "
                    f"discriminator can see at {sample_rate} Hz; give it fewer octaves"
                )

    @property
    def reach(self) -> int:
        """Samples that a waveform must exceed, so that its rate can be halved often enough."""
        return 1 << (max(self.octaves) - 1)


class MultiScaleSubBandConstantQDiscriminator(nn.Module):
    """One sub-discriminator for each scale.

    Raises:
        ValueError: the configuration has no sampling rate, or one that is too low for its octaves.
    """

    def __init__(self, config: ConstantQConfig) -> None:
        super().__init__()
        if config.sample_rate is None:
            raise ValueError("the constant-Q discriminator needs sample_rate, Hz; a recipe fills it in by itself")
        config.check_rate(config.sample_rate)
        shapes = zip(config.hops, config.octaves, config.bins_per_octave, strict=True)
        self.discriminators = nn.ModuleList(_ConstantQ(config, config.sample_rate, *shape) for shape in shapes)
        self.register_buffer("raising", _raising_kernel(), persistent=False)

    def forward(self, wav: Tensor) -> list[Verdict]:
        """Verdicts on waveforms (B, T)."""
        with torch.autocast(wav.device.type, enabled=False):
            raised = self.raised(wav)
        return [discriminator(raised) for discriminator in self.discriminators]

    def raised(self, wav: Tensor) -> Tensor:
        """Waveforms (B, T) at twice their rate, (B, 2T), in float32."""
        kernel = self.get_buffer("raising")  # (2, 1, 15)
        width = kernel.shape[-1] // 2
        phases = F.conv1d(F.pad(wav.float().unsqueeze(1), (width, width)), kernel)  # (B, 2, T)
        return phases.mT.flatten(1)


class _ConstantQ(SpectrogramTower):
    """A transform, one convolution for each octave, and the layers on all octaves together."""

    def __init__(
        self, config: ConstantQConfig, sample_rate: int, hop_length: int, octaves: int, bins_per_octave: int
    ) -> None:
        super().__init__(2, config.channels, config.dilations, slope=0.1, first_normed=False)
        self.transform = ConstantQ(2 * sample_rate, hop_length, octaves, bins_per_octave, config.f_min)
        self.bands = nn.ModuleList(nn.Conv2d(2, 2, (3, 9), padding=(1, 4)) for _ in range(octaves))

    def forward(self, wav: Tensor) -> Verdict:
        spectrum = self.transform(wav).mT  # (B, F, bins)
        parts = torch.stack([spectrum.real, spectrum.imag], dim=1)  # (B, 2, F, bins)
        octaves = parts.chunk(len(self.bands), dim=3)
        aligned = torch.cat([band(octave) for band, octave in zip(self.bands, octaves, strict=True)], dim=3)
        return super().forward(aligned)


def _raising_kernel(zeros: int = 6, rolloff: float = 0.99) -> Tensor:
    """Sinc under a Hann window for both samples that take the place of one, (2, 1, 15)."""
    width = math.ceil(zeros / rolloff)
    time = torch.arange(-width, width + 1, dtype=torch.float64) - torch.tensor([[0.0], [0.5]], dtype=torch.float64)
    time = (time * rolloff).clamp(-zeros, zeros)
    window = torch.cos(time * math.pi / zeros / 2).square()
    return (torch.sinc(time) * window * rolloff).float()[:, None]
