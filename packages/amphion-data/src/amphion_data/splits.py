"""Training, validation and test rows, by hash of what must not be torn apart, so that new data moves no old row."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

__all__ = ["SPLITS", "assign_splits", "read_split_list", "split_fraction", "split_name"]

SPLITS = ("train", "valid", "test")
"""The parts of a corpus, in the order of every output."""

_SPELLINGS = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "validation": "valid",
    "val": "valid",
    "dev": "valid",
    "eval": "valid",
    "test": "test",
    "testing": "test",
}


def split_name(stated: str) -> str:
    """Our name of a split that a corpus states, such as `dev` or `validation`.

    Raises:
        ValueError: it is no known name.
    """
    try:
        return _SPELLINGS[stated.strip().lower()]
    except KeyError:
        raise ValueError(f"no split is called {stated!r}; known: {', '.join(_SPELLINGS)}") from None


def split_fraction(corpus: str, unit: str) -> float:
    """Place of a unit in [0, 1): `sha256(corpus + ":" + unit)` read as a fraction."""
    digest = hashlib.sha256(f"{corpus}:{unit}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def assign_splits(corpus: str, units: Sequence[str], *, valid: float, test: float) -> list[str]:
    """The split of each row.

    The units with the lowest fractions are the test set, those that follow the validation set.

    Args:
        corpus: its name, part of the hash.
        units: (N) what each row belongs to, such as its chapter; a unit is never torn apart.
        valid: share of the units below 1, or a number of rows of at least 1; 0 for none.
        test: the same.

    Returns:
        (N) names of splits.

    Raises:
        ValueError: a share or number is negative or no whole number, or they leave nothing to train on.
    """
    for name, size in (("valid", valid), ("test", test)):
        if size < 0 or (size >= 1 and size != int(size)):
            raise ValueError(f"{name} is a share from 0 to below 1, or a whole number of rows; got {size}")
    if max(valid, test) < 1 <= valid + test:
        raise ValueError(f"valid={valid} and test={test} leave nothing to train on; together they must be below 1")
    counts = Counter(units)
    order = sorted((split_fraction(corpus, unit), unit, count) for unit, count in counts.items())
    tests = _head(order, test, 0.0)
    floor = test if test < 1 else (order[tests - 1][0] if tests else 0.0)
    valids = _head(order[tests:], valid, floor)
    chosen = {unit: "test" if i < tests else "valid" for i, (_, unit, _) in enumerate(order[: tests + valids])}
    result = [chosen.get(unit, "train") for unit in units]
    if units and "train" not in result and max(valid, test) >= 1:
        raise ValueError(
            f"nothing is left to train on: {len(counts)} units of {len(units)} rows, with valid={valid} and "
            f"test={test}; ask for less, or split by a smaller unit"
        )
    return result


def _head(order: Sequence[tuple[float, str, int]], size: float, floor: float) -> int:
    """How many of (place, unit, rows), sorted, make a split of this size; a share counts from the floor on."""
    if size < 1:
        return sum(place < floor + size for place, _, _ in order)
    taken = 0
    for position, (_, _, rows) in enumerate(order):
        if taken >= size:
            return position
        taken += rows
    return len(order)


def read_split_list(path: str | Path) -> dict[str, str]:
    """Read a list of `ID<tab>SPLIT` lines (`|` or `,` in place of the tab will do) into a mapping.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line has not two columns, an unknown split, or an id of an earlier line with another split.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no list of splits at {path}")
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if not line.strip():
            continue
        separator = next((s for s in "\t|," if s in line), "\t")
        name, _, split = (part.strip() for part in line.rpartition(separator))
        try:
            if not name:
                raise ValueError("expected an id, a tab and a split")
            ours = split_name(split)
            if found.setdefault(name, ours) != ours:
                raise ValueError(f"{name!r} is in {found[name]} already")
        except ValueError as error:
            raise ValueError(f"{path}:{number}: {error}; the line is {line.strip()!r}") from None
    if not found:
        raise ValueError(f"{path} lists no rows")
    return found
