"""Pitch and energy of phones, and their statistics over a corpus. Arrays only."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["inliers", "phone_average", "variance_statistics"]


def phone_average(values: ArrayLike, durations: ArrayLike, *, legacy: bool = False) -> NDArray[np.float32]:
    """Mean of frame values over each phone; 0 for a phone without frames.

    Args:
        values: (F,) of the frames.
        durations: (N,) frames of each phone.
        legacy: average in place, as the original did: where many phones at the start have no frames, values that
            are already overwritten are read again.

    Returns:
        (N,) float32.
    """
    counts = np.asarray(durations, np.int64)
    if legacy:
        return _in_place(np.array(values, np.float32), counts)
    frames = np.asarray(values, np.float64)
    ends = np.minimum(np.cumsum(counts), len(frames))
    starts = np.concatenate([[0], ends[:-1]])
    sums = np.concatenate([[0.0], np.cumsum(frames)])
    means: NDArray[np.float64] = (sums[ends] - sums[starts]) / np.maximum(ends - starts, 1)
    return means.astype(np.float32)


def inliers(values: ArrayLike) -> NDArray[np.float32]:
    """Values strictly within 1.5 interquartile ranges of the quartiles (Tukey's fences)."""
    array = np.asarray(values, np.float32)
    if not len(array):
        return array
    low, high = np.percentile(array, [25, 75])
    reach = 1.5 * (high - low)
    kept: NDArray[np.float32] = array[(array > low - reach) & (array < high + reach)]
    return kept


def variance_statistics(utterances: Iterable[ArrayLike]) -> dict[str, float]:
    """Mean and standard deviation without outliers, smallest and largest value with them.

    Args:
        utterances: values of one utterance each; outliers are judged within it.

    Raises:
        ValueError: there is no value at all.
    """
    count, total, squares = 0, 0.0, 0.0
    low, high = np.inf, -np.inf
    for values in utterances:
        array = np.asarray(values, np.float64)
        if not len(array):
            continue
        low, high = min(low, float(array.min())), max(high, float(array.max()))
        kept = inliers(array).astype(np.float64)
        if not len(kept):  # a constant contour has no value strictly inside its fences
            kept = array
        count += len(kept)
        total += float(kept.sum())
        squares += float((kept**2).sum())
    if count == 0:
        raise ValueError("no values to take statistics of: the training set has no voiced frame or no frame at all")
    mean = total / count
    deviation = float(np.sqrt(max(squares / count - mean**2, 0.0)))
    return {"mean": mean, "std": max(deviation, 1e-3), "min": low, "max": max(high, low + 1e-3)}


def _in_place(values: NDArray[np.float32], counts: NDArray[np.int64]) -> NDArray[np.float32]:
    position = 0
    for number, count in enumerate(counts):
        values[number] = values[position : position + count].mean() if count > 0 else 0.0
        position += count
    return values[: len(counts)]
