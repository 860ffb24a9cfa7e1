"""Discriminators of magnitude spectrograms at several resolutions, as the Vocos recipe of the toolkit has them.

Source: Jang et al., "UnivNet", 2021, arXiv:2106.07889, for the idea; the layers are those of the Vocos recipe.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.config import Config
from amphion_core.losses.adversarial import Verdict
from amphion_core.modules.convolution import weight_norm

__all__ = ["MultiResolutionSpectrogramDiscriminator", "SpectrogramConfig"]


class SpectrogramConfig(Config):
    """Hyperparameters; the defaults are the 24 kHz Vocos recipe's.

    Attributes:
        name: chooses this kind in a recipe.
        n_ffts: samples of each transform, one sub-discriminator for each.
        hops: samples between frames of each; empty: a quarter of the transform.
        windows: samples of each Hann window; empty: the transform.
        channels: width of the first layer; each following one multiplies it.
        max_channels: the most that a layer has.
        kernel_sizes: of the first layer, and of the last two.
        scales: factor of the width, and stride, of each layer in between.
        parts: judge real and imaginary part instead of the magnitude.
        norm: of the weights.
    """

    name: Literal["spectrogram"] = "spectrogram"
    n_ffts: tuple[int, ...] = (128, 256, 512, 1024, 2048)
    hops: tuple[int, ...] = ()
    windows: tuple[int, ...] = ()
    channels: int = Field(64, ge=1)
    max_channels: int = Field(1024, ge=1)
    kernel_sizes: tuple[int, int] = (5, 3)
    scales: tuple[int, ...] = (2, 2, 2)
    parts: bool = False
    norm: Literal["weight", "none"] = "weight"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in ("hops", "windows"):
            given = getattr(self, name)
            if given and len(given) != len(self.n_ffts):
                raise ValueError(f"{name} has {len(given)} values for {len(self.n_ffts)} transforms; give one for each")
        return self

    @property
    def shapes(self) -> tuple[tuple[int, int, int], ...]:
        """Transform, hop and window of each resolution."""
        hops = self.hops or tuple(n_fft // 4 for n_fft in self.n_ffts)
        return tuple(zip(self.n_ffts, hops, self.windows or self.n_ffts, strict=True))


class MultiResolutionSpectrogramDiscriminator(nn.Module):
    """One sub-discriminator for each resolution."""

    def __init__(self, config: SpectrogramConfig) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(_Spectrogram(config, *shape) for shape in config.shapes)

    def forward(self, wav: Tensor) -> list[Verdict]:
        """Verdicts on waveforms (B, T); T is more than half the longest transform."""
        return [discriminator(wav) for discriminator in self.discriminators]


class _Spectrogram(nn.Module):
    window: Tensor

    def __init__(self, config: SpectrogramConfig, n_fft: int, hop_length: int, win_length: int) -> None:
        super().__init__()
        self.n_fft, self.hop_length, self.parts = n_fft, hop_length, config.parts
        norm: Callable[[nn.Conv2d], nn.Conv2d] = weight_norm if config.norm == "weight" else lambda layer: layer
        self.register_buffer("window", torch.hann_window(win_length), persistent=False)
        first, last = config.kernel_sizes
        width = config.channels
        layers: list[nn.Module] = [norm(nn.Conv2d(2 if config.parts else 1, width, first, 2, first // 2))]
        for scale in config.scales:
            wider = min(width * scale, config.max_channels)
            layers.append(norm(nn.Conv2d(width, wider, 2 * scale + 1, scale, scale)))
            width = wider
        wider = min(width * 2, config.max_channels)
        layers.append(norm(nn.Conv2d(width, wider, last, padding=last // 2)))
        self.convs = nn.ModuleList(layers)
        self.output = norm(nn.Conv2d(wider, 1, last, padding=last // 2))

    def forward(self, wav: Tensor) -> Verdict:
        # In single precision, whatever the training uses: complex numbers know no bfloat16.
        with torch.autocast(wav.device.type, enabled=False):
            x = self._spectrogram(wav.float())
        verdict = []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.2)
            verdict.append(x)
        verdict.append(self.output(x))
        return verdict

    def _spectrogram(self, wav: Tensor) -> Tensor:
        length = self.window.shape[0]
        spectrum = torch.stft(wav, self.n_fft, self.hop_length, length, self.window, return_complex=True)
        if self.parts:
            return torch.stack([spectrum.real, spectrum.imag], dim=1)  # (B, 2, bins, F)
        power = spectrum.real.square() + spectrum.imag.square()
        return power.clamp(1e-7, 1e3).sqrt().unsqueeze(1)  # (B, 1, bins, F)
