"""Clips for vocoder training: random segments and whole clips, with their F0 where a vocoder needs it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor

from amphion_core.config import Config
from amphion_core.data import pad_stack
from amphion_core.data.reader import ShardSet
from amphion_core.features.pitch import F0Method, f0

__all__ = ["Clip", "ClipReader", "F0Config", "SegmentReader", "WavBatch", "collate_clips", "collate_segments"]

F0_MARGIN = 0.1
"""Seconds to each side of a segment that its F0 is also made from, so that its ends are as good as its middle."""

F0_PIECE, F0_OVERLAP = 30.0, 2.0
"""Seconds of a recording that a tracker is given at once, and those to each side that only help it."""


class F0Config(Config):
    """How F0 is made from recordings.

    Attributes:
        method: `dio` is fast enough to be made anew for every segment; `praat` needs `amphion-core[praat]`.
        f_min: lowest, Hz.
        f_max: highest, Hz.
    """

    method: F0Method = "dio"
    f_min: float = Field(50.0, gt=0)
    f_max: float = Field(1100.0, gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.f_min >= self.f_max:
            raise ValueError(f"f_min {self.f_min} Hz must lie below f_max {self.f_max} Hz")
        return self

    def contour(self, wav: NDArray[np.float32], sample_rate: int, hop_length: int, frames: int) -> NDArray[np.float32]:
        """F0 (frames,) in Hz, 0 = unvoiced, of samples (T,); frame i lies at sample i * hop_length.

        Recordings of minutes go in pieces that overlap, because trackers hold many copies of what they are given.
        """
        size, margin = (math.ceil(seconds * sample_rate / hop_length) for seconds in (F0_PIECE, F0_OVERLAP))
        if frames <= size + 2 * margin:
            return self._of_piece(wav, sample_rate, hop_length, frames)
        pieces = []
        for start in range(0, frames, size):
            stop = min(start + size, frames)
            left, right = max(0, start - margin), min(stop + margin, frames)
            piece = wav[left * hop_length : None if right == frames else right * hop_length]
            pieces.append(self._of_piece(piece, sample_rate, hop_length, right - left)[start - left : stop - left])
        return np.concatenate(pieces)

    def _of_piece(self, wav: NDArray[np.float32], rate: int, hop_length: int, frames: int) -> NDArray[np.float32]:
        limits = {"f_min": self.f_min, "f_max": self.f_max}
        contour = f0(wav, rate, hop_length=hop_length, method=self.method, frames=frames, **limits)
        return contour.astype(np.float32)


class Clip(NamedTuple):
    """A clip or a segment of one.

    Attributes:
        name: of the row.
        wav: (T,) samples.
        f0: (T // hop_length,) Hz, 0 = unvoiced, or None where no F0 was asked for.
    """

    name: str
    wav: NDArray[np.float32]
    f0: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True)
class WavBatch:
    """Waveforms of one sampling rate.

    Attributes:
        wav: (B, T), zeros beyond the lengths.
        lengths: (B,) valid samples.
        names: of the clips; empty in training.
        f0: (B, F) Hz, 0 = unvoiced and beyond the lengths; None for vocoders that don't need it.
    """

    wav: Tensor
    lengths: Tensor
    names: list[str]
    f0: Tensor | None = None


@dataclass(frozen=True, slots=True)
class SegmentReader:
    """Reads one random segment of a clip, decoding only that part.

    Attributes:
        sets: the shards.
        sample_rate: Hz of the segments.
        samples: length of the segments.
        short: what becomes of shorter clips: `wrap` repeats them from their start, `pad` adds zeros.
        f0: how F0 is made; None makes none.
        hop_length: samples between the frames of F0.
    """

    sets: Sequence[ShardSet]
    sample_rate: int
    samples: int
    short: Literal["wrap", "pad"]
    f0: F0Config | None = None
    hop_length: int = 256

    def __call__(self, number: int, index: int, random: np.random.Generator) -> Clip:
        """A segment of one row.

        Raises:
            ValueError: the clip holds no samples.
        """
        shards = self.sets[number]
        wanted = self.samples / self.sample_rate
        start = random.uniform(0, max(0.0, float(shards.durations[index]) - wanted))
        hop = self.hop_length
        margin = 0 if self.f0 is None else math.ceil(F0_MARGIN * self.sample_rate / hop)  # frames
        left = min(margin, int(start * self.sample_rate / hop))
        before, after = left * hop / self.sample_rate, margin * hop / self.sample_rate
        # A little more is read: resampling and rounding may cost a sample.
        wider, _ = shards.audio(
            index,
            sample_rate=self.sample_rate,
            start=max(0.0, start - before),
            duration=before + wanted + after + 0.01,
        )
        wav = wider[left * hop :]
        if wav.shape[0] == 0:
            raise ValueError(f"the clip {shards.keys[index]!r} has no samples at {start:.3f} s")
        if wav.shape[0] < self.samples:
            if self.short == "wrap":
                wav = np.resize(wav, self.samples)
            else:
                wav = np.pad(wav, (0, self.samples - wav.shape[0]))
            wider, left = wav, 0
        contour = None
        if self.f0 is not None:
            frames = self.samples // hop
            contour = self.f0.contour(wider, self.sample_rate, hop, wider.shape[0] // hop)[left : left + frames]
        return Clip(shards.keys[index], wav[: self.samples], contour)


@dataclass(frozen=True, slots=True)
class ClipReader:
    """Reads whole clips.

    Attributes:
        sets: the shards.
        sample_rate: Hz of the clips.
        samples: the least length; shorter clips get zeros.
        f0: how F0 is made; None makes none.
        hop_length: samples between the frames of F0.
    """

    sets: Sequence[ShardSet]
    sample_rate: int
    samples: int
    f0: F0Config | None = None
    hop_length: int = 256

    def __call__(self, number: int, index: int, random: np.random.Generator) -> Clip:
        """One row."""
        shards = self.sets[number]
        wav, _ = shards.audio(index, sample_rate=self.sample_rate)
        wav = np.pad(wav, (0, max(0, self.samples - wav.shape[0])))
        contour = None
        if self.f0 is not None:
            contour = self.f0.contour(wav, self.sample_rate, self.hop_length, wav.shape[0] // self.hop_length)
        return Clip(shards.keys[index], wav, contour)


def collate_segments(items: list[Clip]) -> WavBatch:
    """Segments of one length as a batch."""
    wav = torch.from_numpy(np.stack([item.wav for item in items]))
    return WavBatch(wav, torch.full((wav.shape[0],), wav.shape[1]), [], _contours(items))


def collate_clips(items: list[Clip]) -> WavBatch:
    """Clips of any lengths as a batch."""
    wav, lengths = pad_stack([torch.from_numpy(item.wav) for item in items])
    return WavBatch(wav, lengths, [item.name for item in items], _contours(items))


def _contours(items: list[Clip]) -> Tensor | None:
    contours = [torch.from_numpy(item.f0) for item in items if item.f0 is not None]
    return pad_stack(contours)[0] if contours else None
