"""APNet: two networks at the frame rate predict log amplitude and phase, the inverse transform makes the samples.

Source: Ai and Ling, "APNet: An All-Frame-Level Neural Vocoder Incorporating Direct Prediction of Amplitude and Phase
Spectra", 2023, arXiv:2305.07952.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.config import Config
from amphion_core.features.stft import inverse_stft
from amphion_core.modules.convolution import same_padding, weight_norm
from amphion_vocoders.hifigan import PairBlock
from amphion_vocoders.vocoder import ConvolutionalVocoder, MelVocoderConfig

__all__ = ["APNet", "APNetConfig", "Spectra", "StackConfig"]

SLOPE = 0.01  # released checkpoints depend on it


class StackConfig(Config):
    """One of the two networks.

    Attributes:
        channels: width.
        block_kernel_sizes: one residual block for each, side by side; their mean is taken.
        block_dilations: of the convolutions of each of these blocks.
        input_kernel_size: of the convolution before the blocks.
    """

    channels: int = Field(512, ge=1)
    block_kernel_sizes: tuple[int, ...] = Field((3, 7, 11), min_length=1)
    block_dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))
    input_kernel_size: int = Field(7, ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        kernels = (*self.block_kernel_sizes, self.input_kernel_size)
        faults = []
        if any(kernel % 2 == 0 for kernel in kernels):
            faults.append(f"kernel sizes must be odd, or the frame count changes; got {kernels}")
        if len(self.block_kernel_sizes) != len(self.block_dilations):
            faults.append(
                f"{len(self.block_kernel_sizes)} block_kernel_sizes and {len(self.block_dilations)} block_dilations"
            )
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def reach(self) -> int:
        """Frames to each side of a frame that the network sees."""
        blocks = zip(self.block_kernel_sizes, self.block_dilations, strict=True)
        block = max(kernel // 2 * (sum(dilations) + len(dilations)) for kernel, dilations in blocks)
        return self.input_kernel_size // 2 + block


class APNetConfig(MelVocoderConfig):
    """Hyperparameters; the defaults are those of the paper.

    Attributes:
        mel: what it takes; its transform and hop are also those of the output.
        amplitude: network of the log amplitude.
        phase: network of the phase.
        amplitude_kernel_size: of the convolution that gives the log amplitude.
        cosine_kernel_size: of the convolution that gives the real direction of the phase.
        sine_kernel_size: of the one that gives its imaginary direction.
    """

    amplitude: StackConfig = StackConfig()
    phase: StackConfig = StackConfig()
    amplitude_kernel_size: int = Field(7, ge=1)
    cosine_kernel_size: int = Field(7, ge=1)
    sine_kernel_size: int = Field(7, ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if any(kernel % 2 == 0 for kernel in self.output_kernel_sizes):
            raise ValueError(f"kernel sizes must be odd, or the frame count changes; got {self.output_kernel_sizes}")
        if self.mel.win_length != self.mel.n_fft:
            raise ValueError(f"mel.win_length {self.mel.win_length} must be mel.n_fft {self.mel.n_fft}")
        if self.mel.padding != "same":
            raise ValueError(f"mel.padding is {self.mel.padding!r}; the inverse transform makes frames of 'same'")
        return self

    @property
    def output_kernel_sizes(self) -> tuple[int, int, int]:
        """Kernel sizes of the convolutions after the two networks."""
        return self.amplitude_kernel_size, self.cosine_kernel_size, self.sine_kernel_size


class Spectra(NamedTuple):
    """What the network predicts, (B, n_fft // 2 + 1, F) each, and its waveform.

    Attributes:
        log_amplitude: natural log.
        phase: radians in [-pi, pi].
        real: real part of the spectrum.
        imaginary: imaginary part.
        wav: (B, F * hop_length).
    """

    log_amplitude: Tensor
    phase: Tensor
    real: Tensor
    imaginary: Tensor
    wav: Tensor


class APNet(ConvolutionalVocoder[APNetConfig]):
    """Log-mel spectrogram to waveform."""

    config_class = APNetConfig
    name = "apnet"

    def __init__(self, config: APNetConfig) -> None:
        super().__init__(config)
        bins = config.mel.n_fft // 2 + 1
        self.amplitude = _Stack(config.mel.n_mels, config.amplitude)
        self.phase = _Stack(config.mel.n_mels, config.phase)
        widths = (config.amplitude.channels, config.phase.channels, config.phase.channels)
        self.output = nn.ModuleDict(
            {
                name: _convolution(width, bins, kernel)
                for name, width, kernel in zip(
                    ("amplitude", "cosine", "sine"), widths, config.output_kernel_sizes, strict=True
                )
            }
        )

    def forward(self, mel: Tensor) -> Tensor:
        """Waveforms (B, F * hop_length) in about [-1, 1] of mels (B, n_mels, F)."""
        return self.spectra(mel).wav

    def spectrum(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Log amplitude and phase (B, n_fft // 2 + 1, F) of mels (B, n_mels, F), before the inverse transform."""
        log_amplitude, hidden = self.output["amplitude"](self.amplitude(mel)), self.phase(mel)
        return _single(log_amplitude), torch.atan2(*(_single(self.output[name](hidden)) for name in ("sine", "cosine")))

    def spectra(self, mel: Tensor) -> Spectra:
        """Spectra and waveform of mels (B, n_mels, F), for the losses."""
        log_amplitude, phase = self.spectrum(mel)
        with torch.autocast(mel.device.type, enabled=False):  # complex numbers know no half precision
            spectrum = torch.polar(log_amplitude.exp(), phase)
            wav = inverse_stft(spectrum, self.config.mel.n_fft, self.config.mel.hop_length)
        return Spectra(log_amplitude, phase, spectrum.real, spectrum.imag, wav)

    @property
    def context(self) -> int:
        """Frames to each side of a frame that its samples depend on."""
        config, mel = self.config, self.config.mel
        networks = max(config.amplitude.reach, config.phase.reach) + max(config.output_kernel_sizes) // 2
        return networks + -(-mel.n_fft // mel.hop_length)

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
        from amphion_vocoders.released.apnet import load_apnet

        return load_apnet(cls, source, args)


class _Stack(nn.Module):
    """A convolution and the mean of residual blocks, at the frame rate."""

    def __init__(self, n_mels: int, config: StackConfig) -> None:
        super().__init__()
        self.input = _convolution(n_mels, config.channels, config.input_kernel_size)
        self.blocks = nn.ModuleList(
            PairBlock(config.channels, kernel, dilations)
            for kernel, dilations in zip(config.block_kernel_sizes, config.block_dilations, strict=True)
        )

    def forward(self, mel: Tensor) -> Tensor:
        x = self.input(mel)  # (B, channels, F)
        total = torch.stack([block(x) for block in self.blocks]).sum(0)
        return F.leaky_relu(total / len(self.blocks), SLOPE)


def _convolution(channels: int, outputs: int, kernel_size: int) -> nn.Conv1d:
    return weight_norm(nn.Conv1d(channels, outputs, kernel_size, padding=same_padding(kernel_size)))


def _single(x: Tensor) -> Tensor:
    """At least single precision, whatever the training uses."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
