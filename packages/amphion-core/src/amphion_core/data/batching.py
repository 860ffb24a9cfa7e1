"""Batches of rows: planned whole epoch by whole epoch, the same for any number of processes, resumed at any batch.

The order of all batches is one global sequence, numbered from 0. Global batch g goes to process g % world_size, so
every batch is taken once whatever the number of processes, and a run can go on with another number of them. Epochs
follow each other without a gap in the numbering; so all processes do the same number of steps, however many batches an
epoch has.

An epoch is planned as arrays: draw the rows (`mixing`), group them by length class keeping the order of drawing, cut
the classes into batches (`buckets`), and spread the batches of each class evenly, with random jitter, over the epoch.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amphion_core.data.buckets import LengthClasses
from amphion_core.data.config import BatchConfig
from amphion_core.data.mixing import Mix, batch_words

__all__ = ["Batches", "PlannedBatch", "RowSet"]

_VERSION = 1  # of the order of the batches; another order is another version


class RowSet(Protocol):
    """What a set must offer to be batched: a `ShardSet`, or anything with durations."""

    @property
    def durations(self) -> NDArray[np.float64]:
        """Seconds (N,) of each row."""
        ...


@dataclass(frozen=True, slots=True)
class PlannedBatch:
    """Which rows make a batch.

    Attributes:
        epoch: from 0.
        number: place in the global sequence over all epochs and processes, from 0.
        items: (set, index within the set) of each row.
    """

    epoch: int
    number: int
    items: list[tuple[int, int]]


class Batches:
    """One process's share of the global sequence of batches.

    Iterating goes on from the current position for ever; with `epochs` it ends after them, and each new iteration
    begins anew (or where `load_state_dict` has just put it). With `epochs`, processes may get unequal numbers of
    batches: no row is given twice to make them equal.

    Args:
        sets: `ShardSet`s, or arrays of lengths (N,) in the unit of the config.
        config: unit and size of a batch, length classes, shuffling.
        weights: shares of the sets in a mix; an epoch then has as many rows as all sets together, in these shares.
            None: an epoch holds every row of every set once.
        lengths: (N,) for each set, in the unit of the config; needed for frames and tokens of `ShardSet`s.
        seed: of all orders.
        rank: this process, from 0.
        world_size: number of processes.
        epochs: where the sequence ends; None never ends it.

    Raises:
        ValueError: an empty set, a row without a length, lengths that don't fit the sets, a rank that doesn't exist.
    """

    def __init__(
        self,
        sets: Sequence[RowSet | ArrayLike],
        config: BatchConfig,
        *,
        weights: Sequence[float] | None = None,
        lengths: Sequence[ArrayLike] | None = None,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        epochs: int | None = None,
    ) -> None:
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} of {world_size} processes does not exist; ranks go from 0 to world_size - 1")
        if epochs is not None and epochs < 1:
            raise ValueError(f"epochs is {epochs}; give 1 or more, or None for a sequence without end")
        self.sets, self.config, self.seed = tuple(sets), config, seed
        self.rank, self.world_size, self.epochs = rank, world_size, epochs
        arrays = _lengths(self.sets, config, lengths)
        self.mix = Mix([len(a) for a in arrays], weights=weights, seed=seed, shuffle=config.shuffle)
        together = np.concatenate(arrays)
        self._weights = None if weights is None else [float(w) for w in weights]
        self._digest = hashlib.blake2b(together.tobytes(), digest_size=16).hexdigest()
        self._classes = LengthClasses(together, config)
        self._class_of = self._classes.of(together)
        # With one class there is nothing to plan the batches by: they are cut as the rows come.
        self._in_order = together if config.buckets == 1 and config.unit != "items" else None
        self._varies = self.mix.weighted or self._in_order is not None
        self._kept: OrderedDict[int, _Plan] = OrderedDict()
        self._counts: dict[int, int] = {}
        self._position = _Position(0, 0, 0)
        self._restored = False

    @property
    def epoch(self) -> int:
        """The epoch of the next batch: how many epochs are complete over all processes."""
        return self._position.epoch

    @property
    def number(self) -> int:
        """How many batches all processes together have taken: the global number at which they go on."""
        return self._position.number

    @property
    def batches_per_epoch(self) -> int:
        """Batches of the current epoch over all processes.

        The same in every epoch, but for mixes by weight and for batches of variable size without length classes
        (`buckets: 1`), where it varies a little.
        """
        return self._count(self._position.epoch)

    def __iter__(self) -> Iterator[PlannedBatch]:
        self.begin()
        for batch in self.ahead():
            self.advance()
            yield batch

    def __len__(self) -> int:
        if self.epochs is None:
            raise TypeError("the batches have no end (epochs=None), so no number; see batches_per_epoch")
        total = sum(self._count(epoch) for epoch in range(self.epochs))
        return len(range(self.rank, total, self.world_size))

    def begin(self) -> None:
        """Start an iteration: back to the first batch where the sequence has an end and no state was just loaded."""
        if self.epochs is not None and not self._restored:
            self._position = _Position(0, 0, 0)
        self._restored = False

    def ahead(self) -> Iterator[PlannedBatch]:
        """This process's batches from the current position on, without moving it: for who fetches in advance."""
        position = self._settled(self._position)
        number = position.number + (self.rank - position.number) % self.world_size
        while True:
            position = self._settled(_Position(position.epoch, position.first, number))
            if self.epochs is not None and position.epoch >= self.epochs:
                return
            rows = self._plan(position.epoch).batch(number - position.first)
            yield PlannedBatch(position.epoch, number, list(zip(*self.mix.split(rows), strict=True)))
            number += self.world_size

    def advance(self) -> None:
        """Move on by one batch of each process."""
        at = self._position
        self._position = self._settled(_Position(at.epoch, at.first, at.number + self.world_size))

    def seek(self, number: int) -> None:
        """Go to a global number: by one division, or, where the epochs vary, by planning those passed over."""
        self._position = self._settled(_Position(0, 0, number))
        self._restored = True

    def state_dict(self) -> dict[str, Any]:
        """The position, in JSON values: the same in every process, and good for any number of processes."""
        at = self._position
        return {"epoch": at.epoch, "first": at.first, "number": at.number, "data": self._identity()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a saved position; takes the same time wherever it is.

        Raises:
            ValueError: the state belongs to other data, settings or another seed; names each difference.
        """
        missing = [key for key in ("epoch", "first", "number", "data") if key not in state]
        if missing:
            raise ValueError(f"this is no state of batches: {', '.join(missing)} missing (keys: {', '.join(state)})")
        self._refuse_other_data(state["data"])
        epoch, first, number = (int(state[key]) for key in ("epoch", "first", "number"))
        if not 0 <= first <= number or epoch < 0 or (not self._varies and first != epoch * self._count(0)):
            raise ValueError(f"impossible position: batch {number}, in epoch {epoch} that begins at batch {first}")
        self._position = self._settled(_Position(epoch, first, number))
        self._restored = True

    def _identity(self) -> dict[str, Any]:
        """What must be equal for a position to mean the same batch."""
        return {
            "version": _VERSION,
            "seed": self.seed,
            "rows": list(self.mix.rows),
            "lengths": self._digest,
            "weights": self._weights,
            "batch": self.config.to_dict(),
        }

    def _refuse_other_data(self, saved: Mapping[str, Any]) -> None:
        differing = [
            f"{key}: saved {saved.get(key)!r}, now {now!r}"
            for key, now in self._identity().items()
            if saved.get(key) != now
        ]
        if differing:
            raise ValueError(
                "the saved position belongs to other data, so it can't be continued exactly: "
                + "; ".join(differing)
                + ". Restore the data and settings, or start with a new position (init_from keeps only the weights)"
            )

    def _settled(self, at: _Position) -> _Position:
        """The same number under the epoch that holds it; not beyond the end."""
        epoch, first = at.epoch, at.first
        while self.epochs is None or epoch < self.epochs:
            count = self._count(epoch)
            if at.number < first + count:
                return _Position(epoch, first, at.number)
            skipped = 1 if self._varies else (at.number - first) // count
            if self.epochs is not None:
                skipped = min(skipped, self.epochs - epoch)
            epoch, first = epoch + skipped, first + skipped * count
        return _Position(epoch, first, first)

    def _count(self, epoch: int) -> int:
        if not self._varies:
            return self._usual_count
        if epoch not in self._counts:
            self._counts[epoch] = self._plan(epoch).count
        return self._counts[epoch]

    @cached_property
    def _usual_count(self) -> int:
        """Batches of any epoch, where all have the same rows of each class and so the same cuts."""
        return len(self._classes.cut(self._classes.counts(self._class_of))[1])

    def _plan(self, epoch: int) -> _Plan:
        if epoch not in self._kept:
            self._kept[epoch] = self._compute(epoch)
            while len(self._kept) > 2:  # who fetches in advance is an epoch ahead at its boundary
                self._kept.popitem(last=False)
        self._kept.move_to_end(epoch)
        return self._kept[epoch]

    def _compute(self, epoch: int) -> _Plan:
        drawn = self.mix.epoch(epoch)
        classes = self._class_of[drawn]
        if self._in_order is not None:
            rows, starts = drawn, self._classes.cut_in_order(self._in_order[drawn])
            class_of_batch = np.zeros(len(starts) - 1, np.int64)
        else:
            rows = drawn[np.argsort(classes, kind="stable")]  # a radix sort, for numbers of 16 bit
            starts, class_of_batch = self._classes.cut(self._classes.counts(classes))
        if self.config.shuffle:
            order = _spread(class_of_batch, batch_words(self.seed, epoch, len(class_of_batch)))
        else:
            order = np.argsort(np.minimum.reduceat(rows, starts[:-1]), kind="stable")
        return _Plan(rows, starts, order)


@dataclass(frozen=True, slots=True)
class _Position:
    epoch: int
    first: int  # global number of the epoch's first batch
    number: int


@dataclass(frozen=True, slots=True)
class _Plan:
    """One epoch: rows sorted by class, where its batches begin in them, and the order of the batches."""

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    order: NDArray[np.int64]

    @property
    def count(self) -> int:
        return len(self.order)

    def batch(self, place: int) -> NDArray[np.int64]:
        which = self.order[place]
        return self.rows[self.starts[which] : self.starts[which + 1]]


def _spread(classes: NDArray[np.int64], words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Order of batches: those of each class keep theirs, spread evenly over the epoch with random jitter.

    So every stretch of the epoch holds all lengths and, in a mix, all sets in their shares.
    """
    counts = np.bincount(classes)
    within = np.arange(len(classes)) - np.repeat(np.cumsum(counts) - counts, counts)
    jittered = (within.astype(np.uint64) << np.uint64(32)) | (words >> np.uint64(32))
    places = jittered // counts[classes].astype(np.uint64)  # in [0, 2^32)
    marked = np.sort((places << np.uint64(32)) | np.arange(len(classes), dtype=np.uint64))
    return (marked & np.uint64(0xFFFFFFFF)).astype(np.int64)


def _lengths(
    sets: Sequence[Any], config: BatchConfig, lengths: Sequence[ArrayLike] | None
) -> list[NDArray[np.float64]]:
    """Lengths (N,) of each set, checked."""
    if not sets:
        raise ValueError("no set given; give at least one ShardSet or array of lengths")
    if lengths is not None and len(lengths) != len(sets):
        raise ValueError(f"{len(lengths)} arrays of lengths for {len(sets)} sets; give one for each")
    result = []
    for number, rows in enumerate(sets):
        durations = getattr(rows, "durations", None)
        if lengths is None and durations is not None and config.unit in ("frames", "tokens"):
            raise ValueError(f"set {number} has durations only; batches by {config.unit} need lengths=")
        given = lengths[number] if lengths is not None else rows if durations is None else durations
        array = np.ascontiguousarray(given, dtype=np.float64)
        if durations is not None and array.shape != np.shape(durations):
            raise ValueError(
                f"lengths of shape {array.shape} for the {len(durations)} rows of set {number}; give each one"
            )
        result.append(_checked(array, number, rows, config))
    return result


def _checked(array: NDArray[np.float64], number: int, rows: Any, config: BatchConfig) -> NDArray[np.float64]:
    if array.ndim != 1:
        raise ValueError(f"the lengths of set {number} have shape {array.shape}; expected one number for each row")
    if config.unit == "items":  # a length only groups rows here; an unknown one counts as 0
        return np.where(np.isfinite(array) & (array > 0), array, 0.0)
    bad = np.flatnonzero(~(np.isfinite(array) & (array > 0)))
    if len(bad):
        keys = getattr(rows, "keys", None)
        name = f" ({keys[int(bad[0])]!r})" if keys is not None else ""
        raise ValueError(
            f"{len(bad)} of {len(array)} rows of set {number} have no length, the first is row {bad[0]}{name} with "
            f"{array[bad[0]]} {config.unit}; filter them out (min_duration), or batch by items"
        )
    return array
