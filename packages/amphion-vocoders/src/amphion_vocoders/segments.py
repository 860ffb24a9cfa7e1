"""Waveforms for vocoder training: random segments of the clips, and whole clips for validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from amphion_core.data import pad_stack
from amphion_core.data.reader import ShardSet

__all__ = ["ClipReader", "SegmentReader", "WavBatch", "collate_clips", "collate_segments"]


@dataclass(frozen=True, slots=True)
class WavBatch:
    """Waveforms of one sampling rate.

    Attributes:
        wav: (B, T), zeros beyond the lengths.
        lengths: (B,) valid samples.
        names: of the clips; empty in training.
    """

    wav: Tensor
    lengths: Tensor
    names: list[str]


@dataclass(frozen=True, slots=True)
class SegmentReader:
    """Reads one random segment of a clip, decoding only that part.

    Attributes:
        sets: the shards.
        sample_rate: Hz of the segments.
        samples: length of the segments.
        short: what becomes of shorter clips: `wrap` repeats them from their start, `pad` adds zeros.
    """

    sets: Sequence[ShardSet]
    sample_rate: int
    samples: int
    short: Literal["wrap", "pad"]

    def __call__(self, number: int, index: int, random: np.random.Generator) -> NDArray[np.float32]:
        """A segment (samples,) of one row.

        Raises:
            ValueError: the clip holds no samples.
        """
        shards = self.sets[number]
        wanted = self.samples / self.sample_rate
        start = random.uniform(0, max(0.0, float(shards.durations[index]) - wanted))
        # A little more is read: resampling and rounding may cost a sample.
        wav, _ = shards.audio(index, sample_rate=self.sample_rate, start=start, duration=wanted + 0.01)
        if wav.shape[0] == 0:
            raise ValueError(f"the clip {shards.keys[index]!r} has no samples at {start:.3f} s")
        if wav.shape[0] < self.samples and self.short == "wrap":
            return np.resize(wav, self.samples)
        return np.pad(wav[: self.samples], (0, max(0, self.samples - wav.shape[0])))


@dataclass(frozen=True, slots=True)
class ClipReader:
    """Reads whole clips.

    Attributes:
        sets: the shards.
        sample_rate: Hz of the clips.
        samples: the least length; shorter clips get zeros.
    """

    sets: Sequence[ShardSet]
    sample_rate: int
    samples: int

    def __call__(self, number: int, index: int, random: np.random.Generator) -> tuple[str, NDArray[np.float32]]:
        """Name and samples (T,) of one row."""
        shards = self.sets[number]
        wav, _ = shards.audio(index, sample_rate=self.sample_rate)
        return shards.keys[index], np.pad(wav, (0, max(0, self.samples - wav.shape[0])))


def collate_segments(items: list[NDArray[np.float32]]) -> WavBatch:
    """Segments of one length as a batch."""
    wav = torch.from_numpy(np.stack(items))
    return WavBatch(wav, torch.full((wav.shape[0],), wav.shape[1]), [])


def collate_clips(items: list[tuple[str, NDArray[np.float32]]]) -> WavBatch:
    """Clips of any lengths as a batch."""
    wav, lengths = pad_stack([torch.from_numpy(wav) for _, wav in items])
    return WavBatch(wav, lengths, [name for name, _ in items])
