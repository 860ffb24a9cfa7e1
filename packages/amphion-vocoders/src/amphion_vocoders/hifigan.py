"""HiFi-GAN: transposed convolutions from frames to samples, each followed by residual blocks of several widths.

Source: Kong, Kim and Bae, "HiFi-GAN: Generative Adversarial Networks for Efficient and High Fidelity Speech Synthesis",
2020, arXiv:2010.05646. Deviation that all released checkpoints depend on: the last activation has the slope 0.01.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.modules.convolution import same_padding, weight_norm
from amphion_vocoders.vocoder import ConvolutionalVocoder, MelVocoderConfig

__all__ = ["HiFiGAN", "HiFiGANConfig"]

SLOPE = 0.1
LAST_SLOPE = 0.01


class HiFiGANConfig(MelVocoderConfig):
    """Hyperparameters; the defaults are V1 of the paper, 22.05 kHz.

    Attributes:
        mel: what it takes.
        channels: width before the first up-sampling; each one halves it.
        rates: factors of the up-samplings; their product is the hop.
        kernel_sizes: of the transposed convolutions.
        block: 1: three pairs of convolutions in a residual block (V1, V2); 2: single ones (V3).
        block_kernel_sizes: one residual block for each after every up-sampling; their mean is taken.
        block_dilations: of the convolutions of each of these blocks.
    """

    channels: int = Field(512, ge=2)
    rates: tuple[int, ...] = (8, 8, 2, 2)
    kernel_sizes: tuple[int, ...] = (16, 16, 4, 4)
    block: Literal[1, 2] = 1
    block_kernel_sizes: tuple[int, ...] = (3, 7, 11)
    block_dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        faults = []
        if math.prod(self.rates) != self.mel.hop_length:
            faults.append(f"the product of rates {math.prod(self.rates)} is not mel.hop_length {self.mel.hop_length}")
        if len(self.rates) != len(self.kernel_sizes):
            faults.append(
                f"{len(self.rates)} rates and {len(self.kernel_sizes)} kernel_sizes; give one of each a stage"
            )
        if any(k < u or (k - u) % 2 for u, k in zip(self.rates, self.kernel_sizes, strict=False)):
            faults.append(f"kernel_sizes {self.kernel_sizes} must exceed rates {self.rates} by even numbers")
        if len(self.block_kernel_sizes) != len(self.block_dilations):
            faults.append(
                f"{len(self.block_kernel_sizes)} block_kernel_sizes and {len(self.block_dilations)} block_dilations"
            )
        if any(k % 2 == 0 for k in self.block_kernel_sizes):
            faults.append(f"block_kernel_sizes must be odd, or the length changes; got {self.block_kernel_sizes}")
        if self.channels % 2 ** len(self.rates):
            faults.append(f"channels {self.channels} can't be halved {len(self.rates)} times")
        if faults:
            raise ValueError("; ".join(faults))
        return self


class HiFiGAN(ConvolutionalVocoder[HiFiGANConfig]):
    """Log-mel spectrogram to waveform."""

    config_class = HiFiGANConfig
    name = "hifigan"

    def __init__(self, config: HiFiGANConfig) -> None:
        super().__init__(config)
        self.input = weight_norm(nn.Conv1d(config.mel.n_mels, config.channels, 7, padding=3))
        self.stages = nn.ModuleList(
            _Stage(config, config.channels // 2**number, rate, kernel)
            for number, (rate, kernel) in enumerate(zip(config.rates, config.kernel_sizes, strict=True))
        )
        self.output = weight_norm(nn.Conv1d(config.channels // 2 ** len(config.rates), 1, 7, padding=3))

    def forward(self, mel: Tensor) -> Tensor:
        """Waveforms (B, F * hop_length) in [-1, 1] of mels (B, n_mels, F)."""
        x = self.input(mel)  # (B, channels, F)
        for stage in self.stages:
            x = stage(x)
        wav: Tensor = self.output(F.leaky_relu(x, LAST_SLOPE))  # (B, 1, F * hop_length)
        return torch.tanh(wav).squeeze(1)

    @property
    def context(self) -> int:
        """Frames to each side of a frame that its samples depend on."""
        reach = 3  # of the last convolution, samples
        for rate, kernel in zip(reversed(self.config.rates), reversed(self.config.kernel_sizes), strict=True):
            reach += max(_block_reach(self.config, i) for i in range(len(self.config.block_kernel_sizes)))
            reach = math.ceil((reach + kernel) / rate)
        return reach + 3

    @classmethod
    def from_released(cls, source: str | Path, args: dict[str, Any] | None = None) -> Self:
        """Load a checkpoint of the toolkit or of the original code.

        Args:
            source: an experiment or accelerate folder of the toolkit, or a file of either code base.
            args: its configuration; None reads the args.json or config.json beside it.

        Raises:
            FileNotFoundError: no checkpoint or no configuration is there.
            ValueError: the checkpoint is of another model or size.
        """
        from amphion_vocoders.released.hifigan import load_hifigan

        return load_hifigan(cls, source, args)


class _Stage(nn.Module):
    """One up-sampling and the mean of its residual blocks."""

    def __init__(self, config: HiFiGANConfig, channels: int, rate: int, kernel_size: int) -> None:
        super().__init__()
        half = channels // 2
        padding = (kernel_size - rate) // 2
        self.upsample = weight_norm(nn.ConvTranspose1d(channels, half, kernel_size, rate, padding))
        kind = _PairBlock if config.block == 1 else _SingleBlock
        self.blocks = nn.ModuleList(
            kind(half, kernel, dilations)
            for kernel, dilations in zip(config.block_kernel_sizes, config.block_dilations, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.upsample(F.leaky_relu(x, SLOPE))  # (B, channels / 2, T * rate)
        total: Tensor = self.blocks[0](x)
        for block in self.blocks[1:]:
            total += block(x)
        return total / len(self.blocks)


class _PairBlock(nn.Module):
    """Residual block 1: pairs of a dilated and a plain convolution."""

    def __init__(self, channels: int, kernel_size: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.dilated = _convolutions(channels, kernel_size, dilations)
        self.plain = _convolutions(channels, kernel_size, (1,) * len(dilations))

    def forward(self, x: Tensor) -> Tensor:
        for dilated, plain in zip(self.dilated, self.plain, strict=True):
            x = x + plain(F.leaky_relu(dilated(F.leaky_relu(x, SLOPE)), SLOPE, inplace=True))
        return x


class _SingleBlock(nn.Module):
    """Residual block 2: dilated convolutions."""

    def __init__(self, channels: int, kernel_size: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.dilated = _convolutions(channels, kernel_size, dilations)

    def forward(self, x: Tensor) -> Tensor:
        for dilated in self.dilated:
            x = x + dilated(F.leaky_relu(x, SLOPE))
        return x


def _convolutions(channels: int, kernel_size: int, dilations: tuple[int, ...]) -> nn.ModuleList:
    return nn.ModuleList(
        weight_norm(nn.Conv1d(channels, channels, kernel_size, 1, same_padding(kernel_size, dilation), dilation))
        for dilation in dilations
    )


def _block_reach(config: HiFiGANConfig, number: int) -> int:
    """Samples to each side that a residual block sees."""
    dilations = config.block_dilations[number]
    plain = len(dilations) if config.block == 1 else 0
    return (config.block_kernel_sizes[number] // 2) * (sum(dilations) + plain)
