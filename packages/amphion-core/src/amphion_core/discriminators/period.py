"""Discriminators that fold a waveform by periods and judge each phase by itself.

Source: Kong et al., "HiFi-GAN", 2020, arXiv:2010.05646. Deviations that released checkpoints depend on, by option: a
stride of 3 in the last layer (the toolkit), other widths and an output kernel of 2 (the Vocos recipe).
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

__all__ = ["MultiPeriodDiscriminator", "PeriodConfig"]


class PeriodConfig(Config):
    """Hyperparameters of the multi-period discriminator; the defaults are the paper's.

    Attributes:
        name: chooses this kind in a recipe.
        periods: samples, one sub-discriminator for each.
        channels: width of each layer.
        strides: along the time of one phase; the toolkit's checkpoints have 3 in the last place.
        kernel_size: odd.
        output_kernel_size: of the layer that gives the logits; the Vocos recipe has 2.
        norm: of the weights.
    """

    name: Literal["period"] = "period"
    periods: tuple[int, ...] = (2, 3, 5, 7, 11)
    channels: tuple[int, ...] = (32, 128, 512, 1024, 1024)
    strides: tuple[int, ...] = (3, 3, 3, 3, 1)
    kernel_size: int = Field(5, ge=1)
    output_kernel_size: int = Field(3, ge=1)
    norm: Literal["weight", "spectral"] = "weight"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.channels) != len(self.strides):
            raise ValueError(f"{len(self.channels)} channels and {len(self.strides)} strides; give one of each a layer")
        if not self.periods or min(self.periods) < 1:
            raise ValueError(f"periods must be 1 or more samples, got {self.periods}")
        return self


class MultiPeriodDiscriminator(nn.Module):
    """One sub-discriminator for each period."""

    def __init__(self, config: PeriodConfig) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(_Period(config, period) for period in config.periods)

    def forward(self, wav: Tensor) -> list[Verdict]:
        """Verdicts on waveforms (B, T); T is at least the longest period."""
        return [discriminator(wav) for discriminator in self.discriminators]


class _Period(nn.Module):
    def __init__(self, config: PeriodConfig, period: int) -> None:
        super().__init__()
        self.period = period
        norm = spectral_norm if config.norm == "spectral" else weight_norm
        kernel, padding = (config.kernel_size, 1), (config.kernel_size // 2, 0)
        widths = (1, *config.channels)
        self.convs = nn.ModuleList(
            norm(nn.Conv2d(widths[i], widths[i + 1], kernel, (stride, 1), padding))
            for i, stride in enumerate(config.strides)
        )
        # A kernel of 2 is padded by 1 too: the Vocos recipe's logits are one longer.
        self.output = norm(nn.Conv2d(widths[-1], 1, (config.output_kernel_size, 1), padding=(1, 0)))

    def forward(self, wav: Tensor) -> Verdict:
        missing = -wav.shape[-1] % self.period
        x = F.pad(wav.unsqueeze(1), (0, missing), mode="reflect") if missing else wav.unsqueeze(1)
        x = x.reshape(x.shape[0], 1, -1, self.period)  # (B, 1, T / period, period)
        verdict = []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.1)
            verdict.append(x)
        verdict.append(self.output(x))
        return verdict
