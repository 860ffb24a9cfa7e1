"""A comparison to read: as text, as Markdown, and as one HTML page with the differences drawn."""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files

from amphion_eval import tables
from amphion_eval.comparison import Comparison, Contrast
from amphion_eval.drawing import Interval, differences

__all__ = ["markdown", "page", "plain"]

_HEAD = ["metric", "systems", "better", "n", "figures", "difference", "95 % interval", "p", "p (Holm)", "d", "ahead"]


def plain(comparison: Comparison) -> str:
    """The contrasts for a terminal, a line each."""
    rows = [_HEAD, *(_row(contrast) for contrast in comparison.contrasts)]
    return "\n".join([tables.aligned(rows, left=(0, 1, 2)), *comparison.notes])


def markdown(comparison: Comparison) -> str:
    """The contrasts as a table, with what is needed to read it."""
    body = tables.markdown_table(_HEAD, [_row(contrast, mark="**") for contrast in comparison.contrasts])
    return f"{body}\n\n{_explained(comparison)}\n"


def page(comparison: Comparison, *, title: str | None = None) -> str:
    """One page that needs nothing beside itself.

    Args:
        comparison: what it shows.
        title: None says which systems.
    """
    names = comparison.systems
    heading = title or (f"{names[0]} and {names[1]} compared" if len(names) == 2 else f"{len(names)} systems compared")
    body = [
        f"<h1>{escape(heading)}</h1>",
        f'<p class="soft">{escape(", ".join(names))}</p>',
        "<h2>Differences</h2>",
        f'<p class="soft">{escape(_PICTURE)}</p>',
        _pictures(comparison),
        "<h2>Tests</h2>",
        _table(comparison),
        f'<p class="soft">{escape(_explained(comparison))}</p>',
        f"<details><summary>How it was tested</summary><pre>{_settings(comparison)}</pre></details>",
    ]
    css = (files("amphion_eval") / "page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(heading)}</title>\n<style>\n{css}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


_PICTURE = (
    "Each line is the difference of two systems with its 95 % interval, in the unit of the metric; towards the right "
    "the first of the two is better. Full colour: told apart after the correction."
)


def _pictures(comparison: Comparison) -> str:
    parts = []
    for label in dict.fromkeys(contrast.label for contrast in comparison.contrasts):
        own = [c for c in comparison.contrasts if c.label == label and c.difference is not None]
        if own:
            arrow = tables.ARROWS[own[0].best]
            picture = differences([_interval(c) for c in own], own[0].unit)
            parts.append(f"<figure><figcaption>{escape(label)} {arrow}</figcaption>{picture}</figure>")
    return f'<div class="plots">{"".join(parts)}</div>' if parts else '<p class="soft">Nothing could be compared.</p>'


def _interval(contrast: Contrast) -> Interval:
    """A difference turned so that right is better for the first."""
    assert contrast.difference is not None
    turn = 1.0 if contrast.best in ("higher", "none") else -1.0
    ends = contrast.interval or (contrast.difference, contrast.difference)
    low, high = sorted(turn * end for end in ends)
    name = f"{contrast.first} against {contrast.second}"
    return Interval(name, turn * contrast.difference, low, high, contrast.better is not None)


def _table(comparison: Comparison) -> str:
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in _HEAD)
    rows = []
    for contrast in comparison.contrasts:
        cells = _row(contrast)
        told = "name best" if contrast.better else "name"
        marks = ['class="name"', 'class="name"', f'class="{told}"', *[""] * (len(cells) - 3)]
        row = "".join(f"<td {m}>{escape(cell)}</td>" for m, cell in zip(marks, cells, strict=True))
        rows.append(f"<tr>{row}</tr>")
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _row(contrast: Contrast, mark: str = "") -> list[str]:
    figures = " / ".join(map(tables.number, contrast.figures)) if contrast.figures else "–"
    interval = (
        f"{tables.number(contrast.interval[0])} to {tables.number(contrast.interval[1])}" if contrast.interval else "–"
    )
    left_out = f" ({contrast.n_left_out} left out)" if contrast.n_left_out else ""
    better = f"{mark}{contrast.better}{mark}" if contrast.better else contrast.note or "not told apart"
    return [
        tables.heading({"label": contrast.label, "unit": contrast.unit, "best": contrast.best}),
        f"{contrast.first} / {contrast.second}",
        better,
        f"{contrast.n}{left_out}",
        figures,
        tables.number(contrast.difference),
        interval,
        _probability(contrast.p) + (" exact" if contrast.exact and contrast.p is not None else ""),
        _probability(contrast.p_adjusted),
        "–" if contrast.effect is None else f"{contrast.effect:.2f}",
        "–" if contrast.superiority is None else f"{100 * contrast.superiority:.0f} %",
    ]


def _probability(p: float | None) -> str:
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _explained(comparison: Comparison) -> str:
    settings = comparison.settings
    turned = any(contrast.best in ("zero", "one") for contrast in comparison.contrasts)
    rates = any(contrast.rate for contrast in comparison.contrasts)
    parts = [
        *comparison.notes,
        "difference: first minus second, over the items on which both have a value",
        f"interval by {settings['resamples']} paired bootstrap samples of the items",
        f"p by exchanging the systems item by item ({settings['permutations']} draws, all exchanges where 16 items or "
        f"fewer differ), seed {settings['seed']}",
        f"adjusted by {settings['correction']}, level {settings['level']:g}",
        "d: Cohen's d of the pairs, above 0 where the first is better",
        "ahead: share of the items on which the first is better, ties half",
        "where the best value is 0 or 1, distances from it are compared" if turned else "",
        "rates are pooled" if rates else "",
    ]
    return "; ".join(part for part in parts if part) + "."


def _settings(comparison: Comparison) -> str:
    return escape(json.dumps(comparison.settings, ensure_ascii=False, indent=1))
