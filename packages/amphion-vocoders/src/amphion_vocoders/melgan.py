"""MelGAN: transposed convolutions from frames to samples with dilated residual stacks, reflecting at the ends.

Source: Kumar et al., "MelGAN: Generative Adversarial Networks for Conditional Waveform Synthesis", 2019,
arXiv:1910.06711.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.modules.convolution import weight_norm
from amphion_vocoders.vocoder import ConvolutionalVocoder, MelVocoderConfig

__all__ = ["MelGAN", "MelGANConfig"]

SLOPE = 0.2


class MelGANConfig(MelVocoderConfig):
    """Hyperparameters; the defaults are those of the paper, 22.05 kHz.

    Attributes:
        mel: what it takes.
        channels: width of the last residual stack; each stage before has twice that of the next.
        rates: factors of the up-samplings; their product is the hop.
        blocks: residual blocks after every up-sampling, of dilations 1, 3, 9 ...
    """

    channels: int = Field(32, ge=1)
    rates: tuple[int, ...] = Field((8, 8, 2, 2), min_length=1)
    blocks: int = Field(3, ge=0)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if any(rate < 2 for rate in self.rates):
            raise ValueError(f"rates must be 2 or more, got {self.rates}")
        if math.prod(self.rates) != self.mel.hop_length:
            raise ValueError(
                f"the product of rates {math.prod(self.rates)} is not mel.hop_length {self.mel.hop_length}"
            )
        return self


class MelGAN(ConvolutionalVocoder[MelGANConfig]):
    """Log-mel spectrogram to waveform."""

    config_class = MelGANConfig
    name = "melgan"

    def __init__(self, config: MelGANConfig) -> None:
        super().__init__(config)
        widest = config.channels * 2 ** len(config.rates)
        self.input = weight_norm(nn.Conv1d(config.mel.n_mels, widest, 7))
        self.stages = nn.ModuleList(
            _Stage(widest // 2**number, rate, config.blocks) for number, rate in enumerate(config.rates)
        )
        self.output = weight_norm(nn.Conv1d(config.channels, 1, 7))

    def forward(self, mel: Tensor) -> Tensor:
        """Waveforms (B, F * hop_length) in [-1, 1] of mels (B, n_mels, F)."""
        x = self.input(_reflected(mel, 3))  # (B, channels, F)
        for stage in self.stages:
            x = stage(x)
        wav: Tensor = self.output(_reflected(F.leaky_relu(x, SLOPE), 3))  # (B, 1, F * hop_length)
        return torch.tanh(wav).squeeze(1)

    @property
    def context(self) -> int:
        """Frames to each side of a frame that its samples depend on."""
        reach = 3  # of the last convolution, samples
        for rate in reversed(self.config.rates):
            reach += sum(3**number for number in range(self.config.blocks))
            reach = math.ceil((reach + 2 * rate) / rate)
        return reach + 3

    @classmethod
    def from_released(cls, source: str | Path, args: dict[str, Any] | None = None) -> Self:
        """Load a checkpoint of the toolkit.

        Args:
            source: an experiment or accelerate folder, or a file.
            args: its configuration; None reads the args.json beside it.

        Raises:
            FileNotFoundError: no checkpoint or no configuration is there.
            ValueError: the checkpoint is of another model or size.
        """
        from amphion_vocoders.released.melgan import load_melgan

        return load_melgan(cls, source, args)


class _Stage(nn.Module):
    """One up-sampling and its residual blocks, one after the other."""

    def __init__(self, channels: int, rate: int, blocks: int) -> None:
        super().__init__()
        half, odd = channels // 2, rate % 2
        self.upsample = weight_norm(
            nn.ConvTranspose1d(channels, half, 2 * rate, rate, rate // 2 + odd, output_padding=odd)
        )
        self.blocks = nn.ModuleList(_Block(half, 3**number) for number in range(blocks))

    def forward(self, x: Tensor) -> Tensor:
        x = self.upsample(F.leaky_relu(x, SLOPE))  # (B, channels / 2, T * rate)
        for block in self.blocks:
            x = block(x)
        return x


class _Block(nn.Module):
    """A dilated convolution and one of width 1, beside a shortcut of width 1."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.shortcut = weight_norm(nn.Conv1d(channels, channels, 1))
        self.dilated = weight_norm(nn.Conv1d(channels, channels, 3, dilation=dilation))
        self.plain = weight_norm(nn.Conv1d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.dilated(_reflected(F.leaky_relu(x, SLOPE), self.dilation))
        total: Tensor = self.shortcut(x) + self.plain(F.leaky_relu(y, SLOPE))
        return total


def _reflected(x: Tensor, count: int) -> Tensor:
    """Extend (B, C, T) by `count` at both ends, back and forth where T is less than that."""
    length = x.shape[-1]
    if torch.compiler.is_exporting() or length > count:
        return F.pad(x, (count, count), mode="reflect")
    period = max(1, 2 * (length - 1))
    place = torch.arange(-count, length + count, device=x.device) % period
    return x[..., torch.minimum(place, period - place)]
