"""Labels in time: stretches and points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["TOLERANCE", "Interval", "Point", "faults_of_order", "read_text"]

TOLERANCE = 0.001
"""Seconds; smaller gaps and overlaps come from rounding."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A label with its stretch of time.

    Attributes:
        start: s.
        end: s.
        label: as it stands in the file, without outer white space.
    """

    start: float
    end: float
    label: str

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Point:
    """A label at a moment.

    Attributes:
        time: s.
        label: as it stands in the file.
    """

    time: float
    label: str


def faults_of_order(intervals: Sequence[Interval], *, gaps: bool = True) -> list[str]:
    """Gaps (where asked for), overlaps and turned ends of more than 1 ms, in words."""
    faults = [
        f"{interval.label!r} ends at {interval.end:.4f} s, before it begins at {interval.start:.4f} s"
        for interval in intervals
        if interval.end < interval.start
    ]
    for left, right in pairwise(intervals):
        gap = right.start - left.end
        if gap < -TOLERANCE or (gaps and gap > TOLERANCE):
            kind = "gap" if gap > 0 else "overlap"
            faults.append(f"{kind} of {abs(gap):.4f} s between {left.label!r} and {right.label!r} at {left.end:.4f} s")
    return faults


def read_text(data: bytes, encodings: Sequence[str] = ("utf-8",)) -> str:
    """Text of a file: by its byte order mark, or by the first encoding that fits.

    Raises:
        ValueError: none fits.
    """
    for mark, encoding in (
        (b"\xef\xbb\xbf", "utf-8-sig"),
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
    ):
        if data.startswith(mark):
            return _decoded(data, encoding)
    for encoding in encodings[:-1]:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return _decoded(data, encodings[-1])


def _decoded(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f"not {encoding.upper()} at byte {error.start}") from None
