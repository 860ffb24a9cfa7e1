"""Those lines of a manifest that meet a condition."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from amphion_core.atomic import atomic_writer
from amphion_core.data import Drop, Expression
from amphion_core.data.columns import Strings
from amphion_core.data.expression import has_values, unknown_columns
from amphion_data.manifest_columns import Fault, index_manifest, map_pieces, read_piece

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ManifestReport", "filter_manifest"]

_COPY = 8 << 20  # bytes at a time
_MANY = 50_000  # lines at a time


@dataclass(frozen=True)
class ManifestReport:
    """What a filter of a manifest did.

    Attributes:
        out: the new manifest.
        rows_in: lines of the old one.
        kept: lines of the new one.
        dropped: the others, by reason; each is a line of `OUT.drops.jsonl`.
    """

    out: Path
    rows_in: int
    kept: int
    dropped: Mapping[str, int]

    def to_text(self) -> str:
        """What came in and out, for people."""
        lines = [f"{self.rows_in} rows in = {self.kept} kept + {sum(self.dropped.values())} dropped"]
        lines += [f"  dropped {count:>8}  {reason}" for reason, count in self.dropped.items()]
        return "\n".join([*lines, f"{self.out}, dropped: {_drops_path(self.out)}"])


def filter_manifest(path: str | Path, out: str | Path, where: str, *, workers: int | None = None) -> ManifestReport:
    """Write the lines that meet a condition, as they are.

    Args:
        path: JSON lines.
        out: the new manifest; `OUT.drops.jsonl` beside it lists the other lines.
        where: the condition, as `amphion_core.data.Expression` reads it. Fields of `extra` go by their own names.
        workers: processes; None takes one for each core. The output does not depend on it.

    Raises:
        FileNotFoundError: there is no such file.
        ExpressionError: the condition can't be read, or does not fit its columns.
        LookupError: no row has a value of a column that it asks for.
        ValueError: no row meets it, or `out` is the manifest itself.
    """
    path, out = Path(path), Path(out)
    if out.resolve() == path.resolve():
        raise ValueError(f"{out} is the manifest that is read; choose another name")
    expression = Expression(where)
    manifest = index_manifest(path, workers=workers)
    known = {"id", "key", *manifest.columns}
    if known.issuperset(expression.columns):
        mask = manifest.where(where)
    else:
        pieces = list(map_pieces(_mask_piece, path, (expression.text, known), workers=workers))
        absent = [name for name in expression.columns if not any(name in found for _, found in pieces)]
        if absent:
            raise LookupError(unknown_columns(absent, ["key", "text", *manifest.columns]))
        mask = np.concatenate([part for part, _ in pieces])
    kept, faults = int(mask.sum()), manifest.faults
    rows_in = len(manifest) + len(faults)
    if not kept:
        raise ValueError(f"no row of {rows_in} in {path} meets {where!r}")
    with atomic_writer(out) as file:
        _copy(path, file, manifest.offsets[mask], manifest.sizes[mask])
    with atomic_writer(_drops_path(out)) as file:
        _write_drops(file, manifest.ids, ~mask, f"not: {expression.text}", faults, path.name)
    counts = {"bad_row": len(faults), "filtered": len(manifest) - kept}
    return ManifestReport(out, rows_in, kept, {reason: count for reason, count in counts.items() if count})


def _mask_piece(
    path: Path, start: int, end: int, where: str, known: frozenset[str]
) -> tuple[NDArray[np.bool_], set[str]]:
    """Which rows of a stretch meet a condition, and which of its columns have values there."""
    expression = Expression(where)
    piece = read_piece(path, start, end, expression.columns)
    values: dict[str, Any] = {**piece.columns, **piece.texts, "id": piece.ids, "key": piece.ids}
    nothing = [None] * len(piece.offsets)
    columns = {name: values.get(name, nothing) for name in expression.columns}
    return expression.mask(columns), {name for name, column in columns.items() if has_values(column)}


def _copy(path: Path, file: BinaryIO, offsets: NDArray[np.int64], sizes: NDArray[np.int32]) -> None:
    """Lines of a file, each with its end."""
    with path.open("rb", buffering=0) as source:
        for first in range(0, len(offsets), _MANY):
            begins = offsets[first : first + _MANY]
            ends = begins + sizes[first : first + _MANY]
            for group in np.split(np.arange(len(begins)), np.flatnonzero(np.diff(begins // _COPY)) + 1):
                start = int(begins[group[0]])
                source.seek(start)
                data = source.read(int(ends[group[-1]]) - start)
                places = zip((begins[group] - start).tolist(), (ends[group] - start).tolist(), strict=True)
                file.write(b"\n".join([data[begin:end] for begin, end in places]) + b"\n")


def _write_drops(
    file: BinaryIO, ids: Strings, chosen: NDArray[np.bool_], detail: str, faults: Sequence[Fault], name: str
) -> None:
    for at, words in faults:
        file.write((Drop(f"{name}, byte {at}", "", "bad_row", words, "filter").to_json() + "\n").encode())
    before, after = Drop("\0", "", "filtered", detail, "filter").to_json().encode().split(json.dumps("\0").encode())
    before, after = before + b'"', b'"' + after + b"\n"
    for first in range(0, len(ids), _MANY):
        ends = ids.offsets[first : first + _MANY + 1]
        blob, ends = ids.blob[int(ends[0]) : int(ends[-1])], (ends - ends[0]).tolist()
        data, plain = blob.tobytes(), not _escaped(blob)
        rows = np.flatnonzero(chosen[first : first + _MANY]).tolist()
        if rows:
            names = [data[ends[row] : ends[row + 1]] for row in rows]
            if not plain:
                names = [encode_basestring(name.decode())[1:-1].encode() for name in names]
            file.write(before + (after + before).join(names) + after)


def _escaped(text: NDArray[np.uint8]) -> bool:
    """Whether JSON writes any of these bytes of UTF-8 in another form."""
    return bool(((text < 0x20) | (text == ord('"')) | (text == ord("\\"))).any())


def _drops_path(out: Path) -> Path:
    return out.with_name(out.name.removesuffix(".jsonl") + ".drops.jsonl")
