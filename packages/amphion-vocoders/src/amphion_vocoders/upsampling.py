"""What vocoders of up-sampling stages share: HiFi-GAN, BigVGAN and NSF-HiFiGAN differ in what stands between them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from amphion_core.modules.convolution import weight_norm
from amphion_vocoders.residual_blocks import ResidualBlocks, upsampled
from amphion_vocoders.vocoder import MelVocoderConfig

__all__ = ["UpsamplingConfig", "UpsamplingStage", "blocks_after", "upsampling_layer"]

MakeBlock = Callable[[int, int, tuple[int, ...]], nn.Module]
"""From channels, kernel size and dilations to a residual block."""


class UpsamplingConfig(MelVocoderConfig):
    """Transposed convolutions from frames to samples, each followed by residual blocks of several widths.

    Attributes:
        mel: what it takes.
        channels: width before the first up-sampling; each one halves it, rounded down.
        rates: factors of the up-samplings; their product is the hop.
        kernel_sizes: of the transposed convolutions.
        block: 1: pairs of convolutions in a residual block; 2: single ones.
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
        if self.channels < 2 ** len(self.rates):  # odd widths are rounded down, as in all released code
            faults.append(f"channels {self.channels} can't be halved {len(self.rates)} times")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def context(self, activation: int = 0) -> int:
        """Frames to each side of a frame that its samples depend on.

        Args:
            activation: samples to each side that an activation sees.
        """
        convolutions = 2 if self.block == 1 else 1
        block = max(
            kernel // 2 * (sum(dilations) + (len(dilations) if self.block == 1 else 0))
            + activation * convolutions * len(dilations)
            for kernel, dilations in zip(self.block_kernel_sizes, self.block_dilations, strict=True)
        )
        reach = 3 + activation  # of the last convolution, samples
        for rate, kernel in zip(reversed(self.rates), reversed(self.kernel_sizes), strict=True):
            reach = math.ceil((reach + block + kernel) / rate)
        return reach + 3  # of the first convolution


class UpsamplingStage(nn.Module):
    """One up-sampling and the mean of its residual blocks."""

    def __init__(self, config: UpsamplingConfig, number: int, make: MakeBlock) -> None:
        """Make the layers.

        Args:
            config: of the vocoder.
            number: of the stage.
            make: makes a residual block.
        """
        super().__init__()
        self.upsample = upsampling_layer(config, number)
        self.blocks = blocks_after(config, number, make)

    def forward(self, x: Tensor) -> Tensor:
        """From (B, C, T) to (B, C / 2, T * rate)."""
        mean: Tensor = self.blocks(upsampled(self.upsample, x))
        return mean


def upsampling_layer(config: UpsamplingConfig, number: int) -> nn.ConvTranspose1d:
    """The transposed convolution of a stage, which halves the channels."""
    rate, kernel_size, channels = config.rates[number], config.kernel_sizes[number], config.channels // 2**number
    return weight_norm(nn.ConvTranspose1d(channels, channels // 2, kernel_size, rate, (kernel_size - rate) // 2))


def blocks_after(config: UpsamplingConfig, number: int, make: MakeBlock) -> ResidualBlocks:
    """The residual blocks of a stage."""
    channels = config.channels // 2 ** (number + 1)
    shapes = zip(config.block_kernel_sizes, config.block_dilations, strict=True)
    return ResidualBlocks(make(channels, kernel_size, dilations) for kernel_size, dilations in shapes)
