"""Drawing one clip as overlapping pieces side by side, joined by crossfades.

Source: Kalchbrenner et al., "Efficient Neural Audio Synthesis", 2018, arXiv:1802.08435, where a clip is drawn in
several places at once. Here as the well known alternative does it: pieces start anew, the overlap is the time in which
their memory settles, and the fades keep the power.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Self

import torch
from pydantic import Field, model_validator
from torch import Generator, Tensor

from amphion_core.config import Config
from amphion_vocoders.generation import block_frames, condition_of, draw_block, extend

if TYPE_CHECKING:
    from amphion_vocoders.autoregressive import AutoregressiveVocoder

__all__ = ["FoldConfig", "crossfade", "draw_folded", "fold_starts"]


class FoldConfig(Config):
    """Sizes of the pieces.

    Attributes:
        target: samples of a piece between its overlaps.
        overlap: samples that neighbours share; half of them settle a piece, half are faded.
        rows: the most pieces side by side, which bounds the memory.
    """

    target: int = Field(11000, gt=0)
    overlap: int = Field(550, gt=0, multiple_of=2)
    rows: int = Field(32, ge=1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.target < self.overlap:
            raise ValueError(f"target {self.target} is shorter than overlap {self.overlap}; pieces would overlap twice")
        return self


def fold_starts(length: int, config: FoldConfig) -> list[int]:
    """Where pieces of `target + 2 * overlap` samples begin in a clip; the last may reach beyond its end."""
    stride = config.target + config.overlap
    count = max(1, math.ceil((length - config.overlap) / stride))
    return [number * stride for number in range(count)]


def crossfade(pieces: Tensor, overlap: int) -> Tensor:
    """One waveform of overlapping pieces; the second half of each overlap is faded with equal power.

    Args:
        pieces: (N, target + 2 * overlap).
        overlap: samples that neighbours share.

    Returns:
        (N * (target + overlap) + overlap,). Outside the fades it is one of the pieces; in them the squares of the two
        gains sum to 1.
    """
    number, size = pieces.shape
    half, stride = overlap // 2, size - overlap
    place = (torch.arange(half, dtype=torch.float64, device=pieces.device) + 0.5) / half  # 0 to 1
    rising = torch.sin(place * (math.pi / 2)).to(pieces)
    gains = pieces.new_ones(number, size)
    gains[1:, :half] = 0.0
    gains[1:, half : 2 * half] = rising
    gains[:-1, size - half :] = rising.flip(0)
    wav = pieces.new_zeros((number - 1) * stride + size)
    for piece, gain, start in zip(pieces, gains, range(0, number * stride, stride), strict=True):
        wav[start : start + size] += piece * gain
    return wav


def draw_folded(
    model: AutoregressiveVocoder[Any], mel: Tensor, lengths: Tensor | None, generator: Generator, config: FoldConfig
) -> Tensor:
    """Waveforms (B, F * hop_length) of mels (B, n_mels, F), each cut into pieces that are drawn side by side.

    Each item is drawn by itself, so that it equals the item alone. Each piece has noise of its own.
    """
    hop = model.config.mel.hop_length
    valid = [mel.shape[2]] * mel.shape[0] if lengths is None else [int(length) for length in lengths]
    wav = mel.new_zeros(mel.shape[0], mel.shape[2] * hop)
    state = generator.get_state()
    for row, item, length in zip(wav, mel, valid, strict=True):
        if length:
            generator.set_state(state)
            row[: length * hop] = _draw_item(model, item[:, :length], generator, config)
    return wav


def _draw_item(model: AutoregressiveVocoder[Any], mel: Tensor, generator: Generator, config: FoldConfig) -> Tensor:
    hop = model.config.mel.hop_length
    length = mel.shape[1] * hop
    starts = fold_starts(length, config)
    size = config.target + 2 * config.overlap
    # The last piece may reach beyond the end; frames of `pad` and of the last piece are the outermost ones again.
    beyond = math.ceil((starts[-1] + size - length) / hop)
    padded = extend(mel, model.config.pad, model.config.pad + max(0, beyond))
    pieces = [
        _draw_pieces(model, padded, starts[first : first + config.rows], size, generator)
        for first in range(0, len(starts), config.rows)
    ]
    return crossfade(torch.cat(pieces), config.overlap)[:length]


def _draw_pieces(
    model: AutoregressiveVocoder[Any], padded: Tensor, starts: list[int], size: int, generator: Generator
) -> Tensor:
    """Samples (N, size) from each of N places on; `padded` is the mel with `pad` frames more at each end."""
    steps, output, rows = model.steps(len(starts)), model.output, len(starts)
    signal = padded.new_zeros(rows, 1)
    drawn = []
    step = block_frames(rows) * model.config.mel.hop_length
    for begin in range(0, size, step):
        end = min(begin + step, size)
        condition = torch.stack([_between(model, padded, start + begin, start + end) for start in starts])
        noise = output.uniform(rows * (end - begin), generator).to(condition.device)
        block, signal = draw_block(steps, output, condition, signal, noise.view(end - begin, rows, -1))
        drawn.append(output.wav(block))
    return torch.cat(drawn, dim=1)


def _between(model: AutoregressiveVocoder[Any], padded: Tensor, begin: int, end: int) -> Tensor:
    """The condition (D, end - begin) from one sample to another."""
    hop = model.config.mel.hop_length
    first, stop = begin // hop, -(-end // hop)
    return condition_of(model, padded, first, stop)[:, begin - first * hop : end - first * hop]
