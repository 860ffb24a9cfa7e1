"""BigVGAN: up-sampling stages whose residual blocks have periodic activations, free of aliasing.

Source: Lee, Ping, Ginsburg, Catanzaro and Yoon, "BigVGAN: A Universal Neural Vocoder with Large-Scale Training", 2023,
arXiv:2206.04658, and the configurations of its second version, 2024 (no tanh and no bias at the end).
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Literal, Self, cast

import torch
from torch import Tensor, nn

from amphion_core.modules.anti_alias import AntiAliasedActivation, Snake
from amphion_core.modules.convolution import weight_norm
from amphion_vocoders.residual_blocks import Unit, dilated_convolutions
from amphion_vocoders.upsampling import UpsamplingConfig, UpsamplingStage
from amphion_vocoders.vocoder import ConvolutionalVocoder

__all__ = ["BigVGAN", "BigVGANConfig"]

ACTIVATION_REACH = 6
"""Samples to each side that an activation sees through its two filters of 12 taps at twice the rate."""


class BigVGANConfig(UpsamplingConfig):
    """Hyperparameters; the defaults are the base size, those of the other releases stand in the recipes.

    Attributes:
        activation: `snakebeta` has an amplitude of its own, `snake` not.
        log_scale: whether the parameters of the activation are logarithms.
        final_tanh: bounds the samples by a tanh (version 1); otherwise they are clamped (version 2).
        final_bias: whether the last convolution has a bias (version 1).
    """

    activation: Literal["snake", "snakebeta"] = "snakebeta"
    log_scale: bool = True
    final_tanh: bool = True
    final_bias: bool = True


class BigVGAN(ConvolutionalVocoder[BigVGANConfig]):
    """Log-mel spectrogram to waveform."""

    config_class = BigVGANConfig
    name = "bigvgan"

    def __init__(self, config: BigVGANConfig) -> None:
        super().__init__(config)
        self.input = weight_norm(nn.Conv1d(config.mel.n_mels, config.channels, 7, padding=3))
        block = functools.partial(_PairBlock if config.block == 1 else _SingleBlock, config)
        self.stages = nn.ModuleList(UpsamplingStage(config, number, block) for number in range(len(config.rates)))
        last = config.channels // 2 ** len(config.rates)
        self.activation = _activation(config, last)
        self.output = weight_norm(nn.Conv1d(last, 1, 7, padding=3, bias=config.final_bias))

    def forward(self, mel: Tensor) -> Tensor:
        """Waveforms (B, F * hop_length) in [-1, 1] of mels (B, n_mels, F)."""
        x = self.input(mel)  # (B, channels, F)
        for stage in self.stages:
            x = stage(x)
        wav: Tensor = self.output(self.activation(x)).squeeze(1)  # (B, F * hop_length)
        return torch.tanh(wav) if self.config.final_tanh else wav.clamp(-1, 1)

    @property
    def context(self) -> int:
        """Frames to each side of a frame that its samples depend on."""
        return self.config.context(activation=ACTIVATION_REACH)

    @classmethod
    def from_released(cls, source: str | Path, args: dict[str, Any] | None = None) -> Self:
        """Load a checkpoint of the toolkit or of the original code, of either version.

        Args:
            source: an experiment or accelerate folder of the toolkit, or a file of either code base, such as
                bigvgan_generator.pt.
            args: its configuration; None reads the args.json or config.json beside it.

        Raises:
            FileNotFoundError: no checkpoint or no configuration is there.
            ValueError: the checkpoint is of another model or size.
        """
        from amphion_vocoders.released.bigvgan import load_bigvgan

        return load_bigvgan(cls, source, args)


class _PairBlock(nn.Module):
    """Residual block 1: pairs of a dilated and a plain convolution, an activation before each."""

    def __init__(self, config: BigVGANConfig, channels: int, kernel_size: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.dilated = dilated_convolutions(channels, kernel_size, dilations)
        self.plain = dilated_convolutions(channels, kernel_size, (1,) * len(dilations))
        self.activations = nn.ModuleList(_activation(config, channels) for _ in range(2 * len(dilations)))

    def forward(self, x: Tensor) -> Tensor:
        pairs = zip(self.activations[::2], self.dilated, self.activations[1::2], self.plain, strict=True)
        for first, dilated, second, plain in pairs:
            x = x + plain(second(dilated(first(x))))
        return x

    def units(self) -> list[Unit]:
        """Activation and convolution, pair by pair."""
        layers = [layer for pair in zip(self.dilated, self.plain, strict=True) for layer in pair]
        steps = cast(Unit, list(zip(self.activations, layers, strict=True)))
        return [steps[i : i + 2] for i in range(0, len(steps), 2)]


class _SingleBlock(nn.Module):
    """Residual block 2: dilated convolutions, an activation before each."""

    def __init__(self, config: BigVGANConfig, channels: int, kernel_size: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.dilated = dilated_convolutions(channels, kernel_size, dilations)
        self.activations = nn.ModuleList(_activation(config, channels) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        for activation, dilated in zip(self.activations, self.dilated, strict=True):
            x = x + dilated(activation(x))
        return x

    def units(self) -> list[Unit]:
        """Activation and convolution, one by one."""
        return [cast(Unit, [pair]) for pair in zip(self.activations, self.dilated, strict=True)]


def _activation(config: BigVGANConfig, channels: int) -> AntiAliasedActivation:
    return AntiAliasedActivation(Snake(channels, config.activation, config.log_scale))
