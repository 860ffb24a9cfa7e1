"""Results of `--stages :segment`: the segments of each unit, kept under a mark of their own, for a later run to go on.

    segments/KEY.json                the mark: all that the second part needs to know of the first
    segments/unit-NUMBER-KEY.jsonl   the manifest, for people: source, number, start, end, speaker, gain of each segment
    voices/KEY/SOURCE.high|low       samples of the segments, raw float32, only where music was taken away

KEY depends on the recordings and on the settings that decide on segments, not on what is made of them. Without
separation the samples are decoded once more, which costs less than keeping them. Rows that are taken out of the
manifest are dropped as `filtered` by the second part, which does a unit again whose manifest was changed since; other
changes are refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from amphion_core.data import Drop
from amphion_data.engines import Ledger, Store
from amphion_data.pipe.passage import Passage
from amphion_data.pipe.process import Analysis, source_hash
from amphion_data.pipe.samples import Samples
from amphion_data.pipe.scratch import Scratch
from amphion_data.pipe.segments import Cut, Segment
from amphion_data.pipe.sound import Sound
from amphion_data.pipe.spans import RATE
from amphion_data.pipe.units import Unit

__all__ = ["FOLDER", "SegmentMarks"]

FOLDER = "segments"
"""Folder of the marks and manifests."""

Facts = dict[str, Any]


class SegmentMarks:
    """Segments of units in an output.

    Args:
        store: of the output.
    """

    def __init__(self, store: Store) -> None:
        self.store, self.ledger = store, Ledger(store, FOLDER)

    def facts(self, unit: Unit) -> Facts | None:
        """What the mark of a unit says; None where its segments are not kept."""
        return self.ledger.facts(unit.segments)

    def keep(self, passage: Passage, *, voices: bool, work: str | None) -> Facts:
        """Write the segments of a unit, the mark last; returns what it says.

        Args:
            passage: after the step `listen`.
            voices: also keep the samples.
            work: folder of this machine for a copy of them; None takes that of the system.
        """
        unit = passage.unit
        if voices:
            with Scratch(work) as place:
                for analysis in passage.analyses:
                    self._keep_voice(unit, analysis, place)
        rows = [row for analysis in passage.analyses for row in _rows(analysis)]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        self.store.write(_manifest(unit), text.encode("utf-8", "surrogateescape"))
        facts = {
            "number": unit.number,
            "sources": [asdict(source) for source in unit.sources],
            "sources_used": passage.used,
            "segments": sum(len(analysis.numbered()) for analysis in passage.analyses),
            "drops": [asdict(drop) for drop in passage.drops],
            "funnel": dict(passage.tally.funnel),
            "models": passage.models,
            "recordings": {analysis.name: _kept(analysis) for analysis in passage.analyses},
        }
        times = {"seconds": unit.seconds, "work": dict(passage.tally.work), "steps": passage.steps}
        self.store.write(f"times/{unit.segments}.json", json.dumps(times).encode())
        self.ledger.finish(unit.segments, facts)
        return {**facts, "unit": unit.segments}

    def restore(self, passage: Passage, facts: Mapping[str, Any], sounds: Mapping[str, Sound | Drop]) -> None:
        """Bring a passage to where it was after the step `listen`.

        Args:
            passage: of a unit that was just taken up.
            facts: what the mark says.
            sounds: the voice of each recording with segments, or why there is none any more.

        Raises:
            ValueError: the manifest was changed otherwise than by taking rows out.
        """
        removed = self.taken_out(passage.unit, facts)
        passage.tally.funnel.update(facts["funnel"])
        passage.drops = [Drop(**drop) for drop in facts["drops"]]
        passage.name_models(facts["models"])
        times = json.loads(self.store.read(f"times/{passage.unit.segments}.json") or b"{}")
        for stage, seconds in times.get("work", {}).items():
            passage.tally.work[stage] += seconds
        passage.steps = {name: dict(own) for name, own in times.get("steps", {}).items()}
        for name, sound in sounds.items():
            if isinstance(sound, Drop):
                passage.drops.append(sound)
            else:
                held = facts["recordings"][name]
                gone = frozenset(removed.get(name, ()))
                passage.analyses.append(Analysis(name, sound, _cut(held), held["gain_db"], gone))
        passage.used = len(passage.analyses)
        passage.sort_drops()

    def voice(self, unit: Unit, name: str, held: Mapping[str, Any], scratch: Path) -> Sound | None:
        """The voice of a recording as it was kept; None where it was not. What lies between segments reads as zero."""
        sound, paths = held["sound"], {}
        for rate, kind in ((sound["sample_rate"], "high"), (RATE, "low")):
            paths[kind] = scratch / f"{source_hash(name)}.{kind}"
            try:
                with (
                    self.store.local(_voice(unit, name, kind)) as kept,
                    kept.open("rb") as source,
                    paths[kind].open("wb") as file,
                ):
                    for first, last in _stretches(_cut(held), rate):
                        file.seek(4 * first)  # a hole takes no disk
                        file.write(source.read(4 * (last - first)))
            except FileNotFoundError:
                return None
        return _sound(Samples(paths["high"]), Samples(paths["low"]), held)

    def forget_voices(self, unit: Unit) -> None:
        """Remove the samples of a unit that is done."""
        for name in self.store.names(f"voices/{unit.segments}"):
            self.store.remove(name)

    def forget_others(self, units: Mapping[str, Unit]) -> None:
        """Remove what belongs to none of these units, by their keys of segments."""
        for key in self.ledger.done() - units.keys():
            self.ledger.forget(key)
        manifests = {_manifest(unit) for unit in units.values()}
        for name in self.store.names(FOLDER):
            if name.endswith(".jsonl") and name not in manifests:
                self.store.remove(name)
        for name in self.store.names("voices"):
            if name.split("/")[1] not in units:
                self.store.remove(name)

    def _keep_voice(self, unit: Unit, analysis: Analysis, place: Path) -> None:
        sound = analysis.sound
        for samples, rate, kind in ((sound.high, sound.sample_rate, "high"), (sound.low, RATE, "low")):
            local = place / kind
            with local.open("wb") as file:
                for first, last in _stretches(analysis.cut, rate):
                    samples.read(first, last).tofile(file)
            self.store.put(local, _voice(unit, analysis.name, kind))

    def has_manifest(self, unit: Unit) -> bool:
        """Whether the manifest of a unit is there."""
        return self.store.read(_manifest(unit)) is not None

    def taken_out(self, unit: Unit, facts: Mapping[str, Any]) -> dict[str, list[int]]:
        """Numbers of the segments that the manifest does not hold any more, by recordings that have such.

        Args:
            unit: whose segments are kept.
            facts: what the mark of its segments says.

        Raises:
            ValueError: the manifest is missing, or was changed otherwise than by taking rows out.
        """
        name = _manifest(unit)
        data = self.store.read(name)
        if data is None:
            raise ValueError(
                f"{name} is missing; to cut its recordings again, remove {FOLDER}/{unit.segments}.json too"
            )
        written = {source: _written(source, held) for source, held in facts["recordings"].items()}
        left = {source: set(rows) for source, rows in written.items()}
        for count, line in enumerate(data.decode("utf-8", "surrogateescape").split("\n"), 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                same = written[row["source"]][row["number"]] == row
            except (ValueError, KeyError, TypeError):
                same = False
            if not same:
                words = "is no row as it was written; rows can be taken out, not changed"
                raise ValueError(f"{name}, line {count}: {line[:200]} {words}")
            left[row["source"]].discard(row["number"])
        return {source: sorted(numbers) for source, numbers in left.items() if numbers}


def _manifest(unit: Unit) -> str:
    return f"{FOLDER}/unit-{unit.number:06d}-{unit.segments[:12]}.jsonl"


def _voice(unit: Unit, name: str, kind: str) -> str:
    return f"voices/{unit.segments}/{source_hash(name)}.{kind}"


def _stretches(cut: Cut, rate: int) -> Iterator[tuple[int, int]]:
    for segment in cut.segments:
        yield round(segment.start / RATE * rate), round(segment.end / RATE * rate)


def _sound(high: Samples, low: Samples, held: Mapping[str, Any]) -> Sound:
    return Sound(high, low, **{**held["sound"], "facts": dict(held["sound"]["facts"])})


def _rows(analysis: Analysis) -> list[Facts]:
    """Rows of the manifest: the segments that go to the recogniser, times to the sample."""
    long = set(analysis.cut.segments)
    return [
        {
            "source": analysis.name,
            "number": number,
            "start": round(segment.start / RATE, 7),
            "end": round(segment.end / RATE, 7),
            "speaker": segment.speaker,
            "gain_db": analysis.gain_db,
        }
        for number, segment in analysis.numbered()
        if segment in long
    ]


def _written(source: str, held: Mapping[str, Any]) -> dict[int, Facts]:
    """Rows of the manifest of a recording as they were written, by their numbers."""
    no_sound = _sound(Samples(None), Samples(None), held)
    return {row["number"]: row for row in _rows(Analysis(source, no_sound, _cut(held), held["gain_db"]))}


def _kept(analysis: Analysis) -> Facts:
    sound, cut = analysis.sound, analysis.cut
    return {
        "gain_db": analysis.gain_db,
        "sound": {
            "sample_rate": sound.sample_rate,
            "length": sound.length,
            "duration": sound.duration,
            "peak": sound.peak,
            "facts": list(sound.facts.items()),  # their order is that of the rows
        },
        "segments": [[s.start, s.end, s.speaker, s.speech] for s in cut.segments],
        "short": [[s.start, s.end, s.speaker, s.speech] for s in cut.short],
        "strangers": [[[s.start, s.end, s.speaker, s.speech], words] for s, words in cut.strangers.items()],
        "ticks": [cut.speech, cut.overlap, cut.nobody],
    }


def _cut(held: Mapping[str, Any]) -> Cut:
    speech, overlap, nobody = held["ticks"]
    return Cut(
        segments=[Segment(*own) for own in held["segments"]],
        short=[Segment(*own) for own in held["short"]],
        speech=speech,
        overlap=overlap,
        nobody=nobody,
        strangers={Segment(*own): words for own, words in held["strangers"]},
    )
