"""Processes for work on arrays, one thread each; imported first by a worker, so it imports no array library itself."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence, Set
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from amphion_core.data.workers import submit

__all__ = ["prepare", "run", "single_threaded"]

_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")


def run(
    work: Callable[[TaskT], ResultT], tasks: Sequence[TaskT], waits: Sequence[Set[int]], workers: int
) -> Iterator[tuple[int, ResultT]]:
    """Work on tasks in several processes.

    Args:
        work: a function of a module.
        tasks: what it is called with.
        waits: for each task the earlier ones that must be done before it begins.
        workers: processes.

    Returns:
        Position of a task and its result, as they come.

    Raises:
        RuntimeError: a process ended on its own.
        ValueError: a task can't be sent to another process.
    """
    # Fresh processes: a fork of a process that has threads (torch, a notebook) can hang.
    executor = ProcessPoolExecutor(min(workers, len(tasks)), get_context("spawn"), prepare)
    left, running, done = deque(range(len(tasks))), dict[Future[ResultT], int](), set[int]()
    try:
        while left or running:
            for _ in range(len(left)):
                if len(running) >= 3 * workers:
                    break
                place = left.popleft()
                if waits[place] <= done:
                    with single_threaded():
                        running[submit(executor, work, tasks[place])] = place
                else:
                    left.append(place)
            left = deque(sorted(left))
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                place = running.pop(future)
                result = _result(future)
                done.add(place)
                yield place, result
    except BrokenProcessPool as error:
        raise RuntimeError(
            "a worker process ended on its own, most likely for lack of memory; use fewer workers (--workers 1)"
        ) from error
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def single_threaded() -> Iterator[None]:
    """While the block runs, processes that are started use one thread each; this one stays as it is."""
    before = {name: os.environ.get(name) for name in _VARIABLES}
    os.environ.update(dict.fromkeys(_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def prepare() -> None:
    """First call in a worker: an interrupt ends the parent, which ends the workers without a traceback of each."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _result(future: Future[ResultT]) -> ResultT:
    try:
        return future.result()
    except AttributeError as error:
        if "pickle" not in str(error) and "local object" not in str(error):
            raise
        raise ValueError(
            f"this can't be sent to another process ({error}); define the function in a module, or use 1 worker"
        ) from None
