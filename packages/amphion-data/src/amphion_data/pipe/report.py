"""What came in and out of a run: hours by stage and language, reasons of drops, time of work."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from amphion_core.data import Drop
from amphion_data.engines import Store

__all__ = ["Counts", "PipeReport", "Status"]


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
        languages_heard: hours of the segments that came to the recogniser, by language; what of them is not in
            `languages` was dropped after it.
        steps: s of work in each step, and `gpu`, s of a whole GPU that it held meanwhile.
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
    languages_heard: Mapping[str, float] = field(default_factory=dict)
    steps: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object; `real_time_factor` is seconds of work for each second of audio in, by stage and step.

        For a step with GPUs, `gpu_factor` is the same in seconds of a whole GPU.
        """
        decoded = self.hours.get("decoded", 0.0) * 3600
        work = {name: round(seconds, 3) for name, seconds in self.work.items()}
        factors = {name: round(seconds / decoded, 6) for name, seconds in work.items() if decoded}
        steps = {name: {key: round(value, 3) for key, value in own.items()} for name, own in self.steps.items()}
        for own in steps.values():
            if decoded:
                own["real_time_factor"] = round(own["seconds"] / decoded, 6)
                own |= {"gpu_factor": round(own["gpu"] / decoded, 6)} if own["gpu"] else {}
        return {**asdict(self), "work": work, "real_time_factor": factors, "steps": steps}

    def to_text(self) -> str:
        """The same for people."""
        lines = [
            f"{self.sources} recordings, {self.sources_used} with speech; {self.segments} segments, {self.kept} kept"
        ]
        decoded = self.hours.get("decoded", 0.0)
        for name, hours in self.hours.items():
            share = f"{100 * hours / decoded:5.1f} %" if decoded else ""
            lines.append(f"  {name:12} {hours:>10.4f} h  {share}")
        for name in sorted({*self.languages, *self.languages_heard}):
            heard, kept = self.languages_heard.get(name, 0.0), self.languages.get(name, 0.0)
            lines.append(f"  language {name or '?':3} {heard:>10.4f} h heard, {kept:.4f} h kept")
        for reason, count in self.drops.items():
            lines.append(f"  dropped {count:>8}  {reason}  {self.dropped_hours.get(reason, 0.0):.4f} h")
        for name, seconds in self.work.items():
            speed = f"{decoded * 3600 / seconds:10.1f} x real time" if seconds and decoded else ""
            lines.append(f"  {name:12} {seconds:>10.1f} s  {speed}")
        for name, own in self.steps.items():
            speed = f"{decoded * 3600 / own['seconds']:10.1f} x real time" if own["seconds"] and decoded else ""
            whole = f", {decoded * 3600 / own['gpu']:.1f} x on a whole GPU" if own["gpu"] and decoded else ""
            lines.append(f"  step {name:12} {own['seconds']:>10.1f} s  {speed}{whole}")
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
        segmented: whose segments are kept, done or not (see `--stages :segment`).
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
    segmented: int = 0

    def to_text(self) -> str:
        """A few lines for people."""
        share = 100 * self.hours_done / self.hours if self.hours else 100.0
        state = f"{self.done} of {self.units} units done, {self.running} running, {self.failed} failed"
        if self.segmented:
            state += f", segments of {self.segmented} kept"
        return f"{state}; {self.hours_done:.3f} of {self.hours:.3f} h ({share:.1f} %)\n{self.report.to_text()}"


class Counts:
    """Sums over units; no mark is kept, so a million units need no more memory than one.

    Args:
        store: of the output; the times of the units are read from it.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.reasons, self.hours, self.languages = Counter[str](), Counter[str](), Counter[str]()
        self.heard, self.dropped, self.work = Counter[str](), Counter[str](), Counter[str]()
        self.steps: dict[str, Counter[str]] = {}
        self.models: Mapping[str, str] = {}
        self.sources = self.used = self.kept = self.cut = self.lost = 0
        self._whole = 0  # recordings that were dropped as such

    def skip(self, drop: Drop) -> None:
        """Count a file that is in no unit."""
        self.reasons[drop.reason] += 1
        self._whole += 1
        self.sources += 1

    def add(self, facts: Mapping[str, Any]) -> None:
        """Count a unit by what its mark says."""
        self.sources += len(facts["sources"])
        self.used += facts["sources_used"]
        self.kept += facts.get("rows", 0)
        self.cut += facts.get("segments", 0)
        self.hours.update(facts["funnel"])
        self.languages.update(facts.get("languages", {}))
        self.heard.update(facts.get("languages_heard", {}))
        self.dropped.update(facts.get("dropped_seconds", {}))
        self.reasons.update(drop["reason"] for drop in facts["drops"])
        self._whole += sum(drop["stage"] in _OF_SOURCES for drop in facts["drops"])
        self.lost += len(facts["drops"]) - (len(facts["sources"]) - facts["sources_used"])
        self.models = self.models or facts["models"]
        times = json.loads(self.store.read(f"times/{facts['unit']}.json") or b"{}")
        self.work.update(times.get("work", {}))
        for name, own in times.get("steps", {}).items():
            step = self.steps.setdefault(name, Counter())
            step.update({"seconds": own["seconds"], "gpu": own["seconds"] * own["gpus"]})

    def report(self, *, others: int = 0, wall: float = 0.0) -> PipeReport:
        """The report over what was counted.

        Args:
            others: files that are no recordings.
            wall: time of the run, s.

        Raises:
            RuntimeError: recordings were lost.
        """
        if self.used + self._whole != self.sources:
            raise RuntimeError(
                f"{self.sources} recordings went in, {self.used} were used and the others are not all among the drops"
            )
        order = [name for name in _FUNNEL if name != "clean" or self.hours["clean"]]
        return PipeReport(
            sources=self.sources,
            sources_used=self.used,
            segments=self.kept + self.lost + self.cut,
            kept=self.kept,
            hours={name: round(self.hours[name] / 3600, 8) for name in order},
            languages=_in_hours(self.languages),
            drops=dict(sorted(self.reasons.items())),
            dropped_hours=_in_hours(self.dropped),
            work={**dict(self.work), **({"wall": wall} if wall else {})},
            others=others,
            models=self.models,
            languages_heard=_in_hours(self.heard),
            steps={name: dict(own) for name, own in self.steps.items()},
        )


def _in_hours(seconds: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value / 3600, 8) for name, value in sorted(seconds.items())}


_FUNNEL = ("decoded", "clean", "speech", "overlap", "nobody", "segments", "transcribed", "kept")
"""Stages after which audio is counted, in their order."""

_OF_SOURCES = frozenset({"standardise", "vad", "engine", "stages"})
"""Stages whose drops are whole recordings."""
