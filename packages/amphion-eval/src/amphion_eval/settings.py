"""What all metrics of one run share."""

from __future__ import annotations

from typing import Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from amphion_core.config import Config
from amphion_eval.alignment import Alignment
from amphion_eval.normalization import Normalizer, language_code

__all__ = ["TRACKERS", "Settings", "Tracker"]

Tracker = Literal["pyin", "dio", "harvest", "praat", "crepe"]
TRACKERS: tuple[Tracker, ...] = get_args(Tracker)


class Settings(Config):
    """Parameters of the analyses that metrics share; they are part of every result.

    Attributes:
        f0: tracker of the pitch metrics. Frames lie 10 ms apart (pyin, crepe), 5 ms (dio, harvest) or 256 samples
            (praat).
        f_min: lowest F0, Hz.
        f_max: highest F0, Hz.
        align: how frames are paired: `none`, `cut` to the shorter, or `dtw` on mel-cepstra. Metrics of waveforms cut
            in every case but `none`.
        mcd_order: last mel-cepstral coefficient, D.
        mcd_f0: tracker that steers the envelopes of the mel-cepstral distortion; `dio` takes a tenth of the time and is
            another definition, with other values.
        mcd_mask: only frames whose envelope power lies within so many dB of the clip's mean count in the mel-cepstral
            distortion; None counts all.
        max_delay: an estimate that lags by up to so many seconds is shifted before metrics of waveforms; 0 never.
        crepe: size of the network of `periodicity_rmse`.
        normalizer: of the transcripts.
        language: of items that don't say theirs.
        speaker_model: network of the speaker similarities.
        asr: recogniser of the error rates, where an item brings no transcript; None runs none.
        fad_model: audio embedding of `fad` and `fad_infinity`.
        fd_model: tagger of `fd`, `kl`, `inception_score` and `kid`.
        clap_model: text and audio embedding of `clap_score`.
    """

    f0: Tracker = "pyin"
    f_min: float = Field(50.0, gt=0)
    f_max: float = Field(1100.0, gt=0)
    align: Alignment = "cut"
    mcd_order: int = Field(24, ge=1, le=100)
    mcd_f0: Literal["harvest", "dio"] = "harvest"
    mcd_mask: float | None = Field(None, gt=0)
    max_delay: float = Field(0.0, ge=0, le=10)
    crepe: Literal["full", "tiny"] = "full"
    normalizer: Normalizer = "auto"
    language: str | None = None
    speaker_model: str = "resemblyzer"
    asr: str | None = None
    fad_model: str = "vggish"
    fd_model: str = "panns-cnn14-16k"
    clap_model: str = "laion/clap-htsat-unfused"

    @field_validator("language")
    @classmethod
    def _code(cls, value: str | None) -> str | None:
        return language_code(value) or None  # recognisers know the code and no region

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.f_min >= self.f_max:
            raise ValueError(f"f_min {self.f_min} Hz must be below f_max {self.f_max} Hz")
        return self
