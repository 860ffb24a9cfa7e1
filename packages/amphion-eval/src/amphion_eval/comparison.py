"""Systems against each other on the same items: which metric tells them apart, by how much, and how surely."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amphion_core.atomic import atomic_writer
from amphion_eval import tables
from amphion_eval.report import Item, Report
from amphion_eval.significance import cohens_d, holm, paired_interval, permutation_test, superiority
from amphion_eval.tables import Column

__all__ = ["Comparison", "Contrast", "compare"]

Array = NDArray[np.float64]

LEVEL = 0.05
"""Below this adjusted p a difference is called one."""


@dataclass(frozen=True)
class Contrast:
    """One metric, two systems.

    Attributes:
        metric: name.
        label: of the metric with its parameters.
        unit: of the difference.
        best: which end of the metric is best; for `zero` and `one`, distances from there are compared;
            with `none` no system is called better.
        first: name of one system.
        second: name of the other.
        n: items on which both have a finite value.
        n_left_out: the other items that one of them has.
        rate: whether the figures are pooled rates.
        figures: of first and second over these items: the mean, or the pooled rate.
        difference: first minus second; None without items.
        interval: its paired bootstrap 95 % interval.
        p: of the paired permutation test, two-sided.
        p_adjusted: after Holm's correction over all contrasts of the comparison.
        exact: whether the test went through all exchanges.
        effect: Cohen's d of the pairs, above 0 where the first is better.
        superiority: share of the items on which the first is better, ties half.
        better: name of the system that is better, None where `p_adjusted` does not tell them apart.
        note: why there is no test, where there is none.
    """

    metric: str
    label: str
    unit: str
    best: str
    first: str
    second: str
    n: int
    n_left_out: int
    rate: bool = False
    figures: tuple[float, float] | None = None
    difference: float | None = None
    interval: tuple[float, float] | None = None
    p: float | None = None
    p_adjusted: float | None = None
    exact: bool = False
    effect: float | None = None
    superiority: float | None = None
    better: str | None = None
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """All contrasts of several systems.

    Attributes:
        systems: names, in the order given.
        contrasts: metric by metric, in each pair by pair.
        settings: numbers of samples, seed, level, correction, baseline.
        notes: metrics that can't be compared, because systems computed them with other settings.
    """

    systems: tuple[str, ...]
    contrasts: tuple[Contrast, ...]
    settings: dict[str, Any]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        rows = [asdict(contrast) for contrast in self.contrasts]
        return {"systems": list(self.systems), "contrasts": rows, "settings": self.settings, "notes": list(self.notes)}

    def to_json(self, path: str | Path | None = None) -> str:
        """The comparison as JSON; what is undefined is null.

        Args:
            path: file to write as well, whole or not at all.
        """
        return _written(json.dumps(self.to_dict(), ensure_ascii=False, indent=1, allow_nan=False) + "\n", path)

    def to_markdown(self, path: str | Path | None = None) -> str:
        """A table with a line for each contrast, and what is needed to read it.

        Args:
            path: file to write as well, whole or not at all.
        """
        from amphion_eval.comparison_page import markdown

        return _written(markdown(self), path)

    def to_html(self, path: str | Path | None = None, *, title: str | None = None) -> str:
        """A page that needs nothing beside itself: differences with intervals drawn, and the table.

        Args:
            path: file to write as well, whole or not at all.
            title: None says which systems.
        """
        from amphion_eval.comparison_page import page

        return _written(page(self, title=title), path)


def compare(
    reports: Sequence[Report],
    *,
    metrics: Sequence[str] | None = None,
    baseline: str | None = None,
    permutations: int = 20_000,
    resamples: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Test each metric between each two systems.

    The figures of a contrast do not depend on the order of the systems or of the items, but for the sign. An item
    counts where both systems have a finite value of the metric (pairwise complete); how many these are is said.

    Args:
        reports: results of at least two systems, scored on the same items with the same settings.
        metrics: names, of those that the results have; None takes all.
        baseline: name of one system; only contrasts with it are tested, so that fewer tests share the level.
        permutations: exchanges drawn where there are too many to go through.
        resamples: bootstrap samples of the intervals.
        seed: of both.

    Returns:
        Contrasts in the order of metrics and systems; p adjusted by Holm over all of them.

    Raises:
        ValueError: fewer than two systems, two of one name, or no item that two of them share.
        LookupError: an unknown metric or baseline.
    """
    if len(reports) < 2:
        raise ValueError(f"a comparison needs two systems or more, got {len(reports)}")
    columns = tables.comparison(reports)
    names = [report.name for report in reports]
    unknown = [name for name in metrics or () if all(column.name != name for column in columns)]
    if unknown:
        known = ", ".join(dict.fromkeys(column.name for column in columns))
        raise LookupError(f"no result has {', '.join(unknown)}; there are: {known}")
    if baseline is not None and baseline not in names:
        raise LookupError(f"no system is called {baseline!r}; there are: {', '.join(names)}")
    pairs = [pair for pair in itertools.combinations(reports, 2) if baseline in (None, pair[0].name, pair[1].name)]
    for one, two in pairs:
        if not {item.id for item in one.items} & {item.id for item in two.items}:
            raise ValueError(f"{one.name} and {two.name} have no item in common; score both on the same items")
    contrasts = [
        _contrast(column, first, second, permutations, resamples, seed)
        for column in columns
        if metrics is None or column.name in metrics
        for first, second in pairs
        if column.fits(first) and column.fits(second)
    ]
    settings = {
        "test": "paired permutation, two-sided",
        "permutations": permutations,
        "interval": "paired bootstrap, 95 %",
        "resamples": resamples,
        "seed": seed,
        "correction": f"Holm over {sum(contrast.p is not None for contrast in contrasts)} tests",
        "level": LEVEL,
        "baseline": baseline,
    }
    return Comparison(tuple(names), tuple(_judged(contrasts)), settings, tuple(_unlike(columns, pairs, metrics)))


def _unlike(
    columns: Sequence[Column], pairs: Sequence[tuple[Report, Report]], metrics: Sequence[str] | None
) -> list[str]:
    """Metrics that both systems of a pair have, but not with the same definition and parameters."""
    found = []
    for name in dict.fromkeys(column.name for column in columns if metrics is None or column.name in metrics):
        own = [column for column in columns if column.name == name]
        for one, two in pairs:
            if name in one.metrics and name in two.metrics and not any(c.fits(one) and c.fits(two) for c in own):
                found.append(f"{name} is not compared between {one.name} and {two.name}: computed with other settings")
    return found


def _contrast(column: Column, first: Report, second: Report, permutations: int, resamples: int, seed: int) -> Contrast:
    definition = column.definition
    about: dict[str, Any] = {"metric": column.name, "label": definition["label"], "unit": definition["unit"]}
    about |= {"best": definition["best"], "rate": bool(definition["rate"])}
    about |= {"first": first.name, "second": second.name}
    if first.name > second.name:  # the numbers are made in one order, whatever the order given
        return _turned(_contrast(column, second, first, permutations, resamples, seed))
    if not any(column.name in item.metrics for report in (first, second) for item in report.items):
        return _of_sets(column, first, second, about)
    own, other = ({item.id: item for item in report.items} for report in (first, second))
    shared = sorted(own.keys() & other.keys())
    rows = [(*_measured(own[i], column), *_measured(other[i], column)) for i in shared]
    kept = np.array([row for row in rows if all(map(math.isfinite, row))], np.float64).reshape(-1, 4)
    about |= {"n": len(kept), "n_left_out": len(own.keys() | other.keys()) - len(kept)}
    if not len(kept):
        return Contrast(**about, note="no item has a finite value in both")
    counts_a, totals_a, counts_b, totals_b = kept.T
    arrays = (counts_a, counts_b, totals_a, totals_b)
    test = permutation_test(*arrays, permutations=permutations, seed=seed)
    one, two = float(counts_a.sum() / totals_a.sum()), float(counts_b.sum() / totals_b.sum())
    gains = counts_a / totals_a - counts_b / totals_b
    gains = gains if definition["best"] in ("higher", "none") else -gains
    effect = cohens_d(gains)
    return Contrast(
        **about,
        figures=(one, two),
        difference=one - two,
        interval=paired_interval(*arrays, resamples=resamples, seed=seed),
        p=test.p if len(kept) > 1 else None,
        exact=test.exact,
        effect=effect if math.isfinite(effect) else None,
        superiority=superiority(gains),
        note="" if len(kept) > 1 else "one item is no test",
    )


def _of_sets(column: Column, first: Report, second: Report, about: dict[str, Any]) -> Contrast:
    """Two figures of whole sets, which no test of items can tell apart."""
    figures = [report.summary[column.name].figure if column.fits(report) else None for report in (first, second)]
    note = "one figure for a whole set: no test of items"
    one, two = figures
    if one is None or two is None or not math.isfinite(one) or not math.isfinite(two):
        return Contrast(**about, n=0, n_left_out=0, note=note)
    return Contrast(**about, n=0, n_left_out=0, figures=(one, two), difference=one - two, note=note)


def _measured(item: Item, column: Column) -> tuple[float, float]:
    """What is compared of one item: count and total of a rate, else a value and 1; nan where undefined."""
    value = item.metrics.get(column.name)
    if value is None:
        return math.nan, 1.0
    if column.definition["rate"] and column.name in item.counts:
        count, total = item.counts[column.name]
        return float(count), float(total)
    if column.definition["best"] in ("zero", "one"):
        return tables.cost(value, column.definition), 1.0
    return value, 1.0


def _turned(contrast: Contrast) -> Contrast:
    """The same contrast with the systems the other way round."""
    values = {name: getattr(contrast, name) for name in contrast.__dataclass_fields__}
    values |= {"first": contrast.second, "second": contrast.first}
    if contrast.figures is not None and contrast.difference is not None:
        values |= {"figures": contrast.figures[::-1], "difference": -contrast.difference or 0.0}
        values["superiority"] = None if contrast.superiority is None else 1.0 - contrast.superiority
        values["effect"] = None if contrast.effect is None else -contrast.effect or 0.0
    if contrast.interval is not None:
        values["interval"] = (-contrast.interval[1], -contrast.interval[0])
    return Contrast(**values)


def _judged(contrasts: Sequence[Contrast]) -> list[Contrast]:
    judged = []
    for contrast, adjusted in zip(contrasts, holm([contrast.p for contrast in contrasts]), strict=True):
        better = None
        if contrast.best != "none" and adjusted is not None and adjusted < LEVEL and contrast.difference:
            first = (contrast.difference > 0) == (contrast.best == "higher")
            better = contrast.first if first else contrast.second
        judged.append(Contrast(**{**vars(contrast), "p_adjusted": adjusted, "better": better}))
    return judged


def _written(text: str, path: str | Path | None) -> str:
    if path is not None:
        with atomic_writer(path) as file:
            file.write(text.encode())
    return text
