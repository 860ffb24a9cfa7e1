"""What a preparation is asked to do; every field is an option of `amphion-data prepare`."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from amphion_core.config import Config
from amphion_data.languages import language_code

__all__ = ["PrepareSettings"]


class PrepareSettings(Config):
    """Settings that decide the bytes of the output; the number of workers is none of them.

    Attributes:
        sample_rate: Hz of the output, by soxr VHQ; None keeps that of each file.
        mono: mean of the channels; otherwise they are kept.
        format: of the audio in the shards.
        loudness: LUFS that each clip is brought to, as far as its peak stays below -1 dBFS; None leaves levels alone.
        trim: cut silence at both ends.
        trim_threshold_db: what is silence, dB below the loudest part.
        trim_margin: seconds kept around what is not.
        min_duration: shorter clips are dropped, s, after trimming.
        max_duration: longer clips are dropped, s, after trimming; None for no bound.
        valid: validation set, a share below 1 or a number of rows; `test` the same.
        split_by: unit that is never torn apart; None takes that of the corpus.
        per_shard: rows in a shard.
        on_error: whether a faulty row is recorded in `drops.jsonl` or ends the run.
        require_text: whether audio without text is dropped.
        speaker: label of rows that state none; None leaves them so.
        language: the same, two letters; names in English are taken too (`English`, `eng`, `en-US`).
        licence: of the data, for the card; None takes what is known of the corpus.
        options: of the corpus's reader, as `amphion-data corpora` lists them.
    """

    sample_rate: int | None = Field(None, ge=1000, le=384_000)
    mono: bool = False
    format: Literal["flac", "opus", "mp3", "wav"] = "flac"
    loudness: float | None = Field(None, ge=-70, le=0)
    trim: bool = False
    trim_threshold_db: float = Field(-40.0, lt=0)
    trim_margin: float = Field(0.05, ge=0)
    min_duration: float = Field(0.0, ge=0)
    max_duration: float | None = Field(None, gt=0)
    valid: float = Field(0.05, ge=0)
    test: float = Field(0.05, ge=0)
    split_by: str | None = None
    per_shard: int = Field(1000, ge=1)
    on_error: Literal["record", "fail"] = "record"
    require_text: bool = True
    speaker: str | None = None
    language: str | None = None
    licence: str | None = None
    options: dict[str, str] = Field(default_factory=dict)

    @field_validator("language")
    @classmethod
    def _code(cls, value: str | None) -> str | None:
        code = None if value is None else language_code(value)
        if code is not None and not re.fullmatch("[a-z]{2,3}", code):
            raise ValueError("a language has two letters, such as en")
        return code

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.max_duration is not None and self.max_duration < self.min_duration:
            raise ValueError(f"max_duration {self.max_duration} s is below min_duration {self.min_duration} s")
        if self.format == "opus" and self.sample_rate not in (None, 8000, 12_000, 16_000, 24_000, 48_000):
            raise ValueError(f"opus has 8, 12, 16, 24 and 48 kHz only, not {self.sample_rate} Hz; take flac or mp3")
        return self
