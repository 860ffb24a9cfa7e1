"""Rows of sets of shards by number, cheap in millions, and the copying of such rows into new shards."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, overload

from amphion_core.data import Record, ShardSet
from amphion_core.data.record import AUDIO_FIELDS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Copier", "Pointer", "Pointers"]


@dataclass(frozen=True, slots=True)
class Pointer:
    """One row.

    Attributes:
        id: that it will have.
        source: which set.
        row: which row of that set.
        content: checksums of its fields, so that a plan changes with its content.
    """

    id: str
    source: int
    row: int
    content: str

    def to_json(self) -> str:
        """What stands for the row in the fingerprint of a shard: not where it lies."""
        return json.dumps([self.id, self.content])


class Pointers(Sequence[Pointer]):
    """Rows of several sets, made when they are asked for.

    Args:
        sets: the sets.
        sources: (N,) which set.
        rows: (N,) which row.
        prefixes: put before the ids of each set; empty for none.
    """

    def __init__(
        self,
        sets: Sequence[ShardSet],
        sources: NDArray[np.integer],
        rows: NDArray[np.integer],
        prefixes: Sequence[str] = (),
    ) -> None:
        self.sets, self.sources, self.rows = sets, sources, rows
        self.prefixes = prefixes or [""] * len(sets)
        self._keys = [shards.keys for shards in sets]

    def taken(self, chosen: NDArray[Any]) -> Pointers:
        """Some of the rows, by number or by mask."""
        return Pointers(self.sets, self.sources[chosen], self.rows[chosen], self.prefixes)

    def id(self, number: int) -> str:
        """The id of a row."""
        source = int(self.sources[number])
        return self.prefixes[source] + self._keys[source][int(self.rows[number])]

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, number: int) -> Pointer: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Pointer]: ...
    def __getitem__(self, number: int | slice) -> Pointer | Sequence[Pointer]:
        if isinstance(number, slice):
            return [self[k] for k in range(*number.indices(len(self)))]
        if not 0 <= number < len(self):
            raise IndexError(f"row {number} of {len(self)}")
        source, row = int(self.sources[number]), int(self.rows[number])
        _, places = self.sets[source].places(row)
        content = " ".join(f"{place.field}:{place.size}:{place.crc:08x}" for place in places)
        return Pointer(self.id(number), source, row, content)


@dataclass(frozen=True)
class Copier:
    """Turns pointers into records; it can be sent to other processes.

    Attributes:
        tars: of each set, in order.
        format: of the audio; None keeps the bytes that are there.
        sample_rate: Hz; None keeps that of each row.
    """

    tars: tuple[tuple[str, ...], ...]
    format: str | None = None
    sample_rate: int | None = None

    @classmethod
    def of(cls, sets: Sequence[ShardSet], **settings: Any) -> Copier:
        """For pointers into these sets."""
        return cls(tuple(tuple(map(str, shards.tars)) for shards in sets), **settings)

    def __call__(self, pointer: Pointer) -> Record:
        """The record of a row.

        Raises:
            AudioError: its audio has to be encoded anew and can't be decoded.
        """
        shards = _opened(self.tars[pointer.source])
        record = shards[pointer.row]
        fields = dict(record.fields)
        changes: dict[str, Any] = {} if pointer.id == record.key else {"id": pointer.id}
        stored = next((name for name in AUDIO_FIELDS if name in fields), None)
        if stored is not None and self._differs(shards, pointer.row, stored):
            data, duration, rate = self._encoded(fields.pop(stored), stored)
            fields[self.format or stored] = data
            changes |= {"duration": duration, "sample_rate": rate}
        if changes and "json" in fields:
            fields["json"] = _changed(fields["json"], changes)
        return Record(pointer.id, fields)

    def _differs(self, shards: ShardSet, row: int, stored: str) -> bool:
        other_rate = self.sample_rate not in (None, int(shards.sample_rates[row]))
        return other_rate or self.format not in (None, stored)

    def _encoded(self, data: bytes, stored: str) -> tuple[bytes, float, int]:
        from amphion_core import audio

        wav, rate = audio.load(data, mono=False)
        if self.sample_rate not in (None, rate):
            wav, rate = audio.resample(wav, rate, self.sample_rate, quality="VHQ"), self.sample_rate
        format: Any = self.format or stored
        deep = audio.info(data).subtype.upper() in ("PCM_24", "PCM_32", "FLOAT", "DOUBLE")
        subtype = "PCM_24" if deep and format in ("flac", "wav") else None
        return audio.encode(wav, rate, format, subtype=subtype), wav.shape[-1] / rate, rate


@lru_cache(maxsize=32)
def _opened(tars: tuple[str, ...]) -> ShardSet:
    """A set, opened once in a process."""
    return ShardSet.open(list(tars))


def _changed(data: bytes, changes: Mapping[str, Any]) -> bytes:
    """The JSON of a row with other values, of those that it states; the id is always stated."""
    values = json.loads(data.decode("utf-8-sig"))
    for name, value in changes.items():
        where = "_id" if name == "id" and "_id" in values else name
        if where in values or name == "id":
            values[where] = value
    return (json.dumps(values, ensure_ascii=False) + "\n").encode()
