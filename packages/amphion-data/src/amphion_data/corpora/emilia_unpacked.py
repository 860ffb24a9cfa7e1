"""Emilia outside archives: early batches that lie unpacked, and folders that the pipeline itself wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from amphion_core.data import Drop
from amphion_core.schema import Utterance
from amphion_data.corpora.emilia_rows import Asked, emilia_row, is_number, repairs_of, table_lines
from amphion_data.corpora.listing import Listing, nfc

__all__ = ["unpacked_rows"]


def unpacked_rows(root: Path, tables: Mapping[str, list[bytes]], asked: Asked) -> Iterator[Utterance | Drop]:
    """Rows of batches that lie unpacked beside their JSON lines, and of folders that the pipeline wrote."""
    listing = Listing(root)
    yield from listing.faults()
    stems: dict[str, str] = {}
    for name in listing.audio:
        stems.setdefault(name.rpartition("/")[2], name)
    for batch, lines in sorted(tables.items()):
        for row in table_lines(batch, lines):
            yield row if isinstance(row, Drop) else _unpacked_row(*row, stems, listing, asked)
    for path in listing.files:
        if path.endswith(".json"):
            yield from _pipeline_list(listing, path, asked)
    rest = {drop.id: drop for drop in listing.rest("no list has it")}
    for name, drop in rest.items():
        first = stems[name.rpartition("/")[2]]
        detail = f"{listing.audio[first]} has this name too and is listed"
        yield drop if first in rest else Drop(name, drop.audio, "duplicate_id", detail, "scan")


def _unpacked_row(
    where: str, line: bytes, values: dict[str, Any], stems: Mapping[str, str], listing: Listing, asked: Asked
) -> Utterance | Drop:
    key = str(values.get("id", where))
    path = listing.find(stems[nfc(key)]) if nfc(key) in stems else None
    if path is None:
        return Drop(key, str(values.get("wav") or ""), "missing_audio", f"{where}: no file {key}.mp3", "scan")
    return emilia_row(values, key, path, {}, "emilia", asked, repairs_of(line, path))


def _pipeline_list(listing: Listing, path: str, asked: Asked) -> Iterator[Utterance | Drop]:
    """Rows of a list `NAME.json` of the pipeline, whose clips are `NAME_0.mp3`, `NAME_1.mp3` ..."""
    base = path.removesuffix(".json")
    try:
        items = json.loads(listing.text(path) or "")
        if not isinstance(items, list) or not all(isinstance(item, dict) and "text" in item for item in items):
            return
    except ValueError:
        return
    for number, item in enumerate(items):
        key = f"{PurePosixPath(base).name}_{number}"
        audio = listing.find(f"{base}_{number}")
        if audio is None:
            yield Drop(key, "", "missing_audio", f"{path}, item {number}: no {key}.mp3", "scan")
            continue
        start, end, speaker = item.get("start"), item.get("end"), item.get("speaker")
        recording = PurePosixPath(base).name
        if isinstance(speaker, str) and speaker and not speaker.startswith(recording):
            speaker = f"{recording}_{speaker}"  # labels are valid within one recording only
        values = item | {"id": key, "wav": audio, "speaker": speaker}
        if is_number(start) and is_number(end):
            values["duration"] = end - start
        yield emilia_row(values, key, audio, {}, "emilia", asked, repairs_of(b"", audio))
