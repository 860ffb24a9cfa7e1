"""Manifests of lhotse as a table: recordings with supervisions, or cuts, as JSON lines, compressed or not.

Source: Żelasko et al., "Lhotse: a speech data representation library for the modern deep learning ecosystem", 2021,
arXiv:2110.12561.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from amphion_data.tables import TableRow

__all__ = ["find_manifests", "is_manifest", "read_manifests"]

_ENDINGS = (".jsonl", ".jsonl.gz")
_WHOLE = 0.02
"""Seconds by which a supervision may differ from its recording and still be all of it."""


def find_manifests(folder: Path) -> list[Path]:
    """Supervisions that have recordings beside them, or else cuts, of a folder."""
    files = sorted(p for p in folder.iterdir() if p.name.endswith(_ENDINGS) and not p.name.startswith("."))
    spoken = [p for p in files if "supervisions" in p.name and _recordings_of(p).is_file()]
    return spoken or [p for p in files if "cuts" in p.name]


def is_manifest(path: Path) -> bool:
    """Whether a file is called as lhotse calls supervisions or cuts."""
    return path.name.endswith(_ENDINGS) and ("supervisions" in path.name or "cuts" in path.name)


def read_manifests(path: Path) -> Iterator[TableRow]:
    """Rows of supervisions, or of cuts; each a whole recording or a stretch of one.

    Raises:
        FileNotFoundError: there are no recordings beside the supervisions.
    """
    if "cuts" in path.name:
        for where, values, fault in _lines(path):
            yield _cut(where, values) if not fault else TableRow(where, {}, fault)
        return
    beside = _recordings_of(path)
    if not beside.is_file():
        raise FileNotFoundError(f"{path.name} needs {beside.name} beside it")
    recordings = {values["id"]: values for _, values, fault in _lines(beside) if not fault and "id" in values}
    for where, values, fault in _lines(path):
        recording = recordings.get(values.get("recording_id", ""))
        if not fault and recording is None:
            fault = f"{beside.name} has no recording {values.get('recording_id')!r}"
        yield TableRow(where, {}, fault) if fault or recording is None else _row(where, values, recording, values)


def _cut(where: str, values: Mapping[str, Any]) -> TableRow:
    recording, spoken = values.get("recording"), values.get("supervisions") or []
    if not isinstance(recording, dict):
        return TableRow(where, {"id": values.get("id")}, "a cut without a recording, such as a mix or padding")
    if len(spoken) > 1:
        return TableRow(where, {"id": values.get("id")}, f"{len(spoken)} supervisions; cut it to one of them first")
    return _row(where, values, recording, spoken[0] if spoken else {})


def _row(where: str, stretch: Mapping[str, Any], recording: Mapping[str, Any], spoken: Mapping[str, Any]) -> TableRow:
    """A row of the stretch of a recording that something was said in."""
    sources = recording.get("sources") or [{}]
    source = sources[0] if isinstance(sources[0], dict) else {}
    values: dict[str, Any] = {
        "id": stretch.get("id"),
        "audio": source.get("source"),
        "text": spoken.get("text"),
        "speaker": spoken.get("speaker"),
        "language": spoken.get("language"),
        **{name: value for name, value in (spoken.get("custom") or {}).items() if isinstance(value, str | int | float)},
    }
    if source.get("type") != "file" or len(sources) != 1:
        return TableRow(where, values, f"{len(sources)} sources of type {source.get('type')!r}; one file is needed")
    try:
        start, length = float(stretch.get("start", 0.0)), float(stretch["duration"])
        whole = float(recording.get("duration", 0.0))
    except (KeyError, TypeError, ValueError):
        return TableRow(where, values, "no start and duration in seconds")
    if not (start >= 0 and 0 < length < float("inf")):
        return TableRow(where, values, f"{length} s from {start} s on is no stretch of time")
    if start < _WHOLE and abs(length - whole) < _WHOLE:
        return TableRow(where, {**values, "duration": whole})
    return TableRow(where, {**values, "start": start, "end": start + length})


def _recordings_of(path: Path) -> Path:
    return path.with_name(path.name.replace("supervisions", "recordings"))


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any], str]]:
    data = gzip.decompress(path.read_bytes()) if path.name.endswith(".gz") else path.read_bytes()
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        where = f"{path.name}:{number}"
        try:
            values = json.loads(line.decode("utf-8-sig"))
        except ValueError as error:
            yield where, {}, f"no JSON: {error}"
            continue
        if isinstance(values, dict):
            yield where, values, ""
        else:
            yield where, {}, f"expected a JSON object, found {type(values).__name__}"
