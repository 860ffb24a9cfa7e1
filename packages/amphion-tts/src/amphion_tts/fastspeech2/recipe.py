"""What a recipe of the task `fastspeech2` says. Needs no torch."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from amphion_core.config import Config
from amphion_core.data.config import DataConfig
from amphion_core.recipe import Recipe
from amphion_tts.fastspeech2.config import FastSpeech2Config

__all__ = ["AlignerConfig", "FastSpeech2Recipe", "LossWeights"]


class AlignerConfig(Config):
    """The network that learns durations, and its course.

    Attributes:
        dim: channels.
        prior_scale: of the beta-binomial prior; the larger, the narrower around the diagonal.
        temperature: factor of the distances.
        alone: steps at the start in which only the aligner is trained, which makes them cheap.
        binarise_from: step at which the binarisation loss begins.
        binarise_warmup: steps over which it then rises to its weight.
    """

    dim: int = Field(256, ge=1)
    prior_scale: float = Field(1.0, gt=0)
    temperature: float = Field(1.0, gt=0)
    alone: int = Field(0, ge=0)
    binarise_from: int = Field(6000, ge=0)
    binarise_warmup: int = Field(4000, ge=1)


class LossWeights(Config):
    """Factors of the loss terms."""

    mel: float = Field(1.0, ge=0)
    postnet_mel: float = Field(1.0, ge=0)
    duration: float = Field(1.0, ge=0)
    pitch: float = Field(1.0, ge=0)
    energy: float = Field(1.0, ge=0)
    forward_sum: float = Field(2.0, ge=0)
    binarise: float = Field(2.0, ge=0)


class FastSpeech2Recipe(Recipe):
    """A training of FastSpeech 2.

    Attributes:
        model: its configuration; symbols, speakers and statistics are taken from the training data where they are
            not given.
        durations: `learned` beside the model, or `textgrid` from the files of a forced aligner.
        textgrids: folder of these, `ID.TextGrid` at any depth.
        aligner: for learned durations.
        loss: weights.
        data: shards and batches; unit `items`, `seconds` or `frames`.
        features: folder where pitch and energy are kept; None is `features` beside the training shards.
        store_mel: keep mels there too, instead of computing them on the fly.
        feature_workers: processes that compute them.
        samples: validation sentences that are spoken for the log.
    """

    model: FastSpeech2Config = FastSpeech2Config()
    durations: Literal["learned", "textgrid"] = "learned"
    textgrids: str | None = None
    aligner: AlignerConfig = AlignerConfig()
    loss: LossWeights = LossWeights()
    data: DataConfig
    features: str | None = None
    store_mel: bool = False
    feature_workers: int = Field(2, ge=1)
    samples: int = Field(4, ge=0)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        faults = []
        if self.durations == "textgrid" and self.textgrids is None:
            faults.append("durations: textgrid needs textgrids, the folder of the forced aligner's files")
        if self.durations == "textgrid" and self.model.frontend.kind != "lexicon":
            kind = self.model.frontend.kind
            faults.append(f"TextGrids hold ARPAbet and sp, as the front end lexicon gives them; got {kind!r}")
        if self.data.batch.unit == "tokens":
            faults.append("batch.unit is items, seconds or frames here, got tokens")
        if faults:
            raise ValueError("; ".join(faults))
        return self
