"""The steps of a unit, as an engine runs them: decode and separate, listen, recognise, write.

Each takes what the one before gives (see `Passage`) and loads only the models that it needs, so on a cluster the steps
with networks can be actors with a share of a GPU each, beside the others as plain tasks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from amphion_core.data import Drop, Record, write_shards
from amphion_data.engines import Ledger, Step, open_store
from amphion_data.pipe.attempts import Attempts
from amphion_data.pipe.corpus_pass import FIRST
from amphion_data.pipe.passage import Passage
from amphion_data.pipe.process import Analysis, Pipeline, Tally
from amphion_data.pipe.rates import RateCounts
from amphion_data.pipe.scratch import Scratch
from amphion_data.pipe.segment_marks import SegmentMarks
from amphion_data.pipe.settings import PipeSettings
from amphion_data.pipe.sound import Sound
from amphion_data.pipe.spans import RATE, Span
from amphion_data.pipe.units import Source, Unit

__all__ = [
    "STEPS",
    "Job",
    "KeepSegments",
    "Listen",
    "Recognise",
    "Slice",
    "Standardise",
    "UnitWork",
    "Write",
    "gpu_shares",
    "parse_slice",
    "unit_steps",
]

STEPS = ("standardise", "listen", "recognise", "write")
"""Names of the steps, in their order."""

Slice = Literal["all", "first", "second"]
"""Which steps a run goes through: all, those up to the segments, or those from there on."""

_KINDS: Mapping[str, tuple[str, ...]] = {
    "standardise": ("separate",),
    "listen": ("vad", "diarise"),
    "recognise": ("transcribe", "score"),
    "write": (),
}


@dataclass(frozen=True)
class Job:
    """What the steps of a run have in common.

    Attributes:
        settings: what to do.
        folder: path or address of the recordings.
        out: path or address of the output.
        run: of this run; processes that died in another one are not counted.
        device: of the networks, in steps that have one.
        work: folder of each machine for what is kept on disk meanwhile; None takes that of the system.
        gpus: share of a GPU of steps that run in actors.
        part: which steps are asked for.
    """

    settings: PipeSettings
    folder: str
    out: str
    run: str
    device: str = "cpu"
    work: str | None = None
    gpus: Mapping[str, float] = field(default_factory=dict)
    part: Slice = "all"

    def pipeline(self, step: str) -> Pipeline:
        """The stages of a step, their models loaded."""
        # Where shares are given, a step without one gets no GPU from the cluster.
        device = self.device if not self.gpus or self.gpus.get(step) else "cpu"
        return Pipeline(self.settings, self.folder, device, _KINDS[step])


class Standardise:
    """Recordings to voices: decode, take music away, mix down, bring to both rates."""

    def __init__(self, job: Job) -> None:
        self.job, self.source, self.out = job, open_store(job.folder), open_store(job.out)
        self.ledger, self.marks = Ledger(self.out), SegmentMarks(self.out)
        self.attempts = Attempts(self.out, job.run, "standardise")
        # The second part finds the voices that it would separate among what the first one has kept.
        self._pipeline = None if job.part == "second" else job.pipeline("standardise")

    def __call__(self, unit: Unit) -> Passage:
        """Take up a unit; one that is marked passes, one whose segments are kept goes on from there."""
        segments = self.marks.facts(unit)
        known = segments if self.job.part == "first" else self.ledger.facts(unit.key)
        if known is not None:
            return Passage(unit, known)
        passage = Passage(unit, scratch=Scratch(self.job.work))
        if segments is None and self.job.part == "second":
            raise ValueError(f"no segments of unit {unit.number} are kept; run --stages :segment first")
        try:
            if segments is None:
                self._begin(passage)
            else:
                self._go_on(passage, segments)
        except BaseException:
            passage.close()
            raise
        return passage

    def _begin(self, passage: Passage) -> None:
        pipeline, gpus = self.pipeline(), self.job.gpus.get("standardise", 0.0)
        with self.attempts.on(passage.unit), passage.timed("standardise", gpus):
            for source in passage.unit.sources:
                found = self._sound(source, passage, passage.tally)
                if isinstance(found, Drop):
                    passage.drops.append(found)
                else:
                    passage.sounds[source.name] = found
        passage.name_models(pipeline.identities)

    def _go_on(self, passage: Passage, segments: Mapping[str, Any]) -> None:
        """From segments that an earlier run has kept; what it has counted counts, the second decoding doesn't."""
        again, sounds = Tally(), {}
        own = Passage(passage.unit)
        with self.attempts.on(passage.unit), own.timed("standardise", 0.0):
            for source in passage.unit.sources:
                if source.name in segments["recordings"]:
                    held = segments["recordings"][source.name]
                    sounds[source.name] = self._voice(passage, source, held) or self._sound(source, passage, again)
        self.marks.restore(passage, segments, sounds)
        passage.heard = True
        passage.narrow()
        for stage, seconds in again.work.items():
            passage.tally.work[stage] += seconds
        first = passage.steps.setdefault("standardise", {**own.steps["standardise"], "seconds": 0.0})
        first["seconds"] = round(first["seconds"] + own.steps["standardise"]["seconds"], 4)

    def pipeline(self) -> Pipeline:
        """The stage of the separation."""
        self._pipeline = self._pipeline or self.job.pipeline("standardise")
        return self._pipeline

    def _voice(self, passage: Passage, source: Source, held: Mapping[str, Any]) -> Sound | None:
        if self.job.settings.separate == "none":
            return None
        assert passage.scratch is not None
        return self.marks.voice(passage.unit, source.name, held, passage.scratch.path)

    def _sound(self, source: Source, passage: Passage, tally: Tally) -> Sound | Drop:
        assert passage.scratch is not None
        place, pipeline = passage.scratch.path, self.pipeline()

        def work() -> Sound | Drop:
            with self.source.local(source.name) as path:
                return pipeline.standardise(path, source.name, place, tally)

        return self.attempts.at(passage.unit, source.name, work)


class Listen:
    """Voices to segments: who speaks when."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.attempts = Attempts(open_store(job.out), job.run, "listen")
        self.pipeline = job.pipeline("listen")

    def __call__(self, passage: Passage) -> Passage:
        """Cut the recordings of a unit."""
        if passage.facts is not None or passage.heard:
            return passage
        with self.attempts.on(passage.unit), passage.timed("listen", self.job.gpus.get("listen", 0.0)):
            for name, sound in passage.sounds.items():
                found = self.attempts.at(passage.unit, name, partial(self._one, name, sound, passage))
                if isinstance(found, Drop):
                    passage.drops.append(found)
                else:
                    passage.analyses.append(found)
        passage.sounds = {}
        passage.used = len(passage.analyses)
        passage.sort_drops()
        passage.name_models(self.pipeline.identities)
        passage.narrow()
        return passage

    def _one(self, name: str, sound: Sound, passage: Passage) -> Analysis | Drop:
        return self.pipeline.listen(sound, name, passage.tally)


class KeepSegments:
    """Segments to a manifest and a mark of their own, for a run that goes on from there."""

    def __init__(self, job: Job) -> None:
        self.job, self.out = job, open_store(job.out)
        self.marks = SegmentMarks(self.out)

    def __call__(self, passage: Passage) -> dict[str, Any]:
        """Write the segments of a unit; returns what their mark says."""
        if passage.facts is not None:
            return passage.facts
        voices = self.job.settings.separate != "none"
        facts = self.marks.keep(passage, voices=voices, work=self.job.work)
        _forget_attempts(self.job, passage.unit)
        passage.close()
        return facts


class Recognise:
    """Segments to rows: text and ratings, and the rules on both."""

    def __init__(self, job: Job) -> None:
        self.job, self.pipeline = job, job.pipeline("recognise")

    def __call__(self, passage: Passage) -> Passage:
        """Decide on the segments of a unit."""
        if passage.facts is not None:
            return passage
        passage.name_models(self.pipeline.identities)
        with passage.timed("recognise", self.job.gpus.get("recognise", 0.0)):
            passage.pieces, dropped = self.pipeline.finish(passage.analyses, passage.tally, passage.models)
        passage.drops += dropped
        for analysis in passage.analyses:
            own = [piece.segment for piece in passage.pieces if piece.analysis is analysis]
            analysis.sound.keep([Span(s.start, s.end) for s in own], low=False)
        return passage


class Write:
    """Rows to a shard in the output, and the mark of the unit, last."""

    def __init__(self, job: Job) -> None:
        self.job, self.settings, self.out = job, job.settings, open_store(job.out)
        self.ledger = Ledger(self.out)

    def __call__(self, passage: Passage) -> dict[str, Any]:
        """Write a unit; what it leaves is whole once it is marked.

        Returns:
            What the mark says.

        Raises:
            OSError: the disk is full, or the output can't be written.
        """
        if passage.facts is not None:
            return passage.facts
        unit, facts = passage.unit, self._facts(passage)
        with Scratch(self.job.work) as place, passage.timed("write", 0.0), passage.tally.timed("write"):
            facts |= self._written(passage, place)
        if self.settings.filter.rates == "corpus":
            facts["rates"] = _rates(passage.pieces)
        removed = {analysis.name: sorted(analysis.removed) for analysis in passage.analyses if analysis.removed}
        if removed:
            facts["taken_out"] = removed
        for piece in passage.pieces:
            language = piece.row["language"] or ""
            facts["languages"][language] = round(facts["languages"].get(language, 0.0) + piece.segment.seconds, 6)
        work = {stage: round(seconds, 4) for stage, seconds in passage.tally.work.items()}
        times = {"seconds": unit.seconds, "work": work, "steps": passage.steps}
        self.out.write(f"times/{unit.key}.json", json.dumps(times).encode())
        self.ledger.finish(unit.key, facts)
        _forget_attempts(self.job, unit)
        if passage.heard and self.settings.separate != "none":
            SegmentMarks(self.out).forget_voices(unit)
        passage.close()
        return facts

    def _facts(self, passage: Passage) -> dict[str, Any]:
        tally = passage.tally
        return {
            "number": passage.unit.number,
            "sources": [asdict(source) for source in passage.unit.sources],
            "sources_used": passage.used,
            "rows": len(passage.pieces),
            "drops": [asdict(drop) for drop in passage.drops],
            "funnel": _rounded(tally.funnel),
            "dropped_seconds": _rounded(tally.dropped),
            "languages": {},
            "languages_heard": _rounded(tally.languages),
            "models": passage.models,
        }

    def _written(self, passage: Passage, place: Path) -> dict[str, Any]:
        """Write the shard and put it into the output, index last."""
        unit, pieces = passage.unit, passage.pieces
        if not pieces:
            return {"shard": None}
        folder = place / "shard"
        report = write_shards(
            pieces,
            self._record,
            folder,
            per_shard=len(pieces),
            fingerprint=unit.key,
            progress=False,
            on_error="fail",
        )
        tar = report.shards[0]
        name = unit.shard
        if self.settings.filter.rates == "corpus":  # the second pass writes the shards that count
            name = f"{FIRST}/{unit.shard.rpartition('/')[2]}"
        self.out.put(tar, name)
        self.out.put(tar.with_name(tar.name + ".idx"), name + ".idx")
        with tar.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"shard": {"name": name, "bytes": tar.stat().st_size, "sha256": digest}}

    def _record(self, piece: Any) -> Record:
        import numpy as np

        from amphion_core import audio

        sound, segment = piece.analysis.sound, piece.segment
        wav = sound.read(segment.start / RATE, segment.end / RATE)
        wav = (wav * np.float32(10 ** (piece.analysis.gain_db / 20))).astype(np.float32)
        data = audio.encode(wav, sound.sample_rate, self.settings.format)
        row: Mapping[str, Any] = {**piece.row, "duration": round(wav.size / sound.sample_rate, 3)}
        text = json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"
        return Record(piece.id, {self.settings.format: data, "json": text.encode()})


class UnitWork:
    """All steps in a row, in one process."""

    def __init__(self, job: Job) -> None:
        self._steps: list[Any] = [Standardise(job), Listen(job), Recognise(job), Write(job)]

    def __call__(self, unit: Unit) -> dict[str, Any]:
        """Work on a unit; returns what its mark says."""
        value: Any = unit
        for step in self._steps:
            value = step(value)
        facts: dict[str, Any] = value
        return facts


def unit_steps(job: Job, *, cpus: float = 1.0) -> list[Step]:
    """The steps as engines take them.

    Args:
        job: what they have in common.
        cpus: cores of one worker.
    """
    kinds: dict[str, Callable[[Job], Callable[[Any], Any]]] = {
        "standardise": Standardise,
        "listen": Listen,
        "keep": KeepSegments,
        "recognise": Recognise,
        "write": Write,
    }
    names = {"all": STEPS, "first": ("standardise", "listen", "keep"), "second": ("standardise", "recognise", "write")}
    return [Step(f"unit.{name}", partial(kinds[name], job), cpus, job.gpus.get(name, 0.0)) for name in names[job.part]]


def parse_slice(stages: str) -> Slice:
    """Which steps a slice of stages means.

    Raises:
        ValueError: results are not kept at its ends.
    """
    slices: dict[str, Slice] = {":": "all", ":segment": "first", "transcribe:": "second"}
    if stages not in slices:
        raise ValueError(
            f"no slice of stages {stages!r}: results are kept after the stage segment alone, so there are ':segment' "
            "(stop after it), 'transcribe:' (go on from there) and ':' (all)"
        )
    return slices[stages]


def gpu_shares(gpus: float | Mapping[str, float], settings: PipeSettings, part: Slice = "all") -> dict[str, float]:
    """Share of a GPU of each step that has one.

    Args:
        gpus: of every step that may have networks, or by the names of the steps.
        settings: only a separation that is asked for takes a share.
        part: which steps are asked for; the shares of the others are left out.

    Raises:
        ValueError: a step is unknown or has no network, or a share is none that a cluster can give.
    """
    able = [name for name in STEPS[:3] if name != "standardise" or settings.separate != "none"]
    shares = dict(gpus) if isinstance(gpus, Mapping) else dict.fromkeys(able, gpus) if gpus else {}
    for name, share in shares.items():
        if name not in able:
            raise ValueError(
                f"the step {name!r} takes no GPU here; those that do are {', '.join(able)}"
                + ("" if "standardise" in able else " (and standardise, with --separate uvr or demucs)")
            )
        if share < 0 or (share > 1 and share != int(share)):
            raise ValueError(f"{name} can't have {share:g} GPUs: a share is up to 1, or a whole number")
    unused = {"all": (), "first": ("recognise",), "second": ("standardise", "listen")}[part]
    return {name: share for name, share in shares.items() if share and name not in unused}


def _forget_attempts(job: Job, unit: Unit) -> None:
    for step in STEPS[:2]:
        Attempts(open_store(job.out), job.run, step).forget(unit)


def _rates(pieces: Sequence[Any]) -> dict[str, dict[str, int]]:
    """Rates of the rows of a unit, for the second pass."""
    counts = RateCounts()
    for piece in pieces:
        counts.add(piece.row["text"], piece.segment.seconds, piece.row["language"])
    return counts.to_dict()


def _rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in sorted(seconds.items())}
