"""Pieces of a stream that are changed one by one and faded into one another, in the memory of a few pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["cut", "faded", "hann_rise", "stereo"]

Wav = NDArray[np.float32]
PieceT = TypeVar("PieceT")


def hann_rise(overlap: int) -> Wav:
    """(T,) weights of a piece that fades in by half a Hann window; those of the one that fades out are 1 minus them."""
    return (0.5 - 0.5 * np.cos(np.pi * (np.arange(overlap) + 0.5) / max(1, overlap))).astype(np.float32)


def stereo(block: Wav) -> Wav:
    """Mono doubled; of more than two channels the mean."""
    if block.shape[0] == 2:
        return block
    mono = block.mean(axis=0, dtype=np.float32)
    return np.stack([mono, mono])


def cut(blocks: Iterable[Wav], size: int, overlap: int) -> Iterator[Wav]:
    """Pieces of a stream that share samples with their neighbours; the last one is shorter.

    Args:
        blocks: (C, T) of any lengths.
        size: samples of a piece.
        overlap: samples that two pieces share.
    """
    held: Wav | None = None
    for block in blocks:
        held = block if held is None else np.concatenate([held, block], axis=1)
        while held.shape[1] > size:  # one sample more says that it is not the last
            yield held[:, :size]
            held = held[:, size - overlap :]
    if held is not None and held.shape[1]:
        yield held


def faded(
    pieces: Iterable[PieceT], change: Callable[[Sequence[PieceT]], Sequence[Wav]], rise: Wav, batch: int = 1
) -> Iterator[Wav]:
    """Change pieces and join them.

    Args:
        pieces: that share samples with their neighbours.
        change: some pieces to (C, T) each.
        rise: (T,) weights of a piece over the samples that it shares with the one before.
        batch: pieces that are changed at a time.

    Yields:
        (C, T) of the whole stream, one after another.
    """
    left, tail = iter(pieces), None
    while group := list(islice(left, batch)):
        for piece in change(group):
            if tail is not None:  # the last piece may be shorter than what it shares
                count = min(rise.size, piece.shape[1], tail.shape[1])
                head = tail[:, :count] + rise[:count] * (piece[:, :count] - tail[:, :count])
                piece = np.concatenate([head, piece[:, count:]], axis=1)
            keep = max(0, piece.shape[1] - rise.size)
            if keep:
                yield np.ascontiguousarray(piece[:, :keep])
            tail = piece[:, keep:]
    if tail is not None and tail.shape[1]:
        yield np.ascontiguousarray(tail)
