"""Figures of a corpus: mean, spread, pooled rate, and their bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Summary", "bootstrap_interval", "summarize"]

_CELLS = 4_000_000  # draws held at once, 32 MB


@dataclass(frozen=True)
class Summary:
    """One metric over a corpus.

    Attributes:
        mean: over the items that have a value; None without any, and where some are infinite and some minus infinite.
        n: items that have a value.
        n_undefined: items that have none.
        std: standard deviation, divisor n - 1; None with fewer than 2 items.
        ci95: bootstrap 95 % interval of the mean; None with fewer than 2 items.
        median: None without any item.
        minimum: None without any item.
        maximum: None without any item.
        pooled: for rates, summed counts over summed totals: the figure to quote.
        pooled_ci95: its bootstrap 95 % interval, items drawn.
        details: of a figure of whole sets: further numbers, such as the fit behind an extrapolation.
        notes: of such a figure: what a reader must know.
        undefined: why such a figure has no value.
    """

    mean: float | None
    n: int
    n_undefined: int
    std: float | None = None
    ci95: tuple[float, float] | None = None
    median: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    pooled: float | None = None
    pooled_ci95: tuple[float, float] | None = None
    details: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    undefined: str = ""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Summary:
        """The figures that `to_dict` made.

        Raises:
            KeyError: there is no mean or count among them.
        """
        ends = {name: tuple(values[name]) if values.get(name) else None for name in ("ci95", "pooled_ci95")}
        return cls(
            mean=values["mean"],
            n=values["n"],
            n_undefined=values["n_undefined"],
            std=values.get("std"),
            median=values.get("median"),
            minimum=values.get("min"),
            maximum=values.get("max"),
            pooled=values.get("pooled"),
            details=values.get("details", {}),
            notes=tuple(values.get("notes", ())),
            undefined=values.get("undefined", ""),
            **ends,
        )

    def to_dict(self) -> dict[str, Any]:
        """A JSON object; the pooled figures only where there are any."""
        values: dict[str, Any] = {
            "mean": self.mean,
            "n": self.n,
            "n_undefined": self.n_undefined,
            "std": self.std,
            "ci95": list(self.ci95) if self.ci95 else None,
            "median": self.median,
            "min": self.minimum,
            "max": self.maximum,
        }
        if self.pooled is not None:
            values["pooled"] = self.pooled
            values["pooled_ci95"] = list(self.pooled_ci95) if self.pooled_ci95 else None
        said = {"details": dict(self.details), "notes": list(self.notes), "undefined": self.undefined}
        return values | {name: value for name, value in said.items() if value}

    @property
    def figure(self) -> float | None:
        """The number to quote: the pooled rate where there is one, else the mean."""
        return self.mean if self.pooled is None else self.pooled

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval of `figure`."""
        return self.ci95 if self.pooled is None else self.pooled_ci95


def summarize(
    values: Sequence[float | None],
    counts: Sequence[tuple[float, float] | None] | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Summary:
    """Figures of one metric.

    Args:
        values: one an item, None or nan (`Undefined`) where undefined.
        counts: for rates, count and total of each item, None where undefined.
        resamples: bootstrap samples; 0 for no interval.
        seed: of the draws; the same input and seed give the same interval.
    """
    # Sorted, for sums differ in their last digits with the order.
    defined = np.sort(np.array([value for value in values if value is not None and value == value], np.float64))
    missing = len(values) - defined.size
    if not defined.size:
        return Summary(None, 0, missing)
    pooled = pooled_interval = None
    if counts is not None:
        pairs = np.array([pair for pair in counts if pair is not None], np.float64)
        if len(pairs) == defined.size:
            pooled = float(pairs[:, 0].sum() / pairs[:, 1].sum())
            pooled_interval = bootstrap_interval(pairs[:, 0], pairs[:, 1], resamples=resamples, seed=seed)
    finite = bool(np.isfinite(defined).all())
    ends = bool(np.isposinf(defined).any() and np.isneginf(defined).any())  # their mean is nothing
    return Summary(
        mean=None if ends else float(defined.mean()),
        n=int(defined.size),
        n_undefined=missing,
        std=float(defined.std(ddof=1)) if finite and defined.size > 1 else None,
        ci95=bootstrap_interval(defined, resamples=resamples, seed=seed),
        median=None if ends else float(np.median(defined)),
        minimum=float(defined.min()),
        maximum=float(defined.max()),
        pooled=pooled,
        pooled_ci95=pooled_interval,
    )


def bootstrap_interval(
    values: ArrayLike, weights: ArrayLike | None = None, *, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[float, float] | None:
    """Percentile bootstrap interval of the mean, or of a quotient of sums.

    Args:
        values: (N,) values in any order, or counts where `weights` are totals.
        weights: (N,) totals; None for 1 each.
        resamples: bootstrap samples.
        seed: of the draws.
        level: share of the samples inside.

    Returns:
        Lower and upper end; None with fewer than 2 values, values that are not finite, or no samples.

    Source: Efron, "Bootstrap methods: another look at the jackknife", 1979.
    """
    numerators = np.asarray(values, np.float64)
    denominators = np.ones_like(numerators) if weights is None else np.asarray(weights, np.float64)
    order = np.lexsort((denominators, numerators))  # the draws mean the same items, whatever order these came in
    numerators, denominators = numerators[order], denominators[order]
    if numerators.size < 2 or resamples < 1 or not np.isfinite(numerators).all():
        return None
    generator = np.random.default_rng(seed)
    rows = max(1, _CELLS // numerators.size)
    means: list[NDArray[np.float64]] = []
    for start in range(0, resamples, rows):
        drawn = generator.integers(0, numerators.size, (min(rows, resamples - start), numerators.size))
        means.append(numerators[drawn].sum(axis=1) / denominators[drawn].sum(axis=1))
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
