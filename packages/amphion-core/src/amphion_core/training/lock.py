"""One process for one run folder: a lock that dies with its holder, however that one dies."""

from __future__ import annotations

import importlib
import os
import platform
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["FolderLock"]

_NAME = ".lock"


class FolderLock:
    """Holds a folder for this process as a context; the system frees it when the process ends, also by SIGKILL.

    Args:
        folder: made if absent.

    Raises:
        RuntimeError: on entering, where another process holds the folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._file: Any = None

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / _NAME
        self._file = path.open("a+b")
        try:
            _acquire(self._file)
        except OSError:
            self._file.seek(1)
            holder = self._file.read().decode(errors="replace").strip() or "unknown"
            self._file.close()
            raise RuntimeError(
                f"the run folder {self._folder} is in use by another process ({holder}); wait until it ends, stop it, "
                "or give another folder or name"
            ) from None
        self._file.truncate(0)
        self._file.write(f" process {os.getpid()} on {platform.node()}\n".encode())
        self._file.flush()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _acquire(file: Any) -> None:
    # A POSIX record lock and not flock: loader processes must not inherit it, or they would hold it a while longer.
    if os.name == "nt":
        windows = importlib.import_module("msvcrt")
        file.seek(0)
        windows.locking(file.fileno(), windows.LK_NBLCK, 1)
    else:
        fcntl = importlib.import_module("fcntl")
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
