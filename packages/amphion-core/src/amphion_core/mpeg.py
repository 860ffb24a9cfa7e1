"""Frames of MP3 files: how many there are, whatever the header before them says.

The first frame of most MP3 files holds no sound but a count of the others (`Xing` or `Info`), and decoders end there.
In files that were joined, or grew after the header was written, the rest would be lost without a word.

Source: ISO/IEC 11172-3 and 13818-3, 2.4; the header as written by LAME.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

__all__ = ["counted_mp3"]

_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
"""Hz by the two bits of the version: 1, 2 and 2.5."""
_KBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_BLOCK = 1 << 20
_SHORT = 1 << 20
"""Bytes of a file of a variable rate whose frames are counted in any case; a minute or two."""
_ROUNDING = 2
"""Frames by which writers disagree on what belongs to the count."""


class _Stated(NamedTuple):
    """What the header says, and where: offsets of the numbers in the file.

    Attributes:
        frames_at: offset of the count.
        frames: the count.
        bytes_at: offset of the size; None where it is not stated.
        bytes: the size of all frames.
        each: bytes of each frame, where all have one rate; else None.
    """

    frames_at: int
    frames: int
    bytes_at: int | None
    bytes: int
    each: int | None


def counted_mp3(stream: BinaryIO) -> BinaryIO:
    """A stream whose header has the right count, where that of an MP3 states too few frames; else the stream itself.

    Args:
        stream: from its beginning; of any format.
    """
    stream.seek(0)
    begin = _after_tags(stream)
    stream.seek(begin)
    stated = _stated(stream.read(256), begin)
    total = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    if stated is None:
        return stream
    if _plausible(stated, total - begin):
        return stream
    frames = sum(1 for _ in _frames(stream, begin)) - 1  # the header is one itself
    stream.seek(0)
    if frames <= stated.frames + _ROUNDING:
        return stream
    changes = {stated.frames_at: struct.pack(">I", frames)}
    if stated.bytes_at is not None:
        changes[stated.bytes_at] = struct.pack(">I", min(total - begin, 0xFFFFFFFF))
    return io.BufferedReader(_Changed(stream, changes))


def _plausible(stated: _Stated, size: int) -> bool:
    """Whether the header is that of a file of so many bytes; counting takes a tenth of the time of decoding."""
    if stated.bytes_at is None or abs(size - stated.bytes) > 0.01 * size:
        return False
    if stated.each is None:  # any count may be right
        return size > _SHORT
    return abs(stated.bytes / stated.each - stated.frames) <= max(2, 0.01 * stated.frames)


def _after_tags(stream: BinaryIO) -> int:
    """Where the first frame begins: behind the ID3 tags."""
    at = 0
    while True:
        stream.seek(at)
        head = stream.read(10)
        if len(head) < 10 or head[:3] != b"ID3":
            return at
        size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        at += 10 + size + (10 if head[5] & 0x10 else 0)


def _stated(frame: bytes, begin: int) -> _Stated | None:
    """The header in the first frame, which begins at `begin` of its file; None where there is none with a count."""
    size = _size(frame[:3])
    if size is None or len(frame) < 4:
        return None
    first, mono = frame[1] >> 3 & 3 == 3, frame[3] >> 6 == 3
    side = (17 if mono else 32) if first else (9 if mono else 17)
    at = 4 + side + (0 if frame[1] & 1 else 2)
    if frame[at : at + 4] not in (b"Xing", b"Info") or len(frame) < at + 16:
        return None
    flags, frames, every = struct.unpack_from(">III", frame, at + 4)
    if not flags & 1:
        return None
    each = size if frame[at : at + 4] == b"Info" else None
    return _Stated(begin + at + 8, frames, begin + at + 12 if flags & 2 else None, every if flags & 2 else 0, each)


def _size(head: bytes) -> int | None:
    """Bytes of a frame of layer III by its first three; None where none begins there."""
    if len(head) < 3 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return None
    version, kbits, rate = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or rate == 3 or kbits in (0, 15):
        return None
    table, factor = (_KBITS_1, 144_000) if version == 3 else (_KBITS_2, 72_000)
    return factor * table[kbits] // _RATES[version][rate] + (head[2] >> 1 & 1)


def _frames(stream: BinaryIO, begin: int) -> Iterator[int]:
    """Offsets of the frames, those behind tags and other bytes in between too."""
    stream.seek(begin)
    data, base, at = stream.read(_BLOCK), begin, 0
    sizes: dict[bytes, int | None] = {}
    while True:
        if at + 4096 > len(data):  # of a frame and the head of the next one there is always enough
            data, base, at = data[at:] + stream.read(_BLOCK), base + at, 0
            if len(data) < 4:
                return
        head = data[at : at + 3]
        size = sizes.setdefault(head, _size(head)) if head not in sizes else sizes[head]
        if size is None or not _follows(data, at + size, head):
            found = data.find(b"\xff", at + 1)
            at = found if found >= 0 else len(data)
            continue
        yield base + at
        at += size


def _follows(data: bytes, at: int, head: bytes) -> bool:
    """Whether a frame of the same kind, a tag or the end stands there; two bytes alone may look like a frame."""
    after = data[at : at + 3]
    same = len(after) == 3 and after[0] == 0xFF and after[1] & 0xFE == head[1] & 0xFE and after[2] & 12 == head[2] & 12
    return same or at >= len(data) - 3 or after in (b"TAG", b"ID3", b"APE")


class _Changed(io.RawIOBase):
    """A stream with some bytes replaced."""

    def __init__(self, stream: BinaryIO, changes: dict[int, bytes]) -> None:
        self._stream, self._changes = stream, changes

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        begin = self._stream.tell()
        data = bytearray(self._stream.read(len(buffer)))
        for at, new in self._changes.items():
            for place, value in enumerate(new, at - begin):
                if 0 <= place < len(data):
                    data[place] = value
        buffer[: len(data)] = data
        return len(data)
