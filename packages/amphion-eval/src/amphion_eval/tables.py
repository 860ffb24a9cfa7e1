"""Results as tables of text: for the terminal, and in Markdown for a paper."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from amphion_eval.statistics import Summary

if TYPE_CHECKING:
    from amphion_eval.report import Report

__all__ = [
    "ARROWS",
    "Column",
    "aligned",
    "best_of",
    "comparison",
    "cost",
    "heading",
    "items_of",
    "markdown",
    "markdown_table",
    "number",
    "plain",
    "undefined_reasons",
]

ARROWS = {"lower": "↓", "higher": "↑", "zero": "→ 0", "one": "→ 1", "none": ""}
"""Which end is best."""

_HEAD = ["metric", "best", "unit", "value", "95 % interval", "std", "n", "undefined"]


def number(value: float | None) -> str:
    """A figure with as many digits as one reads; a dash where there is none."""
    if value is None:
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    digits = 1 if abs(value) >= 1000 else 2 if abs(value) >= 10 else 3
    return f"{value:z.{digits}f}"


def plain(report: Report) -> str:
    """The figures of one result, a metric a line, for a terminal."""
    return aligned([_HEAD, *(_row(report, name) for name in report.metrics)], left=(0, 1, 2))


def aligned(rows: Sequence[Sequence[str]], left: Sequence[int]) -> str:
    """A table in columns of one width, a line below the head.

    Args:
        rows: the head first.
        left: columns that stand on the left; the others, with numbers, on the right.
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(w) if i in left else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in [lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def markdown(reports: Sequence[Report]) -> str:
    """A table ready for a paper: a metric a line for one system, a system a line for several.

    Args:
        reports: results; metrics with other definitions or parameters get columns of their own.

    Raises:
        ValueError: two systems have one name.
    """
    columns = comparison(reports)
    if len(reports) == 1:
        body = markdown_table(_HEAD, [_row(reports[0], name) for name in reports[0].metrics])
    else:
        head = ["system", *(heading(column.definition) for column in columns)]
        rows = [[report.name, *(_cell(column.summary(report)) for column in columns)] for report in reports]
        for number_of, column in enumerate(columns, 1):
            for place in best_of([column.summary(report) for report in reports], column.definition):
                rows[place][number_of] = f"**{rows[place][number_of]}**"
        body = markdown_table(head, rows)
    return f"{body}\n\n{_footnote(reports)}\n"


@dataclass(frozen=True)
class Column:
    """One metric with one definition: what may stand side by side.

    Attributes:
        name: of the metric.
        definition: as the results state it; `label` tells it from other definitions of the same metric.
    """

    name: str
    definition: Mapping[str, Any]

    def fits(self, report: Report) -> bool:
        """Whether a result has this metric with this version and these parameters."""
        own = report.metrics.get(self.name)
        return own is not None and all(own[key] == self.definition[key] for key in ("version", "parameters"))

    def summary(self, report: Report) -> Summary | None:
        """Its figures in a result; None where the result has it not, or computed otherwise."""
        return report.summary[self.name] if self.fits(report) else None


def comparison(reports: Sequence[Report]) -> list[Column]:
    """The columns of several results, in the order of their first appearance.

    A metric that was computed with other parameters, such as another alignment, is another column.

    Args:
        reports: results, of systems with different names.

    Raises:
        ValueError: two systems have one name.
    """
    names = [report.name for report in reports]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two results are of a system called {', '.join(twice)}; score with --name to tell them apart")
    columns: list[Column] = []
    for report in reports:
        for name, definition in report.metrics.items():
            if not any(column.name == name and column.fits(report) for column in columns):
                columns.append(Column(name, definition))
    labels = [column.definition["label"] for column in columns]
    return [
        _told_apart(column, columns) if labels.count(column.definition["label"]) > 1 else column for column in columns
    ]


def _told_apart(column: Column, columns: Sequence[Column]) -> Column:
    """The column with what differs from its namesakes in its label."""
    own = {"version": column.definition["version"], **column.definition["parameters"]}
    others = [
        {"version": other.definition["version"], **other.definition["parameters"]}
        for other in columns
        if other is not column and other.definition["label"] == column.definition["label"]
    ]
    differing = [f"{key} {value}" for key, value in own.items() if any(other.get(key) != value for other in others)]
    return Column(column.name, {**column.definition, "label": f"{column.definition['label']} [{', '.join(differing)}]"})


def best_of(summaries: Sequence[Summary | None], definition: Mapping[str, Any]) -> list[int]:
    """Positions of the best figures; all of them where they tie, none where there is nothing to compare."""
    figures = {place: s.figure for place, s in enumerate(summaries) if s is not None and s.figure is not None}
    if len(figures) < 2 or definition["best"] == "none":
        return []
    costs = {place: cost(value, definition) for place, value in figures.items()}
    least = min(costs.values())
    return [place for place, value in costs.items() if value == least]


def cost(value: float, definition: Mapping[str, Any]) -> float:
    """A value turned so that lower is better; one that describes only, so that the highest comes last."""
    best = definition["best"]
    if best in ("higher", "none"):
        return -value
    if best == "lower":
        return value
    return abs(value - (1.0 if best == "one" else 0.0))


def heading(definition: Mapping[str, Any]) -> str:
    """A metric with its unit and direction, as the head of a column."""
    unit = f", {definition['unit']}" if definition["unit"] else ""
    return f"{definition['label']}{unit} {ARROWS[definition['best']]}"


def items_of(reports: Sequence[Report]) -> str:
    """How many items the figures rest on, and a warning where they are not the same ones in every system."""
    own = [{item.id for item in report.items} for report in reports]
    if all(ids == own[0] for ids in own):
        return f"{len(own[0])} items"
    counts = " / ".join(str(len(ids)) for ids in own)
    return f"{counts} items, not the same in all systems: {len(set.intersection(*own))} are in all of them"


def undefined_reasons(report: Report) -> dict[str, dict[str, list[str]]]:
    """Metric to reason to the items that have it."""
    found: dict[str, dict[str, list[str]]] = {}
    for item in report.items:
        for name, reason in item.undefined.items():
            found.setdefault(name, {}).setdefault(reason, []).append(item.id)
    return found


def _row(report: Report, name: str) -> list[str]:
    definition, summary = report.metrics[name], report.summary[name]
    interval = summary.interval
    pooled = " (pooled)" if summary.pooled is not None else ""
    return [
        definition["label"],
        ARROWS[definition["best"]],
        definition["unit"],
        f"{number(summary.figure)}{pooled}",
        f"{number(interval[0])} to {number(interval[1])}" if interval else "–",
        number(summary.std),
        str(summary.n),
        str(summary.n_undefined),
    ]


def _cell(summary: Summary | None) -> str:
    if summary is None or summary.figure is None:
        return "–"
    half = f" ± {number((summary.interval[1] - summary.interval[0]) / 2)}" if summary.interval else ""
    missing = f" ({summary.n_undefined} undefined)" if summary.n_undefined else ""
    return f"{number(summary.figure)}{half}{missing}"


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows as a table of Markdown; bars in the cells are escaped."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(head), line(["---"] * len(head)), *(line(row) for row in rows)])


def _footnote(reports: Sequence[Report]) -> str:
    provenance = reports[0].provenance
    rates = sorted({rate for report in reports for rate in report.provenance["sample_rates"]}, key=int)
    boot = provenance["bootstrap"]
    protocol = provenance.get("protocol", {})
    absent = sorted({name for report in reports for name in report.provenance.get("metrics_left_out", {})})
    parts = [
        f"protocol {protocol['name']}" if protocol else "",
        f"not computed here: {', '.join(absent)}" if absent else "",
        items_of(reports),
        f"alignment {' / '.join(sorted({report.provenance['alignment'] for report in reports}))}",
        f"{' / '.join(rates)} Hz" if rates else "",
        f"95 % intervals by {boot['resamples']} bootstrap samples of the items (seed {boot['seed']})"
        if boot["resamples"]
        else "",
        "± is half the interval" if len(reports) > 1 and boot["resamples"] else "",
        "rates are pooled over the corpus" if any(column.definition["rate"] for column in comparison(reports)) else "",
        ", ".join(f"{name} {version}" for name, version in provenance["versions"].items()),
    ]
    return "; ".join(part for part in parts if part) + "."
