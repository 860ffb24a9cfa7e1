"""What the pipeline is asked to do; its numbers are those of the published one where that has them."""

from __future__ import annotations

import math
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from amphion_core.config import Config

__all__ = ["FilterSettings", "PipeSettings", "SegmentSettings"]


class SegmentSettings(Config):
    """How speech is cut into segments; all in seconds.

    Attributes:
        pad: kept around each region of speech, as far as no neighbour and no other turn is there.
        overlap_margin: cut off on each side of a stretch in which several speak.
        longest_gap: pause over which two regions of a speaker are joined.
        longest_short_gap: the same where one of them is shorter than `min_duration`.
        min_duration: shorter segments are dropped.
        max_duration: longer ones are cut at their deepest pause.
        first_cut: no cut before so much.
    """

    pad: float = Field(0.1, ge=0)
    overlap_margin: float = Field(0.1, ge=0)
    longest_gap: float = Field(1.0, ge=0)
    longest_short_gap: float = Field(2.0, ge=0)
    min_duration: float = Field(3.0, gt=0)
    max_duration: float = Field(30.0, gt=0)
    first_cut: float = Field(10.0, gt=0)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.min_duration <= self.first_cut < self.max_duration:
            raise ValueError(
                f"min_duration {self.min_duration} <= first_cut {self.first_cut} < max_duration {self.max_duration} "
                "must hold"
            )
        if self.min_duration + self.first_cut > self.max_duration:
            raise ValueError("max_duration must leave room for a first part of first_cut and a rest of min_duration")
        return self


class FilterSettings(Config):
    """What a segment must have to be kept.

    Attributes:
        min_score: overall rating of the scorer.
        min_characters: letters, marks and digits of the text.
        languages: two letters each; empty allows all.
        min_language_probability: of the recogniser.
        min_logprob: mean log-probability of the tokens.
        max_compression: bytes of the text over those compressed.
        max_no_speech: probability that nobody speaks.
        rates: bounds of the seconds a character: `none`; `table`: those that come with the package or stand in
            `rate_bounds`; `corpus`: those of all kept rows of the run by language, in a second pass.
        rate_bounds: seconds a character by language, lowest and highest.
        max_voice_distance: of a segment to the voice of its speaker in the recording, in thresholds of the stage
            `embed`; farther ones are `wrong_speaker`; None does not look.
    """

    min_score: float = 3.0
    min_characters: int = Field(2, ge=0)
    languages: tuple[str, ...] = ("zh", "en", "fr", "ja", "ko", "de")
    min_language_probability: float = Field(0.8, ge=0, le=1)
    min_logprob: float = -1.0
    max_compression: float = Field(2.4, gt=0)
    max_no_speech: float = Field(0.6, ge=0, le=1)
    rates: Literal["none", "table", "corpus"] = "table"
    rate_bounds: dict[str, tuple[float, float]] = Field(default_factory=dict)
    max_voice_distance: float | None = Field(None, gt=0)

    @field_validator("min_score", "min_logprob")
    @classmethod
    def _a_bound(cls, value: float) -> float:
        if math.isnan(value):  # nothing is below it, so all would be kept; -inf says that
            raise ValueError("must be a number, or -inf for no bound, got nan")
        return value

    @field_validator("rate_bounds")
    @classmethod
    def _ordered(cls, value: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        for language, (low, high) in value.items():
            if not 0 < low < high:
                raise ValueError(f"bounds of {language} must be two positive numbers in order, got {low} and {high}")
        return value


class PipeSettings(Config):
    """Settings that decide the bytes of the output.

    Attributes:
        sample_rate: Hz of the output.
        format: of the audio in the shards.
        level: dBFS that the speech of a source is brought towards.
        max_gain: dB that this may change it by.
        peak: dBFS that no sample may exceed after that.
        separate: stage that takes music and noise away: `none`, `uvr`, `demucs`.
        vad: stage that finds speech: `silero`, `energy`.
        diarise: stage that tells speakers apart: `offline`, `pyannote`, `none`.
        embed: voices to vectors for `offline`: `ge2e`, `spectral`; `auto` takes the first whose parts are here.
        transcribe: stage that writes the text: `none`, `given`, `faster-whisper`, `whisper`.
        score: stage that rates the sound: `dnsmos`, `none`.
        options: of the stages, by their names, such as `{"uvr": {"path": "model.onnx"}}`.
        language: of sources, where no recogniser tells it; two letters.
        block: seconds of a source that are in memory at a time.
        unit: seconds of audio in a unit of work.
        segment: how speech is cut.
        filter: what is kept.
    """

    sample_rate: int = Field(24_000, ge=8000, le=48_000)
    format: Literal["mp3", "flac", "opus"] = "mp3"
    level: float = Field(-20.0, lt=0, allow_inf_nan=False)
    max_gain: float = Field(3.0, ge=0)
    peak: float = Field(-1.0, le=0, allow_inf_nan=False)
    separate: str = "none"
    vad: str = "silero"
    diarise: str = "offline"
    embed: str = "auto"
    transcribe: str = "none"
    score: str = "dnsmos"
    options: dict[str, dict[str, Any]] = Field(default_factory=dict)
    language: str | None = Field(None, pattern="^[a-z]{2,3}$")
    block: float = Field(1200.0, ge=60)
    unit: float = Field(1800.0, gt=0)
    segment: SegmentSettings = SegmentSettings()
    filter: FilterSettings = FilterSettings()

    def stages(self) -> dict[str, str]:
        """Kind of stage to the name of the one that was chosen."""
        return {kind: getattr(self, kind) for kind in ("separate", "vad", "diarise", "embed", "transcribe", "score")}
