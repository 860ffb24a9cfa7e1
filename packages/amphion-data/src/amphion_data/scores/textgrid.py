"""Praat's TextGrid, long and short form, read by its tokens.

Source: Praat's manual, "TextGrid file formats".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from amphion_data.scores.timeline import Interval, Point, faults_of_order, read_text

__all__ = ["TextGrid", "Tier", "read_textgrid"]

_TOKEN = re.compile(
    r"""![^\n]*                        # a comment
      | "(?P<string>(?:[^"]|"")*)"     # a quote inside is doubled; lines may end inside
      | <(?P<flag>[^<>\s]*)>
      | (?P<word>[^\s"!<]+)""",
    re.VERBOSE,
)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_KINDS = ("IntervalTier", "TextTier")
PHONE_NAMES = ("phone", "phones", "音素")


@dataclass(frozen=True)
class Tier:
    """One tier.

    Attributes:
        name: of the tier.
        intervals: stretches; empty for a tier of points.
        points: moments; empty for a tier of intervals.
    """

    name: str
    intervals: tuple[Interval, ...] = ()
    points: tuple[Point, ...] = ()


@dataclass(frozen=True)
class TextGrid:
    """Tiers over one stretch of time.

    Attributes:
        start: s.
        end: s.
        tiers: in the order of the file.
        warnings: gaps and overlaps over 1 ms, in words.
    """

    start: float
    end: float
    tiers: tuple[Tier, ...]
    warnings: tuple[str, ...] = ()

    def tier(self, name: str) -> Tier:
        """A tier by its name.

        Raises:
            LookupError: there is none, or two.
        """
        found = [tier for tier in self.tiers if tier.name == name]
        if len(found) != 1:
            names = ", ".join(repr(tier.name) for tier in self.tiers) or "none"
            raise LookupError(f"{len(found)} tiers named {name!r}; there are {names}")
        return found[0]

    def phones(self, name: str | None = None) -> Tier:
        """The tier of phones: by the name given, by a usual name, or the one with most intervals.

        Raises:
            LookupError: none of the name given, or no tier of intervals at all.
        """
        if name is not None:
            return self.tier(name)
        tiers = [tier for tier in self.tiers if tier.intervals]
        if not tiers:
            raise LookupError("the TextGrid has no tier of intervals")
        usual = [tier for tier in tiers if tier.name.strip().lower() in PHONE_NAMES]
        return usual[0] if usual else max(tiers, key=lambda tier: len(tier.intervals))


def read_textgrid(source: str | Path | bytes) -> TextGrid:
    """Read a TextGrid in UTF-8, or in UTF-16 with a byte order mark.

    Args:
        source: path, or the content of the file.

    Raises:
        ValueError: it is no TextGrid, or it ends too early; says at which tier.
        FileNotFoundError: there is no such file.
    """
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    tokens = _Tokens(read_text(data))
    kind = [tokens.string("the file type"), tokens.string("the object class")]
    if kind[0] != "ooTextFile" or not kind[1].startswith("TextGrid"):
        raise ValueError(f"no TextGrid: file type {kind[0]!r}, object class {kind[1]!r}")
    start, end = tokens.number("the start"), tokens.number("the end")
    if tokens.flag() != "exists":
        return TextGrid(start, end, ())
    count = tokens.count("the number of tiers")
    tiers = [_tier(tokens, number + 1) for number in range(count)]
    warnings = [f"tier {tier.name!r}: {fault}" for tier in tiers for fault in faults_of_order(tier.intervals)]
    return TextGrid(start, end, tuple(tiers), tuple(warnings))


def _tier(tokens: _Tokens, number: int) -> Tier:
    kind = tokens.string(f"the class of tier {number}")
    if kind not in _KINDS:
        raise ValueError(f"tier {number} is a {kind!r}; known are {' and '.join(_KINDS)}")
    name = tokens.string(f"the name of tier {number}")
    where = f"tier {number} ({name!r})"
    tokens.number(f"the start of {where}")
    tokens.number(f"the end of {where}")
    size = tokens.count(f"the size of {where}")
    if kind == "TextTier":
        return Tier(name, points=tuple(Point(tokens.number(where), tokens.string(where).strip()) for _ in range(size)))
    return Tier(
        name,
        tuple(Interval(tokens.number(where), tokens.number(where), tokens.string(where).strip()) for _ in range(size)),
    )


class _Tokens:
    """Strings, numbers and flags of the file in order; every other word is decoration."""

    def __init__(self, text: str) -> None:
        self.tokens: Iterator[tuple[str, str]] = iter(_split(text))
        self.limit = len(text)

    def string(self, what: str) -> str:
        return self._next("string", what)

    def number(self, what: str) -> float:
        return float(self._next("number", what))

    def flag(self) -> str:
        return self._next("flag", "the flag <exists>")

    def count(self, what: str) -> int:
        value = self.number(what)
        # Every item takes more than one character, so that a number that lies can't ask for endless work.
        if value != int(value) or not 0 <= value <= self.limit:
            raise ValueError(f"{what} is {value:g}; the file has {self.limit} characters")
        return int(value)

    def _next(self, kind: str, what: str) -> str:
        found, value = next(self.tokens, ("end", ""))
        if found == "end":
            raise ValueError(f"the TextGrid ends before {what}")
        if found != kind:
            raise ValueError(f"{what}: expected a {kind}, found the {found} {value!r}")
        return value


def _split(text: str) -> Sequence[tuple[str, str]]:
    found = []
    for match in _TOKEN.finditer(text):
        if match["string"] is not None:
            found.append(("string", match["string"].replace('""', '"')))
        elif match["flag"] is not None:
            found.append(("flag", match["flag"]))
        elif match["word"] is not None and _NUMBER.fullmatch(match["word"]):
            found.append(("number", match["word"]))
    return found
