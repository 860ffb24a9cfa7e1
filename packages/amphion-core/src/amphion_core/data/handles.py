"""Bytes out of many files: open ones are kept, up to a number, per process and for all threads."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["Handles"]

_MOST = 64  # files open at once; the usual limit of a process is 1024, and a loader has several sets


class _Handle:
    """An open file that closes when nobody uses it any more, so that a reader in another thread never loses it."""

    __slots__ = ("descriptor", "lock")

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
        self.lock = threading.Lock()

    # At the end of the program the module `os` may be emptied before a set that is still there.
    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        descriptor = getattr(self, "descriptor", None)
        if descriptor is not None:
            close(descriptor)

    if hasattr(os, "pread"):

        def read(self, offset: int, size: int) -> bytes:
            return os.pread(self.descriptor, size, offset)
    else:  # Windows

        def read(self, offset: int, size: int) -> bytes:
            with self.lock:
                os.lseek(self.descriptor, offset, os.SEEK_SET)
                return os.read(self.descriptor, size)


class Handles:
    """Reads from files by path; safe in threads and after a fork, empty after pickling."""

    def __init__(self) -> None:
        self._open: OrderedDict[Path, _Handle] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, path: Path, offset: int, size: int) -> bytes:
        """Bytes of a file.

        Raises:
            FileNotFoundError: it is gone.
            ValueError: it ends before.
        """
        handle = self._open.get(path)
        if handle is None:
            handle = self._opened(path)
        data = handle.read(offset, size)
        if len(data) != size:
            data += self._rest(handle, offset + len(data), size - len(data))
            if len(data) != size:
                raise ValueError(
                    f"{path} ends at byte {offset + len(data)}, {offset + size} expected; it was cut or replaced"
                )
        return data

    @staticmethod
    def _rest(handle: _Handle, offset: int, size: int) -> bytes:
        pieces = []
        while size and (piece := handle.read(offset, size)):  # a signal or a large read gives less at once
            pieces.append(piece)
            offset, size = offset + len(piece), size - len(piece)
        return b"".join(pieces)

    def _opened(self, path: Path) -> _Handle:
        with self._lock:
            handle = self._open.get(path)
            if handle is None:
                try:
                    handle = _Handle(path)
                except FileNotFoundError:
                    raise FileNotFoundError(f"the shard {path} is gone; open the set again") from None
                self._open[path] = handle
                if len(self._open) > _MOST:
                    self._open.popitem(last=False)
            return handle

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]
