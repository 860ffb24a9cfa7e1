"""Where the audio of a row is: a file, a stretch of one, or a member of an archive.

Readers say it in `extra`: `start` and `end` in seconds for a stretch of a long file; `tar` and `_member` (offset and
size, bytes) for a member; `channel` for one of several channels, from 0, and `_channels` for how many there have to be,
where a file of one will not do. Names that begin with `_` are not written to shards.
"""

from __future__ import annotations

import errno
import gzip
import io
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

from amphion_core.schema import Utterance

__all__ = ["Place", "file_of", "open_archive", "place_of", "public_extra"]


class Place(NamedTuple):
    """What to decode.

    Attributes:
        source: path of a file, or the content of one.
        start: s, from its beginning.
        duration: s; None for all that follows.
    """

    source: Path | bytes
    start: float
    duration: float | None


def place_of(root: Path, row: Utterance) -> Place:
    """The audio of a row.

    Raises:
        OSError: the file is not there.
        EOFError: the archive ends before the member does.
    """
    member = row.extra.get("_member")
    if member is not None:
        return Place(_member(root / file_of(row), *member), 0.0, None)
    if is_stretch(row):
        start = float(row.extra["start"])
        return Place(root / row.audio, start, float(row.extra["end"]) - start)
    path = root / row.audio
    if path.is_fifo():  # to open it would wait for ever for a writer
        raise FileNotFoundError(errno.ENOENT, "it is a pipe, no file", str(path))
    return Place(path.read_bytes(), 0.0, None)


def is_stretch(row: Utterance) -> bool:
    """Whether a row is a part of a longer file."""
    return "start" in row.extra and "end" in row.extra


def file_of(row: Utterance) -> str:
    """Path below the root of the file on disk that holds the audio of a row."""
    return str(row.extra["tar"]) if "_member" in row.extra else row.audio


def public_extra(row: Utterance) -> dict[str, object]:
    """What of `extra` is written."""
    return {name: value for name, value in row.extra.items() if not name.startswith("_")}


def open_archive(path: Path) -> BinaryIO:
    """The bytes of a tar as they were before compression; parts NAME.0, NAME.1 ... are read as one file."""
    parts = [path] if path.is_file() else _parts(path)
    raw = path.open("rb") if parts == [path] else io.BufferedReader(_Joined(parts))
    if path.name.endswith((".gz", ".tgz")):
        return _Unpacked(raw)  # type: ignore[return-value]
    return raw


class _Unpacked(gzip.GzipFile):
    """A compressed file that closes what it reads from."""

    def __init__(self, raw: BinaryIO | io.BufferedReader) -> None:
        super().__init__(fileobj=raw, mode="rb")  # type: ignore[arg-type]
        self._raw_file = raw

    def close(self) -> None:
        super().close()
        self._raw_file.close()


def _parts(path: Path) -> list[Path]:
    numbered = [(int(p.suffix[1:]), p) for p in path.parent.glob(f"{path.name}.*") if p.suffix[1:].isdecimal()]
    if not numbered:
        raise FileNotFoundError(2, "no such file", str(path))
    return [part for _, part in sorted(numbered)]


def _member(path: Path, offset: int, size: int) -> bytes:
    if path.name.endswith((".gz", ".tgz")):
        stream = _unpacking(path)
        stream.seek(offset)
        data = stream.read(size)
    else:
        with path.open("rb", buffering=0) as file:
            file.seek(offset)
            data = file.read(size)
    if len(data) < size:
        raise EOFError(f"{path.name}: {size} bytes expected at {offset}, {len(data)} are there")
    return data


@lru_cache(maxsize=1)
def _unpacking(path: Path) -> BinaryIO:
    """The archive that this process reads; rows come in its order, so that it is unpacked once and not for each."""
    return open_archive(path)


class _Joined(io.RawIOBase):
    """Several files as one."""

    def __init__(self, parts: Sequence[Path]) -> None:
        self._files = [path.open("rb") for path in parts]
        self._sizes = [path.stat().st_size for path in parts]
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: sum(self._sizes)}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        begin = 0
        for file, size in zip(self._files, self._sizes, strict=True):
            if self._at < begin + size:
                file.seek(self._at - begin)
                data = file.read(min(len(buffer), begin + size - self._at))
                buffer[: len(data)] = data
                self._at += len(data)
                return len(data)
            begin += size
        return 0

    def close(self) -> None:
        for file in self._files:
            file.close()
        super().close()
