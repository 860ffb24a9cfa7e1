"""A lock on a name that the system frees when its holder ends, however that one ends."""

from __future__ import annotations

import contextlib
import errno
import importlib
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["LockedError", "file_lock"]

_log = logging.getLogger(__name__)
_POLL = 0.05  # s between two attempts
_BUSY = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)


class LockedError(RuntimeError):
    """Another process holds the lock."""


@contextlib.contextmanager
def file_lock(path: str | Path, *, wait: float = 0.0, what: str = "this") -> Iterator[None]:
    """Hold a lock file for the length of a block; the file goes away with the lock.

    Args:
        path: the lock file; its folder must exist.
        wait: how long to wait for another holder, s.
        what: what is locked, for the error.

    Raises:
        LockedError: another process still holds it after `wait`.
    """
    path = Path(path)
    deadline = time.monotonic() + wait
    while (file := _acquired(path)) is None:
        if time.monotonic() >= deadline:
            raise LockedError(f"{what} is in use by another process (lock {path}); wait until it ends, or stop it")
        time.sleep(_POLL)
    try:
        yield
    finally:
        if os.name != "nt":  # Windows can't remove an open file; there it stays, empty and unlocked
            path.unlink(missing_ok=True)
        file.close()


def _acquired(path: Path) -> Any | None:
    try:
        file = path.open("a+b")
    except PermissionError:
        if os.name == "nt":
            return None
        raise
    try:
        _lock(file)
    except OSError as error:
        if error.errno in _BUSY:
            file.close()
            return None
        _log.warning("no lock on %s: %s; make sure that only one process works there", path, error)
        return file
    try:  # the holder before may have removed the file that is locked here
        same = os.name == "nt" or path.stat().st_ino == os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        same = False
    if same:
        return file
    file.close()
    return None


def _lock(file: Any) -> None:
    # POSIX record locks and not flock: worker processes that outlive a killed parent must not inherit it.
    if os.name == "nt":
        windows = importlib.import_module("msvcrt")
        file.seek(0)
        windows.locking(file.fileno(), windows.LK_NBLCK, 1)
    else:
        fcntl = importlib.import_module("fcntl")
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
