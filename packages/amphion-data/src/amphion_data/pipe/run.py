"""The whole run: a plan, units spread by an engine, and, when all are marked, the lists and the report.

Marks are read one after another, never together: the driver of a million units holds their plan, sums and names.

Several drivers on several machines may run the same command on one output: they share the units by leases. What was
finished is never done again; the bytes depend on the recordings, the settings and the versions alone.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from amphion_data.engines import Engine, InProcessEngine, Leases, Ledger, Outcome, Store, open_store
from amphion_data.pipe.corpus_pass import final_facts, forget_other_passes, forget_unit, run_corpus_pass
from amphion_data.pipe.finishing import merge, segments_report
from amphion_data.pipe.report import Counts, PipeReport, Status
from amphion_data.pipe.segment_marks import FOLDER, SegmentMarks
from amphion_data.pipe.settings import PipeSettings
from amphion_data.pipe.steps import Job, Slice, gpu_shares, parse_slice, unit_steps
from amphion_data.pipe.units import Plan, Unit, WorkFailedError, fingerprint, plan_units

__all__ = ["PipeReport", "run_pipe", "status"]

log = logging.getLogger(__name__)

_PLAN = "plan.json"
_WRITTEN = ("units", "shards", "times", "tries", "leases", "failures", FOLDER)
"""Folders that are written under a lease; files beside them are not: another driver may be at them, so age decides."""


def run_pipe(
    folder: str | Path,
    out: str | Path,
    settings: PipeSettings | None = None,
    *,
    engine: Engine | None = None,
    device: str = "cpu",
    cpus: float = 1.0,
    gpus: float | Mapping[str, float] = 0.0,
    time_limit: float | None = None,
    work: str | None = None,
    overwrite: bool = False,
    patience: float = 120.0,
    stages: str = ":",
) -> PipeReport:
    """Make training data of recordings.

    Args:
        folder: of the recordings; path or address.
        out: folder to write; path or address. What an earlier run of the same settings finished there is kept.
        settings: what to do.
        engine: who works; None is this process.
        device: of the networks, `cpu` or `cuda:0`.
        cpus: cores of one worker, on engines that place workers.
        gpus: share of a GPU of each step with networks, on Ray: one for all, or by the names of steps (`listen`,
            `recognise`, and `standardise` where music is taken away). Such steps are actors that keep their models.
        time_limit: s after which no more units are begun; None for no limit.
        work: folder of each machine for what is kept on disk meanwhile; None takes that of the system.
        overwrite: replace what other settings left in the output, instead of refusing.
        patience: s without a sign of life after which the units of another driver are taken over.
        stages: `:segment` stops when the segments are kept, `transcribe:` goes on from there, `:` is all. The output is
            the same in one go and in two.

    Returns:
        The report over all units.

    Raises:
        FileNotFoundError: there is no recording.
        ValueError: the output was made with other settings, or what `stages` begins with is not there.
        LookupError: no installed package has a part that the settings name.
        SetupError: a package or weights that a part needs are not here.
        WorkFailedError: some units could not be finished; says which and why. The others are.
    """
    settings = settings or PipeSettings()
    store = open_store(out)
    if str(folder).rstrip("/") == str(out).rstrip("/"):
        raise ValueError(f"{out} holds the recordings; choose another folder for the output")
    part = parse_slice(stages)
    shares = gpu_shares(gpus, settings, part)
    plan = plan_units(folder, settings)
    marks = SegmentMarks(store)
    before = _read_plan(store)
    if before is not None and not _begun(store):
        before = None  # a run that failed before its first unit, of an option or of weights, binds no one
    if before is not None and not overwrite:
        _check_same(store, before, settings)
    if part == "second":
        _check_segments(plan, Ledger(store), marks)
    if part != "first":
        _forget_changed(store, plan, marks)
    only = part == "first" and (before is None or overwrite or before.get("only_segments", False))
    _write_plan(store, plan, str(folder), settings, only_segments=only)
    job = Job(settings, str(folder), str(out), uuid.uuid4().hex, device, work, shares, part)
    began = time.monotonic()
    worker = engine or InProcessEngine()
    failed = _work(store, plan, worker, job, cpus, time_limit, patience)
    ledger = marks.ledger if part == "first" else Ledger(store)
    done = ledger.done()
    left = [unit for unit in plan.units if _key(unit, part) not in done]
    if left:
        raise WorkFailedError(_why_left(left, failed, time_limit))
    _sweep(store, patience)
    marks.forget_others({unit.segments: unit for unit in plan.units})
    if part == "first":
        return segments_report(store, marks, plan, time.monotonic() - began)
    keys = [unit.key for unit in plan.units]
    if settings.filter.rates == "corpus":
        why = run_corpus_pass(store, keys, worker, own=settings.filter.rate_bounds, cpus=cpus, beat=patience / 6)
        if why:
            raise WorkFailedError(f"{why}; run again to go on")
    forget_other_passes(store, keys if settings.filter.rates == "corpus" else [])
    return merge(store, plan, time.monotonic() - began)


def _work(
    store: Store, plan: Plan, engine: Engine, job: Job, cpus: float, time_limit: float | None, patience: float
) -> dict[str, str]:
    """Let an engine work on the units that are free; returns the errors of those that failed."""
    ledger = SegmentMarks(store).ledger if job.part == "first" else Ledger(store)
    units = {_key(unit, job.part): unit for unit in plan.units}
    deadline = None if time_limit is None else time.monotonic() + time_limit
    failed: dict[str, str] = {}
    with Leases(store, beat=patience / 6, patience=patience) as leases:
        given = _given(units, leases, ledger, deadline)
        for outcome in engine.run(unit_steps(job, cpus=cpus), given):
            key = _key(outcome.unit, job.part)
            _note(outcome, key, store, failed, len(units))
            leases.give_back(key)
    return failed


def _key(unit: Unit, part: Slice) -> str:
    """Of the mark that a part of the work leaves."""
    return unit.segments if part == "first" else unit.key


def _check_segments(plan: Plan, ledger: Ledger, marks: SegmentMarks) -> None:
    done, kept = ledger.done(), marks.ledger.done()
    left = [unit for unit in plan.units if unit.key not in done and unit.segments not in kept]
    if left:
        raise ValueError(
            f"the segments of {len(left)} of {len(plan.units)} units are not kept, the first holds "
            f"{left[0].sources[0].name}; run --stages :segment with the same settings first, or all stages"
        )


def _forget_changed(store: Store, plan: Plan, marks: SegmentMarks) -> None:
    """Let units be done again whose manifest of segments was changed after they were done."""
    ledger, kept = Ledger(store), marks.ledger.done()
    for unit in plan.units:
        facts = ledger.facts(unit.key) if unit.segments in kept else None
        segments = None if facts is None else marks.facts(unit)
        if facts is None or segments is None or not marks.has_manifest(unit):
            continue
        if marks.taken_out(unit, segments) != facts.get("taken_out", {}):
            log.info("unit %d: its manifest of segments was changed; it is done again", unit.number + 1)
            forget_unit(store, unit.key)


def status(out: str | Path) -> Status:
    """How far a run is, from what it left in its output; it may be running anywhere.

    Raises:
        FileNotFoundError: no run was begun there.
    """
    store = open_store(out)
    plan = _read_plan(store)
    if plan is None:
        raise FileNotFoundError(f"no run was begun in {out}: there is no {_PLAN}")
    facts_of, segments_of = final_facts(store), Ledger(store, FOLDER).facts
    lengths, firsts = plan["units"], plan.get("segments", {})
    counts, done, segmented = Counts(store), set[str](), set[str]()
    for key in lengths:
        facts, first = facts_of(key), segments_of(firsts[key]) if key in firsts else None
        if first is not None:
            segmented.add(firsts[key])
        if facts is not None:
            done.add(key)
            counts.add(facts)
        elif first is not None:
            counts.add(first)
    both = done | segmented
    keys = lengths.keys() | set(firsts.values())
    names = {folder: {_stem(name) for name in store.names(folder)} & keys for folder in ("leases", "failures")}
    return Status(
        units=len(lengths),
        done=len(done),
        running=len(names["leases"] - both),
        failed=len(names["failures"] - both),
        hours=sum(lengths.values()) / 3600,
        hours_done=sum(lengths[key] for key in done) / 3600,
        report=counts.report(),
        segmented=len(segmented),
    )


def _check_same(store: Store, before: Mapping[str, Any], settings: PipeSettings) -> None:
    """Refuse an output of other settings; where nothing but segments was made, only those that decide on them count."""
    only = before.get("only_segments", False)
    asked = json.loads(fingerprint(settings, segments=only))
    old, new = _flat(before["asked_segments" if only else "asked"]), _flat(asked)
    differing = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    if differing:
        raise ValueError(
            f"{store.address} was made with other {', '.join(differing[:5])}; choose another folder, or replace what "
            "is there with --overwrite"
        )


def _begun(store: Store) -> bool:
    """Whether anything was made in an output, or someone is about to."""
    return any(store.names(folder) for folder in ("units", FOLDER, "leases"))


def _sweep(store: Store, patience: float) -> None:
    """Remove what killed processes have left half written, unless another driver is at work."""
    store.sweep_beside(patience)
    if not store.names("leases"):
        for folder in _WRITTEN:
            store.sweep(folder)


def _write_plan(store: Store, plan: Plan, folder: str, settings: PipeSettings, *, only_segments: bool) -> None:
    facts = {
        "asked": json.loads(fingerprint(settings)),
        "asked_segments": json.loads(fingerprint(settings, segments=True)),
        "only_segments": only_segments,
        "folder": folder,
        "units": {unit.key: unit.seconds for unit in plan.units},
        "segments": {unit.key: unit.segments for unit in plan.units},
    }
    text = json.dumps(facts, ensure_ascii=False, indent=1) + "\n"
    store.write(_PLAN, text.encode("utf-8", "surrogateescape"))


def _read_plan(store: Store) -> dict[str, Any] | None:
    data = store.read(_PLAN)
    return None if data is None else json.loads(data)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}".removeprefix("settings.")] = value
    return found


def _given(units: Mapping[str, Unit], leases: Leases, ledger: Ledger, deadline: float | None) -> Iterator[Unit]:
    """Units that are free, until the time is over."""
    for key in leases.free(units, ledger):
        if deadline is not None and time.monotonic() > deadline:
            leases.give_back(key)
            return
        yield units[key]


def _note(outcome: Outcome[Unit], key: str, store: Store, failed: dict[str, str], count: int) -> None:
    unit = outcome.unit
    if outcome.done:
        store.remove(f"failures/{key}.json")
        rows = outcome.value.get("rows", outcome.value.get("segments"))
        log.info("unit %d of %d: %d segments", unit.number + 1, count, rows)
        return
    failed[key] = outcome.error
    facts = {"number": unit.number, "error": outcome.error, "sources": [source.name for source in unit.sources]}
    store.write(f"failures/{key}.json", json.dumps(facts, ensure_ascii=False, indent=1).encode())
    log.error("%s failed %d times: %s", unit, outcome.attempts, outcome.error)


def _why_left(left: Sequence[Unit], failed: Mapping[str, str], time_limit: float | None) -> str:
    words = [f"{len(left)} units are not done"]
    if failed:
        key, error = next(iter(failed.items()))
        words.append(f"{len(failed)} failed, the first, {key}: {error.splitlines()[-1] if error else 'no reason'}")
    if time_limit is not None:
        words.append(f"the time limit is {time_limit:g} s")
    return "; ".join(words) + "; run again to go on"


def _stem(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(".json")
