"""What a FastSpeech 2 is made of. Needs no torch."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from amphion_core.config import Config
from amphion_core.features.mel_config import MelConfig
from amphion_tts.text.config import FrontEndConfig

__all__ = ["TACOTRON_MEL", "FastSpeech2Config", "PitchConfig", "VarianceConfig"]

TACOTRON_MEL = MelConfig(padding="center", root_epsilon=0.0, clip=True)
"""The mel of the released 22.05 kHz recipe: centred, plain magnitude, clipped input."""


class VarianceConfig(Config):
    """How pitch or energy enters the model.

    Attributes:
        level: one value a `phone` or a `frame`.
        quantization: boundaries of the bins are equally spaced (`linear`) or in their logarithms (`log`, which
            needs positive normalised values).
        mean: of the training values without outliers, Hz or energy; what the model sees is (value - mean) / std.
        std: of the same values.
        min: smallest normalised-from value of the training set, Hz or energy.
        max: largest one.
    """

    level: Literal["phone", "frame"] = "phone"
    quantization: Literal["linear", "log"] = "linear"
    mean: float = 0.0
    std: float = Field(1.0, gt=0)
    min: float = -4.0
    max: float = 4.0

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max <= self.min:
            raise ValueError(f"max {self.max} is not above min {self.min}")
        if self.quantization == "log" and self.min <= self.mean:
            raise ValueError(f"log bins need positive normalised values: min {self.min} is not above mean {self.mean}")
        return self


class PitchConfig(Config):
    """How the training pitch is measured.

    Attributes:
        method: as `amphion_core.features.f0` names it.
        f_min: lowest pitch searched, Hz.
        f_max: highest one.
    """

    method: Literal["dio", "harvest", "pyin"] = "dio"
    f_min: float = Field(71.0, gt=0)
    f_max: float = Field(800.0, gt=0)


class FastSpeech2Config(Config):
    """Hyperparameters; the defaults are those of the LJSpeech recipe.

    Attributes:
        mel: the spectrogram it makes.
        frontend: from text to symbols, the same in training and inference.
        symbols: the table, id = position; the first is padding and stands for nothing.
        vocabulary: rows of the symbol embedding; None takes the number of symbols.
        speakers: names, id = position; empty for one voice.
        max_length: positions of the stored table; longer sequences get one of their length.
        dim: channels of encoder and decoder.
        encoder_layers: blocks before the variances.
        encoder_heads: heads of these.
        decoder_layers: blocks after them.
        decoder_heads: heads of these.
        filter_size: inner channels of the feed-forward networks.
        kernel_sizes: of their two convolutions, odd.
        encoder_dropout: in the encoder.
        decoder_dropout: in the decoder.
        predictor_filter: channels of the three predictors.
        predictor_kernel: of their convolutions, odd.
        predictor_dropout: after their layers.
        bins: rows of the pitch and energy embeddings.
        pitch: how pitch enters.
        energy: how energy enters.
        pitch_extraction: how the pitch was measured.
        postnet_layers: convolutions after the mel; 0 for none.
        postnet_channels: of these.
        postnet_kernel: of these, odd.
        postnet_dropout: after each of these.
        legacy_padding: let what stands at padded places leak into convolutions, as the original did. Single items
            come out the same either way; only numbers of whole batches differ.
    """

    mel: MelConfig = TACOTRON_MEL
    frontend: FrontEndConfig = FrontEndConfig()
    symbols: tuple[str, ...] = ()
    vocabulary: int | None = Field(None, ge=1)
    speakers: tuple[str, ...] = ()
    max_length: int = Field(1000, ge=1)
    dim: int = Field(256, ge=2)
    encoder_layers: int = Field(4, ge=1)
    encoder_heads: int = Field(2, ge=1)
    decoder_layers: int = Field(6, ge=1)
    decoder_heads: int = Field(2, ge=1)
    filter_size: int = Field(1024, ge=1)
    kernel_sizes: tuple[int, int] = (9, 1)
    encoder_dropout: float = Field(0.2, ge=0, lt=1)
    decoder_dropout: float = Field(0.2, ge=0, lt=1)
    predictor_filter: int = Field(256, ge=1)
    predictor_kernel: int = 3
    predictor_dropout: float = Field(0.5, ge=0, lt=1)
    bins: int = Field(256, ge=2)
    pitch: VarianceConfig = VarianceConfig()
    energy: VarianceConfig = VarianceConfig()
    pitch_extraction: PitchConfig = PitchConfig()
    postnet_layers: int = Field(5, ge=0)
    postnet_channels: int = Field(512, ge=1)
    postnet_kernel: int = 5
    postnet_dropout: float = Field(0.5, ge=0, lt=1)
    legacy_padding: bool = False

    @field_validator("kernel_sizes", "predictor_kernel", "postnet_kernel")
    @classmethod
    def _odd(cls, value: int | tuple[int, int]) -> int | tuple[int, int]:
        for size in value if isinstance(value, tuple) else (value,):
            if size < 1 or size % 2 == 0:
                raise ValueError(f"kernel sizes must be odd, or the length changes; got {size}")
        return value

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        faults = [
            f"{name} {heads} does not divide dim {self.dim}"
            for name, heads in (("encoder_heads", self.encoder_heads), ("decoder_heads", self.decoder_heads))
            if self.dim % heads
        ]
        if len(set(self.symbols)) != len(self.symbols):
            twice = sorted({s for s in self.symbols if self.symbols.count(s) > 1})
            faults.append(f"symbols stand twice in the table: {', '.join(map(repr, twice))}")
        if self.vocabulary is not None and self.vocabulary < len(self.symbols):
            faults.append(f"vocabulary {self.vocabulary} is smaller than the table of {len(self.symbols)} symbols")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def rows(self) -> int:
        """Rows of the symbol embedding."""
        return max(1, len(self.symbols)) if self.vocabulary is None else self.vocabulary
