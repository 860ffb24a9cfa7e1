"""The end of a run: the list of drops and the report over all marks, read one after another."""

from __future__ import annotations

import json

from amphion_core.data import Drop
from amphion_data.engines import Ledger, Store
from amphion_data.pipe.corpus_pass import final_facts
from amphion_data.pipe.report import Counts, PipeReport
from amphion_data.pipe.scratch import Scratch
from amphion_data.pipe.segment_marks import SegmentMarks
from amphion_data.pipe.units import Plan, WorkFailedError

__all__ = ["merge", "segments_report"]


def merge(store: Store, plan: Plan, wall: float) -> PipeReport:
    """Write the lists and the report; remove what belongs to recordings that are no more.

    One mark is in memory at a time; of the others there are sums, and the names of their shards.

    Args:
        store: of the output, all units of which are marked.
        plan: whose order is that of the list of drops.
        wall: time of the run, s.

    Raises:
        RuntimeError: recordings or segments were lost.
        WorkFailedError: a mark is damaged.
    """
    counts, facts_of, shards = Counts(store), final_facts(store), set[str]()
    with Scratch(None) as place:
        lines = place / "drops.jsonl"
        with lines.open("w", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            for drop in plan.drops:
                counts.skip(drop)
                file.write(drop.to_json() + "\n")
            for unit in plan.units:
                facts = facts_of(unit.key)
                if facts is None:
                    raise WorkFailedError(f"the mark units/{unit.key}.json is damaged; remove it and run again")
                counts.add(facts)
                file.writelines(Drop(**drop).to_json() + "\n" for drop in facts["drops"])
                if facts["shard"]:
                    shards.add(facts["shard"]["name"])
        report = counts.report(others=plan.others, wall=wall)
        _forget_others(store, plan, shards)
        store.put(lines, "drops.jsonl")
    text = json.dumps(report.to_dict(), ensure_ascii=False, indent=1) + "\n"
    store.write("report.json", text.encode())
    return report


def segments_report(store: Store, marks: SegmentMarks, plan: Plan, wall: float) -> PipeReport:
    """The report over units whose segments are kept.

    Raises:
        WorkFailedError: a mark is damaged.
    """
    counts = Counts(store)
    for drop in plan.drops:
        counts.skip(drop)
    for unit in plan.units:
        facts = marks.facts(unit)
        if facts is None:
            raise WorkFailedError(f"the mark segments/{unit.segments}.json is damaged; remove it and run again")
        counts.add(facts)
    return counts.report(others=plan.others, wall=wall)


def _forget_others(store: Store, plan: Plan, shards: set[str]) -> None:
    ledger = Ledger(store)
    for key in ledger.done() - {unit.key for unit in plan.units}:
        ledger.forget(key)
    for name in store.names("shards"):
        if name.removesuffix(".idx") not in shards:
            store.remove(name)
