"""Discriminators of magnitude spectrograms at three resolutions.

Source: Jang et al., "UnivNet", 2021, arXiv:2106.07889; Lee et al., "BigVGAN", 2022, arXiv:2206.04658. As in both
code bases the transform has no window but a rectangular one.
"""

from __future__ import annotations

from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.config import Config
from amphion_core.discriminators.tower import SpectrogramTower
from amphion_core.losses.adversarial import Verdict

__all__ = ["MultiResolutionDiscriminator", "ResolutionConfig"]


class ResolutionConfig(Config):
    """Hyperparameters of the multi-resolution discriminator; the defaults are those of the papers.

    Attributes:
        name: chooses this kind in a recipe.
        n_ffts: samples of each transform, one sub-discriminator for each.
        hops: samples between frames of each.
        windows: samples of each rectangular window.
        channels: width of every layer.
        norm: of the weights.
    """

    name: Literal["resolution"] = "resolution"
    n_ffts: tuple[int, ...] = (1024, 2048, 512)
    hops: tuple[int, ...] = (120, 240, 50)
    windows: tuple[int, ...] = (600, 1200, 240)
    channels: int = Field(32, ge=1)
    norm: Literal["weight", "spectral"] = "weight"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.n_ffts or len({len(self.n_ffts), len(self.hops), len(self.windows)}) != 1:
            raise ValueError(
                f"{len(self.n_ffts)} n_ffts, {len(self.hops)} hops and {len(self.windows)} windows; "
                "give one of each for a resolution"
            )
        if any(window > n_fft for n_fft, window in zip(self.n_ffts, self.windows, strict=True)):
            raise ValueError(f"windows {self.windows} must not be longer than n_ffts {self.n_ffts}")
        return self

    @property
    def reach(self) -> int:
        """Samples that a waveform must exceed, because its ends are reflected."""
        return max((n_fft - hop) // 2 for n_fft, hop in zip(self.n_ffts, self.hops, strict=True))


class MultiResolutionDiscriminator(nn.Module):
    """One sub-discriminator for each resolution."""

    def __init__(self, config: ResolutionConfig) -> None:
        super().__init__()
        shapes = zip(config.n_ffts, config.hops, config.windows, strict=True)
        self.discriminators = nn.ModuleList(_Resolution(config, *shape) for shape in shapes)

    def forward(self, wav: Tensor) -> list[Verdict]:
        """Verdicts on waveforms (B, T)."""
        return [discriminator(wav) for discriminator in self.discriminators]


class _Resolution(SpectrogramTower):
    def __init__(self, config: ResolutionConfig, n_fft: int, hop_length: int, win_length: int) -> None:
        super().__init__(1, config.channels, (1, 1, 1), slope=0.1, first_normed=True, norm=config.norm)
        self.shape = n_fft, hop_length, win_length

    def forward(self, wav: Tensor) -> Verdict:
        n_fft, hop_length, win_length = self.shape
        # In single precision, whatever the training uses: complex numbers know no bfloat16.
        with torch.autocast(wav.device.type, enabled=False):
            amount = (n_fft - hop_length) // 2
            padded = F.pad(wav.float()[None], (amount, amount), mode="reflect")[0]
            window = torch.ones(win_length, device=wav.device)
            spectrum = torch.stft(padded, n_fft, hop_length, win_length, window, center=False, return_complex=True)
            # The gradient of |0| is 0 in torch, so silence does no harm.
            magnitude = spectrum.abs().unsqueeze(1)  # (B, 1, bins, F)
        return super().forward(magnitude)
