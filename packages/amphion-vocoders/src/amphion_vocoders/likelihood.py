"""Training of autoregressive vocoders: the likelihood of each sample after those before it.

Source: van den Oord et al., "WaveNet: A Generative Model for Raw Audio", 2016, arXiv:1609.03499; Kalchbrenner et al.,
"Efficient Neural Audio Synthesis", 2018, arXiv:1802.08435.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Self

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional as F

from amphion_core.training.task import Sample
from amphion_vocoders.autoregressive import AutoregressiveConfig, AutoregressiveVocoder
from amphion_vocoders.segments import WavBatch
from amphion_vocoders.task import VocoderRecipe, VocoderTask, clips_of

__all__ = ["AutoregressiveVocoderRecipe", "AutoregressiveVocoderTask"]

PIECE = 128
"""Frames whose likelihood is taken at once in validation; the pieces begin anew, with a mel that goes on."""


class AutoregressiveVocoderRecipe(VocoderRecipe):
    """What a recipe of the task `autoregressive-vocoder` says beside that of every vocoder.

    Attributes:
        segment: samples of a training segment; `model.pad` frames at each of its ends are context of the mel only.
        valid_seconds: of each validation clip whose likelihood is taken.
        sample_seconds: of each clip that is drawn for the log.
    """

    segment: int = Field(8192, gt=0)
    valid_seconds: float = Field(10.0, gt=0)
    sample_seconds: float = Field(1.0, gt=0)

    @model_validator(mode="after")
    def _network_and_segment_fit(self) -> Self:
        if not isinstance(self.model, AutoregressiveConfig):
            raise ValueError(f"the vocoder {self.vocoder!r} predicts no samples; train it with the task gan-vocoder")
        context = 2 * self.model.pad * self.model.mel.hop_length
        if self.segment <= context:
            raise ValueError(f"segment {self.segment} is all context; {context} samples of it stand at its ends")
        return self


class AutoregressiveVocoderTask(VocoderTask[AutoregressiveVocoderRecipe]):
    """Every sample given those before it and the mel."""

    recipe_class = AutoregressiveVocoderRecipe
    generator: AutoregressiveVocoder[AutoregressiveConfig]

    def step(self, batch: WavBatch) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Likelihood of the inner part of random segments."""
        with torch.no_grad():
            mel = self.mel(batch.wav)
        yield "generator", {"nll": self._loss(self._inner(batch.wav), mel)}

    def validate(self, batch: WavBatch) -> dict[str, Tensor]:
        """Negative log-likelihood of clips: nats (`nll`) and bits (`bits`) per sample."""
        losses, counts = [], []
        for _, wav in clips_of(batch):
            frames = int(self.recipe.valid_seconds * self.recipe.model.mel.frame_rate)
            loss, count = self._clip_loss(wav, frames)
            losses.append(loss)
            counts.append(count)
        nll = torch.stack(losses).sum() / sum(counts)
        return {"nll": nll, "bits": nll / math.log(2)}

    def sample(self, batch: WavBatch) -> Iterator[Sample]:
        """Copies of the beginnings of the first clips, and their recordings."""
        limit = int(self.recipe.sample_seconds * self.recipe.model.mel.sample_rate)
        limit = max(limit, self.recipe.model.mel.n_fft)
        yield from super().sample(WavBatch(batch.wav[:, :limit], batch.lengths.clamp(max=limit), batch.names))

    def _inner(self, wav: Tensor) -> Tensor:
        context = self.recipe.model.pad * self.recipe.model.mel.hop_length  # type: ignore[attr-defined]
        return wav[:, context : wav.shape[1] - context]

    def _loss(self, wav: Tensor, mel: Tensor) -> Tensor:
        """Of waveforms (B, F * hop_length) and mels (B, n_mels, F + 2 * pad)."""
        output = self.generator.output
        signal = output.signal(wav)
        logits: Tensor = self.generator(signal, mel)
        return output.loss(logits[:, :, :-1].float(), signal[:, 1:])

    def _clip_loss(self, wav: Tensor, limit: int) -> tuple[Tensor, int]:
        """Sum over the samples of a clip (T,), at most `limit` frames, and their number."""
        pad, hop = self.generator.config.pad, self.recipe.model.mel.hop_length
        mel = self.mel(wav[None])
        frames = min(limit, mel.shape[2], wav.shape[0] // hop)
        padded = F.pad(mel, (pad, pad), mode="replicate") if pad else mel
        total, count = mel.new_zeros(()), 0
        for start in range(0, frames, PIECE):
            stop = min(start + PIECE, frames)
            loss = self._loss(wav[None, start * hop : stop * hop], padded[:, :, start : stop + 2 * pad])
            total = total + loss * ((stop - start) * hop - 1)
            count += (stop - start) * hop - 1
        return total, count
