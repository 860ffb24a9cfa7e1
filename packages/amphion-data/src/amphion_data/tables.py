"""Tables of rows in csv, tsv, `|`-separated and JSON-lines files, with the line of each row, faults kept apart."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["ALIASES", "TABLE_SUFFIXES", "TableRow", "bytes_fault", "json_object", "read_table"]

TABLE_SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".psv")
"""Endings of tables; `.json` is read as JSON lines or as a list of objects."""

ALIASES: Mapping[str, tuple[str, ...]] = {
    "audio": ("audio", "audio_filepath", "audio_path", "audio_file", "file_name", "filename", "path", "file", "wav"),
    "text": ("text_normalized", "normalized_text", "text", "sentence", "transcript", "transcription"),
    "text_raw": ("text_raw", "raw_text", "text_no_preprocessing", "original_text"),
    "id": ("id", "utt_id", "utterance_id", "utt"),
    "speaker": ("speaker", "speaker_id", "spk", "client_id", "speaker_name"),
    "language": ("language", "lang", "locale"),
    "split": ("split",),
    "duration": ("duration", "duration_s", "seconds", "length_s"),
    "start": ("start",),
    "end": ("end",),
    "offset": ("offset",),
    "channel": ("channel",),
}
"""Our name of a column to those that tables in the world use, the better first, without regard to case."""


_QUOTES = "a quote inside a quoted column has to be doubled, and one that opens a column to be closed"
_LONGEST = 16 << 20  # characters of a column; the csv module takes 131,072, fewer than a transcript may have
_NAMES = "|".join((*ALIASES["id"], *ALIASES["audio"]))
_PAIR = re.compile(rf'"({_NAMES})"\s*:\s*("[^"\\\x00-\x1f]*"|[1-9]\d*)')


@dataclass(frozen=True)
class TableRow:
    """One row of a table.

    Attributes:
        where: file name and line, for messages.
        values: columns under our names where they have one, under their own otherwise.
        fault: why it is no row; empty where it is one.
        reason: of the drop that a fault makes.
        cells: all columns where their number is not that of the header, so that their names may be those of others.
    """

    where: str
    values: Mapping[str, Any] = field(default_factory=dict)
    fault: str = ""
    reason: str = "bad_row"
    cells: Sequence[str] = ()


def read_table(path: Path) -> Iterator[TableRow]:
    """Rows of a table in file order; the kind is that of the ending, a `|` in the first line goes before.

    csv is read with quotes (a quote inside is doubled), tsv and `|` tables without. A `|` table without a header is
    in the form of LJSpeech: id, text and, where there is a third column, normalised text.

    Raises:
        ValueError: the file is empty or UTF-16, has no column for the audio, or a quote that never closes.
    """
    content = path.read_bytes()
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ValueError(f"{path} is UTF-16; save it as UTF-8")
    text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    if not text.strip():
        raise ValueError(f"{path} is empty; expected one row a line")
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson", ".json"):
        whole = _document(text) if suffix == ".json" else None
        return _json_rows(text, path.name) if whole is None else _listed_rows(whole, path)
    head = next(line for line in text.split("\n") if line.strip())
    if suffix == ".psv" or ("|" in head and "\t" not in head and "," not in head.split("|")[0]):
        return _plain_rows(text, path, "|")
    if suffix == ".tsv" or "\t" in head:
        return _plain_rows(text, path, "\t")
    return _quoted_rows(text, path, ";" if ";" in head and "," not in head else ",")


def _json_rows(text: str, name: str) -> Iterator[TableRow]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{name}:{number}"
        values, fault = json_object(line)
        yield TableRow(where, _renamed(values), fault)


def json_object(line: str) -> tuple[dict[str, Any], str]:
    """The JSON object of a line and no fault; or the id and the audio, as far as they can be read, and the fault."""
    fault, values = bytes_fault([line]), None
    try:
        values = json.loads(line, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        fault = fault or f"no JSON: {error}"
    if isinstance(values, dict):
        return values, fault or (_half_fault(values) if "\\u" in line else "")
    found = {name: json.loads(value) for name, value in reversed(_PAIR.findall(line))}
    return found, fault or f"expected a JSON object, found {type(values).__name__}"


def _half_fault(values: Any) -> str:
    """JSON can spell half of a character, which no UTF-8 file can hold."""
    try:
        json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        return f"half of a character, {error.object[error.start]!a}"
    return ""


def _finite(number: str) -> float:
    value = float(number)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{number} is too large a number")
    return value


def _document(text: str) -> Any:
    """The value of a file that holds one JSON document over several lines; None for JSON lines."""
    first = text.lstrip().partition("\n")[0]
    try:
        json.loads(first)
    except ValueError:
        try:
            return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
        except ValueError:
            return None
    return json.loads(first) if first.startswith("[") else None


def _listed_rows(values: Any, path: Path) -> Iterator[TableRow]:
    if not isinstance(values, list):
        raise ValueError(
            f"{path} is one JSON {type(values).__name__}; expected one object a line, or a list of objects"
        )
    for number, item in enumerate(values, 1):
        where = f"{path.name}, item {number}"
        if isinstance(item, dict):
            yield TableRow(where, _renamed(item), _half_fault(item))
        else:
            yield TableRow(where, {}, f"expected a JSON object, found {type(item).__name__}")


def _plain_rows(text: str, path: Path, separator: str) -> Iterator[TableRow]:
    lines = (
        (n, line.removesuffix("\r").split(separator)) for n, line in enumerate(text.split("\n"), 1) if line.strip()
    )
    number, first = next(lines)
    header = [name.strip() for name in first]
    if _has_audio(header):
        _check_header(header, path)
        yield from _under_header(lines, header, path.name)
        return
    if separator != "|" or len(first) not in (2, 3):
        raise ValueError(_no_audio(path, header))
    header = ["id", "text_raw", "text"] if len(first) == 3 else ["id", "text"]
    yield from _under_header(iter([(number, first)]), header, path.name)
    yield from _under_header(lines, header, path.name)


def _quoted_rows(text: str, path: Path, separator: str) -> Iterator[TableRow]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        header = [name.strip() for name in _next_columns(reader)]
    except csv.Error as error:
        raise ValueError(f"{path}:1: {error}; {_QUOTES}") from None
    if not _has_audio(header):
        raise ValueError(_no_audio(path, header))
    _check_header(header, path)

    def lines() -> Iterator[tuple[int, list[str]]]:
        while True:
            number = reader.line_num + 1
            try:
                columns = _next_columns(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise ValueError(f"{path}:{number}: {error}; {_QUOTES}") from None
            if columns:
                yield number, columns

    yield from _under_header(lines(), header, path.name)


def _next_columns(reader: Iterator[list[str]]) -> list[str]:
    """The next row; the limit of the csv module is one for the whole process, and others read with theirs."""
    limit = csv.field_size_limit(_LONGEST)
    try:
        return next(reader)
    finally:
        csv.field_size_limit(limit)


def _under_header(lines: Iterator[tuple[int, list[str]]], header: list[str], name: str) -> Iterator[TableRow]:
    for number, columns in lines:
        where = f"{name}:{number}"
        fault = bytes_fault(columns)
        cells = columns if len(columns) != len(header) else ()
        if not fault and cells:
            fault = f"expected {len(header)} columns ({', '.join(header)}), got {len(columns)}"
        yield TableRow(where, _renamed(dict(zip(header, columns, strict=False))), fault, cells=cells)


def _renamed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Columns under our names; of several that mean one thing the best is taken, the others keep their own."""
    lower = {str(name).lower(): name for name in values}
    ours = {}
    for name, spellings in ALIASES.items():
        found = next((lower[spelling] for spelling in spellings if spelling in lower), None)
        if found is not None:
            ours[found] = name
    return {ours.get(name, str(name)): value for name, value in values.items()}


def _has_audio(header: list[str]) -> bool:
    known = {name.lower() for name in header}
    return any(spelling in known for spelling in (*ALIASES["audio"], *ALIASES["id"]))


def _check_header(header: list[str], path: Path) -> None:
    """Refuse names of columns that can't be written; every row would have them."""
    if fault := bytes_fault(header):
        raise ValueError(f"{path}:1: {fault} in the names of the columns {header!a}; save it as UTF-8")


def _no_audio(path: Path, header: list[str]) -> str:
    return f"{path} has no column for the audio, such as {', '.join(ALIASES['audio'][:5])}; its columns are {header}"


def bytes_fault(columns: Iterable[str]) -> str:
    """What is wrong where a text was read from bytes that are not UTF-8; empty where nothing is."""
    broken = any("\udc80" <= letter <= "\udcff" for column in columns for letter in column)
    return "bytes that are not UTF-8" if broken else ""


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
