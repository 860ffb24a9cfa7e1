"""Word and character error rates of transcripts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from amphion_eval.normalization import Normalizer, graphemes, is_unspaced, normalize
from amphion_eval.values import Rate, Undefined

__all__ = ["EditCounts", "cer", "edit_counts", "edit_distance", "wer"]


class EditCounts(NamedTuple):
    """Edits that turn the reference into the hypothesis at least cost."""

    substitutions: int
    deletions: int
    insertions: int


def wer(reference: str, estimate: str, *, normalizer: Normalizer = "auto", language: str | None = None) -> float:
    """Word error rate: edits over the number of reference words.

    Args:
        reference: what was to be said.
        estimate: transcript of the synthesis.
        normalizer: what is taken off both first, see `normalization.normalize`.
        language: two letters; languages without spaces (zh, ja, th, lo, my, yue) are compared letter by letter.

    Returns:
        At least 0, may exceed 1, lower is better, a `Rate`; undefined (nan) where the reference has no word.

    Raises:
        ValueError: there is no such normaliser.
    """
    ref, est = (normalize(text, normalizer, language) for text in (reference, estimate))
    units = graphemes if is_unspaced(language) else str.split
    return _rate(units(ref), units(est), "word")


def cer(reference: str, estimate: str, *, normalizer: Normalizer = "auto", language: str | None = None) -> float:
    """Character error rate: edits over the number of reference characters.

    Args:
        reference: what was to be said.
        estimate: transcript of the synthesis.
        normalizer: what is taken off both first, see `normalization.normalize`.
        language: two letters; for languages without spaces (zh, ja, th, lo, my, yue) spaces don't count, for all
            others a single space between words is a character.

    Returns:
        At least 0, may exceed 1, lower is better, a `Rate`; undefined (nan) where the reference has no character.

    Raises:
        ValueError: there is no such normaliser.
    """
    ref, est = (normalize(text, normalizer, language) for text in (reference, estimate))
    if is_unspaced(language):
        ref, est = ("".join(text.split()) for text in (ref, est))
    return _rate(list(ref), list(est), "character")


def edit_distance(reference: Sequence[str], estimate: Sequence[str]) -> int:
    """Least number of substitutions, deletions and insertions, in memory of one row.

    Args:
        reference: units such as words.
        estimate: units.
    """
    ref, est = _numbered(reference, estimate)
    row = np.arange(len(est) + 1)
    for number, unit in enumerate(ref, 1):
        row = _next_row(row, number, est != unit)
    return int(row[-1])


def edit_counts(reference: Sequence[str], estimate: Sequence[str]) -> EditCounts:
    """The edits by kind; substitutions are preferred where kinds tie.

    Args:
        reference: units such as words, at most some ten thousand: the whole table is held.
        estimate: units.
    """
    ref, est = _numbered(reference, estimate)
    table = np.empty((len(ref) + 1, len(est) + 1), np.int32)
    table[0] = np.arange(len(est) + 1)
    for number, unit in enumerate(ref, 1):
        table[number] = _next_row(table[number - 1], number, est != unit)
    i, j = len(ref), len(est)
    substitutions = deletions = insertions = 0
    while i or j:
        here = table[i, j]
        if i and j and table[i - 1, j - 1] + int(ref[i - 1] != est[j - 1]) == here:
            substitutions += int(ref[i - 1] != est[j - 1])
            i, j = i - 1, j - 1
        elif i and table[i - 1, j] + 1 == here:
            deletions += 1
            i -= 1
        else:
            insertions += 1
            j -= 1
    return EditCounts(substitutions, deletions, insertions)


def _rate(reference: list[str], estimate: list[str], unit: str) -> float:
    if not reference:
        return Undefined(f"the reference text has no {unit}")
    return Rate(edit_distance(reference, estimate), len(reference))


def _numbered(reference: Sequence[str], estimate: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    numbers: dict[str, int] = {}
    ref, est = ([numbers.setdefault(unit, len(numbers)) for unit in units] for units in (reference, estimate))
    return np.array(ref, np.int64), np.array(est, np.int64)


def _next_row(row: NDArray[np.int64], number: int, differs: NDArray[np.bool_]) -> NDArray[np.int64]:
    best = np.empty_like(row)
    best[0] = number
    np.minimum(row[1:] + 1, row[:-1] + differs, out=best[1:])
    # An insertion costs 1 a step to the right: the running minimum of what is left after taking that slope off.
    slope = np.arange(len(row))
    return np.asarray(np.minimum.accumulate(best - slope) + slope, row.dtype)
