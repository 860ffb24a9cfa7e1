"""Folders for what is on disk meanwhile; those of processes that were killed go when the next one is made."""

from __future__ import annotations

import contextlib
import errno
import importlib
import logging
import os
import platform
import re
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

__all__ = ["Scratch"]

log = logging.getLogger(__name__)

_PREFIX = "amphion-emilia-"
_BUSY = (errno.EACCES, errno.EAGAIN)


class Scratch:
    """A folder that goes with the object that holds it, or with the block.

    It holds a file that is locked as long as this process lives. Who makes the next one in the same place removes those
    of this machine that nobody locks any more; other machines may use the same disk.

    Args:
        work: folder that it is made in; None takes that of the system.
    """

    def __init__(self, work: str | None) -> None:
        place = Path(work or tempfile.gettempdir())
        _remove_left_behind(place)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        self._lock = _locked(self.path)
        self._end = weakref.finalize(self, _remove, self.path, self._lock)

    def __enter__(self) -> Path:
        """The folder."""
        return self.path

    def __exit__(self, *error: object) -> None:
        """Remove it."""
        self.close()

    def close(self) -> None:
        """Remove it now."""
        self._end()


def _remove(path: Path, lock: int | None) -> None:
    shutil.rmtree(path, ignore_errors=True)
    if lock is not None:
        os.close(lock)


def _lock_name() -> str:
    return "held-by-" + re.sub(r"[^\w.-]", "_", platform.node())[:100]


def _locked(folder: Path) -> int | None:
    """A locked file in a folder; None, and no file, where the system has no such locks."""
    if os.name == "nt":
        return None
    aside, place = folder / ".lock", folder / _lock_name()
    file = os.open(aside, os.O_RDWR | os.O_CREAT)
    if _flocked(file):
        aside.rename(place)  # it has this name only once it is locked
        return file
    os.close(file)
    aside.unlink()
    return None


def _flocked(file: int) -> bool:
    fcntl: Any = importlib.import_module("fcntl")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # by flock a process does not share its locks with itself
    except OSError as error:
        if error.errno not in _BUSY:
            log.info("no locks on this disk: %s", error)
        return False
    return True


def _remove_left_behind(place: Path) -> None:
    if os.name == "nt":
        return
    for held in place.glob(f"{_PREFIX}*/{_lock_name()}"):
        with contextlib.suppress(OSError):  # another one removes it too, or it is of another user
            file = os.open(held, os.O_RDWR)
            try:
                if _flocked(file):
                    log.info("%s was left behind by a process that was killed; it is removed", held.parent)
                    shutil.rmtree(held.parent, ignore_errors=True)
            finally:
                os.close(file)
