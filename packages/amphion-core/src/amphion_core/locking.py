"""A lock on a name that the system frees when its holder ends, however that one ends."""

from __future__ import annotations

import contextlib
import errno
import importlib
import logging
import os
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

__all__ = ["LockedError", "content_lock", "file_lock"]

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
    file = _waited(
        lambda: _acquired(path), wait, lambda: f"{what} is in use by another process ({_holder(path)}, lock {path}"
    )
    try:
        yield
    finally:
        if os.name != "nt":  # Windows can't remove an open file; there it stays, empty and unlocked
            path.unlink(missing_ok=True)
        file.close()


@contextlib.contextmanager
def content_lock(path: str | Path, *, wait: float = 0.0, what: str = "this") -> Iterator[None]:
    """Hold a lock on a file that exists and is only read, so that nothing is written beside it.

    It binds only those who ask for it. Where the system has no such locks (Windows, some network disks) the block runs
    without. Arguments and errors as for `file_lock`.
    """
    if os.name == "nt":
        yield
        return
    path = Path(path)
    fcntl = importlib.import_module("fcntl")
    with path.open("rb") as file:
        _waited(lambda: _flocked(fcntl, file, path), wait, lambda: f"{what} is in use by another process (lock {path}")
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_UN)  # also for processes that were forked meanwhile


def _waited(attempt: Callable[[], Any | None], wait: float, words: Callable[[], str]) -> Any:
    deadline = time.monotonic() + wait
    while (held := attempt()) is None:
        if time.monotonic() >= deadline:
            raise LockedError(f"{words()}); wait until it ends, or stop it")
        time.sleep(_POLL)
    return held


def _flocked(fcntl: Any, file: Any, path: Path) -> Any | None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _BUSY:
            return None
        _log.info("no lock on %s: %s", path, error)
    return file


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
        file.truncate(0)
        file.write(f" process {os.getpid()} on {platform.node()}\n".encode())
        file.flush()
        return file
    file.close()
    return None


def _holder(path: Path) -> str:
    """What the holder has written about itself, behind the byte that is locked."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        file.seek(1)
        return file.read(200).decode(errors="replace").strip() or "unknown"
    return "unknown"


def _lock(file: Any) -> None:
    # POSIX record locks and not flock: worker processes that outlive a killed parent must not inherit it.
    if os.name == "nt":
        windows = importlib.import_module("msvcrt")
        file.seek(0)
        windows.locking(file.fileno(), windows.LK_NBLCK, 1)
    else:
        fcntl = importlib.import_module("fcntl")
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
