"""Loads planned batches, in this process or in several, with the same result and the same place to resume."""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.process
import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pickle import PicklingError
from typing import Any, Generic, Literal, TypeVar

import numpy as np

from amphion_core.data.batching import Batches, PlannedBatch
from amphion_core.data.mixing import item_generator
from amphion_core.data.workers import end_with_parent
from amphion_core.extras import require

__all__ = ["LoadError", "Loader", "SkippedRow"]

logger = logging.getLogger(__name__)

ItemT = TypeVar("ItemT")
BatchT = TypeVar("BatchT")


class LoadError(RuntimeError):
    """A row could not be loaded, or the rows of a batch could not be joined; says which."""


@dataclass(frozen=True, slots=True)
class SkippedRow:
    """A row that failed under `on_error="skip"`.

    Attributes:
        epoch: of its batch.
        number: global number of its batch.
        set: number of the set.
        index: row within the set.
        key: its name, where the set has names.
        error: kind and words of what went wrong.
    """

    epoch: int
    number: int
    set: int
    index: int
    key: str | None
    error: str


class Loader(Generic[BatchT]):
    """Batches, ready for use; for ever, or for as many epochs as `batches` has.

    Args:
        load: gives one row: called with the number of the set, the index within it, and a generator of random numbers
            that depends on the seed and the place of the row only, not on the process.
        batches: which rows make which batch.
        collate: joins the rows of a batch.
        workers: processes that load; 0 loads in this one. More than 0 needs torch. `load` and `collate` go to them as
            they are by fork, and as pickles where the system spawns.
        prefetch: batches that each process prepares ahead.
        pin_memory: put the tensors into page-locked memory, for a faster way to the GPU; without one it does nothing.
        on_error: `fail` stops at a row that can't be loaded; `skip` leaves it out of its batch and lists it in
            `skipped`.
        start_method: `fork`, `forkserver` or `spawn`; None takes the system's own.

    Raises:
        ValueError: a negative number of processes, or none prefetched.
    """

    def __init__(
        self,
        load: Callable[[int, int, np.random.Generator], ItemT],
        batches: Batches,
        collate: Callable[[list[ItemT]], BatchT],
        *,
        workers: int = 0,
        prefetch: int = 2,
        pin_memory: bool = False,
        on_error: Literal["fail", "skip"] = "fail",
        start_method: str | None = None,
    ) -> None:
        if workers < 0 or prefetch < 1:
            raise ValueError(f"workers must be 0 or more and prefetch 1 or more, got {workers} and {prefetch}")
        if on_error not in ("fail", "skip"):
            raise ValueError(f"on_error is {on_error!r}; it is either 'fail' or 'skip'")
        self.batches, self.workers, self.skipped = batches, workers, list[SkippedRow]()
        self._work = _Work(load, collate, batches.seed, on_error == "skip")
        self._prefetch, self._pin_memory, self._start_method = prefetch, pin_memory, start_method
        self._processes: Any = None
        self._children: list[multiprocessing.process.BaseProcess] = []
        self._sent: deque[PlannedBatch] = deque()
        self._turn = 0

    @property
    def epoch(self) -> int:
        """The epoch of the next batch: how many epochs are complete over all processes of the training."""
        return self.batches.epoch

    @property
    def batches_per_epoch(self) -> int:
        """Batches of the current epoch over all processes of the training."""
        return self.batches.batches_per_epoch

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[BatchT]:
        self._turn += 1
        turn = self._turn
        self.batches.begin()
        for planned, batch, failures in self._in_processes() if self.workers or self._pin_memory else self._here():
            self._judge(planned, failures)
            self.batches.advance()
            if len(failures) < len(planned.items):
                yield batch
            if turn != self._turn:
                raise RuntimeError("the loader was closed, or iterated anew; this iteration can't go on")

    def state_dict(self) -> dict[str, Any]:
        """The position of the next batch to deliver, in JSON values; what is merely prefetched doesn't count."""
        return self.batches.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved position with the next iteration.

        Raises:
            ValueError: the state belongs to other data, settings or another seed; names each difference.
        """
        self.batches.load_state_dict(state)

    def close(self) -> None:
        """End the processes; the next iteration starts new ones."""
        self._turn += 1
        self._processes = None

    def _here(self) -> Iterator[tuple[PlannedBatch, BatchT, list[_Failure]]]:
        for planned in self.batches.ahead():
            batch, failures = self._work[planned]
            yield planned, batch, failures

    def _in_processes(self) -> Iterator[tuple[PlannedBatch, BatchT, list[_Failure]]]:
        if self._processes is None:
            self._processes = self._started()
        children = set(multiprocessing.active_children())
        outcomes = self._iterate()
        watch = _Watch(list(set(multiprocessing.active_children()) - children) or self._children)
        self._children = watch.children
        while True:
            try:
                with watch:
                    batch, failures = next(outcomes)
            except StopIteration:
                return
            except (
                Exception
            ) as error:  # what `load` and `collate` raise comes as a failure, so this is of the processes
                said = str(error) if isinstance(error, RuntimeError) else f"{type(error).__name__}: {error}."
            except BaseException:  # such as Ctrl-C: the processes end with the iterator
                self._processes = None
                raise
            else:
                yield self._sent.popleft(), batch, failures
                continue
            self._processes = outcomes = None  # ends the other processes; so not within `except`, which would keep it
            raise RuntimeError(self._death(said))

    def _iterate(self) -> Any:
        try:
            with _SigchldKept():
                return iter(self._processes)
        except (AttributeError, TypeError, PicklingError) as error:
            self._processes = None
            raise TypeError(
                f"load and collate can't be sent to a process ({error}); where processes are not forked, both must be "
                "functions of a module, or objects of its classes. workers=0 takes any"
            ) from error

    def _started(self) -> Any:
        torch = require("torch", "amphion-core[torch]")
        data = require("torch.utils.data", "amphion-core[torch]")
        several = self.workers > 0
        return data.DataLoader(
            self._work,
            sampler=_Ahead(self.batches, self._sent),
            batch_size=None,
            collate_fn=_unchanged,
            num_workers=self.workers,
            prefetch_factor=self._prefetch if several else None,
            persistent_workers=several,
            multiprocessing_context=self._start_method if several else None,
            worker_init_fn=_settle if several else None,
            pin_memory=self._pin_memory and torch.cuda.is_available(),
        )

    def _death(self, error: str) -> str:
        awaited = self._sent[0]
        under_way = ", ".join(str(planned.number) for planned in self._sent)
        return (
            f"a process that loads data failed while batch {awaited.number} (epoch {awaited.epoch}) was awaited; "
            f"being loaded were batches {under_way}. {error.rstrip('. ')}. Memory that runs out is the usual cause; "
            "workers=0 loads in the main process and shows where it happens"
        )

    def _judge(self, planned: PlannedBatch, failures: list[_Failure]) -> None:
        """Raise or record what failed."""
        for failure in failures:
            place = self._place(planned, failure)
            if not self._work.skip or failure.position is None:
                error = LoadError(f"{place}: {failure.error}")
                error.add_note(failure.trace)
                raise error
            which, index = planned.items[failure.position]
            key = _key(self.batches.sets[which], index)
            self.skipped.append(SkippedRow(planned.epoch, planned.number, which, index, key, failure.error))
            logger.warning("skipped %s: %s (%d skipped so far)", place, failure.error, len(self.skipped))
        if failures and len(failures) == len(planned.items) and self.batches.world_size > 1:
            raise LoadError(
                f"all {len(failures)} rows of batch {planned.number} failed, the last with {failures[-1].error}; "
                "without this batch the processes would fall out of step. Remove these rows from the set"
            )

    def _place(self, planned: PlannedBatch, failure: _Failure) -> str:
        batch = f"batch {planned.number} (epoch {planned.epoch})"
        if failure.position is None:
            return f"joining {batch} of {len(planned.items)} rows"
        which, index = planned.items[failure.position]
        key = _key(self.batches.sets[which], index)
        return f"row {index}{'' if key is None else f' ({key!r})'} of set {which}, in {batch}"


@dataclass(frozen=True, slots=True)
class _Failure:
    """What went wrong, as texts, so that it gets from a process to another unchanged; no position: in joining."""

    position: int | None
    error: str
    trace: str


class _Work:
    """Makes the batch of a plan: the part that runs in the processes."""

    def __init__(self, load: Callable[..., Any], collate: Callable[..., Any], seed: int, skip: bool) -> None:
        self.load, self.collate, self.seed, self.skip = load, collate, seed, skip

    def __getitem__(self, planned: PlannedBatch) -> tuple[Any, list[_Failure]]:
        items, failures = [], []
        for position, (which, index) in enumerate(planned.items):
            try:
                items.append(self.load(which, index, item_generator(self.seed, planned.number, position)))
            except Exception as error:
                failures.append(_failure(position, error))
                if not self.skip:
                    return None, failures
        if not items:
            return None, failures
        try:
            return self.collate(items), failures
        except Exception as error:
            return None, [*failures, _failure(None, error)]


class _Ahead:
    """Feeds plans to the processes and remembers those that are under way, in order."""

    def __init__(self, batches: Batches, sent: deque[PlannedBatch]) -> None:
        self._batches, self._sent = batches, sent

    def __iter__(self) -> Iterator[PlannedBatch]:
        self._sent.clear()
        for planned in self._batches.ahead():
            self._sent.append(planned)
            yield planned


class _SigchldKept:
    """Undoes the handler that torch sets on starting processes: it raises wherever the program happens to be."""

    def __enter__(self) -> None:
        self._handler = _sigchld()

    def __exit__(self, *_: object) -> None:
        _set_sigchld(self._handler)


class _Watch:
    """Raises when a child dies, but only while its result is awaited; a death at another time is found by torch."""

    def __init__(self, children: list[multiprocessing.process.BaseProcess]) -> None:
        self.children = children

    def __enter__(self) -> None:
        self._before = _sigchld()
        _set_sigchld(self._notice)
        try:
            self._notice()
        except RuntimeError:
            _set_sigchld(self._before)
            raise

    def __exit__(self, *_: object) -> None:
        _set_sigchld(self._before)

    def _notice(self, number: int = 0, frame: Any = None) -> None:
        for child in self.children:
            if child.exitcode:
                how = f"was killed by signal {-child.exitcode}" if child.exitcode < 0 else f"left with {child.exitcode}"
                raise RuntimeError(f"Process {child.pid} {how}.")
        if number and callable(self._before):
            self._before(number, frame)


def _sigchld() -> Any:
    return signal.getsignal(signal.SIGCHLD) if hasattr(signal, "SIGCHLD") else None


def _set_sigchld(handler: Any) -> None:
    # None stands for a handler that Python doesn't know; only the main thread may set any.
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, handler)


def _failure(position: int | None, error: Exception) -> _Failure:
    return _Failure(position, f"{type(error).__name__}: {error}", traceback.format_exc())


def _key(rows: Any, index: int) -> str | None:
    keys = getattr(rows, "keys", None)
    return None if keys is None or callable(keys) else str(keys[index])


def _unchanged(batch: Any) -> Any:
    """Instead of torch's conversion of arrays to tensors."""
    return batch


def _settle(worker: int) -> None:
    """Start of a loading process: one thread, and signals to the whole group are the main process's business.

    So a run that gets Ctrl-C or SIGTERM can still finish its step.
    """
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # before any thread starts: threads inherit what is blocked
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_obey_parent, args=(os.getppid(),), daemon=True).start()
    end_with_parent()


def _obey_parent(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
