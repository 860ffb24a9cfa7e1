"""What the bytes of an audio file say without decoding it: format, length by its header, whether it was cut.

Source: RIFF/WAVE and EBU Tech 3306 (RF64); RFC 9639 (FLAC); RFC 3533 (Ogg).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["CHUNK_HEAD", "Header", "cut_reason", "header", "sniff", "stable_ogg", "stable_wav"]

CHUNK_HEAD = 1 << 16
"""Bytes of a file's beginning that are enough for `sniff`, and for most headers."""

_STREAMED = 0xFFFFFFFF
_MEDIA = {b"\x1aE\xdf\xa3": "matroska", b"FLV\x01": "flv", b"0&\xb2u": "asf"}


class Header(NamedTuple):
    """Length and rate that a header claims."""

    frames: int
    sample_rate: int
    channels: int


class _Chunk(NamedTuple):
    name: bytes
    start: int
    size: int


def sniff(head: bytes) -> str | None:
    """Format by content: `wav`, `flac`, `ogg`, `opus`, `mp3`, `aiff`, `mp4`, `matroska`, ...; None where unknown."""
    if head[:4] in (b"RIFF", b"RF64", b"RIFX") and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] == b"fLaC":
        return "flac"
    if head[:4] == b"OggS":
        return "opus" if b"OpusHead" in head[:64] else "ogg"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "aiff"
    if head[4:8] == b"ftyp":
        return "mp4"
    if head[:4] in _MEDIA:
        return _MEDIA[head[:4]]
    if head[:3] == b"ID3":
        return "mp3"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return "aac"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "mp3"
    return None


def header(data: bytes) -> Header | None:
    """Length by the header of a WAV or FLAC file; None for other formats and for headers that do not say it."""
    kind = sniff(data[:64])
    if kind == "flac":
        return _flac_header(data)
    if kind == "wav":
        return _wav_header(data)
    return None


def cut_reason(head: bytes, total: int, tail: bytes) -> str | None:
    """Why a WAV or Ogg file is shorter than it says, in words; None where nothing shows.

    Args:
        head: first bytes of the file, `CHUNK_HEAD` or all of it.
        total: size of the file, bytes.
        tail: last bytes of the file, at least 64 KiB or all of it.
    """
    kind = sniff(head[:64])
    if kind == "wav":
        for chunk in _chunks(head):
            if chunk.name == b"data":
                size = _data_size(head, chunk)
                there = total - chunk.start
                if size is not None and size > there + 1:  # the byte of padding may be absent
                    return f"its data chunk says {size} bytes, {there} are there"
        return None
    if kind in ("ogg", "opus"):
        return _ogg_cut(tail)
    return None


def stable_wav(data: bytes) -> bytes:
    """A WAV file whose PEAK chunk does not tell the time of writing."""
    for chunk in _chunks(data[:CHUNK_HEAD]):
        if chunk.name == b"PEAK":
            at = chunk.start + 4
            return data[:at] + bytes(4) + data[at + 4 :]
    return data


def stable_ogg(data: bytes) -> bytes:
    """An Ogg file whose stream number is 1 instead of a random one, page checksums made anew."""
    result = bytearray(data)
    for start, end in _pages(data):
        result[start + 14 : start + 18] = struct.pack("<I", 1)
        result[start + 22 : start + 26] = bytes(4)
        result[start + 22 : start + 26] = struct.pack("<I", _ogg_checksum(bytes(result[start:end])))
    return bytes(result)


def _chunks(data: bytes) -> Iterator[_Chunk]:
    order = ">" if data[:4] == b"RIFX" else "<"
    at = 12
    while at + 8 <= len(data):
        name = data[at : at + 4]
        (size,) = struct.unpack_from(order + "I", data, at + 4)
        yield _Chunk(name, at + 8, size)
        if name == b"data":
            return  # what follows is beyond the head, and of no use here
        at += 8 + size + (size & 1)


def _data_size(data: bytes, chunk: _Chunk) -> int | None:
    if chunk.size != _STREAMED:
        return chunk.size
    if data[:4] == b"RF64" and data[12:16] == b"ds64":
        size: int = struct.unpack_from("<Q", data, 28)[0]
        return size
    return None  # written to a pipe: the length was not known then


def _wav_header(data: bytes) -> Header | None:
    order = ">" if data[:4] == b"RIFX" else "<"
    channels = rate = block = 0
    for chunk in _chunks(data):
        if chunk.name == b"fmt " and len(data) >= chunk.start + 16:
            kind, channels, rate, _, block = struct.unpack_from(order + "HHIIH", data, chunk.start)
            if kind not in (1, 3, 0xFFFE):  # compressed: a block is not one frame
                return None
        elif chunk.name == b"data":
            size = _data_size(data, chunk)
            return Header(size // block, rate, channels) if size is not None and block else None
    return None


def _flac_header(data: bytes) -> Header | None:
    if len(data) < 26 or data[4] & 0x7F != 0:
        return None
    packed = int.from_bytes(data[18:26], "big")
    frames = packed & ((1 << 36) - 1)
    return Header(frames, packed >> 44, ((packed >> 41) & 7) + 1) if frames else None


def _pages(data: bytes) -> Iterator[tuple[int, int]]:
    at = data.find(b"OggS")
    while at >= 0 and at + 27 <= len(data):
        segments = data[at + 26]
        end = at + 27 + segments + sum(data[at + 27 : at + 27 + segments])
        yield at, end
        at = end if data[end : end + 4] == b"OggS" else data.find(b"OggS", end)


def _ogg_cut(tail: bytes) -> str | None:
    at = tail.rfind(b"OggS")
    if at < 0:
        return "no page begins in its last 64 KiB"
    if at + 27 > len(tail):
        return "it ends within the header of a page"
    segments = tail[at + 26]
    end = at + 27 + segments + sum(tail[at + 27 : at + 27 + segments])
    if end > len(tail):
        return f"its last page lacks {end - len(tail)} bytes"
    if not tail[at + 5] & 4:
        return "its last page is not marked as the end of the stream"
    return None


_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


def _ogg_checksum(page: bytes) -> int:
    # Ogg's checksum is the polynomial of zlib's with the bits the other way round, starting from 0, not inverted.
    mirrored = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)
