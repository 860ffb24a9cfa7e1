"""HiFi-GAN: transposed convolutions from frames to samples, each followed by residual blocks of several widths.

Source: Kong, Kim and Bae, "HiFi-GAN: Generative Adversarial Networks for Efficient and High Fidelity Speech Synthesis",
2020, arXiv:2010.05646. Deviation that all released checkpoints depend on: the last activation has the slope 0.01.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.modules.convolution import weight_norm
from amphion_vocoders.residual_blocks import Unit, dilated_convolutions
from amphion_vocoders.upsampling import UpsamplingConfig, UpsamplingStage
from amphion_vocoders.vocoder import ConvolutionalVocoder

__all__ = ["HiFiGAN", "HiFiGANConfig", "PairBlock", "SingleBlock"]

SLOPE = 0.1
LAST_SLOPE = 0.01


class HiFiGANConfig(UpsamplingConfig):
    """Hyperparameters; the defaults are V1 of the paper, 22.05 kHz. V3 has `block: 2`."""


class HiFiGAN(ConvolutionalVocoder[HiFiGANConfig]):
    """Log-mel spectrogram to waveform."""

    config_class = HiFiGANConfig
    name = "hifigan"

    def __init__(self, config: HiFiGANConfig) -> None:
        super().__init__(config)
        self.input = weight_norm(nn.Conv1d(config.mel.n_mels, config.channels, 7, padding=3))
        kind = PairBlock if config.block == 1 else SingleBlock
        self.stages = nn.ModuleList(UpsamplingStage(config, number, kind) for number in range(len(config.rates)))
        self.output = weight_norm(nn.Conv1d(config.channels // 2 ** len(config.rates), 1, 7, padding=3))

    def forward(self, mel: Tensor) -> Tensor:
        """Waveforms (B, F * hop_length) in [-1, 1] of mels (B, n_mels, F)."""
        x = self.input(mel)  # (B, channels, F)
        for stage in self.stages:
            x = stage(F.leaky_relu(x, SLOPE))
        wav: Tensor = self.output(F.leaky_relu(x, LAST_SLOPE))  # (B, 1, F * hop_length)
        return torch.tanh(wav).squeeze(1)

    @property
    def context(self) -> int:
        """Frames to each side of a frame that its samples depend on."""
        return self.config.context()

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


class PairBlock(nn.Module):
    """Residual block 1: pairs of a dilated and a plain convolution."""

    def __init__(self, channels: int, kernel_size: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.dilated = dilated_convolutions(channels, kernel_size, dilations)
        self.plain = dilated_convolutions(channels, kernel_size, (1,) * len(dilations))

    def forward(self, x: Tensor) -> Tensor:
        """Transform (B, C, T); the same shape."""
        for dilated, plain in zip(self.dilated, self.plain, strict=True):
            x = x + plain(F.leaky_relu(dilated(F.leaky_relu(x, SLOPE)), SLOPE, inplace=True))
        return x

    def units(self) -> list[Unit]:
        """Slope and convolution, pair by pair."""
        pairs = zip(self.dilated, self.plain, strict=True)
        return [[(SLOPE, cast(nn.Conv1d, layer)) for layer in pair] for pair in pairs]


class SingleBlock(nn.Module):
    """Residual block 2: dilated convolutions."""

    def __init__(self, channels: int, kernel_size: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.dilated = dilated_convolutions(channels, kernel_size, dilations)

    def forward(self, x: Tensor) -> Tensor:
        """Transform (B, C, T); the same shape."""
        for dilated in self.dilated:
            x = x + dilated(F.leaky_relu(x, SLOPE))
        return x

    def units(self) -> list[Unit]:
        """Slope and convolution, one by one."""
        return [[(SLOPE, cast(nn.Conv1d, layer))] for layer in self.dilated]
