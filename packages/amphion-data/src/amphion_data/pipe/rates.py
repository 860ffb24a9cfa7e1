"""Speaking rates: seconds a character by language, counted over any rows, and the bounds that follow from them.

Rates are counted in bins of 0.1 %, so memory does not grow with the rows, counts of parts can be summed, and the bounds
do not depend on the order in which rows came.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from amphion_core.atomic import atomic_writer
from amphion_data.pipe.text_rules import rate_bounds, seconds_per_character

__all__ = ["LEAST_ROWS", "RateBounds", "RateCounts", "count_rates", "read_table", "table_text", "write_table"]

LEAST_ROWS = 50
"""Rows of a language from which its bounds are measured; with fewer the ones of the package stay."""

_BINS = 1000  # for a factor of e
_LEAST_SPREAD = 0.1  # of the log between the quartiles; with equal rates all others would be outside otherwise
_REACH = 1.5  # spreads beyond the quartiles


class RateBounds(NamedTuple):
    """What is allowed in a language, in seconds a character.

    Attributes:
        low: lowest; `high` highest.
        median: of the rows; nan where they are too few.
        rows: that were counted.
        measured: False where the rows are too few, and these are the wide bounds of the package.
    """

    low: float
    high: float
    median: float
    rows: int
    measured: bool


class RateCounts:
    """Rows by language and rate."""

    def __init__(self) -> None:
        self._bins: dict[str, Counter[int]] = defaultdict(Counter)

    def add(self, text: str | None, seconds: float, language: str | None) -> bool:
        """Count a row; False where it has no text, no length or no language."""
        rate = seconds_per_character(text or "", seconds)
        if not language or not 0 < rate < math.inf:
            return False
        self._bins[language][round(math.log(rate) * _BINS)] += 1
        return True

    def update(self, counts: Mapping[str, Mapping[str, int]]) -> None:
        """Add what `to_dict` gave elsewhere."""
        for language, bins in counts.items():
            for place, count in bins.items():
                self._bins[language][int(place)] += count

    def to_dict(self) -> dict[str, dict[str, int]]:
        """JSON values: rows by language and bin."""
        return {name: {str(k): n for k, n in sorted(bins.items())} for name, bins in sorted(self._bins.items())}

    def bounds(self, own: Mapping[str, tuple[float, float]] | None = None) -> dict[str, RateBounds]:
        """Of each language: 1.5 quartile distances of the log beyond its quartiles.

        A language with fewer than `LEAST_ROWS` rows has its `own`, or those of the package, or is left out where there
        are none.
        """
        found = {}
        for language, bins in sorted(self._bins.items()):
            rows = bins.total()
            if rows >= LEAST_ROWS:
                found[language] = _bounds(bins, rows)
            elif (wide := rate_bounds(language, own or {})) is not None:
                found[language] = RateBounds(*wide, math.nan, rows, False)
        return found

    def few(self) -> dict[str, int]:
        """Languages with fewer than `LEAST_ROWS` rows, and how many they have."""
        return {name: bins.total() for name, bins in sorted(self._bins.items()) if bins.total() < LEAST_ROWS}


def _bounds(bins: Counter[int], rows: int) -> RateBounds:
    median = _quantile(bins, rows, 0.5)
    first = min(_quantile(bins, rows, 0.25), median - _LEAST_SPREAD / 2)
    third = max(_quantile(bins, rows, 0.75), median + _LEAST_SPREAD / 2)
    reach = _REACH * (third - first)
    low, high, middle = (round(math.exp(value), 5) for value in (first - reach, third + reach, median))
    return RateBounds(low, high, middle, rows, True)


def _quantile(bins: Counter[int], rows: int, share: float) -> float:
    """A quantile of the log, between the two rows that it lies between."""
    at = share * (rows - 1)
    below, above = _ranked(bins, math.floor(at)), _ranked(bins, math.ceil(at))
    return (below + (above - below) * (at - math.floor(at))) / _BINS


def _ranked(bins: Counter[int], rank: int) -> int:
    seen = 0
    for place in sorted(bins):
        seen += bins[place]
        if rank < seen:
            return place
    raise AssertionError(f"rank {rank} of {seen} rows")


def count_rates(sources: Iterable[str | Path]) -> tuple[RateCounts, int]:
    """Count the rates of rows.

    Args:
        sources: manifests (`.jsonl` with text, language and duration, or start and end), shards, folders of shards,
            or what `prepare` or `emilia` wrote.

    Returns:
        The counts, and the number of rows that have no text, length or language.

    Raises:
        FileNotFoundError: there is no such place, or it has no rows.
        ValueError: a line of a manifest is no JSON object.
    """
    counts, without = RateCounts(), 0
    for source in sources:
        for text, seconds, language in _rows(Path(source)):
            without += not counts.add(text, seconds, language)
    return counts, without


def _rows(source: Path) -> Iterator[tuple[str | None, float, str | None]]:
    if source.is_file() and source.suffix == ".jsonl":
        yield from _manifest(source)
        return
    from amphion_data.parts import iter_rows

    for row in iter_rows(source / "shards" if (source / "shards").is_dir() else source):
        yield row.text, row.duration, row.language


def _manifest(path: Path) -> Iterator[tuple[str | None, float, str | None]]:
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                seconds = row["duration"] if "duration" in row else row["end"] - row["start"]
                yield row.get("text"), float(seconds), row.get("language")
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                words = f"{type(error).__name__}: {error}"
                raise ValueError(
                    f"{path}:{number}: no JSON object with a duration, or start and end ({words})"
                ) from None


def write_table(path: str | Path, bounds: Mapping[str, RateBounds]) -> None:
    """Write bounds as `read_table` reads them, whole or not at all."""
    rates = {
        name: {**found._asdict(), "median": found.median if found.measured else None} for name, found in bounds.items()
    }
    with atomic_writer(path) as file:
        file.write((json.dumps({"rates": rates}, indent=1, ensure_ascii=False) + "\n").encode())


def read_table(path: str | Path) -> dict[str, tuple[float, float]]:
    """Lowest and highest seconds a character by language, of a table that `write_table` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such table, or bounds are no two positive numbers in order.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no table of rates at {path}; 'amphion-data rates SOURCE --out {path}' makes one")
    try:
        values: Any = json.loads(path.read_text(encoding="utf-8"))
        found = {str(name): (float(own["low"]), float(own["high"])) for name, own in values["rates"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no table of rates as 'amphion-data rates' writes them: {error!r}") from None
    for name, (low, high) in found.items():
        if not 0 < low < high < math.inf:
            raise ValueError(f"{path}: bounds of {name} must be two positive numbers in order, got {low} and {high}")
    return found


def table_text(bounds: Mapping[str, RateBounds], few: Mapping[str, int], without: int) -> str:
    """The same for people."""
    lines = ["language      rows   lowest   median  highest   s a character"]
    for name, found in bounds.items():
        median = f"{found.median:8.4f}" if found.measured else "       -"
        kept = "" if found.measured else f"   under {LEAST_ROWS} rows: the wide bounds of the package are kept"
        lines.append(f"{name:8} {found.rows:>9} {found.low:8.4f} {median} {found.high:8.4f}{kept}")
    for name in few.keys() - bounds.keys():
        lines.append(f"{name:8} {few[name]:>9}   under {LEAST_ROWS} rows, and the package has no bounds: not judged")
    if without:
        lines.append(f"{without} rows have no text, length or language and were left out")
    return "\n".join(lines)
