"""What is in a set of shards: hours, voices, languages, and how lengths, texts, rates and levels are spread."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amphion_data.parts import open_parts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from amphion_core.data import ShardSet

__all__ = ["Histogram", "Statistics", "count_folder", "count_shards", "report_text"]

_PLACES = 7  # of hours: to the millisecond


@dataclass
class Histogram:
    """Counts in bins of one width; values outside go to the outermost bins.

    Attributes:
        label: what is counted, with its unit.
        low: lower edge of the first bin.
        width: of a bin.
        bins: number of bins.
        counts: of each bin that is not empty, by its number.
        count: number of values; `total`, `least` and `most` are their sum, smallest and largest.
    """

    label: str
    low: float
    width: float
    bins: int
    counts: Counter[int] = field(default_factory=Counter)
    count: int = 0
    total: float = 0.0
    least: float = float("inf")
    most: float = float("-inf")

    def add(self, values: NDArray[np.floating]) -> None:
        """Count (N,) values."""
        import numpy as np

        if not values.size:
            return
        places = np.clip((values - self.low) // self.width, 0, self.bins - 1).astype(np.int64)
        for place, count in enumerate(np.bincount(places).tolist()):
            if count:
                self.counts[place] += count
        self.count += values.size
        self.total += math.fsum(values.tolist())
        self.least, self.most = min(self.least, float(values.min())), max(self.most, float(values.max()))

    def to_dict(self) -> dict[str, Any]:
        """Smallest, mean and largest value, and `[lower edge, upper edge, count]` of each bin that is not empty."""
        if not self.count:
            return {"count": 0, "bins": []}
        edges = [
            (self.low + i * self.width, self.low + (i + 1) * self.width, self.counts[i]) for i in sorted(self.counts)
        ]
        return {
            "count": self.count,
            "min": round(self.least, 4),
            "mean": round(self.total / self.count, 4),
            "max": round(self.most, 4),
            "bins": [[round(a, 4), round(b, 4), n] for a, b, n in edges],
        }

    def to_text(self, width: int = 40) -> str:
        """Bars of text, the fullest bin `width` long."""
        if not self.count:
            return f"{self.label}: none"
        mean = self.total / self.count
        lines = [f"{self.label}: {self.least:.2f} to {self.most:.2f}, mean {mean:.2f}"]
        fullest = max(self.counts.values())
        for i in range(min(self.counts), max(self.counts) + 1):
            bar = "█" * round(width * self.counts[i] / fullest) or ("▏" if self.counts[i] else "")
            lines.append(f"  {self.low + i * self.width:>7g}  {bar} {self.counts[i]}")
        return "\n".join(lines)


@dataclass
class Statistics:
    """Counts of a set of rows; seconds are of the audio in the shards."""

    rows: int = 0
    seconds: float = 0.0
    speakers: dict[str, float] = field(default_factory=dict)
    languages: dict[str, float] = field(default_factory=dict)
    sample_rates: Counter[int] = field(default_factory=Counter)
    durations: Histogram = field(default_factory=lambda: Histogram("duration, s", 0, 1, 31))
    characters: Histogram = field(default_factory=lambda: Histogram("text, characters", 0, 20, 21))
    rates: Histogram = field(default_factory=lambda: Histogram("speaking rate, characters / s", 0, 2, 21))
    levels: Histogram = field(default_factory=lambda: Histogram("level, dB below full scale", -60, 3, 21))

    @property
    def hours(self) -> float:
        """Hours of audio."""
        return self.seconds / 3600

    def to_dict(self) -> dict[str, Any]:
        """A JSON object; rows that state no speaker or language count under the empty name."""
        return {
            "rows": self.rows,
            "hours": round(self.hours, _PLACES),
            "speakers": {name: round(s / 3600, _PLACES) for name, s in sorted(self.speakers.items())},
            "languages": {name: round(s / 3600, _PLACES) for name, s in sorted(self.languages.items())},
            "sample_rates": {str(rate): count for rate, count in sorted(self.sample_rates.items())},
            **{name: getattr(self, name).to_dict() for name in ("durations", "characters", "rates", "levels")},
        }


def count_shards(shards: ShardSet) -> Statistics:
    """Statistics of a set, from its indices alone: no audio and no JSON is read."""
    import numpy as np

    seconds, characters = shards.durations, np.asarray(shards.column("characters"), np.float64)
    found = Statistics(rows=len(shards), seconds=math.fsum(seconds.tolist()))
    for totals, labels in ((found.speakers, shards.speakers), (found.languages, shards.languages)):
        for label, duration in zip(labels, seconds.tolist(), strict=True):
            totals[label or ""] = totals.get(label or "", 0.0) + duration
    found.sample_rates.update(shards.sample_rates.tolist())
    found.durations.add(seconds)
    found.characters.add(characters[characters > 0])
    spoken = (characters > 0) & (seconds > 0)
    found.rates.add(characters[spoken] / seconds[spoken])
    if "level_db" in shards.extras:
        levels = np.asarray(shards.column("level_db"), np.float64)
        found.levels.add(levels[np.isfinite(levels)])
    return found


def count_folder(source: str | Path) -> dict[str, Statistics]:
    """Statistics of each set of shards below a folder; see `amphion_data.parts.open_parts`."""
    return {name: count_shards(shards) for name, shards in open_parts(source).items()}


def report_text(parts: Mapping[str, Statistics]) -> str:
    """A table of the sets and the histograms of all rows, for people."""
    lines = [f"{'set':10} {'rows':>8} {'hours':>9} {'speakers':>9}  languages     sample rates"]
    for name, part in parts.items():
        voices = len([speaker for speaker in part.speakers if speaker])
        languages = ",".join(sorted(name or "?" for name in part.languages))
        rates = ",".join(f"{rate}" for rate in sorted(part.sample_rates))
        lines.append(f"{name:10} {part.rows:>8} {part.hours:>9.3f} {voices:>9}  {languages:13} {rates}")
    for kind in ("durations", "characters", "rates", "levels"):
        whole = None
        for part in parts.values():
            whole = _merged(whole, getattr(part, kind))
        if whole is not None:
            lines += ["", whole.to_text()]
    return "\n".join(lines)


def _merged(whole: Histogram | None, part: Histogram) -> Histogram:
    if whole is None:
        whole = Histogram(part.label, part.low, part.width, part.bins)
    whole.counts.update(part.counts)
    whole.count += part.count
    whole.total += part.total
    whole.least, whole.most = min(whole.least, part.least), max(whole.most, part.most)
    return whole
