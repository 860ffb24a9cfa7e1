"""Phone labels of three columns: `start end label`, in units of 100 ns (HTK) or in seconds."""

from __future__ import annotations

from pathlib import Path

from amphion_data.scores.timeline import Interval, read_text

__all__ = ["read_lab", "read_labels"]

_HTK = 1e7
"""Units of HTK in a second."""


def read_lab(source: str | Path | bytes, *, seconds: bool = False) -> list[Interval]:
    """Intervals of a label file, in its order.

    Integers everywhere are units of 100 ns; any decimal point makes all of them seconds. For labels without times see
    `read_labels`.

    Args:
        source: path, or the content of the file.
        seconds: whether integers are seconds too, where the corpus is known to have no other unit.

    Returns:
        Seconds.

    Raises:
        ValueError: a line without two times and a label, with its number; or text that is not UTF-8.
        FileNotFoundError: there is no such file.
    """
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    lines = [(number, line.split()) for number, line in enumerate(read_text(data).splitlines(), 1)]
    rows = [(number, parts) for number, parts in lines if parts]
    times = [part for _, parts in rows for part in parts[:2]]
    units = 1.0 if seconds or any("." in part or "e" in part.lower() for part in times) else _HTK
    found = []
    for number, parts in rows:
        if len(parts) != 3:
            raise ValueError(f"line {number}: expected 'start end label', found {' '.join(parts)!r}")
        try:
            start, end = (float(part) / units for part in parts[:2])
        except ValueError:
            raise ValueError(f"line {number}: {parts[0]!r} and {parts[1]!r} are no times") from None
        if not 0 <= start <= end < float("inf"):
            raise ValueError(f"line {number}: {parts[2]!r} lasts from {start} to {end} s")
        found.append(Interval(start, end, parts[2]))
    return found


def read_labels(source: str | Path | bytes) -> list[str]:
    """Labels of a file that holds nothing else, separated by white space.

    Raises:
        ValueError: text that is not UTF-8.
        FileNotFoundError: there is no such file.
    """
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    return read_text(data).split()
