"""Results as tables of text: for the terminal, and in Markdown for a paper."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from amphion_eval.statistics import Summary

if TYPE_CHECKING:
    from amphion_eval.report import Report

__all__ = [
    "ARROWS",
    "best_of",
    "check_comparable",
    "comparison",
    "cost",
    "heading",
    "markdown",
    "number",
    "plain",
    "undefined_reasons",
]

ARROWS = {"lower": "↓", "higher": "↑", "zero": "→ 0", "one": "→ 1"}
"""Which end is best."""

_HEAD = ["metric", "best", "unit", "value", "95 % interval", "std", "n", "undefined"]


def number(value: float | None) -> str:
    """A figure with as many digits as one reads; a dash where there is none."""
    if value is None:
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    digits = 1 if abs(value) >= 1000 else 2 if abs(value) >= 10 else 3
    return f"{value:.{digits}f}"


def plain(report: Report) -> str:
    """The figures of one result, a metric a line, for a terminal."""
    rows = [_HEAD, *(_row(report, name) for name in report.metrics)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    left = (0, 1, 2)
    lines = [
        "  ".join(
            cell.ljust(w) if i in left else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def markdown(reports: Sequence[Report]) -> str:
    """A table ready for a paper: a metric a line for one system, a system a line for several.

    Args:
        reports: results of comparable settings.

    Raises:
        ValueError: their metrics were defined or computed differently.
    """
    check_comparable(reports)
    if len(reports) == 1:
        body = _markdown_table(_HEAD, [_row(reports[0], name) for name in reports[0].metrics])
    else:
        definitions = comparison(reports)
        head = ["system", *(heading(d) for d in definitions.values())]
        rows = [[r.name, *(_cell(r.summary.get(name), d) for name, d in definitions.items())] for r in reports]
        for column, (name, d) in enumerate(definitions.items(), 1):
            for place in best_of([r.summary.get(name) for r in reports], d):
                rows[place][column] = f"**{rows[place][column]}**"
        body = _markdown_table(head, rows)
    return f"{body}\n\n{_footnote(reports)}\n"


def comparison(reports: Sequence[Report]) -> dict[str, Mapping[str, Any]]:
    """All metrics of several results, in the order of their first appearance, with their definitions."""
    definitions: dict[str, Mapping[str, Any]] = {}
    for report in reports:
        for name, definition in report.metrics.items():
            definitions.setdefault(name, definition)
    return definitions


def check_comparable(reports: Sequence[Report]) -> None:
    """Refuse to set numbers side by side that mean different things.

    Raises:
        ValueError: a metric has another version or other parameters in two results, or two systems have one name.
    """
    names = [report.name for report in reports]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two results are of a system called {', '.join(twice)}; score with --name to tell them apart")
    definitions = comparison(reports)
    faults = []
    for report in reports:
        for name, definition in report.metrics.items():
            for key in ("version", "parameters"):
                if definition[key] != definitions[name][key]:
                    faults.append(f"{name}: {key} {definitions[name][key]} and, in {report.name}, {definition[key]}")
    if faults:
        raise ValueError("these results can't be compared:\n  " + "\n  ".join(faults))


def best_of(summaries: Sequence[Summary | None], definition: Mapping[str, Any]) -> list[int]:
    """Positions of the best figures; all of them where they tie, none where there is nothing to compare."""
    figures = {place: s.figure for place, s in enumerate(summaries) if s is not None and s.figure is not None}
    if len(figures) < 2:
        return []
    costs = {place: cost(value, definition) for place, value in figures.items()}
    least = min(costs.values())
    return [place for place, value in costs.items() if value == least]


def cost(value: float, definition: Mapping[str, Any]) -> float:
    """A value turned so that lower is better."""
    best = definition["best"]
    if best == "higher":
        return -value
    if best == "lower":
        return value
    return abs(value - (1.0 if best == "one" else 0.0))


def heading(definition: Mapping[str, Any]) -> str:
    """A metric with its unit and direction, as the head of a column."""
    unit = f", {definition['unit']}" if definition["unit"] else ""
    return f"{definition['label']}{unit} {ARROWS[definition['best']]}"


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


def _cell(summary: Summary | None, definition: Mapping[str, Any]) -> str:
    if summary is None or summary.figure is None:
        return "–"
    half = f" ± {number((summary.interval[1] - summary.interval[0]) / 2)}" if summary.interval else ""
    missing = f" ({summary.n_undefined} undefined)" if summary.n_undefined else ""
    return f"{number(summary.figure)}{half}{missing}"


def _markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(head), line(["---"] * len(head)), *(line(row) for row in rows)])


def _footnote(reports: Sequence[Report]) -> str:
    provenance = reports[0].provenance
    counts = sorted({len(report.items) for report in reports})
    rates = sorted({rate for report in reports for rate in report.provenance["sample_rates"]}, key=int)
    boot = provenance["bootstrap"]
    parts = [
        f"{' / '.join(map(str, counts))} items",
        f"alignment {provenance['alignment']}",
        f"{' / '.join(rates)} Hz" if rates else "",
        f"95 % intervals by {boot['resamples']} bootstrap samples of the items (seed {boot['seed']})"
        if boot["resamples"]
        else "",
        "± is half the interval" if len(reports) > 1 and boot["resamples"] else "",
        "rates are pooled over the corpus" if any(d["rate"] for d in comparison(reports).values()) else "",
        ", ".join(f"{name} {version}" for name, version in provenance["versions"].items()),
    ]
    return "; ".join(part for part in parts if part) + "."
