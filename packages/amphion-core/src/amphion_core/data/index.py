"""The file beside a shard that says where everything is: columns of numbers, read at once, no code inside.

`NAME.tar.idx` = magic, length of the header (uint32), checksum of all that follows (uint32), a JSON header, padding to
64 bytes, then the columns as raw little-endian arrays, each at a multiple of 64 bytes. The header has, for each
column, its name, type, number of entries and offset. An index is rebuilt when the size of its tar or samples of its
bytes differ from those noted.
"""

from __future__ import annotations

import errno
import json
import mmap
import struct
import sys
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from amphion_core.atomic import atomic_writer
from amphion_core.data.columns import Labels, Strings
from amphion_core.data.record import AUDIO_FIELDS, Drop

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SUFFIX", "Entry", "Index", "IndexBuilder", "IndexFileError", "Place", "index_path", "probe"]

SUFFIX = ".idx"
_MAGIC = b"AMPHIDX\x01"
_VERSION = 1
_ALIGN = 64
_PREFIX = struct.Struct("<8sII")
_MAPPED = 1 << 20  # bytes; larger indices are mapped, smaller ones read
_SAMPLES = 8
_MOST_EXTRAS = 16
_TYPES = ("<f8", "<i4", "<u4", "<u8", "|i1", "<u2", "|u1")


class IndexFileError(ValueError):
    """An index that is damaged, of another version, or of another tar."""


class Place(NamedTuple):
    """Where one field of one row is: bytes of the tar, and their CRC-32."""

    field: str
    offset: int
    size: int
    crc: int


class Entry(NamedTuple):
    """What an index keeps of one row.

    Attributes:
        key: id.
        places: its fields.
        duration: s.
        sample_rate: Hz, 0 where there is no audio.
        speaker: label or None.
        language: label or None.
        characters: of the text; 0 where there is none.
        extra: numbers by name.
    """

    key: str
    places: Sequence[Place]
    duration: float = 0.0
    sample_rate: int = 0
    speaker: str | None = None
    language: str | None = None
    characters: int = 0
    extra: Mapping[str, float] = {}


def index_path(tar: str | Path) -> Path:
    """Where the index of a tar lies, if its folder can be written."""
    tar = Path(tar)
    return tar.with_name(tar.name + SUFFIX)


def probe(tar: str | Path) -> str:
    """Size of a file and a checksum of samples of it, to notice that another one took its name.

    Raises:
        FileNotFoundError: there is no such file.
    """
    path = Path(tar)
    if not path.is_file() and not path.is_dir() and path.exists():  # to open a pipe would wait for ever for a writer
        raise FileNotFoundError(errno.ENOENT, "it is a pipe or a device, no file", str(path))
    with path.open("rb", buffering=0) as file:
        size = file.seek(0, 2)
        crc = 0
        for k in range(_SAMPLES):
            file.seek(size * k // _SAMPLES // 512 * 512)
            crc = zlib.crc32(file.read(512), crc)
    return f"{size}-{crc:08x}"


class Index:
    """Columns of one shard.

    Attributes:
        head: the JSON header.
        keys: ids.
        durations: (N,) s.
        sample_rates: (N,) Hz.
        characters: (N,) length of the text.
    """

    def __init__(self, data: bytes | mmap.mmap, where: str) -> None:
        self.data = data
        self.head, self._columns = _parse(data, where)
        self.count: int = self.head["count"]
        self.fields: list[str] = self.head["fields"]
        column = self._columns
        self.keys = Strings(column["key_offsets"], column["key_bytes"])
        self.durations: NDArray[np.float64] = column["duration"]
        self.sample_rates: NDArray[np.int32] = column["sample_rate"]
        self.characters: NDArray[np.int32] = column["characters"]
        self._starts = column["member_start"]
        self._audio = column["audio"]

    @classmethod
    def load(cls, path: str | Path) -> Index:
        """Read an index file.

        Raises:
            FileNotFoundError: there is none.
            IndexFileError: it is damaged or of another version.
        """
        path = Path(path)
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            if size > _MAPPED:
                return cls(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), str(path))
            return cls(file.read(), str(path))

    @property
    def speakers(self) -> Labels:
        """Speaker of each row."""
        return Labels(self._columns["speaker"], list(self._names("speaker")))

    @property
    def languages(self) -> Labels:
        """Language of each row."""
        return Labels(self._columns["language"], list(self._names("language")))

    @property
    def drops(self) -> list[Drop]:
        """What the tar or its corpus had beyond these rows, and why it is not among them."""
        text = self._columns["drops"].tobytes().decode()
        return [Drop(**json.loads(line)) for line in text.splitlines()]

    @property
    def checksums(self) -> NDArray[np.uint32]:
        """(M,) CRC-32 of every field of every row, in order."""
        column: NDArray[np.uint32] = self._columns["member_crc"]
        return column

    @property
    def extras(self) -> list[str]:
        """Names of the further columns of numbers."""
        return [name.removeprefix("extra:") for name in self._columns if name.startswith("extra:")]

    def extra(self, name: str) -> NDArray[np.float64]:
        """(N,) one of `extras`, nan where a row has none; all nan where no row has."""
        column: NDArray[np.float64] | None = self._columns.get("extra:" + name)
        return np.full(self.count, np.nan) if column is None else column

    def places(self, row: int) -> list[Place]:
        """The fields of a row."""
        first, last = int(self._starts[row]), int(self._starts[row + 1])
        column = self._columns
        numbers = [
            column[name][first:last].tolist() for name in ("member_field", "member_offset", "member_size", "member_crc")
        ]
        return [Place(self.fields[f], offset, size, crc) for f, offset, size, crc in zip(*numbers, strict=True)]

    def audio_place(self, row: int) -> Place | None:
        """The audio of a row."""
        at = int(self._audio[row])
        if at < 0:
            return None
        at += int(self._starts[row])
        c = self._columns
        field = self.fields[c["member_field"][at]]
        return Place(field, int(c["member_offset"][at]), int(c["member_size"][at]), int(c["member_crc"][at]))

    def _names(self, of: str) -> Strings:
        return Strings(self._columns[f"{of}_offsets"], self._columns[f"{of}_bytes"])


class IndexBuilder:
    """Collects the rows of one shard."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def add(self, entry: Entry) -> None:
        """Take the next row."""
        self.entries.append(entry)

    def to_bytes(self, tar_probe: str, drops: Sequence[Drop] = (), **head: Any) -> bytes:
        """The index file.

        Args:
            tar_probe: what `probe` says of the tar.
            drops: rows that are not among these.
            head: JSON values to keep in the header.
        """
        rows = self.entries
        fields = sorted({place.field for row in rows for place in row.places})
        number = {name: k for k, name in enumerate(fields)}
        places = [place for row in rows for place in row.places]
        keys = Strings.of([row.key for row in rows])
        columns: dict[str, NDArray[Any]] = {
            "key_offsets": keys.offsets.astype("<u4"),
            "key_bytes": keys.blob,
            "duration": np.array([row.duration for row in rows], "<f8"),
            "sample_rate": np.array([row.sample_rate for row in rows], "<i4"),
            "characters": np.array([row.characters for row in rows], "<i4"),
            "audio": np.array([_audio_at(row.places) for row in rows], "<i1"),
            "member_start": np.concatenate([[0], np.cumsum([len(row.places) for row in rows])]).astype("<u4"),
            "member_field": np.array([number[place.field] for place in places], "<u2"),
            "member_offset": np.array([place.offset for place in places], "<u8"),
            "member_size": np.array([place.size for place in places], "<u8"),
            "member_crc": np.array([place.crc for place in places], "<u4"),
            "drops": np.frombuffer("".join(drop.to_json() + "\n" for drop in drops).encode(), "|u1"),
        }
        for name, values in (("speaker", [r.speaker for r in rows]), ("language", [r.language for r in rows])):
            labels = sorted({value for value in values if value is not None})
            codes = {value: k for k, value in enumerate(labels)}
            columns[name] = np.array([-1 if value is None else codes[value] for value in values], "<i4")
            packed = Strings.of(labels)
            columns[f"{name}_offsets"], columns[f"{name}_bytes"] = packed.offsets.astype("<u4"), packed.blob
        for name in sorted({name for row in rows for name in row.extra})[:_MOST_EXTRAS]:
            columns["extra:" + name] = np.array([row.extra.get(name, np.nan) for row in rows], "<f8")
        return _pack(columns, {"count": len(rows), "fields": fields, "probe": tar_probe, **head})

    def write(self, path: str | Path, tar_probe: str, drops: Sequence[Drop] = (), **head: Any) -> Index:
        """Write the index file, whole or not at all, and open it. Arguments as for `to_bytes`."""
        data = self.to_bytes(tar_probe, drops, **head)
        with atomic_writer(path) as file:
            file.write(data)
        return Index(data, str(path))


def _audio_at(places: Sequence[Place]) -> int:
    found = [(AUDIO_FIELDS.index(place.field), k) for k, place in enumerate(places) if place.field in AUDIO_FIELDS]
    return min(found)[1] if found else -1


def _pack(columns: Mapping[str, NDArray[Any]], head: Mapping[str, Any]) -> bytes:
    table, at = [], 0
    for name, values in columns.items():
        table.append([name, values.dtype.str, len(values), at])
        at += -(-values.nbytes // _ALIGN) * _ALIGN
    text = json.dumps({"version": _VERSION, **head, "bytes": at, "columns": table}, sort_keys=True).encode()
    body = [text, bytes(-(_PREFIX.size + len(text)) % _ALIGN)]
    for values in columns.values():
        body += [values.tobytes(), bytes(-values.nbytes % _ALIGN)]
    rest = b"".join(body)
    return _PREFIX.pack(_MAGIC, len(text), zlib.crc32(rest, len(text))) + rest


def _parse(data: bytes | mmap.mmap, where: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    if sys.byteorder != "little":  # pragma: no cover - no such machine to try
        raise IndexFileError("the index is read as it lies in memory, which needs a little-endian machine")
    if len(data) < _PREFIX.size or data[:7] != _MAGIC[:7]:
        raise IndexFileError(f"{where} is no index of a shard")
    magic, length, crc = _PREFIX.unpack_from(data, 0)
    if magic != _MAGIC:
        raise IndexFileError(f"{where} is an index of version {magic[7]}, this is version {_MAGIC[7]}; remove it")
    with memoryview(data) as view, view[_PREFIX.size :] as rest:
        if zlib.crc32(rest, length) != crc:  # starting from the length covers it too
            raise IndexFileError(f"{where} is damaged: its checksum does not agree; remove it and it is made anew")
    head: dict[str, Any] = json.loads(data[_PREFIX.size : _PREFIX.size + length])
    start = -(-(_PREFIX.size + length) // _ALIGN) * _ALIGN
    if head["version"] != _VERSION or len(data) != start + head["bytes"]:
        raise IndexFileError(f"{where} has {len(data)} bytes, {start + head['bytes']} expected; remove it")
    columns = {}
    for name, kind, count, offset in head["columns"]:
        if kind not in _TYPES:
            raise IndexFileError(f"{where} has a column of type {kind!r}")
        if offset < 0 or offset + count * np.dtype(kind).itemsize > head["bytes"]:
            raise IndexFileError(f"{where} has the column {name!r} beyond its end")
        columns[name] = np.frombuffer(data, np.dtype(kind), count, start + offset)
    return head, columns
