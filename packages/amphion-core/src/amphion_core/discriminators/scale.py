"""Discriminators of a waveform and of its averages at lower rates.

Source: Kumar et al., "MelGAN", 2019, arXiv:1910.06711; Kong et al., "HiFi-GAN", 2020, arXiv:2010.05646.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from amphion_core.config import Config
from amphion_core.losses.adversarial import Verdict
from amphion_core.modules.convolution import weight_norm

__all__ = ["MultiScaleDiscriminator", "ScaleConfig"]


class ScaleConfig(Config):
    """Hyperparameters of the multi-scale discriminator; the defaults are the paper's.

    Attributes:
        name: chooses this kind in a recipe.
        scales: sub-discriminators; each one hears half the rate of the one before.
        channels: width of each layer.
        kernel_sizes: of each layer, odd.
        strides: of each layer.
        groups: of each layer.
        output_kernel_size: of the layer that gives the logits, odd.
        spectral: how many of the sub-discriminators, from the first, have spectral norm; the others have weight norm.
    """

    name: Literal["scale"] = "scale"
    scales: int = Field(3, ge=1)
    channels: tuple[int, ...] = (128, 128, 256, 512, 1024, 1024, 1024)
    kernel_sizes: tuple[int, ...] = (15, 41, 41, 41, 41, 41, 5)
    strides: tuple[int, ...] = (1, 2, 2, 4, 4, 1, 1)
    groups: tuple[int, ...] = (1, 4, 16, 16, 16, 16, 1)
    output_kernel_size: int = Field(3, ge=1)
    spectral: int = Field(1, ge=0)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        counts = {name: len(getattr(self, name)) for name in ("channels", "kernel_sizes", "strides", "groups")}
        if len(set(counts.values())) != 1:
            raise ValueError(f"give one value for each layer in all four lists; their lengths are {counts}")
        return self


class MultiScaleDiscriminator(nn.Module):
    """One sub-discriminator for each scale."""

    def __init__(self, config: ScaleConfig) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(_Scale(config, i < config.spectral) for i in range(config.scales))

    def forward(self, wav: Tensor) -> list[Verdict]:
        """Verdicts on waveforms (B, T)."""
        x = wav.unsqueeze(1)  # (B, 1, T)
        verdicts = []
        for number, discriminator in enumerate(self.discriminators):
            if number:
                x = F.avg_pool1d(x, 4, 2, padding=2)
            verdicts.append(discriminator(x))
        return verdicts


class _Scale(nn.Module):
    def __init__(self, config: ScaleConfig, spectral: bool) -> None:
        super().__init__()
        norm = spectral_norm if spectral else weight_norm
        widths = (1, *config.channels)
        shapes = zip(config.kernel_sizes, config.strides, config.groups, strict=True)
        self.convs = nn.ModuleList(
            norm(nn.Conv1d(widths[i], widths[i + 1], kernel, stride, kernel // 2, groups=groups))
            for i, (kernel, stride, groups) in enumerate(shapes)
        )
        self.output = norm(nn.Conv1d(widths[-1], 1, config.output_kernel_size, padding=config.output_kernel_size // 2))

    def forward(self, x: Tensor) -> Verdict:
        verdict = []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.1)
            verdict.append(x)
        verdict.append(self.output(x))
        return verdict
