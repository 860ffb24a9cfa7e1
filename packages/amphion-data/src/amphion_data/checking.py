"""Shards against what was written: every header, checksum, decode and duration, and that no shard or row is gone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from amphion_core.data import Drop, ShardSet, escape_key
from amphion_core.data.index import Index, IndexFileError, index_path, probe
from amphion_core.data.scan import list_members, scan

__all__ = ["CheckReport", "check_folder"]

_TOLERANCE = 0.05  # s; encoders of MP3 and Opus add or cut a part of a frame


@dataclass(frozen=True)
class CheckReport:
    """What a check found.

    Attributes:
        rows: rows looked at.
        shards: tars looked at.
        faults: one line each; empty where all is well.
    """

    rows: int
    shards: int
    faults: tuple[str, ...]


def check_folder(source: str | Path, *, workers: int | None = None) -> CheckReport:
    """Read, decode and measure every row of the shards below a folder.

    Args:
        source: what `prepare` wrote, a folder of shards, or one shard.
        workers: processes; None takes one for each core.

    Raises:
        FileNotFoundError: there are no shards.
    """
    source = Path(source)
    tars = [source] if source.is_file() else sorted(source.rglob("*.tar"))
    if not tars:
        raise FileNotFoundError(f"no shards (*.tar) in {source}")
    top = source.parent if source.is_file() else source
    changed = {tar: fault for tar in tars if (fault := _check_index(tar, _name(tar, top)))}
    intact = [tar for tar in tars if tar not in changed]  # the others are not opened: that would make a new index
    folders = [] if source.is_file() else sorted({tar.parent for tar in tars})
    faults = list(changed.values())
    for folder in folders:
        faults += _check_whole(folder, top, opened=not any(tar.parent == folder for tar in changed))
    workers = min(workers or os.cpu_count() or 1, len(intact))
    names = [_name(tar, top) for tar in intact]
    if workers <= 1:
        results = [_check_shard(tar, name) for tar, name in zip(intact, names, strict=True)]
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            results = list(pool.map(_check_shard, intact, names))
    results += [_look_into(tar, _name(tar, top)) for tar in changed]
    faults += [fault for _, found in results for fault in found]
    if not faults:  # rows that are gone follow from each of the faults above
        counts = {tar: count for tar, (count, _) in zip(intact, results, strict=True)}  # no fault: all are intact
        faults += [fault for folder in _made(folders, top) for fault in _check_counts(folder, counts)]
    return CheckReport(sum(count for count, _ in results), len(tars), tuple(faults))


def _name(tar: Path, top: Path) -> str:
    """The shards of train, valid and test have the same names, so a fault names their folder too."""
    return tar.relative_to(top).as_posix()


def _check_index(tar: Path, name: str) -> str:
    """What is wrong between a shard and its index; empty where they agree, or where a tar of others has none."""
    try:
        noted = Index.load(index_path(tar)).head["probe"]
    except FileNotFoundError:
        if tar.name not in _listed(tar.parent):
            return ""
        return f"{name}: its index {tar.name}.idx is missing, and with it the checksums; copy it again"
    except IndexFileError as error:
        return str(error)
    if noted == probe(tar):
        return ""
    return f"{name}: it is not the file that its index was made of, but cut or changed; copy it again"


def _listed(folder: Path) -> Sequence[str]:
    """Names of the shards that were written into a folder; none where other programs wrote them."""
    values = _values(folder / "shards.json")
    return [shard["name"] for shard in values.get("shards", ())]


def _values(path: Path) -> dict[str, Any]:
    """What a JSON file says; nothing where there is none or it is no object."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _check_whole(folder: Path, top: Path, *, opened: bool) -> list[str]:
    """Whether a folder has all the shards that were written to it, and no others."""
    faults = []
    listed = _listed(folder)
    if listed:
        faults = [
            f"{_name(tar, top)}: it is none of the {len(listed)} shards that were written, nothing reads it; remove it"
            for tar in sorted(folder.glob("*.tar"))
            if tar.name not in listed
        ]
    if opened:
        try:
            ShardSet.open(folder)
        except (ValueError, OSError) as error:
            faults.append(str(error))
    return faults


def _made(folders: Sequence[Path], top: Path) -> list[Path]:
    """Folders that say in `prepare.json` or `made.json` what was written into them and their splits."""
    near = {top, *folders, *(folder.parent for folder in folders)}
    return sorted(folder for folder in near if folder.is_relative_to(top) and any(map(Path.is_file, _marks(folder))))


def _marks(folder: Path) -> list[Path]:
    return [folder / "prepare.json", folder / "made.json"]


def _check_counts(folder: Path, counts: dict[Path, int]) -> Iterator[str]:
    """Whether every split has the rows that its making counted."""
    for mark in _marks(folder):
        values = _values(mark)
        if not values and mark.is_file():
            yield f"{mark}: it is damaged, and with it the counts of what was written; copy it again"
        if values.get("complete") is False:
            yield f"{mark}: the making of {folder} did not end; run the same command again"
        kept = values.get("kept")
        for split, rows in kept.items() if isinstance(kept, dict) else ():
            there = sum(count for tar, count in counts.items() if tar.parent == folder / split)
            if there != rows:
                yield f"{folder / split}: {rows} rows were written, {there} are there; copy it again"


def _check_shard(tar: Path, name: str) -> tuple[int, list[str]]:
    try:
        shards = ShardSet.open(tar)
    except (ValueError, OSError) as error:
        return 0, [f"{name}: {error}"]
    faults = [f"{drop.id}: {drop.detail}" for drop in shards.drops if drop.stage != "audio"]
    faults += _check_headers(tar, shards)
    try:
        shards.verify()
    except ValueError as error:
        faults.append(str(error))
    faults += [fault for i in range(len(shards)) for fault in _check_row(shards, i)]
    return len(shards), [f"{name}: {fault}" for fault in dict.fromkeys(faults)]


def _look_into(tar: Path, name: str) -> tuple[int, list[str]]:
    """Rows of a shard whose index does not serve, and what is wrong with the others; writes no new index."""
    try:
        builder, drops = scan(tar)
    except (ValueError, OSError) as error:
        return 0, [f"{name}: {error}"]
    return len(builder.entries), [f"{name}: {drop.id}: {drop.detail}" for drop in drops]


def _check_headers(tar: Path, shards: ShardSet) -> Iterator[str]:
    """What other programs find in the tar: the index alone reads past headers that are destroyed."""
    damage: list[Drop] = []
    try:
        members = {member.offset: member for member in list_members(tar, damage)}
    except ValueError as error:
        yield str(error)
        return
    yield from (f"{drop.id}: {drop.detail}" for drop in damage)
    ours = Index.load(index_path(tar)).head.get("made_by") == "write" if index_path(tar).is_file() else False
    end = max(members, default=0) if damage else None  # what lies behind the damage is not seen
    for row in range(len(shards)):
        for place in shards.places(row)[1]:
            member = members.get(place.offset)
            wanted = f"{escape_key(shards.keys[row])}.{place.field}"
            if end is not None and place.offset > end:
                continue
            if member is None or member.size != place.size or (ours and member.name != wanted):
                found = "no header" if member is None else f"{member.name!r} of {member.size} bytes"
                yield f"{shards.keys[row]}: {wanted!r} of {place.size} bytes was written, the tar has {found}"


def _check_row(shards: ShardSet, number: int) -> Iterator[str]:
    key, stated = shards.keys[number], float(shards.durations[number])
    try:
        row = shards.utterance(number)
        for place in shards.places(number)[1]:
            if place.field.endswith(".npy"):
                shards.array(number, place.field.removesuffix(".npy"))
        wav, rate = shards.audio(number)
    except (ValueError, OSError, EOFError) as error:
        yield f"{key}: {error}"
        return
    decoded = wav.shape[-1] / rate
    for name, value in (("index", stated), ("row", row.duration)):
        if abs(decoded - value) > max(_TOLERANCE, 0.01 * decoded):
            yield f"{key}: the {name} states {value:.3f} s, the audio has {decoded:.3f} s"
