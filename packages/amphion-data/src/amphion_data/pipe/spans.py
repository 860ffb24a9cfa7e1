"""Stretches of time as pairs of sample numbers at 16 kHz, so that sums come out exactly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

__all__ = ["RATE", "Diarisation", "Span", "Turn", "intersect", "joined", "subtract", "total", "widened"]

RATE = 16_000
"""Ticks of all spans, Hz."""


class Span(NamedTuple):
    """From the first tick to the one behind the last."""

    start: int
    end: int

    @property
    def seconds(self) -> float:
        """Length, s."""
        return (self.end - self.start) / RATE


class Turn(NamedTuple):
    """A span in which one speaker holds the floor."""

    start: int
    end: int
    speaker: int


class Diarisation(NamedTuple):
    """Who speaks when.

    Attributes:
        turns: sorted, without a common tick.
        overlaps: sorted, where several speak; no part of any turn.
    """

    turns: list[Turn]
    overlaps: list[Span]


def total(spans: Iterable[Span | Turn]) -> int:
    """Ticks in spans that have none in common."""
    return sum(span.end - span.start for span in spans)


def joined(spans: Iterable[Span]) -> list[Span]:
    """The same ticks as sorted spans without a common or neighbouring one."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if end <= start:
            continue
        if found and start <= found[-1].end:
            found[-1] = Span(found[-1].start, max(end, found[-1].end))
        else:
            found.append(Span(start, end))
    return found


def intersect(spans: Sequence[Span], others: Sequence[Span]) -> list[Span]:
    """What is in both; each sorted and without overlap."""
    found, at = [], 0
    for start, end in spans:
        while at < len(others) and others[at].end <= start:
            at += 1
        k = at
        while k < len(others) and others[k].start < end:
            found.append(Span(max(start, others[k].start), min(end, others[k].end)))
            k += 1
    return found


def subtract(spans: Sequence[Span], others: Sequence[Span]) -> list[Span]:
    """What is in the first and not in the second; each sorted and without overlap."""
    found, at = [], 0
    for start, end in spans:
        while at < len(others) and others[at].end <= start:
            at += 1
        k, begin = at, start
        while k < len(others) and others[k].start < end:
            if others[k].start > begin:
                found.append(Span(begin, others[k].start))
            begin = max(begin, others[k].end)
            k += 1
        if begin < end:
            found.append(Span(begin, end))
    return found


def widened(spans: Sequence[Span], ticks: int, length: int) -> list[Span]:
    """Spans made longer at both ends, up to the middle between neighbours and the ends of the recording."""
    found = []
    for number, (start, end) in enumerate(spans):
        before = 0 if number == 0 else (spans[number - 1].end + start + 1) // 2
        after = length if number + 1 == len(spans) else (end + spans[number + 1].start) // 2
        found.append(Span(max(start - ticks, before), min(end + ticks, after)))
    return found
