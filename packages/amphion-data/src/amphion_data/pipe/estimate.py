"""What a run would take: units, time, cost and disk, before anything is run.

Speeds are those that the output has measured already; before the first unit they are of one core of a common server.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from amphion_data.engines import Ledger, open_store
from amphion_data.pipe.embedding import choose_embedder
from amphion_data.pipe.segment_marks import FOLDER
from amphion_data.pipe.settings import PipeSettings
from amphion_data.pipe.steps import STEPS, parse_slice
from amphion_data.pipe.units import plan_units

__all__ = ["Cluster", "Estimate", "estimate"]

_FACTORS = {
    "decode": 0.003,
    "silero": 0.004,
    "energy": 0.001,
    "offline": 0.04,
    "pyannote": 0.3,
    "uvr": 4.0,
    "demucs": 1.5,
    "faster-whisper": 1.0,
    "whisper": 2.0,
    "dnsmos": 0.3,
    "write": 0.01,
}
"""Seconds of one core for a second of audio; those of networks that were not run here are of their publications."""

_BITS = {"mp3": 64_000, "opus": 64_000, "flac": 200_000}
"""Bits a second of speech at 24 kHz, about."""


@dataclass(frozen=True)
class Estimate:
    """What a run would take.

    Attributes:
        sources: recordings.
        units: of work; `units_done` are marked already.
        hours: of audio.
        work_hours: of one worker for what is left.
        wall_hours: with the cluster that was named, none of whose workers and actors waits.
        cost: of it, in the unit of the prices.
        output_gb: at most, where everything is kept; with the rates of the corpus both passes keep theirs.
        scratch_gb: on the disk of each worker meanwhile, at most.
        measured: whether the speeds are those of this output.
        models: names of the parts.
        steps: hours of work of each step for what is left.
        units_segmented: of those left, how many go on from segments that are kept.
        actors: of each step with a share of a GPU.
        store_gb: in the object store of Ray for each unit in flight, where steps are actors.
    """

    sources: int
    units: int
    units_done: int
    hours: float
    work_hours: float
    wall_hours: float
    cost: float
    output_gb: float
    scratch_gb: float
    measured: bool
    models: dict[str, str]
    steps: dict[str, float]
    units_segmented: int = 0
    actors: int = 0
    store_gb: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)

    def to_text(self) -> str:
        """A few lines for people."""
        how = "speeds measured in this output" if self.measured else "speeds assumed, of one core each"
        kept = f", segments of {self.units_segmented} more kept" if self.units_segmented else ""
        lines = [
            f"{self.sources} recordings, {self.hours:.3f} h, in {self.units} units, {self.units_done} done{kept}",
            f"  work left    {self.work_hours:10.3f} h of one worker ({how})",
            *(f"    {name:11}{hours:10.3f} h" for name, hours in self.steps.items()),
            f"  wall time    {self.wall_hours:10.3f} h",
            f"  cost         {self.cost:10.2f}",
            f"  output       {self.output_gb:10.3f} GB at most",
            f"  scratch      {self.scratch_gb:10.3f} GB for each worker at most",
        ]
        if self.actors:
            lines.append(f"  actors       {self.actors:10d} of each step with a share of a GPU")
            lines.append(f"  object store {self.store_gb:10.3f} GB for each unit in flight")
        return "\n".join([*lines, "  " + ", ".join(f"{kind}: {name}" for kind, name in self.models.items())])


@dataclass(frozen=True)
class Cluster:
    """What would work.

    Attributes:
        workers: processes, or cores of a Ray cluster.
        price: of one for an hour.
        gpus: of the cluster.
        gpu_price: of one for an hour.
        shares: of a GPU, of the steps that are actors.
    """

    workers: int = 1
    price: float = 0.0
    gpus: float = 0.0
    gpu_price: float = 0.0
    shares: Mapping[str, float] = field(default_factory=dict)

    @property
    def actors(self) -> int:
        """Actors of each step that has a share.

        Raises:
            ValueError: the cluster has not so many GPUs.
        """
        wanted = sum(self.shares.values())
        if not wanted:
            return 0
        if self.gpus < wanted:
            raise ValueError(
                f"the steps ask for {wanted:g} GPUs together, the cluster has {self.gpus:g}; name more by "
                "--cluster-gpus, or ask for smaller shares"
            )
        return math.floor(self.gpus / wanted + 1e-9)


def estimate(
    folder: str | Path,
    out: str | Path,
    settings: PipeSettings,
    *,
    cluster: Cluster | None = None,
    stages: str = ":",
) -> Estimate:
    """What a run would take; nothing is written.

    Args:
        folder: of the recordings.
        out: of the output, for what is done there.
        settings: of the run.
        cluster: that works; None is one worker.
        stages: slice of the stages, see `run_pipe`.

    Raises:
        FileNotFoundError: there is no recording.
        ValueError: there is no such slice, or the cluster has too few GPUs.
    """
    cluster, part = cluster or Cluster(), parse_slice(stages)
    plan, store = plan_units(folder, settings), open_store(out)
    segmented = Ledger(store, FOLDER).done()
    done = segmented if part == "first" else Ledger(store).done()
    left = [unit for unit in plan.units if (unit.segments if part == "first" else unit.key) not in done]
    half = {unit.key for unit in left if part != "first" and unit.segments in segmented}
    factors, measured = _factors(store, [unit.key for unit in plan.units if unit.key in done], settings)
    steps = dict.fromkeys(_PARTS[part], 0.0)
    longest = 0.0
    for unit in left:
        own = {name: unit.seconds * factors[name] / 3600 for name in steps if name != "listen" or unit.key not in half}
        for name, hours in own.items():
            steps[name] += hours
        # The last unit of each worker is not shared, so no run is shorter than the longest one.
        longest = max(longest, sum(own.values()))
    wall = max(longest, _wall(steps, cluster, len(left)))
    size = max((unit.seconds for unit in plan.units), default=0.0)
    sound_gb = size * 4 * (settings.sample_rate + 16_000) / 1e9
    return Estimate(
        sources=sum(len(unit.sources) for unit in plan.units),
        units=len(plan.units),
        units_done=len(plan.units) - len(left),
        hours=round(plan.seconds / 3600, 6),
        work_hours=round(sum(steps.values()), 6),
        wall_hours=round(wall, 6),
        cost=round(wall * (cluster.workers * cluster.price + cluster.gpus * cluster.gpu_price), 4),
        output_gb=round(
            plan.seconds * _BITS[settings.format] / 8e9 * (2 if settings.filter.rates == "corpus" else 1), 6
        ),
        scratch_gb=round(sound_gb, 6),
        measured=measured,
        models=settings.stages() | {"embed": choose_embedder(settings.embed)},
        steps={name: round(hours, 6) for name, hours in steps.items()},
        units_segmented=len(half),
        actors=cluster.actors,
        # What a step reads and what it writes, each with the samples of all recordings at both rates.
        store_gb=round(2 * sound_gb, 6) if cluster.actors else 0.0,
    )


def _wall(steps: Mapping[str, float], cluster: Cluster, units: int) -> float:
    """Hours until the slowest kind of worker is through: the tasks of all other steps, or the actors of one."""
    if not units:
        return 0.0
    tasks = sum(hours for name, hours in steps.items() if name not in cluster.shares)
    actors = [hours / min(cluster.actors, units) for name, hours in steps.items() if name in cluster.shares]
    return max(tasks / max(1, min(cluster.workers, units)), *actors, 0.0)


def _factors(store: Any, keys: list[str], settings: PipeSettings) -> tuple[dict[str, float], bool]:
    """Seconds of work of each step for a second of audio."""
    audio, work = 0.0, Counter[str]()
    for key in keys:
        times = json.loads(store.read(f"times/{key}.json") or b"{}")
        if times.get("steps"):
            audio += times["seconds"]
            work.update({name: own["seconds"] for name, own in times["steps"].items()})
    if audio and sum(work.values()):
        return {name: work[name] / audio for name in STEPS}, True
    chosen = {**settings.stages(), "embed": choose_embedder(settings.embed), "decode": "decode", "write": "write"}
    used = {step: [chosen[kind] for kind in kinds] for step, kinds in _STAGES.items()}
    return {step: sum(_FACTORS.get(name, 0.0) for name in names) for step, names in used.items()}, False


_STAGES = {
    "standardise": ("decode", "separate"),
    "listen": ("vad", "diarise"),
    "recognise": ("transcribe", "score"),
    "write": ("write",),
}
"""Stages whose time is that of a step."""

_PARTS = {"all": STEPS, "first": ("standardise", "listen"), "second": ("standardise", "recognise", "write")}
