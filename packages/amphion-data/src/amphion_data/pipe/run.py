"""The whole run: a plan, units spread by an engine, and, when all are marked, the lists and the report.

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

from amphion_core.data import Drop
from amphion_data.engines import Engine, InProcessEngine, Leases, Ledger, Outcome, Store, open_store
from amphion_data.pipe.corpus_pass import final_facts, forget_other_passes, run_corpus_pass
from amphion_data.pipe.report import PipeReport, Status, gather
from amphion_data.pipe.settings import PipeSettings
from amphion_data.pipe.steps import Job, gpu_shares, unit_steps
from amphion_data.pipe.units import Plan, Unit, WorkFailedError, fingerprint, plan_units

__all__ = ["PipeReport", "run_pipe", "status"]

log = logging.getLogger(__name__)

_PLAN = "plan.json"


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

    Returns:
        The report over all units.

    Raises:
        FileNotFoundError: there is no recording.
        ValueError: the output was made with other settings.
        SetupError: a part is unknown, or a package or weights that it needs are not here.
        WorkFailedError: some units could not be finished; says which and why. The others are.
    """
    settings = settings or PipeSettings()
    store = open_store(out)
    if str(folder).rstrip("/") == str(out).rstrip("/"):
        raise ValueError(f"{out} holds the recordings; choose another folder for the output")
    plan = plan_units(folder, settings)
    _begin(store, plan, str(folder), settings, overwrite)
    ledger = Ledger(store)
    units = {unit.key: unit for unit in plan.units}
    job = Job(settings, str(folder), str(out), uuid.uuid4().hex, device, work, gpu_shares(gpus, settings))
    steps = unit_steps(job, cpus=cpus)
    deadline = None if time_limit is None else time.monotonic() + time_limit
    failed: dict[str, str] = {}
    began = time.monotonic()
    with Leases(store, beat=patience / 6, patience=patience) as leases:
        given = _given(units, leases, ledger, deadline)
        for outcome in (engine or InProcessEngine()).run(steps, given):
            _note(outcome, store, failed, len(units))
            leases.give_back(outcome.unit.key)
    left = [unit for unit in plan.units if ledger.facts(unit.key) is None]
    if left:
        raise WorkFailedError(_why_left(left, failed, time_limit))
    if settings.filter.rates == "corpus":
        why = run_corpus_pass(store, list(units), engine or InProcessEngine(), cpus=cpus, beat=patience / 6)
        if why:
            raise WorkFailedError(f"{why}; run again to go on")
    forget_other_passes(store, list(units) if settings.filter.rates == "corpus" else [])
    return _finish(store, ledger, plan, time.monotonic() - began)


def status(out: str | Path) -> Status:
    """How far a run is, from what it left in its output; it may be running anywhere.

    Raises:
        FileNotFoundError: no run was begun there.
    """
    store = open_store(out)
    plan = _read_plan(store)
    if plan is None:
        raise FileNotFoundError(f"no run was begun in {out}: there is no {_PLAN}")
    facts_of = final_facts(store)
    done = {key: facts for key in plan["units"] if (facts := facts_of(key)) is not None}
    names = {folder: {_stem(name) for name in store.names(folder)} for folder in ("leases", "failures")}
    return Status(
        units=len(plan["units"]),
        done=len(done),
        running=len((names["leases"] & plan["units"].keys()) - done.keys()),
        failed=len((names["failures"] & plan["units"].keys()) - done.keys()),
        hours=sum(plan["units"].values()) / 3600,
        hours_done=sum(plan["units"][key] for key in done) / 3600,
        report=gather(store, list(done.values()), []),
    )


def _begin(store: Store, plan: Plan, folder: str, settings: PipeSettings, overwrite: bool) -> None:
    """Write the plan, unless the output belongs to other settings."""
    asked = json.loads(fingerprint(settings))
    before = _read_plan(store)
    if before is not None and before["asked"] != asked and not overwrite:
        old, new = _flat(before["asked"]), _flat(asked)
        differing = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
        raise ValueError(
            f"{store.address} was made with other {', '.join(differing[:5])}; choose another folder, or replace what "
            "is there with --overwrite"
        )
    units = {unit.key: unit.seconds for unit in plan.units}
    text = json.dumps({"asked": asked, "folder": folder, "units": units}, ensure_ascii=False, indent=1) + "\n"
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


def _note(outcome: Outcome[Unit], store: Store, failed: dict[str, str], count: int) -> None:
    unit = outcome.unit
    if outcome.done:
        store.remove(f"failures/{unit.key}.json")
        log.info("unit %d of %d: %d segments", unit.number + 1, count, outcome.value["rows"])
        return
    failed[unit.key] = outcome.error
    facts = {"number": unit.number, "error": outcome.error, "sources": [source.name for source in unit.sources]}
    store.write(f"failures/{unit.key}.json", json.dumps(facts, ensure_ascii=False, indent=1).encode())
    log.error("unit %d failed %d times: %s", unit.number, outcome.attempts, outcome.error)


def _why_left(left: Sequence[Unit], failed: Mapping[str, str], time_limit: float | None) -> str:
    words = [f"{len(left)} units are not done"]
    if failed:
        key, error = next(iter(failed.items()))
        words.append(f"{len(failed)} failed, the first, {key}: {error.splitlines()[-1] if error else 'no reason'}")
    if time_limit is not None:
        words.append(f"the time limit is {time_limit:g} s")
    return "; ".join(words) + "; run again to go on"


def _finish(store: Store, ledger: Ledger, plan: Plan, wall: float) -> PipeReport:
    """Write the lists and the report; remove what belongs to recordings that are no more."""
    facts, facts_of = [], final_facts(store)
    for unit in plan.units:
        known = facts_of(unit.key)
        assert known is not None, unit.key
        facts.append(known)
    wanted = {unit.key for unit in plan.units}
    for key in ledger.done() - wanted:
        ledger.forget(key)
    shards = {known["shard"]["name"] for known in facts if known["shard"]}
    for name in store.names("shards"):
        if name.removesuffix(".idx") not in shards:
            store.remove(name)
    drops = [*plan.drops, *(Drop(**drop) for known in facts for drop in known["drops"])]
    store.write("drops.jsonl", "".join(drop.to_json() + "\n" for drop in drops).encode("utf-8", "surrogateescape"))
    report = gather(store, facts, plan.drops, others=plan.others, wall=wall)
    text = json.dumps(report.to_dict(), ensure_ascii=False, indent=1) + "\n"
    store.write("report.json", text.encode())
    return report


def _stem(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(".json")
