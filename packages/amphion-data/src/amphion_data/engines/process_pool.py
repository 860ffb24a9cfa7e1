"""Units spread over processes of this machine; a process that dies costs a retry, not the run."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context
from typing import Any, Generic, NamedTuple

from amphion_core.data.workers import end_with_parent, submit
from amphion_data.engines.engine import Engine, Outcome, Runner, SetupError, Step, UnitT, told

__all__ = ["ProcessPoolEngine"]

log = logging.getLogger(__name__)
_KILLED = "the worker process ended on its own: killed, or out of memory"


class _Attempt(NamedTuple, Generic[UnitT]):
    """A unit and how often it has failed."""

    unit: UnitT
    failures: int


class ProcessPoolEngine(Engine):
    """Fresh processes, each with its own models.

    Args:
        workers: how many.
        retries: see `Engine`.
    """

    name = "pool"

    def __init__(self, workers: int, *, retries: int = 2) -> None:
        """Start nothing yet.

        Raises:
            ValueError: no workers, or negative retries.
        """
        super().__init__(retries=retries)
        if workers < 1:
            raise ValueError(f"workers must be 1 or more, got {workers}")
        self.workers = workers

    def run(self, steps: Sequence[Step], units: Iterable[UnitT]) -> Iterator[Outcome[UnitT]]:
        """See `Engine.run`.

        When a process dies, nobody can say which of the running units did it. So those are tried alone, one after
        another, before the others go on: only a unit that dies alone is to blame.
        """
        waiting: deque[_Attempt[UnitT]] = deque()
        fresh = iter(units)
        while True:
            suspects: list[_Attempt[UnitT]] = []
            yield from self._spread(steps, waiting, fresh, suspects)
            if not suspects:
                return
            log.warning("a worker process ended on its own; %d units are tried one by one", len(suspects))
            for suspect in suspects:
                yield from self._alone(steps, suspect, waiting)

    def _spread(
        self,
        steps: Sequence[Step],
        waiting: deque[_Attempt[UnitT]],
        fresh: Iterator[UnitT],
        suspects: list[_Attempt[UnitT]],
    ) -> Iterator[Outcome[UnitT]]:
        """Outcomes until all are done or a process dies; the units that ran then are the suspects."""
        pool = self._pool(steps, self.workers)
        running: dict[Future[Any], _Attempt[UnitT]] = {}
        current: list[_Attempt[UnitT]] = []  # what is being handed over, in neither of the two
        try:
            while True:
                while len(running) < 2 * self.workers:
                    current = [waiting.popleft()] if waiting else [_Attempt(unit, 0) for unit in islice(fresh, 1)]
                    if not current:
                        break
                    running[submit(pool, _work, current[0].unit)] = current[0]
                    current = []
                if not running:
                    return
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    current = [running.pop(future)]
                    outcome = self._outcome(future, current[0], waiting)
                    current = []
                    if outcome is not None:
                        yield outcome
        except BrokenProcessPool:
            suspects += [*current, *running.values()]
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _alone(
        self, steps: Sequence[Step], attempt: _Attempt[UnitT], waiting: deque[_Attempt[UnitT]]
    ) -> Iterator[Outcome[UnitT]]:
        """One unit in a process of its own."""
        with self._pool(steps, 1) as pool:
            try:
                outcome = self._outcome(submit(pool, _work, attempt.unit), attempt, waiting)
            except BrokenProcessPool:
                outcome = self._failed(attempt, _KILLED, waiting)
        if outcome is not None:
            yield outcome

    def _outcome(
        self, future: Future[Any], attempt: _Attempt[UnitT], waiting: deque[_Attempt[UnitT]]
    ) -> Outcome[UnitT] | None:
        try:
            value, seconds = future.result()
        except (BrokenProcessPool, SetupError):
            raise
        except Exception as error:
            return self._failed(attempt, told(error), waiting)
        return Outcome(attempt.unit, value, attempts=attempt.failures + 1, seconds=seconds)

    def _failed(self, attempt: _Attempt[UnitT], error: str, waiting: deque[_Attempt[UnitT]]) -> Outcome[UnitT] | None:
        """The outcome of a unit that failed for the last time; None where it is tried again."""
        failures = attempt.failures + 1
        log.warning("%s: attempt %d failed: %s", attempt.unit, failures, error.splitlines()[-1])
        if failures > self.retries:
            return Outcome(attempt.unit, error=error, attempts=failures)
        waiting.append(_Attempt(attempt.unit, failures))
        return None

    def _pool(self, steps: Sequence[Step], workers: int) -> ProcessPoolExecutor:
        # Fresh processes: a fork of one that has threads or a GPU can hang.
        return ProcessPoolExecutor(workers, get_context("spawn"), _prepare, (tuple(steps),))


_runner: Runner | None = None
"""The steps of this worker process, set once when it starts."""


def _prepare(steps: Sequence[Step]) -> None:
    global _runner
    end_with_parent()
    _runner = Runner(steps)


def _work(unit: Any) -> tuple[Any, dict[str, float]]:
    assert _runner is not None, "the worker was started without its steps"
    return _runner(unit)
