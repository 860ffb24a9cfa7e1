"""What a corpus is to this package: a description and one generator of rows."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from amphion_core import registry
from amphion_core.data import Drop
from amphion_core.schema import Utterance
from amphion_data.figures import Figures

__all__ = ["SELECTED", "Corpus", "Reader", "Scan", "find_corpus", "known_corpora", "scan"]

SELECTED = frozenset({"hidden_file", "too_short", "too_long", "filtered"})
"""Reasons that are no fault of the corpus: the user or the system chose them. `on_error="fail"` lets them pass."""


_ALIASES = {"svcc": "svcc2023", "nus": "nus48e", "singingvoicedataset": "opera", "customsinging": "singingfolder"}
_COMMON_OPTIONS = frozenset({"speaker", "language", "require_text"})


class Reader(Protocol):
    """The generator of a corpus: rows in a fixed order, and what could not become one."""

    def __call__(self, root: Path, **options: Any) -> Iterator[Utterance | Drop]:
        """Rows of the corpus below a folder.

        Args:
            root: folder of the corpus, or one of its files where the corpus allows that.
            options: `speaker` and `language` where the user gives them, and the corpus's own.

        Yields:
            Utterances whose `audio` is the path below the folder, and whose `duration` is what the corpus states
            (0 where it states none; the decoded one replaces it later); and drops.
        """
        ...


def _whole(row: Utterance) -> str:
    return ""


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """A corpus: what `amphion-data corpora` prints, how it is read, what must not be torn apart by a split.

    Attributes:
        name: as the entry point in the group `amphion.datasets` names it.
        title: as its publication names it.
        licence: of the data.
        source: where to get it.
        rows: generator of its rows.
        units: ways to group rows for the split, name to function of a row; the first is the default.
        languages: two letters each; empty where they depend on the folder.
        hours: of the whole; None where it depends on the folder. So are `clips`, `speakers` and `sample_rate` (Hz).
        layout: the folder that is expected, in one line.
        options: what the reader can be asked beside speaker and language, name to what it does.
        least_speakers: the unit `speaker` is only the default where there are at least so many.
        figures: published sizes of its parts, with which each folder is compared; none means `clips`, `speakers` and
            `hours` of the whole. Several of one part are those of several releases.
        part: name of the part that a row belongs to, as the figures have it.
    """

    name: str
    title: str
    licence: str
    source: str
    rows: Reader
    units: Mapping[str, Callable[[Utterance], str]]
    languages: tuple[str, ...] = ()
    hours: float | None = None
    clips: int | None = None
    speakers: int | None = None
    sample_rate: int | None = None
    layout: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    least_speakers: int = 0
    figures: Sequence[Figures] = ()
    part: Callable[[Utterance], str] = _whole

    def published(self) -> Sequence[Figures]:
        """What a folder is compared with."""
        return self.figures or (Figures(rows=self.clips, speakers=self.speakers, hours=self.hours),)

    def unit(self, rows: Sequence[Utterance], name: str | None = None) -> str:
        """Name of the unit that a split keeps whole.

        Raises:
            ValueError: the corpus does not allow to split by this unit.
        """
        if name is not None and name not in self.units:
            raise ValueError(f"{self.name} is split by {' or '.join(self.units)}, not by {name!r}: parts would leak")
        voices = {row.speaker for row in rows}
        enough = len(voices) >= self.least_speakers
        usable = [unit for unit in self.units if unit != "speaker" or enough] or list(self.units)
        return name or usable[0]

    def facts(self) -> dict[str, Any]:
        """The description as a JSON object."""
        names = ("name", "title", "hours", "clips", "speakers", "sample_rate", "licence", "source", "layout")
        facts = {name: getattr(self, name) for name in names}
        figures = [each.to_dict() for each in self.figures]
        return {**facts, "languages": list(self.languages), "options": dict(self.options), "figures": figures}

    def to_text(self) -> str:
        """The description in a few lines, for people."""
        size = [f"{self.hours:g} h" if self.hours else "", f"{self.clips:,} clips" if self.clips else ""]
        size += [f"{self.sample_rate:,} Hz" if self.sample_rate else "", ", ".join(self.languages)]
        facts = ", ".join(part for part in size if part) or "any size, rate and language"
        lines = [f"{self.title}: {facts}", f"licence: {self.licence}", self.source, self.layout]
        lines += [each.to_text(next(iter(self.units))) for each in self.figures]
        lines += [f"--option {name}=...  {what}" for name, what in self.options.items()]
        return f"{self.name:12} " + f"\n{'':13}".join(lines)


@dataclass(frozen=True)
class Scan:
    """What a reader found: rows to prepare and rows dropped already, both in the order of the corpus."""

    rows: list[Utterance] = field(default_factory=list)
    drops: list[Drop] = field(default_factory=list)


def scan(corpus: Corpus, root: str | Path, **options: Any) -> Scan:
    """Read all rows of a corpus without opening its audio.

    Args:
        corpus: the corpus.
        root: its folder.
        options: of its reader; those that are None are left to the reader.

    Raises:
        FileNotFoundError: there is no such folder, or not what the corpus needs in it.
        ValueError: two ids differ, but are one after unicode normalisation; or an option that this corpus has not.
    """
    root = Path(root)
    strange = sorted(options.keys() - _COMMON_OPTIONS - corpus.options.keys())
    if strange:
        own = "; ".join(f"{name}: {what}" for name, what in corpus.options.items()) or "none of its own"
        raise ValueError(f"{corpus.name} has no option {', '.join(strange)}; it has {own}")
    if not root.exists():
        raise FileNotFoundError(f"no corpus at {root}: there is no such file or folder")
    given = {name: value for name, value in options.items() if value is not None}
    result = Scan()
    first: dict[str, Utterance] = {}
    for item in corpus.rows(root, **given):
        if isinstance(item, Drop):
            result.drops.append(item)
            continue
        name = unicodedata.normalize("NFC", item.id)
        other = first.setdefault(name, item)
        if other is item:
            result.rows.append(_countable(replace(item, id=name)))
        elif other.id == item.id:
            detail = f"the id is that of {other.audio}, which came first"
            result.drops.append(Drop(item.id, item.audio, "duplicate_id", detail, "scan"))
        else:
            raise ValueError(f"the ids {other.id!r} and {item.id!r} are one in unicode NFC; rename one of {root}")
    return result


def _countable(row: Utterance) -> Utterance:
    """The row without numbers that JSON has no word for; they are noted, and cost neither the row nor the run."""
    strange = {name: value for name, value in row.extra.items() if not _is_finite(value)}
    if not strange:
        return row
    kept = {name: value for name, value in row.extra.items() if name not in strange}
    noted = [f"no_number: {name} is {value!s:.50}; it is left out" for name, value in strange.items()]
    return replace(row, extra={**kept, "warnings": [*kept.get("warnings", ()), *noted]})


def _is_finite(value: object) -> bool:
    """Whether a value, or all that it holds, is free of NaN and infinity."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        value = list(value.values())
    return not isinstance(value, list | tuple) or all(map(_is_finite, value))


def known_corpora() -> list[Corpus]:
    """The corpora of all installed packages, sorted by name."""
    return [find_corpus(name) for name in registry.names("datasets")]


def find_corpus(name: str) -> Corpus:
    """A corpus by the name of its entry point; case, blanks and dashes don't matter, and usual names are known.

    Raises:
        LookupError: no installed package has it; the message names those that are there.
        ValueError: the entry point is no `Corpus`.
    """
    names = registry.names("datasets")
    plain = {_plain(other): other for other in names}
    known = name if name in names else plain.get(_ALIASES.get(_plain(name), _plain(name)), name)
    found = registry.find("datasets", known)
    if not isinstance(found, Corpus):
        raise ValueError(f"the entry point amphion.datasets {known!r} names {found!r}; it has to name a Corpus")
    return found


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
