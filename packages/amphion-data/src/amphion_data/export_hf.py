"""Shards as a data set of the Hugging Face hub: audio files with `metadata.jsonl` (audiofolder), or Parquet.

Both are folders that `datasets.load_dataset(FOLDER)` reads and that can be uploaded as they are. Source: the hub's
documentation of audiofolder and of the Parquet schema with `huggingface` metadata.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from amphion_core.atomic import atomic_writer
from amphion_core.data import Drop, ShardSet
from amphion_core.data.record import AUDIO_FIELDS
from amphion_core.extras import require
from amphion_data.deriving import Source
from amphion_data.exporting import Unit, cut_into_units
from amphion_data.extracting import file_name
from amphion_data.pointers import Pointers

__all__ = ["HubLayout"]

_SPLITS = {"": "train", "train": "train", "valid": "validation", "test": "test"}
_COLUMNS = ("id", "text", "speaker", "language", "duration", "sample_rate")


@dataclass(frozen=True)
class HubLayout:
    """The columns id, text, speaker, language, duration, sample_rate, and the numbers that the rows have besides.

    Attributes:
        kind: `audiofolder` needs nothing; `parquet` needs pyarrow.
    """

    kind: Literal["audiofolder", "parquet"] = "audiofolder"
    name: str = field(default="hf", init=False)

    @property
    def settings(self) -> Mapping[str, Any]:
        """What the bytes depend on."""
        return {"kind": self.kind}

    def units(self, source: Source, parts: Mapping[str, Pointers], per_file: int) -> list[Unit]:
        """A folder of audio files, or a Parquet file, each.

        Raises:
            MissingExtraError: Parquet without pyarrow.
        """
        if self.kind not in ("audiofolder", "parquet"):
            raise ValueError(f"no kind of data set named {self.kind!r}; there are audiofolder and parquet")
        if self.kind == "parquet":
            require("pyarrow", "amphion-data[hf]")
        units = []
        for part, rows in parts.items():
            count, split = -(-len(rows) // per_file), _SPLITS[part]
            name = "data/{split}/{k:05d}" if self.kind == "audiofolder" else "data/{split}-{k:05d}-of-{count:05d}"
            units += cut_into_units(
                lambda k, n=name, s=split, c=count: n.format(k=k, split=s, count=c),  # type: ignore[misc]
                part,
                rows,
                per_file,
            )
        return units

    def write(self, unit: Unit, sets: Sequence[ShardSet], out: Path) -> tuple[list[str], list[Drop]]:
        """The audio files of a folder, or a Parquet file."""
        drops: list[Drop] = []
        rows = _rows(unit, sets, drops)
        if self.kind == "parquet":
            return [_write_parquet(out, f"{unit.name}.parquet", rows, _numbers(sets))], drops
        names = []
        for values, ending, data in rows:
            names.append(f"{unit.name}/{file_name(values['id'])}.{ending}")
            with atomic_writer(out / names[-1]) as file:
                file.write(data)
        return names, drops

    def finish(self, source: Source, out: Path, units: Sequence[Unit], dropped: frozenset[str]) -> list[str]:
        """The table of each split, and a card that says which file belongs to which."""
        written = ["README.md"]
        parts = [part for part in source.parts if any(unit.part == part for unit in units)]
        if self.kind == "audiofolder":
            numbers = _numbers(list(source.parts.values()))
            for part in parts:
                name = f"data/{_SPLITS[part]}/metadata.jsonl"
                with atomic_writer(out / name) as file:
                    for unit in units:
                        for line in _table(unit, source, numbers, dropped) if unit.part == part else ():
                            file.write(line)
                written.append(name)
        with atomic_writer(out / "README.md") as file:
            file.write(_card(source, [_SPLITS[part] for part in parts], self.kind).encode())
        return written


def _rows(unit: Unit, sets: Sequence[ShardSet], drops: list[Drop]) -> Iterator[tuple[dict[str, Any], str, bytes]]:
    """Values, ending and audio of each row."""
    numbers = _numbers(sets)
    for pointer in unit.rows:
        fields = sets[pointer.source][pointer.row].fields
        stored = next((name for name in AUDIO_FIELDS if name in fields), None)
        if stored is None:
            drops.append(Drop(pointer.id, "", "missing_audio", "a row without audio", "export"))
        else:
            yield _values(sets[pointer.source], pointer.row, numbers), stored, fields[stored]


def _values(shards: ShardSet, number: int, numbers: Sequence[str]) -> dict[str, Any]:
    row = shards.utterance(number)
    values = {name: getattr(row, name) for name in _COLUMNS}
    return {**values, **{name: _number(row.extra.get(name)) for name in numbers}}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _numbers(sets: Sequence[ShardSet]) -> list[str]:
    """Names of the numbers that any row has, for columns that all files share."""
    return sorted({name for shards in sets for name in shards.extras} - set(_COLUMNS) - {"audio", "file_name"})


def _table(unit: Unit, source: Source, numbers: Sequence[str], dropped: frozenset[str]) -> Iterator[bytes]:
    shards = source.parts[unit.part]
    for pointer in unit.rows:
        if pointer.id in dropped:
            continue
        _, place = shards.audio_place(pointer.row)
        ending = place.field if place is not None else ""
        name = f"{unit.number:05d}/{file_name(pointer.id)}.{ending}"
        values = {"file_name": name, **_values(shards, pointer.row, numbers)}
        yield (json.dumps(values, ensure_ascii=False) + "\n").encode()


def _write_parquet(
    out: Path, name: str, rows: Iterator[tuple[dict[str, Any], str, bytes]], numbers: Sequence[str]
) -> str:
    """A table whose column `audio` holds the files themselves."""
    arrow, parquet = require("pyarrow", "amphion-data[hf]"), require("pyarrow.parquet", "amphion-data[hf]")
    found = [
        {"audio": {"bytes": data, "path": f"{file_name(values['id'])}.{ending}"}, **values}
        for values, ending, data in rows
    ]
    kinds = {"duration": "double", "sample_rate": "int32"} | dict.fromkeys(numbers, "double")
    types = {"double": arrow.float64(), "int32": arrow.int32(), "string": arrow.string()}
    columns = [*_COLUMNS, *numbers]
    audio = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
    described = {name: {"dtype": _DTYPES[kinds.get(name, "string")], "_type": "Value"} for name in columns}
    info = {"info": {"features": {"audio": {"_type": "Audio"}, **described}}}
    schema = arrow.schema(
        [("audio", audio), *((name, types[kinds.get(name, "string")]) for name in columns)],
        metadata={"huggingface": json.dumps(info)},
    )
    with atomic_writer(out / name) as file:
        parquet.write_table(arrow.Table.from_pylist(found, schema), file, row_group_size=100)
    return name


_DTYPES = {"double": "float64", "int32": "int32", "string": "string"}


def _card(source: Source, splits: Sequence[str], kind: str) -> str:
    ending = "/**" if kind == "audiofolder" else "-*.parquet"
    files = "".join(f"  - split: {split}\n    path: data/{split}{ending}\n" for split in splits)
    rows = sum(map(len, source.parts.values()))
    hours = sum(float(shards.durations.sum()) for shards in source.parts.values()) / 3600
    return (
        f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n\n# {source.name}\n\n"
        f"{rows} rows, {hours:.3f} hours. Licence of the data: {source.licence}.\n\n"
        "```python\nfrom datasets import load_dataset\n\nrows = load_dataset(FOLDER)\n```\n"
    )
