"""Worker processes that do not outlive the process that started them, and pools that break in one way only."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import parent_process
from typing import Any, TypeVar

__all__ = ["end_with_parent", "submit"]

ResultT = TypeVar("ResultT")


def submit(pool: ProcessPoolExecutor, work: Callable[..., ResultT], *arguments: Any) -> Future[ResultT]:
    """Give work to a pool.

    Raises:
        BrokenProcessPool: a process has died, also where it did while this call started another.
        OSError: the system refused to start one.
    """
    try:
        return pool.submit(work, *arguments)
    except OSError as error:
        if error.errno is not None:
            raise
        # The pool closes its pipes before it says that it is broken, and a process is not started without them.
        raise BrokenProcessPool(str(error)) from error


def end_with_parent() -> None:
    """For the start of a worker: it ends when its parent does, also when that one was killed.

    A worker of a pool whose parent was killed would otherwise wait for work for ever, or go on writing.
    """
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: Any) -> None:
    parent.join()
    os._exit(1)
