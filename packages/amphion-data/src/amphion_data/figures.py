"""What a corpus should hold by its publication, and where a folder differs from that.

A difference is a warning and never an error: a folder may be a part of the corpus, or lack what was taken down since.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from amphion_core.data import Drop
from amphion_core.schema import Utterance

if TYPE_CHECKING:
    from amphion_data.corpus import Corpus

__all__ = ["Comparison", "Difference", "Figures", "Tally", "compare_counts", "compare_sound", "missing_files"]

_TOLERANCE = 0.01
_NAMED = 10  # missing files that are named; the others are in drops.jsonl
_COUNTS = ("rows", "recordings", "groups", "speakers")


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Published size of a corpus or of a part; None where it is not published.

    Attributes:
        part: as `Corpus.part` names it; empty for the whole.
        release: whose figures these are, where releases differ.
        rows: usable clips.
        recordings: audio files, each one row or several.
        groups: of what a split keeps whole: chapters, songs.
        speakers: voices.
        hours: of the clips.
        hours_uncut: of the recordings that clips are cut from; stated, and not compared with what is cut out.
    """

    part: str = ""
    release: str = ""
    rows: int | None = None
    recordings: int | None = None
    groups: int | None = None
    speakers: int | None = None
    hours: float | None = None
    hours_uncut: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """What is known, as a JSON object."""
        return {name: value for name, value in asdict(self).items() if value not in (None, "")}

    def to_text(self, groups: str = "group") -> str:
        """One line, for people; `groups` is what they are called."""
        words = {"rows": "row", "recordings": "recording", "groups": groups, "speakers": "voice"}
        counts = [(words[name], value) for name in _COUNTS if (value := getattr(self, name)) is not None]
        known = [f"{value:,} {word}{'s' if value != 1 else ''}" for word, value in counts]
        known += [f"{self.hours:,g} h"] if self.hours is not None else []
        known += [f"{self.hours_uncut:,g} h uncut"] if self.hours_uncut is not None else []
        return f"{self.part or 'all'}{f' ({self.release})' if self.release else ''}: {', '.join(known)}"


@dataclass(frozen=True)
class Difference:
    """Something that is published otherwise than it was found.

    Attributes:
        part: of the corpus; empty for the whole.
        what: is compared, such as `rows`.
        stated: the published value.
        found: the value of this folder.
    """

    part: str
    what: str
    stated: float
    found: float

    def to_text(self) -> str:
        """One line with both values."""
        where = f"{self.part}: " if self.part else ""
        if self.what == "sample_rate":
            return f"{where}{self.stated:,.0f} Hz stated, clips of {self.found:,.0f} Hz found"
        digits = ".3f" if self.what == "hours" else ".0f"
        share = 100 * (self.found - self.stated) / self.stated
        stated = f"{self.stated:,g}" if self.what == "hours" else f"{self.stated:,.0f}"
        return f"{where}{stated} {self.what} stated, {self.found:,{digits}} found ({share:+.1f} %)"


@dataclass(frozen=True)
class Comparison:
    """A folder beside the published figures.

    Attributes:
        differences: each of more than 1 %.
        absent_parts: parts that have figures and no row here.
        missing: files that should be there, by name, at most ten; `missing_count` is the number of all.
    """

    differences: Sequence[Difference] = ()
    absent_parts: Sequence[str] = ()
    missing: Sequence[str] = ()
    missing_count: int = 0

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "differences": [asdict(difference) for difference in self.differences],
            "absent_parts": list(self.absent_parts),
            "missing_files": {"count": self.missing_count, "first": list(self.missing)},
        }

    def to_lines(self) -> list[str]:
        """What there is to say, for people."""
        lines = [f"differs: {difference.to_text()}" for difference in self.differences]
        lines += [f"not here: {', '.join(self.absent_parts)}"] if self.absent_parts else []
        if self.missing_count:
            others = self.missing_count - len(self.missing)
            more = f" and {others} more" if others else ""
            lines.append(f"missing: {self.missing_count} files: {', '.join(self.missing)}{more}")
        return lines


@dataclass
class Tally:
    """Seconds of each part and clips of each sampling rate, as they are written.

    Attributes:
        seconds: by part.
        rates: clips by the rate of their source, Hz.
    """

    seconds: Counter[str] = field(default_factory=Counter)
    rates: Counter[int] = field(default_factory=Counter)

    def add(self, part: str, row: Utterance) -> None:
        """Count a written row of a part."""
        self.seconds[part] += row.duration  # type: ignore[assignment]
        self.rates[int(row.extra.get("source_rate", row.sample_rate))] += 1


def compare_counts(corpus: Corpus, rows: Iterable[Utterance]) -> Comparison:
    """The rows that were found beside the figures; audio that is not there is not among them."""
    unit = next(iter(corpus.units.values()))
    seen: dict[str, list[Any]] = {}
    for row in rows:
        for part in {corpus.part(row), ""}:
            count = seen.setdefault(part, [0, set(), set(), set()])
            count[0] += 1
            for found, value in zip(count[1:], (row.audio, unit(row), row.speaker), strict=True):
                found.add(value)
    found = {part: dict(zip(_COUNTS, (n, *map(len, sets)), strict=True)) for part, (n, *sets) in seen.items()}
    here, absent = _here(corpus, found)
    differences = [
        Difference(figures.part, name, stated, found[figures.part][name])
        for figures in _nearest(here, found)
        for name in _COUNTS
        if (stated := getattr(figures, name)) is not None and _differ(stated, found[figures.part][name])
    ]
    return Comparison(differences, absent)


def compare_sound(corpus: Corpus, tally: Tally, *, whole: bool = True) -> list[Difference]:
    """The rates that were met, and the hours that were kept where clips are `whole`, beside the figures."""
    hours = {part: seconds / 3600 for part, seconds in tally.seconds.items()}
    hours[""] = sum(hours.values())
    here, _ = _here(corpus, hours)
    differences = [
        Difference(figures.part, "hours", figures.hours, round(hours[figures.part], 4))
        for figures in here
        if whole and figures.hours is not None and _differ(figures.hours, hours[figures.part])
    ]
    rate, clips = corpus.sample_rate, sum(tally.rates.values())
    if rate is not None:
        strange = sorted(other for other, n in tally.rates.items() if other != rate and n > _TOLERANCE * clips)
        differences += [Difference("", "sample_rate", rate, other) for other in strange]
    return differences


def missing_files(drops: Iterable[Drop]) -> tuple[list[str], int]:
    """The first names of what was dropped because it is not there, and the number of all."""
    names = [drop.audio or drop.id for drop in drops if drop.reason == "missing_audio"]
    return names[:_NAMED], len(names)


def _here(corpus: Corpus, found: Mapping[str, Any]) -> tuple[list[Figures], list[str]]:
    """The figures of parts that are there, and the names of those that are not.

    Those of the whole count only where every part is there: otherwise it is known that the folder is a part.
    """
    figures = corpus.published()
    parts = dict.fromkeys(each.part for each in figures if each.part)
    absent = [part for part in parts if part not in found]
    if len(absent) == len(parts):  # rows of no part, or a corpus without any
        return [each for each in figures if not each.part], []
    whole = [] if absent else [each for each in figures if not each.part]
    return [each for each in figures if each.part in found and each.part] + whole, absent


def _nearest(figures: Sequence[Figures], found: Mapping[str, Mapping[str, int]]) -> list[Figures]:
    """One for each part: of several releases that one whose number of rows is the nearest."""
    chosen: dict[str, Figures] = {}
    for each in figures:
        rows = found[each.part]["rows"]
        other = chosen.setdefault(each.part, each)
        if abs((each.rows or 0) - rows) < abs((other.rows or 0) - rows):
            chosen[each.part] = each
    return list(chosen.values())


def _differ(stated: float, found: float) -> bool:
    return abs(found - stated) > _TOLERANCE * stated
