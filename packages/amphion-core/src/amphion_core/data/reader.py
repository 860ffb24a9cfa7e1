"""Random access to shards by their indices: rows, audio, arrays, and selections that read no audio."""

from __future__ import annotations

import bisect
import hashlib
import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from amphion_core.audio import AudioError, load
from amphion_core.data.columns import Labels, Strings
from amphion_core.data.config import SourceConfig
from amphion_core.data.expression import Expression, has_values, unknown_columns
from amphion_core.data.handles import Handles
from amphion_core.data.mixing import EmptySetError
from amphion_core.data.record import Drop, Record
from amphion_core.data.rows import parse_json, utterance
from amphion_core.data.shard import Shard, open_shards
from amphion_core.schema import Utterance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from amphion_core.data.index import Place

__all__ = ["COLUMNS", "ShardSet", "open_source"]

COLUMNS = ("key", "duration", "sample_rate", "speaker", "language", "characters", "text")
"""Columns that every set has, beside the numbers in `ShardSet.extras`."""


class ShardSet(Sequence[Record]):
    """Rows of some shards, in the order of the tars; made by `open`.

    It goes to worker processes by fork or by pickling, and is safe to use in threads.
    """

    def __init__(
        self, shards: Sequence[Shard], rows: NDArray[np.int64] | None = None, drops: Sequence[Drop] = ()
    ) -> None:
        self._shards = list(shards)
        self._rows = rows
        self._handles = Handles()
        self._starts = np.concatenate([[0], np.cumsum([len(shard) for shard in self._shards])]).tolist()
        self.drops = list(drops)
        """What the tars hold beyond the rows, with reasons; the whole set's, also in a selection."""

    @classmethod
    def open(
        cls,
        source: str | Path | Sequence[str | Path],
        *,
        workers: int = 1,
        on_error: Literal["record", "fail"] = "record",
    ) -> Self:
        """Open shards; an index that is absent or stale is made, and kept if there is a place for it.

        Args:
            source: a folder, a tar, a text file that lists tars, an http(s) address of a tar, or several of these.
                `shard-{000000..000009}.tar` stands for ten names.
            workers: processes that decode audio where an index has to be made.
            on_error: `record` leaves out what is damaged and lists it in `drops`; `fail` raises.

        Raises:
            FileNotFoundError: a folder or a tar is missing.
            ValueError: a folder is incomplete, nothing is readable, or `fail` and something is damaged.
        """
        shards, drops = open_shards(source, workers=workers, on_error=on_error)
        return cls(shards, None, drops)

    @property
    def tars(self) -> list[Path]:
        """The files."""
        return [shard.tar for shard in self._shards]

    def __len__(self) -> int:
        return self._starts[-1] if self._rows is None else len(self._rows)

    def __getitem__(self, row: int) -> Record:  # type: ignore[override]
        shard, local = self._find(row)
        read, tar = self._handles.read, shard.tar
        places = shard.index.places(local)
        return Record(shard.index.keys[local], {p.field: read(tar, p.offset, p.size) for p in places})

    def __iter__(self) -> Iterator[Record]:
        return (self[row] for row in range(len(self)))

    def utterance(self, row: int) -> Utterance:
        """What is known of a row; its `audio` is empty, its duration that of the decoded audio."""
        shard, local = self._find(row)
        index = shard.index
        fields = {place.field: place for place in index.places(local)}
        values = parse_json(self._read(shard, fields["json"])) if "json" in fields else {}
        text = self._read(shard, fields["txt"]).decode("utf-8", "replace").strip() if "txt" in fields else None
        duration, rate = float(index.durations[local]), int(index.sample_rates[local])
        return utterance(values, index.keys[local], duration=duration, sample_rate=rate, tar=shard.tar.name, text=text)

    def audio(
        self, row: int, *, sample_rate: int | None = None, start: float = 0.0, duration: float | None = None
    ) -> tuple[NDArray[np.float32], int]:
        """Samples of a row, mono, (T,), and their rate in Hz; arguments as for `amphion_core.audio.load`.

        Raises:
            LookupError: the row has no audio.
            AudioError: it can't be decoded; the message names the row.
        """
        shard, local = self._find(row)
        place = shard.index.audio_place(local)
        if place is None:
            raise LookupError(f"row {row} ({shard.index.keys[local]}) of {shard.tar} has no audio")
        data = self._read(shard, place)
        try:
            return load(data, sample_rate=sample_rate, start=start, duration=duration)
        except AudioError as error:
            raise AudioError(f"row {row} ({shard.index.keys[local]}) of {shard.tar}: {error}", error.reason) from None

    def array(self, row: int, name: str) -> NDArray[Any]:
        """An array stored as the field `NAME.npy`.

        Raises:
            LookupError: the row has no such field; the message names those that it has.
            ValueError: the field is no array of numbers; objects are refused, since reading them runs code.
        """
        shard, local = self._find(row)
        fields = {place.field: place for place in shard.index.places(local)}
        place = fields.get(f"{name}.npy")
        if place is None:
            raise LookupError(
                f"row {row} ({shard.index.keys[local]}) has no array {name!r}; its fields: {', '.join(fields)}"
            )
        array: NDArray[Any] = np.load(io.BytesIO(self._read(shard, place)), allow_pickle=False)
        return array

    @cached_property
    def fingerprint(self) -> str:
        """Changes with the ids, the order and the content of the rows, not with the place of the tars."""
        digest = hashlib.blake2b(digest_size=16)
        for shard in self._shards:
            digest.update(shard.index.checksums.tobytes())
        for part in (self.keys.offsets.astype(np.int64), self.keys.blob, self.durations):
            digest.update(np.ascontiguousarray(part).tobytes())
        if self._rows is not None:
            digest.update(self._rows.tobytes())
        return digest.hexdigest()

    @cached_property
    def durations(self) -> NDArray[np.float64]:
        """(N,) s."""
        return self._column("durations", np.float64)

    @cached_property
    def sample_rates(self) -> NDArray[np.int32]:
        """(N,) Hz, 0 where a row has no audio."""
        return self._column("sample_rates", np.int32)

    @property
    def keys(self) -> Strings:
        """Ids."""
        keys = Strings.concatenated([shard.index.keys for shard in self._shards])
        return keys if self._rows is None else keys.taken(self._rows)

    @cached_property
    def speakers(self) -> Labels:
        """Speaker of each row, None where unknown."""
        return self._labels("speakers")

    @cached_property
    def languages(self) -> Labels:
        """Language of each row, None where unknown."""
        return self._labels("languages")

    @property
    def extras(self) -> list[str]:
        """Names of the numbers that the indices keep besides, such as `dnsmos`."""
        return sorted({name for shard in self._shards for name in shard.index.extras})

    def column(self, name: str) -> Sequence[Any] | NDArray[Any]:
        """One value of each row.

        Args:
            name: `key`, `duration`, `sample_rate`, `speaker`, `language`, `characters` (of the text) or one of
                `extras`, all from the indices; any other name is read from the JSON of every row, which takes longer.
        """
        if name in ("key", "id"):
            return self.keys
        if name in ("duration", "sample_rate", "speaker", "language"):
            values: Sequence[Any] | NDArray[Any] = getattr(self, name + "s")
            return values
        if name == "characters":
            return self._column("characters", np.int32)
        if name in self.extras:
            parts = [shard.index.extra(name) for shard in self._shards]
            whole = np.concatenate(parts)
            return whole if self._rows is None else whole[self._rows]
        rows = (self.utterance(k) for k in range(len(self)))
        return [row.text if name == "text" else row.extra.get(name) for row in rows]

    def select(
        self,
        *,
        min_duration: float | None = None,
        max_duration: float | None = None,
        speakers: Sequence[str] | None = None,
        languages: Sequence[str] | None = None,
        mask: NDArray[np.bool_] | None = None,
    ) -> ShardSet:
        """Those rows that meet every condition, without reading audio.

        Args:
            min_duration: s, inclusive.
            max_duration: s, inclusive.
            speakers: labels; rows without one do not match.
            languages: labels; rows without one do not match.
            mask: (N,) True for rows to take.

        Raises:
            ValueError: the mask has another length.
        """
        keep = np.ones(len(self), bool)
        if min_duration is not None:
            keep &= self.durations >= min_duration
        if max_duration is not None:
            keep &= self.durations <= max_duration
        if speakers is not None:
            keep &= self.speakers.isin(speakers)
        if languages is not None:
            keep &= self.languages.isin(languages)
        if mask is not None:
            mask = np.asarray(mask)
            if mask.shape != keep.shape or mask.dtype != np.bool_:
                raise ValueError(f"the mask must be {len(self)} booleans, got {mask.dtype} of shape {mask.shape}")
            keep &= mask
        return self.take(np.flatnonzero(keep))

    def where(self, condition: str) -> ShardSet:
        """Those rows that meet a condition on columns, such as `dnsmos >= 3.2 and language in ("en", "de")`.

        Args:
            condition: see `amphion_core.data.Expression`. Columns that the indices don't have are read from the JSON
                of every row.

        Raises:
            ExpressionError: the condition can't be read, or does not fit its columns.
            LookupError: no row has a value of a column that it asks for.
        """
        expression = Expression(condition)
        columns = {name: self.column(name) for name in expression.columns}
        if absent := [name for name, values in columns.items() if not has_values(values)]:
            raise LookupError(unknown_columns(absent, {*COLUMNS, *self.extras}))
        if not columns:  # a condition without columns, such as True
            columns = {"duration": self.durations}
        return self.select(mask=expression.mask(columns))

    def take(self, rows: Sequence[int] | NDArray[np.integer]) -> ShardSet:
        """Rows by number, in the given order.

        Raises:
            IndexError: there is no such row.
        """
        chosen = np.asarray(rows, np.int64)
        if chosen.size and (chosen.min() < 0 or chosen.max() >= len(self)):
            raise IndexError(f"rows {chosen.min()} to {chosen.max()} of a set of {len(self)}")
        return ShardSet(self._shards, chosen if self._rows is None else self._rows[chosen], self.drops)

    def verify(self) -> None:
        """Read every field of every row and compare checksums.

        Raises:
            ValueError: names the rows (first ten) whose bytes changed.
        """
        bad = []
        for row in range(len(self)):
            shard, local = self._find(row)
            for place in shard.index.places(local):
                if zlib.crc32(self._read(shard, place)) != place.crc:
                    bad.append(f"{shard.tar.name}: {shard.index.keys[local]}.{place.field}")
        if bad:
            raise ValueError(f"{len(bad)} fields are not what was written: {', '.join(bad[:10])}")

    def places(self, row: int) -> tuple[Path, list[Place]]:
        """The tar of a row, and where its fields are in it."""
        shard, local = self._find(row)
        return shard.tar, shard.index.places(local)

    def audio_place(self, row: int) -> tuple[Path, Place | None]:
        """The tar of a row, and where its audio is in it."""
        shard, local = self._find(row)
        return shard.tar, shard.index.audio_place(local)

    def read(self, tar: Path, place: Place) -> bytes:
        """The bytes of one field, as `places` gives them."""
        return self._handles.read(tar, place.offset, place.size)

    def __getstate__(self) -> Mapping[str, Any]:
        return {"shards": self._shards, "rows": self._rows, "drops": self.drops}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__init__(state["shards"], state["rows"], state["drops"])  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"ShardSet of {len(self)} rows in {len(self._shards)} shards"

    def _find(self, row: int) -> tuple[Shard, int]:
        count = len(self)
        if not -count <= row < count:
            raise IndexError(f"row {row} of a set of {count}")
        row = row % count
        if self._rows is not None:
            row = int(self._rows[row])
        at = bisect.bisect_right(self._starts, row) - 1
        return self._shards[at], row - self._starts[at]

    def _read(self, shard: Shard, place: Place) -> bytes:
        return self._handles.read(shard.tar, place.offset, place.size)

    def _column(self, name: str, kind: type[Any]) -> NDArray[Any]:
        parts = [getattr(shard.index, name) for shard in self._shards]
        whole = np.concatenate(parts) if parts else np.zeros(0, kind)
        return whole if self._rows is None else whole[self._rows]

    def _labels(self, name: str) -> Labels:
        numbers: dict[str, int] = {}
        parts = []
        for shard in self._shards:
            labels: Labels = getattr(shard.index, name)
            table = np.array([numbers.setdefault(word, len(numbers)) for word in labels.names] + [-1], np.int32)
            parts.append(table[labels.codes])
        codes = np.concatenate(parts) if parts else np.zeros(0, np.int32)
        return Labels(codes if self._rows is None else codes[self._rows], list(numbers))


def open_source(source: SourceConfig, *, workers: int = 1) -> ShardSet:
    """The rows of one source of a recipe, after its filters.

    Raises:
        FileNotFoundError: the path is missing.
        EmptySetError: no row passes; the message has the filters and how many pass each.
    """
    shards = ShardSet.open(source.path, workers=workers)
    conditions: dict[str, dict[str, Any]] = {}
    if source.min_duration > 0:
        conditions[f"min_duration={source.min_duration} s"] = {"min_duration": source.min_duration}
    if source.max_duration is not None:
        conditions[f"max_duration={source.max_duration} s"] = {"max_duration": source.max_duration}
    if source.speakers:
        conditions[f"speakers={', '.join(source.speakers)}"] = {"speakers": source.speakers}
    if source.languages:
        conditions[f"languages={', '.join(source.languages)}"] = {"languages": source.languages}
    taken = shards
    for condition in conditions.values():
        taken = taken.select(**condition)
    if source.where and len(taken):
        taken = taken.where(source.where)
    if not len(taken):
        passing = {words: len(shards.select(**condition)) for words, condition in conditions.items()}
        if source.where and len(shards):
            passing[f"where {source.where}"] = len(shards.where(source.where))
        each = "; ".join(f"{words}: {count} pass" for words, count in passing.items())
        raise EmptySetError(f"no row of {source.path} is left of {len(shards)}: {each or 'the set is empty'}")
    return taken
