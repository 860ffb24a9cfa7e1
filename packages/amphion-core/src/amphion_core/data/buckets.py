"""Length classes: which rows may share a batch, and how many of them fit."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from amphion_core.data.config import BatchConfig

__all__ = ["LengthClasses"]

logger = logging.getLogger(__name__)

_CELLS = 64  # candidate bounds to an octave of length: 1 to 2 % apart


class LengthClasses:
    """Classes of similar length, the longest first, each with the number of rows that fit a batch.

    The bounds are those with the least padded total (rows times the longest of their class), found exactly by dynamic
    programming over candidates 1 to 2 % apart. Rows that alone exceed the size are a class of their own, one row a
    batch.

    Args:
        lengths: (N,) of all rows, in the unit of the config.
        config: unit, size, number of classes.

    Raises:
        ValueError: a size below one item.
    """

    def __init__(self, lengths: NDArray[np.float64], config: BatchConfig) -> None:
        self._by_items = config.unit == "items"
        if self._by_items and config.size < 1:
            raise ValueError(f"a batch of {config.size} items holds none; give a size of 1 or more")
        ordered = np.sort(lengths)
        fitting = ordered if self._by_items else ordered[: np.searchsorted(ordered, config.size, side="right")]
        bounds = _least_padding(fitting, config.buckets)
        oversize = len(ordered) - len(fitting)
        if oversize:
            bounds = [*bounds, float(ordered[-1])]
            logger.warning(
                "%d of %d rows are longer than a batch of %g %s (the longest: %g); each makes a batch of its own",
                *(oversize, len(ordered), config.size, config.unit, ordered[-1]),
            )
        self._bounds = np.array(bounds)  # (K,) longest length of each class, ascending
        self._size, self._most = config.size, config.max_items or len(ordered)
        self.capacities = [min(self._most, self._capacity(bound)) for bound in reversed(bounds)]

    def of(self, lengths: NDArray[np.float64]) -> NDArray[np.uint16]:
        """The class of each row (N,), 0 for the longest."""
        ascending = np.searchsorted(self._bounds, lengths, side="left")
        return (len(self._bounds) - 1 - ascending).astype(np.uint16)

    def counts(self, classes: NDArray[np.uint16]) -> list[int]:
        """How many rows each class has."""
        return [int(n) for n in np.bincount(classes, minlength=len(self.capacities))]

    def cut(self, counts: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Cut rows that are sorted by class into batches; a class's last batch is filled up from the next class.

        Args:
            counts: rows of each class.

        Returns:
            Where the batches begin (batches + 1,), the end included, and the class of each (batches,).
        """
        starts, classes = [], []
        position = end = 0
        for which, (count, capacity) in enumerate(zip(counts, self.capacities, strict=True)):
            end += count
            batches = max(0, -(-(end - position) // capacity))
            starts.append(position + capacity * np.arange(batches, dtype=np.int64))
            classes.append(np.full(batches, which, np.int64))
            position += batches * capacity
        return np.concatenate([*starts, [end]]), np.concatenate(classes)

    def cut_in_order(self, lengths: NDArray[np.float64]) -> NDArray[np.int64]:
        """Cut rows (N,) as they come, each batch as full as its own longest row lets it be; where batches begin."""
        starts, longest, most = [0], 0.0, self._most
        for place, length in enumerate(lengths.tolist()):
            held = place - starts[-1]
            longest = max(longest, length)
            if held and ((held + 1) * longest > self._size or held >= most):
                starts.append(place)
                longest = length
        return np.array([*starts, len(lengths)], np.int64)

    def _capacity(self, longest: float) -> int:
        """The largest n with n * longest <= size, at least one."""
        if self._by_items:
            return int(self._size)
        fits = math.floor(self._size / longest)
        if fits * longest > self._size:  # the quotient was rounded
            fits -= 1
        elif (fits + 1) * longest <= self._size:
            fits += 1
        return max(1, fits)


def _least_padding(ordered: NDArray[np.float64], classes: int) -> list[float]:
    """Longest lengths of at most `classes` classes of ascending lengths, by least sum of rows times longest."""
    if not len(ordered):
        return []
    # Candidates by exponent and leading bits of the number: exact, unlike a logarithm, on every platform.
    mantissa, exponent = np.frexp(ordered)
    cells = exponent.astype(np.int64) * _CELLS + np.floor(mantissa * 2 * _CELLS).astype(np.int64)
    last = np.append(np.flatnonzero(np.diff(cells)), len(ordered) - 1)
    longest, below = ordered[last], last + 1.0  # (D,) each; rows up to the candidate
    before = np.concatenate([[0.0], below])
    # cost[j, i]: one class from candidate j to candidate i, both included
    cost = (below[None, :] - before[:-1, None]) * longest[None, :]
    cost[np.tril_indices(len(last), -1)] = np.inf
    best, origins = cost[0], []
    for _ in range(min(classes, len(last)) - 1):
        joined = best[:-1, None] + cost[1:, :]  # the class before ends at j, this one begins at j + 1
        origin = joined.argmin(axis=0)
        origins.append(np.where(joined.min(axis=0) < best, origin, -1))
        best = np.minimum(best, joined.min(axis=0))
    bounds = [len(last) - 1]
    for origin in reversed(origins):
        if origin[bounds[-1]] >= 0:
            bounds.append(int(origin[bounds[-1]]))
    return [float(longest[i]) for i in reversed(bounds)]
