"""The figures of a listening test to read: text, Markdown, JSON, and one HTML page."""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files

from amphion_eval import tables
from amphion_eval.drawing import Interval, differences
from amphion_eval.listening.analysis import Analysed

__all__ = ["json_text", "markdown", "page", "plain"]

_TITLES = {"mos": "Mean opinion score", "smos": "Similarity", "mushra": "MUSHRA", "abx": "ABX"}
_SYSTEMS = ["system", "mean", "95 % interval (t)", "95 % interval (bootstrap)", "std", "n", "listeners", "items"]
_PAIRS = ["systems", "difference", "95 % interval (t)", "95 % interval (bootstrap)", "p", "p (Holm)", "better"]
_HEARD = ["systems", "right", "share", "95 % interval", "p", "p (Holm)", "told apart"]


def json_text(result: Analysed) -> str:
    """Everything as JSON."""
    return json.dumps(result.to_dict(), ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def plain(result: Analysed) -> str:
    """The tables for a terminal."""
    return "\n\n".join(
        [*(tables.aligned(rows, left=(0, len(rows[0]) - 1)) for rows in _tables(result)), *_said(result)]
    )


def markdown(result: Analysed) -> str:
    """The tables in Markdown, with what is needed to read them."""
    parts = [tables.markdown_table(rows[0], rows[1:]) for rows in _tables(result)]
    return "\n\n".join([*parts, *_said(result)]) + "\n"


def page(result: Analysed) -> str:
    """One page that needs nothing beside itself."""
    heading = f"{_TITLES[result.kind]}: {len(result.listeners)} listener{'s' if len(result.listeners) > 1 else ''}"
    body = [f"<h1>{escape(heading)}</h1>", _picture(result)]
    titles = ("Told apart",) if result.kind == "abx" else ("Means", "Pairs of systems")
    for title, rows in zip(titles, _tables(result), strict=False):
        head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in rows[0])
        lines = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows[1:])
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"
        body.append(f'<h2>{title}</h2><div class="scroll">{table}</div>')
    body += [f'<p class="soft">{escape(line)}</p>' for line in _said(result)]
    css = (files("amphion_eval") / "page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(heading)}</title>\n<style>\n{css}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def _picture(result: Analysed) -> str:
    if result.kind == "abx":
        lines = [
            Interval(f"{h.first} / {h.second}", 100 * h.share, 100 * h.interval[0], 100 * h.interval[1], h.told_apart)
            for h in result.heard
        ]
        caption, unit = "right answers with exact 95 % intervals; 50 % is guessing", "%"
    else:
        lines = [
            Interval(f.system, f.mean, *(f.interval or (f.mean, f.mean)), f.role == "system") for f in result.systems
        ]
        caption, unit = "mean grades with 95 % intervals; sounds of the test itself in grey", ""
    picture = differences(lines, unit, zero=False) if lines else ""
    return f'<div class="plots"><figure><figcaption>{caption}</figcaption>{picture}</figure></div>'


def _tables(result: Analysed) -> list[list[list[str]]]:
    if result.kind == "abx":
        rows = [
            [
                f"{heard.first} / {heard.second}",
                f"{heard.correct} of {heard.n}",
                f"{100 * heard.share:.1f} %",
                f"{100 * heard.interval[0]:.1f} to {100 * heard.interval[1]:.1f} %",
                _p(heard.p),
                _p(heard.p_adjusted),
                "yes" if heard.told_apart else "no",
            ]
            for heard in result.heard
        ]
        return [[_HEARD, *rows]]
    systems = [
        [
            figure.system if figure.role == "system" else f"{figure.system} ({figure.role})",
            f"{figure.mean:.2f}",
            _span(figure.interval),
            _span(figure.bootstrap),
            "–" if figure.std is None else f"{figure.std:.2f}",
            str(figure.n),
            str(figure.listeners),
            str(figure.items),
        ]
        for figure in result.systems
    ]
    pairs = [
        [
            f"{pair.first} / {pair.second}",
            f"{pair.difference:.2f}",
            _span(pair.interval),
            _span(pair.bootstrap),
            _p(pair.p),
            _p(pair.p_adjusted),
            pair.better or "not told apart",
        ]
        for pair in result.pairs
    ]
    return [[_SYSTEMS, *systems], *([[_PAIRS, *pairs]] if pairs else [])]


def _said(result: Analysed) -> list[str]:
    lines = [f"{name} was left out: {why}." for name, why in result.excluded.items()]
    lines += [f"{note}." for note in result.notes]
    if result.kind == "abx":
        return [*lines, "Exact binomial tests against guessing; p adjusted by Holm over the pairs, level 0.05."]
    settings = result.settings
    text = f"Intervals: {settings['interval']}; {settings['bootstrap']}. Pairs: p of the clustered t, adjusted by Holm"
    return [*lines, f"{text}, level {settings['level']:g}. Screening: {settings['screening']}."]


def _span(interval: tuple[float, float] | None) -> str:
    return "–" if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}"


def _p(p: float | None) -> str:
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
