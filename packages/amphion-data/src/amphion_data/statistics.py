"""What is in a set of shards: hours, voices, languages, and how lengths, texts, rates and levels are spread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amphion_core.schema import Utterance
from amphion_data.parts import open_parts

__all__ = ["Histogram", "Statistics", "count_folder", "count_rows", "report_text"]


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

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[min(max(int((value - self.low) // self.width), 0), self.bins - 1)] += 1
        self.count += 1
        self.total += value
        self.least, self.most = min(self.least, value), max(self.most, value)

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
    warnings: Counter[str] = field(default_factory=Counter)
    durations: Histogram = field(default_factory=lambda: Histogram("duration, s", 0, 1, 31))
    characters: Histogram = field(default_factory=lambda: Histogram("text, characters", 0, 20, 21))
    rates: Histogram = field(default_factory=lambda: Histogram("speaking rate, characters / s", 0, 2, 21))
    levels: Histogram = field(default_factory=lambda: Histogram("level, dB below full scale", -60, 3, 21))

    @property
    def hours(self) -> float:
        """Hours of audio."""
        return self.seconds / 3600

    def add(self, row: Utterance) -> None:
        """Count one row."""
        self.rows += 1
        self.seconds += row.duration
        self.speakers[row.speaker or ""] = self.speakers.get(row.speaker or "", 0.0) + row.duration
        self.languages[row.language or ""] = self.languages.get(row.language or "", 0.0) + row.duration
        self.sample_rates[row.sample_rate] += 1
        self.durations.add(row.duration)
        for warning in row.extra.get("warnings", ()):
            self.warnings[str(warning).partition(":")[0]] += 1
        if row.text is not None:
            self.characters.add(len(row.text))
            if row.duration > 0:
                self.rates.add(len(row.text) / row.duration)
        if isinstance(level := row.extra.get("level_db"), int | float):
            self.levels.add(level)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object; rows that state no speaker or language count under the empty name."""
        return {
            "rows": self.rows,
            "hours": round(self.hours, 6),
            "speakers": {name: round(s / 3600, 6) for name, s in sorted(self.speakers.items())},
            "languages": {name: round(s / 3600, 6) for name, s in sorted(self.languages.items())},
            "sample_rates": {str(rate): count for rate, count in sorted(self.sample_rates.items())},
            "warnings": dict(sorted(self.warnings.items())),
            **{name: getattr(self, name).to_dict() for name in ("durations", "characters", "rates", "levels")},
        }


def count_rows(rows: Iterable[Utterance]) -> Statistics:
    """Statistics of rows."""
    found = Statistics()
    for row in rows:
        found.add(row)
    return found


def count_folder(source: str | Path) -> dict[str, Statistics]:
    """Statistics of each set of shards below a folder; see `open_parts`."""
    parts = open_parts(source)
    return {name: count_rows(shards.utterance(i) for i in range(len(shards))) for name, shards in parts.items()}


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
