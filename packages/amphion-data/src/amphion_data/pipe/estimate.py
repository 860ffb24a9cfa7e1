"""What a run would take: units, time, cost and disk, before anything is run.

Speeds are those that the output has measured already; before the first unit they are of one core of a common server.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from amphion_data.engines import Ledger, open_store
from amphion_data.pipe.embedding import choose_embedder
from amphion_data.pipe.settings import PipeSettings
from amphion_data.pipe.units import plan_units

__all__ = ["Estimate", "estimate"]

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
        wall_hours: with the workers that were named, none of which waits.
        cost: of these, in the unit of the price.
        output_gb: at most, where everything is kept.
        scratch_gb: on the disk of each worker meanwhile, at most.
        measured: whether the speeds are those of this output.
        models: names of the parts.
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

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)

    def to_text(self) -> str:
        """A few lines for people."""
        how = "speeds measured in this output" if self.measured else "speeds assumed, of one core each"
        return "\n".join(
            [
                f"{self.sources} recordings, {self.hours:.3f} h, in {self.units} units, {self.units_done} done",
                f"  work left    {self.work_hours:10.3f} h of one worker ({how})",
                f"  wall time    {self.wall_hours:10.3f} h",
                f"  cost         {self.cost:10.2f}",
                f"  output       {self.output_gb:10.3f} GB at most",
                f"  scratch      {self.scratch_gb:10.3f} GB for each worker at most",
                "  " + ", ".join(f"{kind}: {name}" for kind, name in self.models.items()),
            ]
        )


def estimate(
    folder: str | Path, out: str | Path, settings: PipeSettings, *, workers: int = 1, price: float = 0.0
) -> Estimate:
    """What a run would take; nothing is written.

    Args:
        folder: of the recordings.
        out: of the output, for what is done there.
        settings: of the run.
        workers: processes.
        price: of one for an hour.

    Raises:
        FileNotFoundError: there is no recording.
    """
    plan, store = plan_units(folder, settings), open_store(out)
    done = Ledger(store).done()
    left = [unit for unit in plan.units if unit.key not in done]
    factor, measured = _factor(store, [unit.key for unit in plan.units if unit.key in done], settings)
    work = sum(unit.seconds for unit in left) * factor / 3600
    # The last unit of each worker is not shared, so no run is shorter than the longest one.
    longest = max((unit.seconds for unit in left), default=0.0) * factor / 3600
    wall = max(work / max(1, min(workers, len(left))), longest) if left else 0.0
    size = max((unit.seconds for unit in plan.units), default=0.0)
    return Estimate(
        sources=sum(len(unit.sources) for unit in plan.units),
        units=len(plan.units),
        units_done=len(plan.units) - len(left),
        hours=round(plan.seconds / 3600, 6),
        work_hours=round(work, 6),
        wall_hours=round(wall, 6),
        cost=round(wall * workers * price, 4),
        output_gb=round(plan.seconds * _BITS[settings.format] / 8e9, 6),
        scratch_gb=round(size * 4 * (settings.sample_rate + 16_000) / 1e9, 6),
        measured=measured,
        models=settings.stages() | {"embed": choose_embedder(settings.embed)},
    )


def _factor(store: Any, keys: list[str], settings: PipeSettings) -> tuple[float, bool]:
    """Seconds of work for a second of audio."""
    audio = work = 0.0
    for key in keys:
        times = json.loads(store.read(f"times/{key}.json") or b"{}")
        audio += times.get("seconds", 0.0)
        work += sum(times.get("work", {}).values())
    if audio and work:
        return work / audio, True
    used = ["decode", "write", *(name for name in settings.stages().values() if name in _FACTORS)]
    return sum(_FACTORS[name] for name in used), False
