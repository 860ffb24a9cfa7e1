"""Manifests of lhotse as a table: recordings with supervisions, or cuts, as JSON lines, compressed or not.

Source: Żelasko et al., "Lhotse: a speech data representation library for the modern deep learning ecosystem", 2021,
arXiv:2110.12561.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from amphion_data.tables import TableRow, json_object

__all__ = ["find_manifests", "is_manifest", "read_manifests"]

_ENDINGS = (".jsonl", ".jsonl.gz")
_OURS = frozenset({"audio", "channel", "duration", "end", "id", "offset", "start"})
"""Names that say where the audio of a row is; fields of one's own that are called so get another name."""
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
            yield TableRow(where, {"id": values.get("id")}, fault) if fault else _cut(where, values)
        return
    beside = _recordings_of(path)
    if not beside.is_file():
        raise FileNotFoundError(f"{path.name} needs {beside.name} beside it")
    recordings = {str(values["id"]): values for _, values, fault in _lines(beside) if not fault and "id" in values}
    for where, values, fault in _lines(path):
        name = values.get("recording_id")
        recording = recordings.get(str(name))
        if not fault and recording is None:
            fault = f"{beside.name} has no recording {name!r}"
        if fault or recording is None:
            yield TableRow(where, {"id": values.get("id"), "audio": _file_of(recording or {})}, fault)
        else:
            yield _row(where, values, recording, values, values.get("custom"))


def _cut(where: str, values: Mapping[str, Any]) -> TableRow:
    recording, spoken = values.get("recording"), values.get("supervisions") or []
    if not isinstance(recording, dict):
        return TableRow(where, {"id": values.get("id")}, "a cut without a recording, such as a mix or padding")
    fault = f"{len(spoken)} supervisions; cut it to one of them first" if len(spoken) > 1 else ""
    said = spoken[0] if isinstance(spoken, list) and spoken else {}
    if not isinstance(said, dict):
        fault = f"expected a list of supervisions, found {spoken!r}"
    if fault:
        return TableRow(where, {"id": values.get("id"), "audio": _file_of(recording)}, fault)
    return _row(where, values, recording, said, _plain(values.get("custom")) | _plain(said.get("custom")))


def _row(
    where: str, stretch: Mapping[str, Any], recording: Mapping[str, Any], spoken: Mapping[str, Any], custom: object
) -> TableRow:
    """A row of the stretch of a recording that something was said in."""
    sources = recording.get("sources")
    values: dict[str, Any] = {
        **{f"custom_{name}" if name in _OURS else name: value for name, value in _plain(custom).items()},
        "id": stretch.get("id"),
        "audio": _file_of(recording),
        **{name: spoken[name] for name in ("text", "speaker", "language", "gender") if spoken.get(name) is not None},
    }
    if not values["audio"]:
        count = len(sources) if isinstance(sources, list) else 0
        return TableRow(where, values, f"{count} sources, {sources!r:.99}; one file is needed")
    try:
        start, length = float(stretch.get("start", 0.0)), float(stretch["duration"])
        whole = float(recording.get("duration", 0.0))
    except (KeyError, TypeError, ValueError):
        return TableRow(where, values, "no start and duration in seconds")
    if not (start >= 0 and 0 < length < float("inf")):
        return TableRow(where, values, f"{length} s from {start} s on is no stretch of time")
    try:
        values["channel"] = _channel(_source_of(recording).get("channels"), stretch.get("channel"))
    except ValueError as error:
        return TableRow(where, values, str(error))
    if start < _WHOLE and abs(length - whole) < _WHOLE:
        return TableRow(where, {**values, "duration": whole})
    return TableRow(where, {**values, "start": start, "end": start + length})


def _channel(there: object, wanted: object) -> int | None:
    """Place of the wanted channel in its file; None where all are wanted, or there is no other.

    Raises:
        ValueError: it is not there, or some of several are wanted, which no other column can say.
    """
    have = there if isinstance(there, list) and there else [0]
    if wanted is None or wanted == have or [wanted] == have:
        return None
    one = wanted[0] if isinstance(wanted, list) and len(wanted) == 1 else wanted
    if one not in have:
        raise ValueError(f"channel {wanted!r} of a recording with {have!r}; one of them or all can be taken")
    return have.index(one)


def _source_of(recording: Mapping[str, Any]) -> Mapping[str, Any]:
    """The only source of a recording; empty where there are others."""
    sources = recording.get("sources")
    only = sources[0] if isinstance(sources, list) and len(sources) == 1 else {}
    return only if isinstance(only, dict) else {}


def _file_of(recording: Mapping[str, Any]) -> str | None:
    """Path of a recording that is one file."""
    source = _source_of(recording)
    return str(source.get("source") or "") or None if source.get("type") == "file" else None


def _plain(custom: object) -> dict[str, Any]:
    """Those fields of one's own that are a single value."""
    fields = custom.items() if isinstance(custom, dict) else ()
    return {name: value for name, value in fields if isinstance(value, str | int | float)}


def _recordings_of(path: Path) -> Path:
    return path.with_name(path.name.replace("supervisions", "recordings"))


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any], str]]:
    data = path.read_bytes()
    if path.name.endswith(".gz"):
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path} can't be unpacked: {error}; fetch or write it again") from None
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        values, fault = json_object(line.decode("utf-8-sig", "surrogateescape"))
        yield f"{path.name}:{number}", values, fault
