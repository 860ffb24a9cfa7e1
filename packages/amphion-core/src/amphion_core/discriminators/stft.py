"""Discriminators of complex spectrograms at several scales.

Source: Défossez et al., "High Fidelity Neural Audio Compression", 2022, arXiv:2210.13438. Deviations that released
checkpoints depend on: the first layer has no weight norm, the defaults are three scales.
"""

from __future__ import annotations

from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from amphion_core.config import Config
from amphion_core.discriminators.tower import SpectrogramTower
from amphion_core.losses.adversarial import Verdict

__all__ = ["MultiScaleStftDiscriminator", "StftConfig"]


class StftConfig(Config):
    """Hyperparameters of the multi-scale STFT discriminator; the defaults are the toolkit's.

    Attributes:
        name: chooses this kind in a recipe.
        n_ffts: samples of each transform, one sub-discriminator for each.
        hops: samples between frames of each.
        windows: samples of each Hann window; empty: the transform.
        channels: width of every layer.
        dilations: along time, of the layers that halve the bins.
    """

    name: Literal["stft"] = "stft"
    n_ffts: tuple[int, ...] = (1024, 2048, 512)
    hops: tuple[int, ...] = (256, 512, 256)
    windows: tuple[int, ...] = ()
    channels: int = Field(32, ge=1)
    dilations: tuple[int, ...] = (1, 2, 4)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.n_ffts or len({len(self.n_ffts), len(self.hops), len(self.windows or self.n_ffts)}) != 1:
            raise ValueError(
                f"{len(self.n_ffts)} n_ffts, {len(self.hops)} hops and {len(self.windows)} windows; "
                "give one of each for a scale"
            )
        return self

    @property
    def reach(self) -> int:
        """Samples that a waveform must exceed: one frame of the longest transform is one more."""
        return max(self.n_ffts) - 1


class MultiScaleStftDiscriminator(nn.Module):
    """One sub-discriminator for each scale."""

    def __init__(self, config: StftConfig) -> None:
        super().__init__()
        shapes = zip(config.n_ffts, config.hops, config.windows or config.n_ffts, strict=True)
        self.discriminators = nn.ModuleList(_Stft(config, *shape) for shape in shapes)

    def forward(self, wav: Tensor) -> list[Verdict]:
        """Verdicts on waveforms (B, T)."""
        return [discriminator(wav) for discriminator in self.discriminators]


class _Stft(SpectrogramTower):
    window: Tensor

    def __init__(self, config: StftConfig, n_fft: int, hop_length: int, win_length: int) -> None:
        super().__init__(2, config.channels, config.dilations, slope=0.2, first_normed=False)
        self.n_fft, self.hop_length = n_fft, hop_length
        self.register_buffer("window", torch.hann_window(win_length), persistent=False)

    def forward(self, wav: Tensor) -> Verdict:
        # In single precision, whatever the training uses: complex numbers know no bfloat16.
        with torch.autocast(wav.device.type, enabled=False):
            spectrum = torch.stft(
                wav.float(),
                self.n_fft,
                self.hop_length,
                self.window.shape[0],
                self.window,
                center=False,
                normalized=False,
                return_complex=True,
            )
            spectrum = (spectrum / self.window.square().sum().sqrt()).mT  # (B, F, bins)
            parts = torch.stack([spectrum.real, spectrum.imag], dim=1)  # (B, 2, F, bins)
        return super().forward(parts)
