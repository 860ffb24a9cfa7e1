"""Metrics of sound, pair by pair, in this process or in several; nothing here depends on their number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from amphion_eval import pool
from amphion_eval.analysis import Analysis, PairAnalysis
from amphion_eval.cache import Store, digest
from amphion_eval.identity import code_of, libraries
from amphion_eval.metric import OF_SOUND, Metric
from amphion_eval.pairing import Clip, Pair
from amphion_eval.reading import OnError, Reader, Sound
from amphion_eval.report import ClipRecord
from amphion_eval.settings import Settings
from amphion_eval.values import Undefined, figure_of

__all__ = ["Job", "Measured", "measure", "measure_all", "sound_metrics"]

_CHUNK = 8  # pairs that a process is given at once, at most

_DEPENDS: Mapping[str, tuple[str, ...]] = {
    "f0": ("f0", "f_min", "f_max", "align"),
    "periodicity": ("f_min", "f_max", "crepe"),
    "energy": ("align",),
    "cepstra": ("mcd_order", "mcd_f0", "mcd_mask", "align"),
    "wavs": ("align", "max_delay"),
}
"""Settings behind what a metric is given, whatever it declares itself."""


@dataclass(frozen=True)
class Job:
    """What is done to every pair.

    Attributes:
        metrics: those of sound.
        settings: of the analyses.
        on_error: what a file that can't be read does.
        store: folder where analyses are kept; None for memory only.
        lasting: whether values are kept for later runs as well.
    """

    metrics: tuple[Metric, ...]
    settings: Settings
    on_error: OnError = "fail"
    store: Path | None = None
    lasting: bool = False


@dataclass(frozen=True)
class Measured:
    """What came out for a pair.

    Attributes:
        values: metric to value, `Undefined` where there is none, `Rate` where it is a quotient of counts.
        reference: what was read.
        estimate: what was read.
        sample_rate: at which both were compared, Hz; None where they were not.
        notes: what was done to the audio.
    """

    values: Mapping[str, float]
    reference: ClipRecord
    estimate: ClipRecord
    sample_rate: int | None = None
    notes: tuple[str, ...] = ()


def measure_all(pairs: Sequence[Pair], job: Job, workers: int = 1) -> Iterator[tuple[int, Measured]]:
    """Measure every pair.

    A clip that several pairs share is analysed by the first of them; the others wait for it where they run in other
    processes, and find its analyses in the store.

    Args:
        pairs: what to read.
        job: what to do.
        workers: processes.

    Returns:
        Position of a pair and what came out, as they come.

    Raises:
        ValueError: as `measure`.
        RuntimeError: a process ended on its own.
    """
    places: dict[Clip, int] = {}
    for number, pair in enumerate(pairs):
        places.setdefault(pair.reference, number)
    order = sorted(range(len(pairs)), key=lambda number: (places[pairs[number].reference], number))
    if workers <= 1 or len(pairs) == 1:
        reader = _reader_of(job)
        for number in order:
            yield number, measure(pairs[number], job, reader)
        return
    size = max(1, min(_CHUNK, len(pairs) // (16 * workers)))
    chunks = [order[start : start + size] for start in range(0, len(order), size)]
    tasks = [([pairs[number] for number in chunk], job) for chunk in chunks]
    for place, results in pool.run(_measure_chunk, tasks, _waits(chunks, pairs), workers):
        yield from zip(chunks[place], results, strict=True)


def measure(pair: Pair, job: Job, reader: Reader) -> Measured:
    """Measure one pair.

    Args:
        pair: what to read.
        job: what to do.
        reader: of the clips.

    Raises:
        ValueError: a file can't be read, or a metric failed; the message names the item.
    """
    sounds = _Sounds(*(_sound(pair, clip, reader) for clip in (pair.reference, pair.estimate)))
    key = _key(job, sounds) if job.lasting and reader.store is not None else None
    held = reader.store.get(key) if key is not None and reader.store is not None else None
    if held is not None:
        return _read_back(held, sounds)
    measured = _measured(pair, job, reader, sounds)
    if key is not None and reader.store is not None:
        reader.store.put(key, {"values": measured.values, "notes": list(measured.notes)})
    return measured


@dataclass(frozen=True)
class _Sounds:
    reference: Sound
    estimate: Sound

    @property
    def fault(self) -> Undefined | None:
        """Why the two can't be compared."""
        for title, sound in (("reference", self.reference), ("estimate", self.estimate)):
            if sound.fault:
                return Undefined(f"the {title} {sound.fault}")
        return None

    @property
    def rate(self) -> int | None:
        """Hz at which they are compared."""
        return min(self.reference.sample_rate, self.estimate.sample_rate) if self.fault is None else None

    @property
    def notes(self) -> list[str]:
        """What is done to both before."""
        both = (("reference", self.reference), ("estimate", self.estimate))
        notes = [f"{title}: {note}" for title, sound in both for note in sound.notes]
        if self.rate is not None:
            changed = [(title, sound.sample_rate) for title, sound in both if sound.sample_rate != self.rate]
            notes += [f"{title}: resampled from {own} to {self.rate} Hz" for title, own in changed]
        return notes


def _measured(pair: Pair, job: Job, reader: Reader, sounds: _Sounds) -> Measured:
    fault, rate = sounds.fault, sounds.rate
    if rate is None:
        both = PairAnalysis(*[Analysis(np.zeros(0), 1, job.settings)] * 2)
    else:
        both = PairAnalysis(*(reader.analysis(clip, rate) for clip in (pair.reference, pair.estimate)))
    values: dict[str, float] = {}
    for metric in job.metrics:
        try:
            if metric.needs == "clip":
                own = sounds.estimate
                value = (
                    Undefined(f"the estimate {own.fault}")
                    if own.fault
                    else metric.function(reader.analysis(pair.estimate, own.sample_rate).wav, own.sample_rate)
                )
            else:
                value = fault if fault is not None else metric.of(both)
            values[metric.name] = figure_of(value)
        except (ValueError, TypeError, ArithmeticError, LookupError) as error:
            raise ValueError(f"{pair.id}: the metric {metric.name} failed: {error}") from error
    notes = sounds.notes
    if job.settings.max_delay and fault is None and both.__dict__.get("delay"):
        notes.append(f"estimate: a delay of {both.delay} samples was taken out for metrics of waveforms")
    return Measured(values, sounds.reference.record, sounds.estimate.record, rate, tuple(notes))


def _key(job: Job, sounds: _Sounds) -> str | None:
    """What the values depend on; None where that can't be told."""
    parts: list[Any] = [_identity(metric, job.settings) for metric in job.metrics]
    if None in parts or any(sound.clip.path and not sound.content for sound in (sounds.reference, sounds.estimate)):
        return None
    sides = [(sound.content, sound.sample_rate) for sound in (sounds.reference, sounds.estimate)]
    modules = sorted({module for metric in job.metrics for module, _ in metric.requires})
    return digest("pair", libraries([*modules, "parselmouth", "torchcrepe", "torch"]), parts, sides)


def _identity(metric: Metric, settings: Settings) -> list[Any] | None:
    code = code_of(metric.function)
    values = settings.to_dict()
    names = {*metric.parameters, *_DEPENDS.get(metric.needs, ())}
    if settings.align == "dtw" and "align" in names:
        names |= {"mcd_order", "mcd_f0"}
    # The length of this list is that of the key's parts: a metric without a known code keeps the pair out.
    return None if code is None else [metric.name, metric.version, metric.needs, code, {n: values[n] for n in names}]


def _read_back(held: Mapping[str, Any], sounds: _Sounds) -> Measured:
    return Measured(held["values"], sounds.reference.record, sounds.estimate.record, sounds.rate, tuple(held["notes"]))


def _sound(pair: Pair, clip: Clip, reader: Reader) -> Sound:
    try:
        return reader.sound(clip)
    except ValueError as error:
        raise ValueError(f"{pair.id}: {error}") from error


def _waits(chunks: Sequence[Sequence[int]], pairs: Sequence[Pair]) -> list[set[int]]:
    """For each chunk the chunks before it that analyse a clip which it needs too."""
    used = Counter(clip for pair in pairs for clip in {pair.reference, pair.estimate} if clip.path)
    first: dict[Clip, int] = {}
    waits: list[set[int]] = []
    for place, chunk in enumerate(chunks):
        shared = {c for number in chunk for c in (pairs[number].reference, pairs[number].estimate) if used[c] > 1}
        waits.append({first.setdefault(clip, place) for clip in shared} - {place})
    return waits


def _measure_chunk(task: tuple[list[Pair], Job]) -> list[Measured]:
    pairs, job = task
    reader = _reader(replace(job, metrics=()))
    return [measure(pair, job, reader) for pair in pairs]


@lru_cache(maxsize=1)
def _reader(job: Job) -> Reader:
    return _reader_of(job)  # of a process that is given one chunk after the other


def _reader_of(job: Job) -> Reader:
    store = Store(job.store) if job.store is not None else None
    return Reader(job.settings, on_error=job.on_error, store=store)


def sound_metrics(metrics: Sequence[Metric]) -> tuple[Metric, ...]:
    """Those computed from audio, without what other processes need not know."""
    return tuple(replace(metric, models=None) for metric in metrics if metric.needs in OF_SOUND)
