"""Shards into the layouts of others: one file (or a few) is one unit of work, whole or absent.

What a layout looks like is said in `export_emilia`, `export_lhotse` and `export_hf`; here is what they share. While an
export runs, `.done/` holds a note for each unit; `export/report.json` takes their place at the end. It and
`export/drops.jsonl` have a folder of their own, because readers take what lies beside the data for data.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from amphion_core.atomic import atomic_writer, remove_temporaries
from amphion_core.data import Drop, ShardSet, write_drops
from amphion_core.data.index import probe
from amphion_core.locking import file_lock
from amphion_data.deriving import Source, open_sources, refuse_below_one, refuse_inside
from amphion_data.engines.engine import Step, make_engine
from amphion_data.files import read_record
from amphion_data.pointers import Pointer, Pointers

__all__ = ["ExportReport", "Layout", "Unit", "cut_into_units", "export"]

_MARK, _DROPS, _NOTES = "export/report.json", "export/drops.jsonl", ".done"


@dataclass(frozen=True)
class Unit:
    """One piece of an export.

    Attributes:
        name: of the unit, a path without an ending; no two units have the same.
        part: split that its rows are of; "" where there are none.
        number: of the unit within its kind, from 0.
        rows: in order.
    """

    name: str
    part: str
    number: int
    rows: Sequence[Pointer]


class Layout(Protocol):
    """How a kind of export looks; goes to other processes."""

    @property
    def name(self) -> str:
        """Of the kind of export."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """What the bytes depend on, as JSON values."""
        ...

    def units(self, source: Source, parts: Mapping[str, Pointers], per_file: int) -> list[Unit]:
        """The pieces, in order; each row is in one of them."""
        ...

    def write(self, unit: Unit, sets: Sequence[ShardSet], out: Path) -> tuple[list[str], list[Drop]]:
        """Write the files of a unit, each whole or not at all; names below `out`, and rows that did not get in."""
        ...

    def finish(self, source: Source, out: Path, units: Sequence[Unit], dropped: frozenset[str]) -> list[str]:
        """Write what is about all units; names of these files."""
        ...


@dataclass(frozen=True)
class ExportReport:
    """What an export did.

    Attributes:
        out: the folder.
        rows_in: rows of the source.
        kept: rows exported.
        dropped: the others, by reason.
        files: names of what was written.
    """

    out: Path
    rows_in: int
    kept: int
    dropped: Mapping[str, int]
    files: Sequence[str]

    def to_text(self) -> str:
        """What came in and out, for people."""
        lines = [f"{self.rows_in} rows in = {self.kept} kept + {sum(self.dropped.values())} dropped"]
        lines += [f"  dropped {count:>8}  {reason}" for reason, count in self.dropped.items()]
        return "\n".join([*lines, f"{len(self.files)} files in {self.out}"])


def export(
    source: str | Path,
    out: str | Path,
    layout: Layout,
    *,
    per_file: int = 1000,
    workers: int | None = None,
    overwrite: bool = False,
) -> ExportReport:
    """Write shards in the layout of another system. Killed and run again, it ends with the same bytes.

    Args:
        source: what `prepare` wrote, a folder of shards, or a shard.
        out: folder to write.
        layout: how.
        per_file: rows of one file (or folder of files).
        workers: processes; None takes one for each core. The output does not depend on it.
        overwrite: replace what another export left in the folder, instead of refusing.

    Raises:
        ValueError: no row could be exported, or the folder lies in the source or holds something else.
        RuntimeError: a unit failed; the others are kept, and the next run goes on with it.
        amphion_core.locking.LockedError: another process exports into the folder.
    """
    import numpy as np

    refuse_below_one(per_file=per_file, workers=workers)
    out = Path(out)
    (opened,) = open_sources([source])
    refuse_inside(out, [opened])
    sets = list(opened.parts.values())
    parts = {
        split: Pointers(sets, np.full(len(shards), k, np.int32), np.arange(len(shards)))
        for k, (split, shards) in enumerate(opened.parts.items())
    }
    units = layout.units(opened, parts, per_file)
    asked = {
        "layout": layout.name,
        "settings": {**layout.settings, "per_file": per_file},
        "source": {split: shards.fingerprint for split, shards in opened.parts.items()},
    }
    out.mkdir(parents=True, exist_ok=True)
    with file_lock(out / ".exporting.lock", what=f"the export {out}"):
        _begin(out, asked, overwrite)
        notes = _run(layout, opened, units, out, workers or os.cpu_count() or 1)
        return _finish(layout, opened, units, notes, out, asked)


def _run(layout: Layout, source: Source, units: Sequence[Unit], out: Path, workers: int) -> dict[str, dict[str, Any]]:
    """The note of every unit, those of an earlier run among them."""
    tars = tuple(tuple(map(str, shards.tars)) for shards in source.parts.values())
    notes, left = {}, []
    for unit in units:
        note = _earlier(out, unit)
        if note is None:
            left.append(unit)
        else:
            notes[unit.name] = note
    step = Step("export", partial(_Writer, layout, tars, out))
    failed = []
    for outcome in make_engine("in-process", workers=min(workers, max(len(left), 1)), retries=0).run([step], left):
        if outcome.done:
            notes[outcome.unit.name] = outcome.value
        else:
            failed.append(f"{outcome.unit.name}: {outcome.error.splitlines()[-1]}")
    if failed:
        raise RuntimeError(f"{len(failed)} of {len(units)} pieces failed; run again to go on. {'; '.join(failed[:3])}")
    return notes


class _Writer:
    """Writes units in the process that it is made in, and leaves a note of each."""

    def __init__(self, layout: Layout, tars: Sequence[Sequence[str]], out: Path) -> None:
        self._layout, self._out = layout, out
        self._sets = [ShardSet.open(list(part)) for part in tars]

    def __call__(self, unit: Unit) -> dict[str, Any]:
        files, drops = self._layout.write(unit, self._sets, self._out)
        note = {
            "plan": _plan(unit),
            "files": {name: probe(self._out / name) for name in files},
            "drops": [asdict(drop) for drop in drops],
        }
        _put_json(_note(self._out, unit), note)
        return note


def _earlier(out: Path, unit: Unit) -> dict[str, Any] | None:
    """The note of a unit that an earlier run finished."""
    path = _note(out, unit)
    note = read_record(path, replaced=True)  # without it the unit is done again
    try:
        whole = bool(note) and all(probe(out / name) == found for name, found in note["files"].items())
    except FileNotFoundError:
        return None
    return note if whole and note["plan"] == _plan(unit) else None


def _plan(unit: Unit) -> str:
    return hashlib.sha256("\n".join(row.to_json() for row in unit.rows).encode()).hexdigest()


def _note(out: Path, unit: Unit) -> Path:
    return out / _NOTES / f"{unit.name.replace('/', '_')}.json"


def _begin(out: Path, asked: Mapping[str, Any], overwrite: bool) -> None:
    """Refuse a folder that holds something else; unfold what an earlier run folded up."""
    mark = out / _MARK
    before = read_record(mark, replaced=overwrite)
    if mark.parent.is_dir():  # a run that was killed before its first mark leaves the folder alone behind
        remove_temporaries(mark.parent)
        if not any(mark.parent.iterdir()):
            mark.parent.rmdir()
    there = sorted(path.name for path in out.iterdir() if not path.name.startswith("."))
    same = before.get("asked") == asked
    if there and not same and not overwrite:
        raise ValueError(f"{out} holds {', '.join(there[:5])} already; choose another folder, or pass --overwrite")
    if before and not same:
        for name in before.get("files", ()):
            (out / name).unlink(missing_ok=True)
        shutil.rmtree(out / _NOTES, ignore_errors=True)
    for folder in [out, *(path for path in sorted(out.rglob("*")) if path.is_dir())]:
        remove_temporaries(folder)
    if same:
        for name, note in before.get("units", {}).items():
            if not (out / _NOTES / name).is_file():
                _put_json(out / _NOTES / name, note)
    else:
        _put_json(mark, {"complete": False, "asked": asked})


def _finish(
    layout: Layout,
    source: Source,
    units: Sequence[Unit],
    notes: Mapping[str, Mapping[str, Any]],
    out: Path,
    asked: Mapping[str, Any],
) -> ExportReport:
    drops = [*source.drops, *(Drop(**drop) for unit in units for drop in notes[unit.name]["drops"])]
    rows = sum(len(unit.rows) for unit in units)
    rows_in = source.rows + len(source.drops)
    reasons = dict(sorted(Counter(drop.reason for drop in drops).items()))
    kept = rows - sum(len(notes[unit.name]["drops"]) for unit in units)
    if rows != source.rows:
        raise RuntimeError(f"{source.rows} rows went in, {rows} were planned; this is a fault of the layout")
    if not kept:
        first = "; ".join(f"{drop.id}: {drop.detail}" for drop in drops[:3])
        raise ValueError(f"no row of {rows_in} could be exported: {first}")
    dropped = frozenset(drop["id"] for unit in units for drop in notes[unit.name]["drops"])
    files = [name for unit in units for name in notes[unit.name]["files"]]
    files += layout.finish(source, out, units, dropped)
    write_drops(out / _DROPS, drops)
    record = {"complete": True, "asked": asked, "licence": source.licence, "rows_in": rows_in, "kept": kept}
    folded = {_note(out, unit).name: notes[unit.name] for unit in units}
    _put_json(out / _MARK, {**record, "dropped": reasons, "files": [*files, _DROPS], "units": folded})
    shutil.rmtree(out / _NOTES, ignore_errors=True)
    return ExportReport(out, rows_in, kept, reasons, files)


def _put_json(path: Path, values: Mapping[str, Any]) -> None:
    with atomic_writer(path) as file:
        file.write((json.dumps(values, ensure_ascii=False, indent=1) + "\n").encode())


def cut_into_units(name: Callable[[int], str], part: str, rows: Sequence[Pointer], per_file: int) -> list[Unit]:
    """Units of `per_file` rows, numbered from 0."""
    starts = range(0, len(rows), per_file)
    return [Unit(name(k), part, k, rows[start : start + per_file]) for k, start in enumerate(starts)]
