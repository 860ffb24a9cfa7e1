"""Means of grades that are not independent: a listener is strict in all of them, an item is hard for every listener."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Estimate", "Grades", "bootstrap_means", "clustered"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Grades:
    """Grades of one system.

    Attributes:
        values: (N,) grades.
        listeners: (N,) number of the listener.
        items: (N,) number of the item.
    """

    values: Array
    listeners: NDArray[np.int64]
    items: NDArray[np.int64]


@dataclass(frozen=True)
class Estimate:
    """A mean, or a difference of two, with what it is worth.

    Attributes:
        value: of the mean or difference.
        error: its standard error; None where it can't be known.
        freedom: degrees of freedom of its t distribution.
        interval: 95 % interval.
        p: of no difference from 0, two-sided.
    """

    value: float
    error: float | None = None
    freedom: int = 0
    interval: tuple[float, float] | None = None
    p: float | None = None


def clustered(first: Grades, second: Grades | None = None, *, level: float = 0.95) -> Estimate:
    """Mean grade of one system, or the difference of two, with a standard error by two-way clusters.

    The variance is that of sums over listeners, plus that of sums over items, minus that of what both share, and never
    less than either of the first two; the t distribution has one degree of freedom less than there are listeners or
    items, whichever are fewer. With one item only listeners count, with one listener only items.

    Args:
        first: of one system.
        second: of another; None for the mean of the first alone.
        level: of the interval.

    Returns:
        Without error, interval and p where there is only one listener and one item.

    Source: Cameron, Gelbach and Miller, "Robust inference with multiway clustering", 2011.
    """
    from scipy.special import stdtr, stdtrit

    parts = [(first, 1.0)] if second is None else [(first, 1.0), (second, -1.0)]
    value = float(sum(sign * grades.values.mean() for grades, sign in parts))
    pulls = np.concatenate([sign * (g.values - g.values.mean()) / g.values.size for g, sign in parts])
    listeners = np.concatenate([grades.listeners for grades, _ in parts])
    items = np.concatenate([grades.items for grades, _ in parts])
    cells = listeners * (int(items.max()) + 1) + items
    by_listener, n_listeners = _spread(pulls, listeners)
    by_item, n_items = _spread(pulls, items)
    by_cell, _ = _spread(pulls, cells)
    counts = [n for n in (n_listeners, n_items) if n > 1]
    if not counts:
        return Estimate(value)
    if len(counts) == 1:
        variance = by_listener if n_listeners > 1 else by_item
    else:
        variance = max(by_listener + by_item - by_cell, by_listener, by_item)
    error, freedom = float(np.sqrt(variance)), min(counts) - 1
    half = float(stdtrit(freedom, (1 + level) / 2)) * error
    p = float(2 * stdtr(freedom, -abs(value) / error)) if error else float(value == 0)
    return Estimate(value, error, freedom, (value - half, value + half), p)


def bootstrap_means(
    first: Grades, second: Grades | None = None, *, resamples: int = 2000, seed: int = 0, level: float = 0.95
) -> tuple[float, float] | None:
    """Percentile interval of the same figure, listeners and items drawn at the same time.

    Args:
        first: of one system.
        second: of another; None for the mean of the first alone.
        resamples: bootstrap samples.
        seed: of the draws.
        level: share of the samples inside.

    Returns:
        Its ends; None with one listener and one item, or without samples.

    Source: Owen, "The pigeonhole bootstrap", 2007, arXiv:0712.1111; its variance is rather too large than too small.
    """
    both = [first] if second is None else [first, second]
    listeners = 1 + max(int(grades.listeners.max()) for grades in both)
    items = 1 + max(int(grades.items.max()) for grades in both)
    if (listeners < 2 and items < 2) or resamples < 1:
        return None
    generator = np.random.default_rng(seed)
    rows = generator.multinomial(listeners, np.full(listeners, 1 / listeners), resamples).astype(np.float64)
    columns = generator.multinomial(items, np.full(items, 1 / items), resamples).astype(np.float64)
    figures = np.zeros(resamples)
    for grades, sign in zip(both, (1.0, -1.0), strict=False):
        sums, counts = np.zeros((listeners, items)), np.zeros((listeners, items))
        np.add.at(sums, (grades.listeners, grades.items), grades.values)
        np.add.at(counts, (grades.listeners, grades.items), 1.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            figures += sign * ((rows @ sums) * columns).sum(axis=1) / ((rows @ counts) * columns).sum(axis=1)
    figures = figures[np.isfinite(figures)]  # a draw can miss all grades of a system
    low, high = np.quantile(figures, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _spread(pulls: Array, groups: NDArray[np.int64]) -> tuple[float, int]:
    """Variance of a sum by the sums of its groups, and the number of groups."""
    _, numbers = np.unique(groups, return_inverse=True)
    sums = np.bincount(numbers, pulls)
    count = sums.size
    return float((sums**2).sum()) * count / max(1, count - 1), count
