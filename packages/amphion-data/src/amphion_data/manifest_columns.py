"""Manifests of millions of rows as columns: read once in parallel, kept beside the file, searched in seconds.

A manifest is JSON lines, each an utterance or any object with an id. Its columns go to `NAME.jsonl.columns`, an
archive of plain arrays (npz) that is made anew when the manifest has changed.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
import logging
import os
import random
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from amphion_core.atomic import atomic_writer
from amphion_core.data import Expression
from amphion_core.data.columns import Labels, Strings
from amphion_core.data.expression import unknown_columns
from amphion_core.data.index import probe
from amphion_core.data.workers import end_with_parent
from amphion_data.manifest_lines import Alike, read_alike

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Fault", "ManifestColumns", "Piece", "index_manifest", "map_pieces", "read_piece"]

log = logging.getLogger(__name__)

_VERSION = 1
_PIECE = 512 << 10  # bytes that are read at a time; the memory of more goes back to the system and is asked for again
_TOGETHER = 4  # pieces that one process is given at a time
_BATCH = 1000  # lines that are parsed at once
_LEAST, _FEW = 100, 0.5  # texts of a piece of which more than so many and more than this share differ are no labels
_OWN = frozenset({"id", "audio", "text", "extra"})

Fault = tuple[int, str]
"""Where a line that is no row begins, bytes, and what is wrong with it."""


@dataclass
class Piece:
    """The rows of a stretch of a manifest.

    Attributes:
        offsets: (N,) where each line begins, bytes; `sizes` how long it is, without its end.
        ids: (N,) ids.
        columns: numbers, with nan or a mask value where missing, and labels.
        texts: columns that were asked for by name and are neither numbers nor labels.
        left: names of columns that are neither, so that no other piece may have them.
        faults: lines that are no rows.
    """

    offsets: NDArray[np.int64]
    sizes: NDArray[np.int32]
    ids: Strings
    columns: dict[str, NDArray[Any] | Labels] = field(default_factory=dict)
    texts: dict[str, list[Any]] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)


class ManifestColumns:
    """Columns of a manifest; made by `index_manifest`.

    Args:
        path: the manifest.
        whole: its rows.
    """

    def __init__(self, path: Path, whole: Piece) -> None:
        self.path, self.offsets, self.sizes = path, whole.offsets, whole.sizes
        self.ids, self.columns, self.faults = whole.ids, whole.columns, whole.faults

    def __len__(self) -> int:
        return len(self.offsets)

    def column(self, name: str) -> Sequence[Any] | NDArray[Any]:
        """One value of each row.

        Raises:
            LookupError: there is no such column here; texts of which there are many are not kept.
        """
        if name in ("key", "id"):
            return self.ids
        if name not in self.columns:
            raise LookupError(unknown_columns([name], ["key", *self.columns]))
        return self.columns[name]

    def where(self, condition: str) -> NDArray[np.bool_]:
        """(N,) where the rows meet a condition; see `amphion_core.data.Expression`."""
        expression = Expression(condition)
        columns = {name: self.column(name) for name in expression.columns}
        return expression.mask(columns or {"key": self.ids})


def index_manifest(path: str | Path, *, workers: int | None = None) -> ManifestColumns:
    """The columns of a manifest, from the file beside it or, where that is absent or stale, made and kept there.

    Args:
        path: JSON lines.
        workers: processes; None takes one for each core.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no line of it is a row.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no manifest at {path}")
    state, kept = f"{_VERSION}-{probe(path)}", path.with_name(path.name + ".columns")
    found = _load(path, kept, state)
    if found is not None:
        return found
    pieces = list(map_pieces(read_piece, path, (), workers=workers))
    whole = _joined(pieces)
    if not len(whole.offsets):
        where = f"; the first, at byte {whole.faults[0][0]}: {whole.faults[0][1]}" if whole.faults else ""
        raise ValueError(f"no line of {path} is a row, of {len(whole.faults)}{where}")
    try:
        _save(kept, whole, state)
    except OSError as error:
        log.info("the columns of %s can't be kept: %s", path, error)
    return ManifestColumns(path, whole)


def map_pieces(
    function: Callable[..., Any], path: Path, arguments: Sequence[Any], *, workers: int | None = None
) -> Iterator[Any]:
    """`function(path, start, end, *arguments)` for stretches of a file that begin and end with lines, in order."""
    size = path.stat().st_size
    count = max(1, -(-size // _PIECE))
    bounds = [size * k // count for k in range(count + 1)]
    calls = [(path, start, end, *arguments) for start, end in itertools.pairwise(bounds)]
    workers = min(workers or os.cpu_count() or 1, len(calls))
    if workers <= 1:
        for call in calls:
            yield function(*call)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=end_with_parent) as pool:
        yield from pool.map(function, *zip(*calls, strict=True), chunksize=_TOGETHER)


def read_piece(path: Path, start: int, end: int, wanted: Sequence[str] = ()) -> Piece:
    """The rows whose lines begin in [start, end).

    Args:
        path: the manifest.
        start: bytes.
        end: bytes.
        wanted: columns that are kept even where they are texts of which there are many.
    """
    data, start = _lines(path, start, end)
    breaks = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
    begins, ends = np.concatenate([[0], breaks + 1]), np.concatenate([breaks, [len(data)]])
    alike = None if wanted or not _is_text(data) else read_alike(data, begins, ends)
    with _uncollected():
        if alike is None or 2 * len(alike.lines) < len(begins):
            piece = _piece(data, begins, ends, frozenset(wanted))
        else:
            piece = _piece_of_alike(data, begins, ends, alike)
            others = np.setdiff1d(np.arange(len(begins)), alike.lines, assume_unique=True)
            if len(others):
                piece = _merged(piece, _piece_of_some(data, begins[others], ends[others]))
    piece.offsets += start
    piece.faults = [(start + at, words) for at, words in piece.faults]
    return piece


def _is_text(data: bytes) -> bool:
    try:
        return data.isascii() or bool(data.decode())
    except UnicodeDecodeError:
        return False


def _piece(data: bytes, begins: NDArray[np.int64], ends: NDArray[np.int64], wanted: frozenset[str]) -> Piece:
    """The rows of lines, by the JSON parser."""
    rows, numbers, wrong = _parsed(data, len(begins))
    table = _table(rows)
    chosen = np.arange(len(begins)) if len(rows) == len(begins) else np.array(numbers, np.int64)
    sizes = (ends - begins)[chosen].astype(np.int32)
    piece = Piece(begins[chosen], sizes, Strings.of(table.get("id", ())))
    piece.faults = [(int(begins[number]), words) for number, words in wrong]
    _fill(piece, table, len(rows), wanted)
    return piece


def _piece_of_some(data: bytes, begins: NDArray[np.int64], ends: NDArray[np.int64]) -> Piece:
    """The same of some of the lines."""
    own = b"\n".join([data[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)])
    breaks = np.cumsum(ends - begins + 1)
    piece = _piece(own, breaks - (ends - begins + 1), breaks - 1, frozenset())
    here = {int(old): int(new) for old, new in zip(breaks - (ends - begins + 1), begins, strict=True)}
    piece.offsets = np.array([here[int(at)] for at in piece.offsets], np.int64)
    piece.faults = [(here[at], words) for at, words in piece.faults]
    return piece


def _piece_of_alike(data: bytes, begins: NDArray[np.int64], ends: NDArray[np.int64], alike: Alike) -> Piece:
    """The rows of lines that are alike."""
    chosen = alike.lines
    starts, stops = alike.texts["id"]
    offsets = np.zeros(len(chosen) + 1, np.int64)
    np.cumsum(stops - starts, out=offsets[1:])
    ids = Strings(offsets, np.frombuffer(b"".join(_cut(data, starts, stops)), np.uint8))
    piece = Piece(begins[chosen], (ends - begins)[chosen].astype(np.int32), ids)
    piece.columns["characters"] = _characters(data, alike)
    for texts, numbers, own in (
        (alike.texts, alike.numbers, _OWN),
        (alike.inner_texts, alike.inner_numbers, _OWN | {"characters"}),
    ):
        for name in sorted((texts.keys() | numbers.keys()) - own):
            if name in piece.columns:
                continue
            if name in numbers:
                piece.columns[name] = _narrow(numbers[name])
            elif (labels := _labels(_cut(data, *texts[name]))) is not None:
                piece.columns[name] = Labels(labels.codes, [word.decode() for word in labels.names])  # type: ignore
            else:
                piece.left.add(name)
    return piece


def _cut(data: bytes, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> list[bytes]:
    return [data[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


def _characters(data: bytes, alike: Alike) -> NDArray[np.int32]:
    """Length of the texts: bytes but for those that go on with a letter of UTF-8."""
    if "text" not in alike.texts:
        return np.zeros(len(alike.lines), np.int32)
    starts, ends = alike.texts["text"]
    if data.isascii():
        return (ends - starts).astype(np.int32)
    more = np.concatenate([[0], np.cumsum((np.frombuffer(data, np.uint8) & 0xC0) == 0x80)])
    lengths: NDArray[np.int64] = ends - starts - (more[ends] - more[starts])
    return lengths.astype(np.int32)


def _merged(alike: Piece, others: Piece) -> Piece:
    """The rows of both in the order of the file."""
    mixed = {name for name in alike.columns.keys() & others.columns.keys() if _kind(alike, name) != _kind(others, name)}
    both = _joined([alike, others], left := alike.left | others.left | mixed)
    order = np.argsort(both.offsets, kind="stable")
    piece = Piece(both.offsets[order], both.sizes[order], both.ids.taken(order), left=left, faults=both.faults)
    for name, column in both.columns.items():
        piece.columns[name] = Labels(column.codes[order], column.names) if isinstance(column, Labels) else column[order]
    return piece


def _kind(piece: Piece, name: str) -> bool:
    return isinstance(piece.columns[name], Labels)


def _parsed(data: bytes, count: int) -> tuple[list[dict[str, Any]], list[int], list[tuple[int, str]]]:
    """The rows of `count` lines, their numbers (none where each line is a row), and lines that are none, with why."""
    whole = _at_once(data, count)
    if whole is not None:
        return whole, [], []
    lines = data.split(b"\n")
    rows, numbers, wrong = list[dict[str, Any]](), list[int](), list[tuple[int, str]]()
    for first in range(0, len(lines), _BATCH):
        batch = lines[first : first + _BATCH]
        found = _at_once(b"\n".join(batch), len(batch))
        if found is not None:
            rows += found
            numbers.extend(range(first, first + len(batch)))
            continue
        for number, line in enumerate(batch, first):
            if line.strip():
                row = _one(line)
                if isinstance(row, dict):
                    rows.append(row)
                    numbers.append(number)
                else:
                    wrong.append((number, row))
    return rows, numbers, wrong


def _at_once(data: bytes, count: int) -> list[dict[str, Any]] | None:
    """The rows of lines by one call of the parser; None where a line is anything but one object with an id."""
    mark = random.getrandbits(50)  # between the lines, so that no line can end another or hold two
    try:
        found = json.loads((b"[" + data.replace(b"\n", b",%d," % mark) + b"]").decode())
    except (ValueError, RecursionError):
        return None
    if len(found) != 2 * count - 1 or found[1::2] != [mark] * (count - 1):
        return None
    rows = found[::2]
    if set(map(type, rows)) != {dict}:
        return None
    ids = [row.get("id") for row in rows]
    return rows if set(map(type, ids)) == {str} and all(ids) else None


def _table(rows: Sequence[Mapping[str, Any]]) -> dict[str, Sequence[Any]]:
    """One value of each row for every name that any row has; None where a row has none."""
    if not rows:
        return {}
    names = tuple(rows[0])
    if len(names) > 1 and set(map(len, rows)) == {len(names)}:
        with contextlib.suppress(KeyError):  # rows of as many, but other names
            return dict(zip(names, zip(*map(itemgetter(*names), rows), strict=True), strict=True))
    return {name: [row.get(name) for row in rows] for name in set().union(*rows)}


def _one(line: bytes) -> dict[str, Any] | str:
    """The row of a line, or what is wrong with it."""
    try:
        row = json.loads(line.decode())  # bytes would also be taken for UTF-16
    except (ValueError, RecursionError) as error:
        return f"no JSON: {error}"
    if not isinstance(row, dict):
        return f"expected a JSON object, found {type(row).__name__}"
    return row if isinstance(row.get("id"), str) and row["id"] else "no id, which has to be a text"


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Without the search for cycles, which parsed JSON has none of, and which takes half of its time."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def _lines(path: Path, start: int, end: int) -> tuple[bytes, int]:
    """The lines that begin in a stretch, without the end of the last, and where they begin."""
    with path.open("rb") as file:
        if start:
            file.seek(start - 1)
            start += len(file.readline()) - 1
        elif file.read(3) == b"\xef\xbb\xbf":
            start = 3
        if start >= end:
            return b"", start
        file.seek(start)
        data = file.read(end - start)
        if not data.endswith(b"\n"):
            data += file.readline()
    return data.removesuffix(b"\n"), start


def _fill(piece: Piece, table: Mapping[str, Sequence[Any]], count: int, wanted: frozenset[str]) -> None:
    """The columns of rows; those of `extra` go by their own names, and `characters` is the length of the text."""
    texts = table.get("text", ())
    whole = set(map(type, texts)) == {str}
    lengths = map(len, texts) if whole else (len(t) if type(t) is str else 0 for t in texts)
    piece.columns["characters"] = np.fromiter(lengths, np.int32, count) if texts else np.zeros(count, np.int32)
    for name in wanted & {"text", "audio"}:
        piece.texts[name] = [value if isinstance(value, str) else None for value in table.get(name, [None] * count)]
    extras = [extra if type(extra) is dict else {} for extra in table.get("extra", ())]
    for source, own in ((table, _OWN), (_table(extras), _OWN | {"characters"})):
        for name in sorted(source.keys() - own):
            if name not in piece.columns:
                _add(piece, name, source[name], name in wanted)


def _add(piece: Piece, name: str, values: Sequence[Any], wanted: bool) -> None:
    kinds = set(map(type, values))
    complete = type(None) not in kinds
    kinds.discard(type(None))
    if kinds == {str}:
        labels = _labels(values)
        if labels is not None:
            piece.columns[name] = labels
            return
    elif kinds and kinds <= {int, float}:
        with contextlib.suppress(OverflowError):
            piece.columns[name] = _numbers(values, kinds == {int} and complete)
            return
    if kinds:
        piece.left.add(name)
        if wanted:
            piece.texts[name] = list(values)


def _labels(values: Sequence[Any]) -> Labels | None:
    """Texts as labels; None where there are too many."""
    words = [word for word in dict.fromkeys(values) if word is not None]
    if len(words) > max(_LEAST, _FEW * len(values)):
        return None
    places = {None: -1, **{word: place for place, word in enumerate(words)}}
    return Labels(np.fromiter(map(places.__getitem__, values), np.int32, len(values)), words)


def _numbers(values: Sequence[float | None], whole: bool) -> NDArray[Any]:
    """Small whole numbers as such, all others as floating point, with nan for None.

    Raises:
        OverflowError: a number is too large for that as well.
    """
    if whole:
        with contextlib.suppress(OverflowError):
            return _narrow(np.fromiter(values, np.int64, len(values)))  # type: ignore[arg-type]
    return np.array(values, np.float64)


def _narrow(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype == np.int64 and values.size and values.min() > -(2**31) and values.max() < 2**31:
        return values.astype(np.int32)
    return values.astype(np.float64)


def _joined(pieces: list[Piece], strange: frozenset[str] | set[str] = frozenset()) -> Piece:
    """All pieces as one; a column that is of two kinds in two pieces is left out, and so are the `strange` ones."""
    lengths = [len(piece.offsets) for piece in pieces]
    whole = Piece(
        np.concatenate([piece.offsets for piece in pieces]),
        np.concatenate([piece.sizes for piece in pieces]),
        Strings.concatenated([piece.ids for piece in pieces]),
        faults=[fault for piece in pieces for fault in piece.faults],
    )
    for piece in pieces:
        piece.ids = Strings.of([])
    left = {name for piece in pieces for name in piece.left} | strange
    for name in sorted({name for piece in pieces for name in piece.columns} - left):
        parts = [piece.columns.pop(name, None) for piece in pieces]
        kinds = {type(part) for part in parts if part is not None}
        if kinds == {Labels}:
            whole.columns[name] = _joined_labels([p if isinstance(p, Labels) else None for p in parts], lengths)
        elif len(kinds) == 1:
            whole.columns[name] = np.concatenate(
                [p if isinstance(p, np.ndarray) else np.full(n, np.nan) for p, n in zip(parts, lengths, strict=True)]
            )
    return whole


def _joined_labels(parts: Sequence[Labels | None], lengths: Sequence[int]) -> Labels:
    places: dict[str, int] = {}
    codes = []
    for part, length in zip(parts, lengths, strict=True):
        if part is None:
            codes.append(np.full(length, -1, np.int32))
            continue
        table = np.array([places.setdefault(word, len(places)) for word in part.names] + [-1], np.int32)
        codes.append(table[part.codes])
    return Labels(np.concatenate(codes), list(places))


def _save(kept: Path, whole: Piece, state: str) -> None:
    arrays: dict[str, NDArray[Any]] = {"offsets": whole.offsets, "sizes": whole.sizes}
    arrays |= {"id_offsets": whole.ids.offsets, "id_bytes": whole.ids.blob}
    labels: dict[str, list[str]] = {}
    for name, column in whole.columns.items():
        if isinstance(column, Labels):
            labels[name] = column.names
            arrays[f"label:{name}"] = column.codes
        else:
            arrays[f"number:{name}"] = column
    head = json.dumps({"state": state, "labels": labels, "faults": whole.faults})
    arrays["head"] = np.frombuffer(head.encode(), np.uint8)
    with atomic_writer(kept) as file:
        np.savez(file, allow_pickle=False, **arrays)


def _load(path: Path, kept: Path, state: str) -> ManifestColumns | None:
    try:
        with kept.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            head = json.loads(arrays["head"].tobytes())
            if head["state"] != state:
                return None
            ids = Strings(arrays["id_offsets"], arrays["id_bytes"])
            whole = Piece(arrays["offsets"], arrays["sizes"], ids, faults=[(at, words) for at, words in head["faults"]])
            for name in arrays.files:
                kind, _, own = name.partition(":")
                if kind == "number":
                    whole.columns[own] = arrays[name]
                elif kind == "label":
                    whole.columns[own] = Labels(arrays[name], head["labels"][own])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return ManifestColumns(path, whole)
