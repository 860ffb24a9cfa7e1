"""What came in and out of a run: hours by stage and language, reasons of drops, time of work."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from amphion_core.data import Drop
from amphion_data.engines import Store

__all__ = ["PipeReport", "Status", "gather"]


@dataclass(frozen=True)
class PipeReport:
    """Counts over units.

    Attributes:
        sources: recordings given.
        sources_used: those with at least one region of speech.
        segments: cut from them.
        kept: in the shards.
        hours: of audio after each stage: decoded, clean (not separated since it needed none), speech, overlap and
            nobody (parts of speech in no segment), segments, transcribed, kept.
        languages: hours kept.
        drops: recordings and segments that are not in the shards, by reason.
        dropped_hours: of segments, by reason.
        work: s of work in each stage; `wall` is the time of the run that ended it.
        others: files that are no recordings.
        models: identities of the parts that made it, by kind.
    """

    sources: int
    sources_used: int
    segments: int
    kept: int
    hours: Mapping[str, float]
    languages: Mapping[str, float]
    drops: Mapping[str, int]
    dropped_hours: Mapping[str, float]
    work: Mapping[str, float] = field(default_factory=dict)
    others: int = 0
    models: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object; `real_time_factor` is seconds of work for each second of audio in."""
        decoded = self.hours.get("decoded", 0.0) * 3600
        work = {name: round(seconds, 3) for name, seconds in self.work.items()}
        factors = {name: round(seconds / decoded, 6) for name, seconds in work.items() if decoded}
        return {**asdict(self), "work": work, "real_time_factor": factors}

    def to_text(self) -> str:
        """The same for people."""
        lines = [
            f"{self.sources} recordings, {self.sources_used} with speech; {self.segments} segments, {self.kept} kept"
        ]
        decoded = self.hours.get("decoded", 0.0)
        for name, hours in self.hours.items():
            share = f"{100 * hours / decoded:5.1f} %" if decoded else ""
            lines.append(f"  {name:12} {hours:>10.4f} h  {share}")
        lines += [f"  language {name or '?':3} {hours:>10.4f} h" for name, hours in self.languages.items()]
        for reason, count in self.drops.items():
            lines.append(f"  dropped {count:>8}  {reason}  {self.dropped_hours.get(reason, 0.0):.4f} h")
        for name, seconds in self.work.items():
            speed = f"{decoded * 3600 / seconds:10.1f} x real time" if seconds and decoded else ""
            lines.append(f"  {name:12} {seconds:>10.1f} s  {speed}")
        lines += [f"  {kind:12} {identity}" for kind, identity in self.models.items()]
        return "\n".join(lines)


@dataclass(frozen=True)
class Status:
    """How far a run is.

    Attributes:
        units: planned.
        done: marked.
        running: leased.
        failed: that ended with an error in the last run.
        hours: of audio planned; `hours_done` of the units that are marked.
        report: over those.
    """

    units: int
    done: int
    running: int
    failed: int
    hours: float
    hours_done: float
    report: PipeReport

    def to_text(self) -> str:
        """A few lines for people."""
        share = 100 * self.hours_done / self.hours if self.hours else 100.0
        state = f"{self.done} of {self.units} units done, {self.running} running, {self.failed} failed"
        return f"{state}; {self.hours_done:.3f} of {self.hours:.3f} h ({share:.1f} %)\n{self.report.to_text()}"


def gather(
    store: Store, facts: Sequence[Mapping[str, Any]], drops: Sequence[Drop], *, others: int = 0, wall: float = 0.0
) -> PipeReport:
    """The report over units.

    Args:
        store: of the output; the times of the units are read from it.
        facts: what the marks of the units say.
        drops: files that are in no unit.
        others: files that are no recordings.
        wall: time of the run, s.

    Raises:
        RuntimeError: recordings or segments were lost.
    """
    reasons, hours, languages, dropped = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    sources = used = kept = lost = 0
    for known in facts:
        sources += len(known["sources"])
        used += known["sources_used"]
        kept += known["rows"]
        hours.update(known["funnel"])
        languages.update(known["languages"])
        dropped.update(known["dropped_seconds"])
        reasons.update(drop["reason"] for drop in known["drops"])
        lost += len(known["drops"]) - (len(known["sources"]) - known["sources_used"])
    if used + sum(1 for known in facts for drop in known["drops"] if drop["stage"] in _OF_SOURCES) != sources:
        raise RuntimeError(f"{sources} recordings went in, {used} were used and the others are not all among the drops")
    reasons.update(drop.reason for drop in drops)
    work = Counter[str]()
    for known in facts:
        times = json.loads(store.read(f"times/{known['unit']}.json") or b"{}")
        work.update(times.get("work", {}))
    order = (
        "decoded",
        *(["clean"] if hours["clean"] else []),
        "speech",
        "overlap",
        "nobody",
        "segments",
        "transcribed",
        "kept",
    )
    return PipeReport(
        sources=sources + len(drops),
        sources_used=used,
        segments=kept + lost,
        kept=kept,
        hours={name: round(hours[name] / 3600, 8) for name in order},
        languages={name: round(seconds / 3600, 8) for name, seconds in sorted(languages.items())},
        drops=dict(sorted(reasons.items())),
        dropped_hours={name: round(seconds / 3600, 8) for name, seconds in sorted(dropped.items())},
        work={**dict(work), **({"wall": wall} if wall else {})},
        others=others,
        models=facts[0]["models"] if facts else {},
    )


_OF_SOURCES = frozenset({"standardise", "vad", "engine", "stages"})
"""Stages whose drops are whole recordings."""
