"""One thread in each worker process: imported first by a worker, so it imports no array library itself."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

__all__ = ["prepare", "single_threaded"]

_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


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
