"""Items from a table, or what a table says of items: csv, tsv, or an object a line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from amphion_eval.pairing import Clip, Pair, PairingError, listed, nfc, pair_of

__all__ = ["COLUMNS", "add_columns", "read_pairs"]

COLUMNS = ("text", "transcript", "language", "speaker", "prompt", "reconstruction")
"""What a table may say of an item beside its clips; the last two are places of audio."""

_OTHER_NAMES = {"estimate": "test", "transcript": "hypothesis"}
_AUDIO = ("reference", "estimate", "prompt", "reconstruction")


def read_pairs(table: str | Path, *, need_reference: bool = True) -> list[Pair]:
    """Pairs from a table with the columns id, reference, estimate, and if wanted `COLUMNS`.

    A row with both texts needs no audio, and in a table without columns of audio a text may be empty: an empty
    transcript is one, an empty text leaves the error rates of its item undefined. `test` is another name of
    `estimate`, `hypothesis` of `transcript`.

    Args:
        table: .csv, .tsv, or .jsonl; relative paths are those below the table's folder, or else below this one.
        need_reference: whether a row must name a recording.

    Returns:
        In the order of the table.

    Raises:
        FileNotFoundError: there is no such table.
        PairingError: rows with faults, all of them.
    """
    table = Path(table)
    faults: list[str] = []
    pairs: dict[str, Pair] = {}
    for number, row in _rows(table):
        if isinstance(row, str):
            faults.append(f"row {number}: {row}")
            continue
        absent = [name for name in ("reference", "estimate") if not row.get(name)]
        if absent and not _of_texts(row) and (need_reference or "estimate" in absent):
            faults.append(f"row {number}: no value for {' and '.join(absent)}; there are {', '.join(row) or 'none'}")
            continue
        clips, missing = _clips(table, row)
        faults += [f"row {number}: {fault}" for fault in missing]
        name = nfc(str(row.get("id") or Path(clips["estimate"].path).stem))
        if name in pairs:
            faults.append(f"row {number}: the id {name} stands twice")
        ref, est = (clips.get(side, Clip("")) for side in ("reference", "estimate"))
        item = pair_of(name, ref, est, row)
        pairs[name] = replace(item, prompt=clips.get("prompt"), reconstruction=clips.get("reconstruction"))
    if faults:
        raise PairingError(f"{table}: {len(faults)} faults:\n{listed(faults)}")
    if not pairs:
        raise PairingError(f"{table} has no row")
    return list(pairs.values())


def add_columns(pairs: Sequence[Pair], table: str | Path, *, ignore_missing: bool = False) -> list[Pair]:
    """Pairs with what a table says of them; where it says nothing, they stay as they are.

    Args:
        pairs: found by name.
        table: with the column id and some of `COLUMNS`; paths as in `read_pairs`.
        ignore_missing: allow items without a row, and rows without an item.

    Raises:
        FileNotFoundError: there is no such table.
        PairingError: rows with faults, items without a row, or rows without an item, all of them.
    """
    table = Path(table)
    faults: list[str] = []
    said: dict[str, dict[str, Any]] = {}
    for number, row in _rows(table):
        if isinstance(row, str):
            faults.append(f"row {number}: {row}")
            continue
        clips, missing = _clips(table, row)
        faults += [f"row {number}: {fault}" for fault in missing]
        if not row.get("id"):
            faults.append(f"row {number}: no value for id; there are {', '.join(row) or 'none'}")
        elif nfc(str(row["id"])) in said:
            faults.append(f"row {number}: the id {row['id']} stands twice")
        else:
            given = {name: clips.get(name, row.get(name)) for name in COLUMNS}
            # An empty transcript is one: nothing was recognised.
            kept = {n: v for n, v in given.items() if v not in (None, "") or (n == "transcript" and v is not None)}
            said[nfc(str(row["id"]))] = kept
    if not ignore_missing:
        names = {nfc(pair.id) for pair in pairs}
        faults += [f"no row for the item {pair.id}" for pair in pairs if nfc(pair.id) not in said]
        faults += [f"no item for the row {name}" for name in said if name not in names]
    if faults:
        raise PairingError(f"{table}: {len(faults)} faults:\n{listed(faults)}")
    return [replace(pair, **said.get(nfc(pair.id), {})) for pair in pairs]


def _of_texts(row: Mapping[str, Any]) -> bool:
    """Whether a row compares two texts and needs no audio."""
    sides = [row.get(name) for name in ("reference", "estimate")]
    if any(sides) or not row.get("id") or row.get("transcript") is None:
        return False
    return bool(row.get("text")) or ("text" in row and not {"reference", "estimate"} & row.keys())


def _clips(table: Path, row: Mapping[str, Any]) -> tuple[dict[str, Clip], list[str]]:
    """The audio that a row names, and what of it is not there."""
    places = {name: _below(table.parent, str(row[name])) for name in _AUDIO if row.get(name)}
    missing = [f"no file at {row[name]}" for name, place in places.items() if not place.is_file()]
    return {name: Clip(place.as_posix()) for name, place in places.items()}, missing


def _rows(table: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Rows with the numbers of their lines, or what is wrong with them."""
    if not table.is_file():
        raise FileNotFoundError(f"no table of pairs at {table}")
    try:
        text = table.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PairingError(f"{table}: not UTF-8 at byte {error.start}; save the table as UTF-8") from None
    if table.suffix.lower() in (".jsonl", ".ndjson"):
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                yield number, _object(line)
        return
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t" if table.suffix.lower() == ".tsv" else ",")
    if twice := sorted({name for name in reader.fieldnames or () if (reader.fieldnames or ()).count(name) > 1}):
        raise PairingError(f"{table}: two columns have the name {', '.join(map(repr, twice))}; rename one of them")
    for row in reader:
        if more := row.pop(None, None):  # type: ignore[call-overload]
            header = len(reader.fieldnames or ())
            yield reader.line_num, f"{header + len(more)} cells, the header has {header}; quote texts that hold commas"
        else:
            yield reader.line_num, _named(dict(row))


def _object(line: str) -> dict[str, Any] | str:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        return f"not JSON: {error}"
    return _named(row) if isinstance(row, dict) else f"expected a JSON object, found {type(row).__name__}"


def _named(row: dict[str, Any]) -> dict[str, Any]:
    for name, other in _OTHER_NAMES.items():
        if row.get(name) is None and row.get(other) is not None:
            row[name] = row[other]
    return row


def _below(folder: Path, path: str) -> Path:
    return folder / path if (folder / path).is_file() else Path(path)
