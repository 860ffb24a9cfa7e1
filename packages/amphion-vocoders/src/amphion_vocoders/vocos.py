"""Vocos: ConvNeXt blocks at the frame rate predict a complex spectrogram, the inverse transform makes the samples.

Source: Siuzdak, "Vocos: Closing the gap between time-domain and Fourier-based neural vocoders for high-quality audio
synthesis", 2023, arXiv:2306.00814.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.features import MelConfig
from amphion_core.features.stft import inverse_stft
from amphion_vocoders.griffin_lim import check_refinable, refine_context, refine_phase
from amphion_vocoders.vocoder import ConvolutionalVocoder, MelVocoderConfig

__all__ = ["IstftHead", "Vocos", "VocosBackbone", "VocosConfig"]

MAX_MAGNITUDE = 100.0


class VocosConfig(MelVocoderConfig):
    """Hyperparameters; the defaults are those of the paper, but for the mel.

    Attributes:
        mel: what it takes; its transform and hop are also those of the output.
        dim: channels.
        intermediate_dim: channels inside a block.
        num_layers: blocks.
        kernel_size: of the depthwise convolutions, odd.
        padding: of the inverse transform: `same`, or `center` as in the paper, for mels that are so padded.
        conditions: number of conditions that the norms depend on; 0 for none.
        phase_steps: iterations of Griffin-Lim that refine the phase at inference, for models that were trained on
            magnitudes only. Not in the paper; 0 for all released models.
    """

    dim: int = Field(512, ge=1)
    intermediate_dim: int = Field(1536, ge=1)
    num_layers: int = Field(8, ge=1)
    kernel_size: int = Field(7, ge=1)
    padding: Literal["same", "center"] = "same"
    conditions: int = Field(0, ge=0)
    phase_steps: int = Field(0, ge=0)

    @field_validator("mel")
    @classmethod
    def _halves(cls, value: MelConfig) -> MelConfig:
        if value.n_fft % 2:
            raise ValueError(f"n_fft must be even, as the head predicts n_fft / 2 + 1 bins; got {value.n_fft}")
        return value

    @field_validator("kernel_size")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"kernel_size must be odd, or the frame count changes; got {value}")
        return value

    @model_validator(mode="after")
    def _refined(self) -> Self:
        if self.phase_steps:
            check_refinable(self.mel)
        return self


class Vocos(ConvolutionalVocoder[VocosConfig]):
    """Log-mel spectrogram to waveform."""

    config_class = VocosConfig
    name = "vocos"
    adjustable = ("phase_steps",)

    def __init__(self, config: VocosConfig) -> None:
        super().__init__(config)
        self.backbone = VocosBackbone(config)
        self.head = IstftHead(config.dim, config.mel.n_fft, config.mel.hop_length, config.padding)

    def forward(self, mel: Tensor, condition: Tensor | None = None) -> Tensor:
        """Synthesise a batch.

        Args:
            mel: (B, n_mels, F).
            condition: () or (B,) int64, where the config has conditions; None is condition 0.

        Returns:
            (B, F * hop_length) waveform in about [-1, 1]. With `center` padding the last hop is outside of the frames
            that the analysis has made, and fades.
        """
        frames = mel.shape[-1]
        wav: Tensor = self.head(self.backbone(mel, condition), length=frames * self.config.mel.hop_length)
        return wav

    def spectrum(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Log magnitude and phase (B, n_fft // 2 + 1, F) of mels (B, n_mels, F), before the inverse transform."""
        return self.head.spectrum(self.backbone(mel))

    def infer(self, mel: Tensor) -> Tensor:
        """The forward pass, its phase refined where the configuration says so."""
        if not self.config.phase_steps:
            return super().infer(mel)
        log_magnitude, phase = self.spectrum(mel)
        magnitude = log_magnitude.exp().clamp(max=MAX_MAGNITUDE)
        return refine_phase(magnitude, phase, self.config.mel, self.config.phase_steps)

    @property
    def context(self) -> int:
        """Frames to each side of a frame that its samples depend on."""
        mel = self.config.mel
        convolutions = 3 + (self.config.kernel_size // 2) * self.config.num_layers
        if self.config.phase_steps:
            return convolutions + refine_context(mel, self.config.phase_steps)
        return convolutions + -(-mel.n_fft // mel.hop_length)

    @classmethod
    def from_released(cls, source: str | Path, args: dict[str, Any] | None = None) -> Self:
        """Load a checkpoint of the toolkit.

        Args:
            source: an accelerate folder, or a file.
            args: its configuration; None reads the args.json or config.json beside it, and failing that takes that
                of the released 24 kHz vocoder.

        Raises:
            FileNotFoundError: no checkpoint is there.
            ValueError: the checkpoint is of another model or size.
        """
        from amphion_vocoders.released.vocos import load_vocos

        return load_vocos(cls, source, args)


class VocosBackbone(nn.Module):
    """Features (B, C, F) to hidden states (B, F, dim)."""

    def __init__(self, config: VocosConfig) -> None:
        super().__init__()
        self.embed = nn.Conv1d(config.mel.n_mels, config.dim, 7, padding=3)
        self.norm = _Norm(config.dim, config.conditions)
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.num_layers))
        self.final_norm = nn.LayerNorm(config.dim, eps=1e-6)
        self.apply(_initialize)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Hidden states (B, F, dim) of features (B, C, F) and, where there are any, conditions () or (B,)."""
        x = self.norm(self.embed(x).mT, condition)  # (B, F, dim)
        for block in self.blocks:
            x = block(x, condition)
        hidden: Tensor = self.final_norm(x)
        return hidden


class IstftHead(nn.Module):
    """Hidden states to a complex spectrogram to samples."""

    def __init__(self, dim: int, n_fft: int, hop_length: int, padding: Literal["same", "center"]) -> None:
        super().__init__()
        self.n_fft, self.hop_length, self.padding = n_fft, hop_length, padding
        self.projection = nn.Linear(dim, n_fft + 2)
        _initialize(self.projection)

    def forward(self, x: Tensor, length: int | None = None) -> Tensor:
        """Waveforms of hidden states (B, F, dim).

        Args:
            x: (B, F, dim).
            length: samples wanted; None is F * hop_length for `same`, (F - 1) * hop_length for `center`.
        """
        log_magnitude, phase = self.spectrum(x)
        with torch.autocast(x.device.type, enabled=False):
            magnitude = log_magnitude.exp().clamp(max=MAX_MAGNITUDE)  # an untrained head overflows otherwise
            spectrum = torch.polar(magnitude, phase)
            return inverse_stft(spectrum, self.n_fft, self.hop_length, padding=self.padding, length=length)

    def spectrum(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Log magnitude and phase (B, n_fft // 2 + 1, F) of hidden states (B, F, dim)."""
        # In single precision, whatever the training uses: complex numbers know no bfloat16.
        with torch.autocast(x.device.type, enabled=False):
            weight, bias = self.projection.weight.float(), self.projection.bias.float()
            log_magnitude, phase = F.linear(x.float(), weight, bias).mT.chunk(2, dim=1)
        return log_magnitude, phase


class _Block(nn.Module):
    """ConvNeXt block: depthwise convolution, norm, two linear layers, scaled residual."""

    def __init__(self, config: VocosConfig) -> None:
        super().__init__()
        dim, kernel = config.dim, config.kernel_size
        self.depthwise = nn.Conv1d(dim, dim, kernel, padding=kernel // 2, groups=dim)
        self.norm = _Norm(dim, config.conditions)
        self.expand = nn.Linear(dim, config.intermediate_dim)
        self.contract = nn.Linear(config.intermediate_dim, dim)
        self.scale = nn.Parameter(torch.full((dim,), 1 / config.num_layers))

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        y = self.norm(self.depthwise(x.mT).mT, condition)  # (B, F, dim)
        change: Tensor = self.contract(F.gelu(self.expand(y)))
        return x + self.scale * change


class _Norm(nn.Module):
    """Layer norm whose scale and shift are one row of a table for each condition, or plain ones."""

    def __init__(self, dim: int, conditions: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(conditions or 1, dim))
        self.shift = nn.Parameter(torch.zeros(conditions or 1, dim))

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        if condition is None:
            return F.layer_norm(x, x.shape[-1:], self.scale[0], self.shift[0], eps=1e-6)
        row = condition.reshape(-1)  # (1,) or (B,)
        return F.layer_norm(x, x.shape[-1:], eps=1e-6) * self.scale[row][:, None] + self.shift[row][:, None]


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Conv1d | nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
