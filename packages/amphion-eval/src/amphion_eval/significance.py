"""Whether two systems differ: paired permutation tests and intervals, sizes of the effect, many tests at once.

All functions take what was measured on the same items, item by item. A rate is given as counts with totals, and its
figure is the quotient of the sums; for plain values the totals are left out and the figure is the mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["PermutationTest", "cohens_d", "holm", "paired_interval", "permutation_test", "superiority"]

Array = NDArray[np.float64]

_CELLS = 2_000_000  # drawn at once, 16 MB
_EXACT = 16  # items that differ, up to which all exchanges are gone through: 32768 of them


@dataclass(frozen=True)
class PermutationTest:
    """The answer of a permutation test.

    Attributes:
        p: probability of a difference at least as large, either way, if the systems were interchangeable.
        exact: whether all exchanges were gone through, or some drawn.
        differing: items on which the systems differ at all; the others tell nothing.
    """

    p: float
    exact: bool
    differing: int


def permutation_test(
    first: ArrayLike,
    second: ArrayLike,
    first_totals: ArrayLike | None = None,
    second_totals: ArrayLike | None = None,
    *,
    permutations: int = 20_000,
    seed: int = 0,
) -> PermutationTest:
    """Exchange the two systems' values item by item at random; how often is the difference as large as the real one?

    With up to 16 items that differ, all exchanges are gone through and the result is exact; the smallest p that m of
    them can give is 2 / 2^m. Otherwise p = (1 + hits) / (1 + permutations), which is never 0 and never too small.

    Args:
        first: (N,) finite values, or counts of a rate.
        second: (N,) those of the other system, on the same items.
        first_totals: (N,) denominators of the rate, above 0; None for plain values.
        second_totals: (N,) those of the other system.
        permutations: exchanges that are drawn where there are too many to go through.
        seed: of the draws.

    Raises:
        ValueError: shapes that differ, no item, or values that are not finite.

    Source: Fisher, The Design of Experiments, 1935; the drawn form: Phipson and Smyth, "Permutation p-values should
    never be zero", 2010, arXiv:1603.05766.
    """
    counts, totals, _ = _paired(first, second, first_totals, second_totals)
    half_count, half_total = (counts[0] - counts[1]) / 2, (totals[0] - totals[1]) / 2
    differs = (half_count != 0) | (half_total != 0)
    differing = int(differs.sum())
    if not differing:
        return PermutationTest(1.0, True, 0)
    middle_count, middle_total = counts.sum() / 2, totals.sum() / 2
    real = abs(counts[0].sum() / totals[0].sum() - counts[1].sum() / totals[1].sum())
    real -= 1e-12 * max(real, float(np.abs(counts).max()))  # an exchange that gives the same figure counts as a hit
    exact = differing <= _EXACT
    hits = drawn = 0
    signs = _all_signs(differing) if exact else _drawn_signs(differing, permutations, seed)
    for block in signs:
        moved_count, moved_total = block @ half_count[differs], block @ half_total[differs]
        one = (middle_count + moved_count) / (middle_total + moved_total)
        other = (middle_count - moved_count) / (middle_total - moved_total)
        hits += int((np.abs(one - other) >= real).sum())
        drawn += len(block)
    return PermutationTest(hits / drawn if exact else (1 + hits) / (1 + drawn), exact, differing)


def paired_interval(
    first: ArrayLike,
    second: ArrayLike,
    first_totals: ArrayLike | None = None,
    second_totals: ArrayLike | None = None,
    *,
    resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float] | None:
    """Bootstrap interval of the difference of two figures, the items drawn with both their values.

    Args:
        first: (N,) finite values, or counts of a rate.
        second: (N,) those of the other system, on the same items.
        first_totals: (N,) denominators of the rate; None for plain values.
        second_totals: (N,) those of the other system.
        resamples: bootstrap samples.
        seed: of the draws.
        level: share of the samples inside.

    Returns:
        Ends of the interval of first minus second; None with fewer than 2 items or no samples.

    Raises:
        ValueError: shapes that differ, no item, or values that are not finite.

    Source: Efron, "Bootstrap methods: another look at the jackknife", 1979; percentiles.
    """
    counts, totals, swapped = _paired(first, second, first_totals, second_totals)
    size = counts.shape[1]
    if size < 2 or resamples < 1:
        return None
    generator = np.random.default_rng(seed)
    rows = max(1, _CELLS // size)
    found = []
    for start in range(0, resamples, rows):
        drawn = generator.integers(0, size, (min(rows, resamples - start), size))
        figures = [c[drawn].sum(axis=1) / t[drawn].sum(axis=1) for c, t in zip(counts, totals, strict=True)]
        found.append(figures[1] - figures[0] if swapped else figures[0] - figures[1])
    low, high = np.quantile(np.concatenate(found), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def cohens_d(differences: ArrayLike) -> float:
    """Cohen's d of paired values: mean of the differences over their standard deviation.

    Args:
        differences: (N,) first minus second.

    Returns:
        0 where nothing differs; nan with fewer than 2 items, or where all differ by the same amount.

    Source: Cohen, Statistical Power Analysis for the Behavioral Sciences, 1988 (d_z).
    """
    values = np.asarray(differences, np.float64)
    if values.size < 2:
        return float("nan")
    if not values.any():
        return 0.0
    spread = float(values.std(ddof=1))
    return float(values.mean()) / spread if spread > 1e-12 * float(np.abs(values).max()) else float("nan")


def superiority(differences: ArrayLike) -> float:
    """Share of the items on which the first is above, half of the ties included.

    Args:
        differences: (N,) first minus second.

    Returns:
        0 to 1, 0.5 where neither is ahead; nan without any item.

    Source: Grissom, "Probability of the superior outcome of one treatment over another", 1994, its paired form.
    """
    values = np.asarray(differences, np.float64)
    return float(((values > 0) + 0.5 * (values == 0)).mean()) if values.size else float("nan")


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """p-values that hold for all tests together: the chance of a single false alarm stays below the level.

    Args:
        ps: of single tests, None where there was none.

    Returns:
        In the same order; None stays.

    Source: Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    order = sorted((p, place) for place, p in enumerate(ps) if p is not None)
    adjusted: list[float | None] = [None] * len(ps)
    least = 0.0
    for rank, (p, place) in enumerate(order):
        least = max(least, min(1.0, p * (len(order) - rank)))
        adjusted[place] = least
    return adjusted


def _paired(
    first: ArrayLike, second: ArrayLike, first_totals: ArrayLike | None, second_totals: ArrayLike | None
) -> tuple[Array, Array, bool]:
    """Counts and totals, (2, N) each, and whether the second system now comes first."""
    counts = [np.asarray(values, np.float64) for values in (first, second)]
    given = zip(counts, (first_totals, second_totals), strict=True)
    totals = [np.ones_like(c) if t is None else np.asarray(t, np.float64) for c, t in given]
    shapes = {array.shape for array in (*counts, *totals)}
    if len(shapes) > 1 or counts[0].ndim != 1:
        raise ValueError(f"both systems need one value an item, (N,); got the shapes {sorted(shapes)}")
    if not counts[0].size:
        raise ValueError("there is no item to compare")
    both = np.stack([*counts, *totals])
    if not np.isfinite(both).all():
        raise ValueError("a value is not finite; leave out items without a finite value in both systems")
    # The draws mean the same items, whatever order these and the two systems came in.
    kept, turned = _sorted_items(both), _sorted_items(both[[1, 0, 3, 2]])
    unlike = np.flatnonzero(kept != turned)
    swapped = bool(unlike.size and turned.flat[unlike[0]] < kept.flat[unlike[0]])
    both = turned if swapped else kept
    return both[:2], both[2:], swapped


def _sorted_items(values: Array) -> Array:
    return np.asarray(values[:, np.lexsort(values)])


def _all_signs(size: int) -> Iterator[Array]:
    """All patterns of -1 and 1 whose last is 1; the others are their mirror images and give the same difference."""
    rows = 1 << (size - 1)
    step = max(1, _CELLS // size)
    for start in range(0, rows, step):
        numbers = np.arange(start, min(rows, start + step), dtype=np.int64)
        yield np.asarray(1.0 - 2.0 * ((numbers[:, None] >> np.arange(size)) & 1), np.float64)


def _drawn_signs(size: int, rows: int, seed: int) -> Iterator[Array]:
    generator = np.random.default_rng(seed)
    step = max(1, _CELLS // size)
    for start in range(0, rows, step):
        yield np.asarray(
            1.0 - 2.0 * generator.integers(0, 2, (min(rows - start, step), size), dtype=np.int8), np.float64
        )
