"""What was computed once and need not be again: values by key, one small file each, free of pickle.

A key is made of everything that decides the value: the content of the audio, the settings that matter, the definition,
the identity of the network, the versions of the code. So nothing here is ever out of date, and what a killed run had
finished is found by the next one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from amphion_core.atomic import TEMPORARY
from amphion_eval.values import Rate, Undefined

__all__ = ["LIMIT", "Store", "decode", "digest", "encode"]

log = logging.getLogger(__name__)

LIMIT = 8 << 30
"""Bytes to which `Store.prune` brings a cache that has grown beyond."""

_MAGIC = b"AMCE1\n"
_KINDS = "fiub"  # numbers only: nothing in a cache is code


class Store:
    """Values by key in a folder; several processes may use one.

    Where the folder can't be written, values are kept in memory instead and the log says so once.
    """

    def __init__(self, folder: str | Path) -> None:
        """Take a folder; it is made at the first value."""
        self.folder = Path(folder)
        self._memory: dict[str, Any] = {}
        self.written = 0

    def get(self, key: str) -> Any:
        """The value of a key (`digest` makes it); None where there is none, or only a damaged one."""
        if key in self._memory:
            return self._memory[key]
        place = self._place(key)
        try:
            content = place.read_bytes()
        except OSError:
            return None
        try:
            return decode(content)
        except ValueError:  # cut by a full disk or a lost power supply
            place.unlink(missing_ok=True)
            return None

    def put(self, key: str, value: Any) -> None:
        """Keep a value: an array of numbers, a number, a text, or lists and mappings of these.

        Raises:
            TypeError: the value is of another kind.
        """
        content = encode(value)
        place = self._place(key)
        aside = place.with_name(f"{TEMPORARY}{place.name}-{os.getpid()}")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            aside.write_bytes(content)
            aside.replace(place)
            self.written += len(content)
        except OSError as error:
            with contextlib.suppress(OSError):
                aside.unlink()
            if not self._memory:
                log.warning("the cache %s can't be written (%s); values are kept in memory", self.folder, error)
            self._memory[key] = value

    def prune(self, limit: int = LIMIT) -> int:
        """Remove the values that were written first until the rest has at most `limit` bytes.

        Returns:
            Bytes removed.
        """
        found = []
        for place in self.folder.glob("??/*"):
            try:
                status = place.stat()
            except OSError:  # another process removed it
                continue
            found.append((status.st_mtime_ns, status.st_size, place))
        over = sum(size for _, size, _ in found) - limit
        removed = 0
        for _, size, place in sorted(found, key=lambda entry: entry[0]):
            if removed >= over:
                break
            place.unlink(missing_ok=True)
            removed += size
        return removed

    def _place(self, key: str) -> Path:
        return self.folder / key[:2] / key[2:]


def digest(*parts: Any) -> str:
    """Key of some texts, numbers, bytes and lists or mappings of texts and numbers: 40 hex digits."""
    state = hashlib.blake2b(digest_size=20)
    for part in parts:
        content = part if isinstance(part, bytes) else json.dumps(part, sort_keys=True, default=str).encode()
        state.update(len(content).to_bytes(8, "little"))
        state.update(content)
    return state.hexdigest()


def encode(value: Any) -> bytes:
    """A value as bytes, with a checksum.

    Raises:
        TypeError: it is neither a number, a text, an array of numbers, nor lists and mappings of these.
    """
    arrays: list[NDArray[Any]] = []
    head = json.dumps(_plain(value, arrays)).encode()
    body = len(head).to_bytes(4, "little") + head + b"".join(array.tobytes() for array in arrays)
    return _MAGIC + zlib.crc32(body).to_bytes(4, "little") + body


def decode(content: bytes) -> Any:
    """The value of `encode`'s bytes; arrays can't be written to.

    Raises:
        ValueError: the bytes are not whole, or of another kind.
    """
    start = len(_MAGIC)
    body = memoryview(content)[start + 4 :]
    if content[:start] != _MAGIC or zlib.crc32(body).to_bytes(4, "little") != content[start : start + 4]:
        raise ValueError("the value is damaged, or no value of a cache")
    size = int.from_bytes(body[:4], "little")
    return _restored(json.loads(bytes(body[4 : 4 + size])), body[4 + size :])


def _plain(value: Any, arrays: list[NDArray[Any]]) -> Any:
    match value:
        case Undefined():
            return {"undefined": value.reason}
        case Rate():
            return {"rate": [value.count, value.total]}
        case None | bool() | str():
            return {"plain": value}
        case int() | float():
            return {"plain": value}
        case np.ndarray() | np.generic():
            array = np.ascontiguousarray(value).reshape(np.shape(value))
            if array.dtype.kind not in _KINDS:
                raise TypeError(f"an array of {array.dtype} can't be kept; only numbers can")
            offset = sum(held.nbytes for held in arrays)
            arrays.append(array)
            return {"array": [array.dtype.str, list(array.shape), offset]}
        case Mapping():
            return {"mapping": {str(name): _plain(inner, arrays) for name, inner in value.items()}}
        case Sequence():
            return {"list": [_plain(inner, arrays) for inner in value]}
    raise TypeError(f"{type(value).__name__} can't be kept; arrays, numbers, texts, lists and mappings of them can")


def _restored(value: Mapping[str, Any], data: memoryview) -> Any:
    ((kind, content),) = value.items()
    match kind:
        case "undefined":
            return Undefined(content)
        case "rate":
            return Rate(*content)
        case "array":
            kind_of, shape, offset = content
            count = int(np.prod(shape, dtype=np.int64))
            return np.frombuffer(data, np.dtype(kind_of), count, offset).reshape(shape)
        case "mapping":
            return {name: _restored(inner, data) for name, inner in cast(dict[str, Any], content).items()}
        case "list":
            return [_restored(inner, data) for inner in content]
    return content
