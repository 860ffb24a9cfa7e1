"""Mixes several sets by weight: which row is drawn at which place of an endless sequence, by arithmetic alone.

Each set has an endless sequence of its own, pass after pass, every pass a new permutation of its rows. How many of
the first t draws fall to a set is a closed formula, so any epoch is computed without its predecessors. Without weights
a set's share is its number of rows, and an epoch holds every row once.

All randomness comes from the raw words of the counter-based generator Philox (Salmon et al., "Parallel random numbers:
as easy as 1, 2, 3", 2011), keyed by seed and purpose: the same on every platform and in every release of numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

__all__ = ["EmptySetError", "Mix", "item_generator", "random_words", "shuffled"]

_WORD = (1 << 64) - 1
_ROWS, _BATCHES, _ITEMS = 0, 1, 2  # purposes, kept apart in the key


class EmptySetError(ValueError):
    """A set of which no row is left; for validation a training does without, for the rest it is a fault."""


class Mix:
    """The order in which the rows of several sets are drawn.

    Rows are numbered through all sets: row i of set s is `sum(rows[:s]) + i`. An epoch has as many draws as the sets
    have rows together.

    Args:
        rows: number of rows of each set.
        weights: share of each set, relative to the others; None takes the numbers of rows.
        seed: of the permutations.
        shuffle: False keeps the order of the rows in every pass.

    Raises:
        ValueError: no set, an empty set, or weights that are not one positive number for each set.
    """

    def __init__(
        self, rows: Sequence[int], *, weights: Sequence[float] | None = None, seed: int = 0, shuffle: bool = True
    ) -> None:
        if not rows:
            raise ValueError("no set given; a mix needs at least one")
        empty = [number for number, count in enumerate(rows) if count == 0]
        if empty:
            raise EmptySetError(
                f"set {empty[0]} has no rows (rows of the sets: {list(rows)}); leave it out or widen its filter"
            )
        if weights is not None:
            _check_weights(weights, len(rows))
        self.rows = tuple(int(count) for count in rows)
        self.draws = sum(self.rows)
        self.weighted = weights is not None
        self.seed = seed
        self.shuffle = shuffle
        self._offsets = np.concatenate([[0], np.cumsum(self.rows)]).astype(np.int64)
        shares = [Fraction(float(w)) for w in weights] if weights is not None else [Fraction(n) for n in self.rows]
        # Share of each set in what its predecessors leave over; the last takes all of it.
        self._of_rest = [share / sum(shares[number:]) for number, share in enumerate(shares)]

    def counts(self, draws: int) -> list[int]:
        """How many of the first `draws` draws fall to each set; never more than a few off its share."""
        result = []
        for share in self._of_rest:
            # Rounded to the nearest: monotone in `draws`, and so is what is left over for the following sets.
            taken = (2 * draws * share.numerator + share.denominator) // (2 * share.denominator)
            result.append(taken)
            draws -= taken
        return result

    def epoch(self, number: int) -> NDArray[np.int64]:
        """Numbers of the rows (draws,) of one epoch, in the order of drawing: any prefix keeps the shares."""
        begin, end = self.counts(number * self.draws), self.counts((number + 1) * self.draws)
        parts = [
            self._stream(which, first, last) + self._offsets[which]
            for which, (first, last) in enumerate(zip(begin, end, strict=True))
        ]
        drawn: NDArray[np.int64] = np.concatenate(parts)
        if len(parts) > 1:
            drawn = drawn[_sorted_positions(np.concatenate([_even_places(len(part)) for part in parts]))]
        return drawn

    def split(self, rows: NDArray[np.int64]) -> tuple[list[int], list[int]]:
        """The set and the index within it of rows by number."""
        sets = np.searchsorted(self._offsets, rows, side="right") - 1
        return sets.tolist(), (rows - self._offsets[sets]).tolist()

    def _stream(self, which: int, begin: int, end: int) -> NDArray[np.int64]:
        """Draws begin..end of the endless sequence of one set, as indices (end - begin,) within the set."""
        rows = self.rows[which]
        first, last = begin // rows, -(-end // rows)
        if self.shuffle:
            blocks = -(-rows // 4)  # a step of the counter gives four words; each pass starts with a fresh one
            words = random_words(self.seed, _ROWS, which, first * blocks, (last - first) * blocks * 4)
            passes = shuffled(words.reshape(last - first, blocks * 4)[:, :rows])
        else:
            passes = np.tile(np.arange(rows, dtype=np.int64), (last - first, 1))
        return passes.reshape(-1)[begin - first * rows : end - first * rows]


def random_words(seed: int, purpose: int, which: int, block: int, count: int) -> NDArray[np.uint64]:
    """`count` raw words (count,) from block `block` (four words each) of one of the streams of a seed."""
    key = np.array([seed & _WORD, (purpose << 32) | which], np.uint64)
    counter = np.array([block & _WORD, block >> 64, 0, 0], np.uint64)
    words: NDArray[np.uint64] = np.random.Philox(key=key, counter=counter).random_raw(count)
    return words


def batch_words(seed: int, epoch: int, count: int) -> NDArray[np.uint64]:
    """Raw words (count,) that order the batches of an epoch."""
    return random_words(seed, _BATCHES, epoch, 0, count)


def item_generator(seed: int, number: int, position: int) -> np.random.Generator:
    """The generator of one row of one batch: the same whichever process loads it.

    Args:
        seed: of the run.
        number: global number of the batch.
        position: place of the row in the batch.
    """
    key = np.array([seed & _WORD, _ITEMS << 32], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=np.array([0, position, number, 0], np.uint64)))


def shuffled(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Permutations (..., n) of 0..n-1 from random words (..., n).

    The place is written into the low bits of each word, so that no two are equal and every way of sorting gives the
    same order.
    """
    count = words.shape[-1]
    low = np.uint64((1 << max(1, (count - 1).bit_length())) - 1)
    marked = np.sort((words & ~low) | np.arange(count, dtype=np.uint64), axis=-1)
    return (marked & low).astype(np.int64)


def _even_places(count: int) -> NDArray[np.uint64]:
    """Middles of `count` equal parts of [0, 2^32)."""
    return ((2 * np.arange(count, dtype=np.uint64) + 1) << np.uint64(31)) // np.uint64(max(count, 1))


def _sorted_positions(places: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Stable argsort of numbers below 2^32."""
    marked = np.sort((places << np.uint64(32)) | np.arange(len(places), dtype=np.uint64))
    return (marked & np.uint64(0xFFFFFFFF)).astype(np.int64)


def _check_weights(weights: Sequence[float], sets: int) -> None:
    if len(weights) != sets:
        raise ValueError(f"{len(weights)} weights for {sets} sets; give one for each")
    wrong = [(number, weight) for number, weight in enumerate(weights) if not 0 < weight < float("inf")]
    if wrong:
        raise ValueError(f"the weight of set {wrong[0][0]} is {wrong[0][1]}; weights must be above 0 and finite")
