"""Tar archives as bytes: the same content gives the same bytes, and a damaged archive is noticed.

Source: POSIX.1-2017, pax (ustar and pax headers). The tarfile module ends without an error at a header that was
destroyed or cut, so it can't be used to read what others wrote.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import NamedTuple

__all__ = ["BLOCK", "END", "Member", "StreamCheck", "TarError", "header", "members", "padding"]

_log = logging.getLogger(__name__)

BLOCK = 512
END = bytes(2 * BLOCK)
"""What an archive ends with."""

_REGULAR = (b"0", b"\0", b"7")
_KINDS = {
    b"1": "hard link",
    b"2": "symbolic link",
    b"3": "character device",
    b"4": "block device",
    b"5": "folder",
    b"6": "pipe",
    b"S": "sparse file",
}
_SPACES = b" " * 8
_LARGEST = 8 << 30  # bytes; 11 octal digits hold no more


class TarError(ValueError):
    """An archive that is cut or destroyed.

    Attributes:
        reason: word for the list of drops.
    """

    def __init__(self, message: str, reason: str = "corrupt_audio") -> None:
        super().__init__(message)
        self.reason = reason


class Member(NamedTuple):
    """One entry of an archive.

    Attributes:
        name: path inside the archive.
        offset: where its content begins, bytes.
        size: bytes.
        kind: `file`, or what else it is in words.
    """

    name: str
    offset: int
    size: int
    kind: str


def header(name: str, size: int) -> bytes:
    """What stands before the content of a regular file: owner root, mode 0644, time 0.

    Raises:
        ValueError: the content is 8 GiB or more.
    """
    if size >= _LARGEST:
        raise ValueError(f"{name} has {size} bytes; a member of a shard is below {_LARGEST}")
    raw = name.encode()
    if len(raw) <= 100 and raw.isascii():
        return _ustar(raw, size, b"0")
    record = _pax_record(b"path", raw)
    plain = name.encode("ascii", "replace")[:100]
    return _ustar(b"././@PaxHeader", len(record), b"x") + record + padding(len(record)) + _ustar(plain, size, b"0")


def padding(size: int) -> bytes:
    """What follows the content of a member of that size."""
    return bytes(-size % BLOCK)


def members(read: Callable[[int, int], bytes], total: int) -> Iterator[Member]:
    """Entries of an archive, in order.

    Args:
        read: gives `size` bytes at `offset`.
        total: bytes of the archive.

    Raises:
        TarError: at the place where the archive is cut or destroyed; what came before is good.
    """
    parser = _Parser()
    at = 0
    while at < total:
        block = read(at, BLOCK)
        if len(block) < BLOCK:
            raise TarError(f"cut within the header at byte {at}, {total - at} bytes are left", "truncated_audio")
        entry = parser.parse(block, at)
        if entry is None:
            _check_end(read, at, total)
            return
        kind, size = entry
        start = at + BLOCK
        if start + size > total:
            words = f"cut within the member at byte {at}: {size} bytes expected, {total - start} are there"
            raise TarError(words, "truncated_audio")
        if kind in (b"x", b"g", b"L", b"K"):
            parser.note(kind, read(start, size))
        else:
            yield parser.member(block, kind, start, size)
        at = start + size + (-size % BLOCK)
    if at > total:
        raise TarError(f"cut behind the last member, {at - total} bytes before its block ends", "truncated_audio")


class StreamCheck:
    """Follows the headers of an archive that passes by in pieces, and says at the end whether it was whole."""

    def __init__(self) -> None:
        self._parser = _Parser()
        self._skip = 0
        self._held = b""
        self._kept: tuple[bytes, int] | None = None
        self._ended = False
        self._at = 0

    def feed(self, data: bytes) -> None:
        """Take the next piece.

        Raises:
            TarError: a header in it is destroyed, or something follows the end.
        """
        view = memoryview(data)
        while len(view):
            if self._ended:
                if bytes(view).strip(b"\0"):
                    raise TarError(f"something follows the end of the archive, after byte {self._at}")
                return
            if self._skip and self._kept is None:
                taken = min(self._skip, len(view))
                self._skip -= taken
            else:
                wanted = self._skip or BLOCK
                taken = min(wanted - len(self._held), len(view))
                self._held += bytes(view[:taken])
                if len(self._held) == wanted:
                    self._take(self._held)
                    self._held = b""
            self._at += taken
            view = view[taken:]

    def finish(self) -> None:
        """Check that the archive did not end in the middle.

        Raises:
            TarError: within a header or within a member.
        """
        if self._held or self._skip:
            raise TarError(f"the archive was cut at byte {self._at}", "truncated_audio")
        if not self._ended:
            _log.warning("the archive has no end marker; its members are whole up to byte %d", self._at)

    def _take(self, block: bytes) -> None:
        if self._kept is not None:
            kind, size = self._kept
            self._parser.note(kind, block[:size])
            self._kept, self._skip = None, 0
            return
        entry = self._parser.parse(block, self._at)
        if entry is None:
            self._ended = True
            return
        kind, size = entry
        self._skip = size + (-size % BLOCK)
        if kind in (b"x", b"g", b"L", b"K") and size:
            self._kept = (kind, size)
        else:
            self._parser.forget()


class _Parser:
    def __init__(self) -> None:
        self._name: str | None = None
        self._size: int | None = None

    def parse(self, block: bytes, at: int) -> tuple[bytes, int] | None:
        if not block.strip(b"\0"):
            return None
        try:
            stated = int(block[148:156].split(b"\0")[0].strip() or b"-1", 8)
        except ValueError:
            stated = -1
        if stated != sum(block) - sum(block[148:156]) + sum(_SPACES):
            raise TarError(f"no valid header at byte {at}")
        kind = block[156:157]
        size = _number(block[124:136], at)
        if self._size is not None and kind not in (b"x", b"g", b"L", b"K"):
            size = self._size
        return (kind, size) if kind in _REGULAR or kind in (b"x", b"g", b"L", b"K", b"S") else (kind, 0)

    def note(self, kind: bytes, content: bytes) -> None:
        if kind == b"L":
            self._name = content.rstrip(b"\0").decode("utf-8", "surrogateescape")
        elif kind == b"x":
            values = _pax_values(content)
            if b"path" in values:
                self._name = values[b"path"].decode("utf-8", "surrogateescape")
            if b"size" in values and values[b"size"].isdigit():
                self._size = int(values[b"size"])

    def forget(self) -> None:
        self._name = self._size = None

    def member(self, block: bytes, kind: bytes, start: int, size: int) -> Member:
        name = self._name
        if name is None:
            raw = block[:100].split(b"\0")[0]
            prefix = block[345:500].split(b"\0")[0] if block[257:263] == b"ustar\0" else b""
            name = (prefix + b"/" + raw if prefix else raw).decode("utf-8", "surrogateescape")
        self.forget()
        label = "file" if kind in _REGULAR else _KINDS.get(kind, f"entry of type {kind!r}")
        return Member(name, start, size, "folder" if label == "file" and name.endswith("/") else label)


def _check_end(read: Callable[[int, int], bytes], at: int, total: int) -> None:
    step = 1 << 20
    for place in range(at, total, step):
        if read(place, min(step, total - place)).strip(b"\0"):
            raise TarError(
                f"something follows the end of the archive at byte {at}: a destroyed header, or a second one"
            )


def _ustar(name: bytes, size: int, kind: bytes) -> bytes:
    start = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + b"%011o\0" % size + b"00000000000\0"
    # The checksum counts its own field as spaces; the rest of the header is always the same.
    total = sum(start) + sum(kind) + _REST_SUM
    return start + b"%06o\0 " % total + kind + _REST


_REST = bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\0" * 2 + bytes(167)
_REST_SUM = sum(_REST) + sum(_SPACES)


def _pax_record(key: bytes, value: bytes) -> bytes:
    length = len(key) + len(value) + 3
    total = length + len(str(length))
    total = length + len(str(total))
    return b"%d %s=%s\n" % (total, key, value)


def _pax_values(content: bytes) -> dict[bytes, bytes]:
    values: dict[bytes, bytes] = {}
    while content and content[:1].isdigit():
        length, _, rest = content.partition(b" ")
        if not length.isdigit() or int(length) <= len(length) + 1:
            break
        key, _, value = rest[: int(length) - len(length) - 2].partition(b"=")
        values[key] = value
        content = content[int(length) :]
    return values


def _number(field: bytes, at: int) -> int:
    if field[0] & 0x80:  # GNU's way to write large numbers
        return int.from_bytes(field[1:], "big")
    try:
        return int(field.split(b"\0")[0].strip() or b"0", 8)
    except ValueError:
        raise TarError(f"the header at byte {at} has the size {field!r}") from None
