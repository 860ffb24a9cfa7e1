"""One HTML page that needs nothing beside itself: figures, distributions, a table to sort, players and pictures.

Several results make one page: a column for each system, and each item with the recording and every system's output.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from amphion_core.atomic import atomic_writer
from amphion_eval import tables
from amphion_eval.analysis import Analysis
from amphion_eval.drawing import distribution, melody, spectrogram
from amphion_eval.pairing import Clip
from amphion_eval.report import ClipRecord, Item, Report
from amphion_eval.settings import Settings
from amphion_eval.tables import Column

__all__ = ["AudioCoding", "page", "write_page"]

AudioCoding = Literal["flac", "mp3", "wav", "ogg", "none"]

_TYPES = {"flac": "audio/flac", "mp3": "audio/mpeg", "wav": "audio/wav", "ogg": "audio/ogg"}
_HUES = 6
_SYSTEM = ' class="system"'


def write_page(
    reports: Sequence[Report],
    path: str | Path,
    *,
    title: str | None = None,
    max_items: int = 20,
    audio: str = "flac",
) -> None:
    """Write `page` to a file, whole or not at all; arguments and errors as there."""
    text = page(reports, title=title, max_items=max_items, audio=audio)
    with atomic_writer(path) as file:
        file.write(text.encode())


def page(reports: Sequence[Report], *, title: str | None = None, max_items: int = 20, audio: str = "flac") -> str:
    """The page.

    Args:
        reports: one a system; the audio is read from the places that they name. A metric that was computed with other
            settings in one of them gets a line of its own.
        title: None says which systems.
        max_items: items that get players and pictures, the worst by the first metric; all stand in the table.
        audio: coding of the players: flac, mp3, wav, ogg, or none for a page without sound.

    Raises:
        ValueError: no result, an unknown coding, or two systems of one name.
    """
    if not reports:
        raise ValueError("there is no result to show")
    if audio not in (*_TYPES, "none"):
        raise ValueError(f"no coding {audio!r} for players; there are: {', '.join(_TYPES)}, none")
    all_columns = tables.comparison(reports)
    columns = [column for column in all_columns if column.definition.get("level") != "set"]  # those that items have
    names = [report.name for report in reports]
    shown = _worst_first(reports, columns)[:max_items]
    recorded = any(item.reference.path for report in reports for item in report.items)
    beside = " against the recordings" if recorded else ""
    heading = title or f"{' and '.join(names) if len(names) < 3 else f'{len(names)} systems'}{beside}"
    body = [
        f"<h1>{escape(heading)}</h1>",
        f'<p class="soft">{escape(_facts(reports))}</p>',
        _key(names, recorded),
        "<h2>Figures</h2>",
        _figures(reports, all_columns),
        "<h2>Distributions</h2>",
        _distributions(reports, columns),
        "<h2>Items</h2>",
        _items_table(reports, columns, {name for name in shown}),
        f"<h2>{'Listen and look' if audio != 'none' else 'Look'}</h2>",
        f'<p class="soft">{_choice(len(shown), len(_ids(reports)), columns)}</p>',
        *(_item(name, number, reports, columns, audio) for number, name in enumerate(shown)),
        "<h2>Undefined</h2>",
        _undefined(reports),
        "<h2>How it was measured</h2>",
        _definitions(all_columns),
        *(_provenance(report) for report in reports),
    ]
    assets = files("amphion_eval")
    css, script = ((assets / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(heading)}</title>\n<style>\n{css}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + f"\n</main>\n<script>\n{script}</script>\n</body>\n</html>\n"
    )


def _figures(reports: Sequence[Report], columns: Sequence[Column]) -> str:
    head = "".join(f'<th scope="col">{escape(report.name)}</th>' for report in reports)
    rows = []
    for column in columns:
        definition = column.definition
        summaries = [column.summary(report) for report in reports]
        best = tables.best_of(summaries, definition)
        cells = []
        for place, summary in enumerate(summaries):
            if summary is None:
                cells.append("<td>–</td>")
                continue
            interval = summary.interval
            small = f"{tables.number(interval[0])} to {tables.number(interval[1])}" if interval else ""
            small += f" · n {summary.n}" if small else f"n {summary.n}"
            small += f" · {summary.n_undefined} undefined" if summary.n_undefined else ""
            mark = ' class="best"' if place in best else ""
            cells.append(f"<td{mark}>{tables.number(summary.figure)}<small>{small}</small></td>")
        pooled = "<small>pooled over the corpus</small>" if definition["rate"] else ""
        rows.append(f'<tr><td class="name">{_breakable(tables.heading(definition))}{pooled}</td>{"".join(cells)}</tr>')
    boot = reports[0].provenance["bootstrap"]
    note = f"Below each figure its 95 % interval, by {boot['resamples']} bootstrap samples of the items. "
    note += "The best figure of a line stands out, whether or not the intervals part." if len(reports) > 1 else ""
    return (
        f'<div class="scroll"><table><thead><tr><th scope="col">metric</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>" + (f'<p class="soft">{note}</p>' if boot["resamples"] else "")
    )


def _distributions(reports: Sequence[Report], columns: Sequence[Column]) -> str:
    plots = []
    colours = [_colour(place + 1) for place in range(len(reports))]
    for column in columns:
        systems, used = [], []
        for report, colour in zip(reports, colours, strict=True):
            if column.fits(report):
                values = [v for item in report.items if (v := item.metrics[column.name]) is not None]
                systems.append((report.name, values, column.summary(report)))
                used.append(colour)
        picture = distribution(systems, used, column.definition["unit"])
        caption = escape(f"{column.definition['label']} {tables.ARROWS[column.definition['best']]}")
        plots.append(f"<figure><figcaption>{caption}</figcaption>{picture}</figure>")
    return f'<div class="plots">{"".join(plots)}</div>'


def _items_table(reports: Sequence[Report], columns: Sequence[Column], shown: set[str]) -> str:
    several = len(reports) > 1
    titles = ["item", *(["system"] if several else []), *(tables.heading(column.definition) for column in columns)]
    head = "".join(
        f'<th scope="col"{_SYSTEM if title == "system" else ""}><button type="button">{_breakable(title)}</button></th>'
        for title in titles
    )
    rows = []
    numbers = {name: number for number, name in enumerate(_worst_first(reports, columns))}
    found = [(numbers[item.id], place, report, item) for place, report in enumerate(reports) for item in report.items]
    for number, _, report, item in sorted(found, key=lambda row: row[:2]):
        label = escape(item.id)
        link = f'<a href="#item-{number}">{label}</a>' if item.id in shown else label
        cells = "".join(_value_cell(item, column.name, column.fits(report)) for column in columns)
        system = f"<td{_SYSTEM}>{escape(report.name)}</td>" if several else ""
        rows.append(f'<tr><td class="name">{link}</td>{system}{cells}</tr>')
    return (
        f'<div class="scroll items"><table class="sortable"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        '<p class="soft">Press a head to sort. – is undefined; the reason shows when the pointer rests on it.</p>'
    )


def _value_cell(item: Item, name: str, computed: bool) -> str:
    value = item.metrics[name] if computed else None
    if value is None:
        reason = escape(item.undefined.get(name, "") if computed else "not computed", quote=True)
        return f'<td data-value="" title="{reason}">–</td>'
    text = "Infinity" if value == math.inf else "-Infinity" if value == -math.inf else repr(value)
    return f'<td data-value="{text}">{tables.number(value)}</td>'


@dataclass(frozen=True)
class _Heard:
    """One clip of an item on the page."""

    title: str
    colour: str
    wav: NDArray[np.float32] | None
    sample_rate: int
    fault: str
    values: str


def _item(name: str, number: int, reports: Sequence[Report], columns: Sequence[Column], audio: str) -> str:
    found = [(place, report, item) for place, report in enumerate(reports) for item in report.items if item.id == name]
    _, first, item = found[0]
    clips = [_heard("recording", _colour(0), item.reference, first, "")] if item.reference.path else []
    for place, report, own in found:
        clips.append(_heard(report.name, _colour(place + 1), own.estimate, report, _values(own, report, columns)))
    duration = max((len(c.wav) / c.sample_rate for c in clips if c.wav is not None), default=0.0)
    settings = Settings.parse(dict(first.provenance["settings"]))
    contours, colours = [], []
    for clip in clips:
        if clip.wav is not None and len(clip.wav) and np.isfinite(clip.wav).all():
            analysis = Analysis(clip.wav, clip.sample_rate, settings)
            contours.append((analysis.f0, analysis.f0_period))
            colours.append(clip.colour)
    notes = [f"{report.name}: {note}" for _, report, own in found for note in own.notes]
    said = [f"“{escape(item.text)}”" if item.text else "", escape(item.speaker or "")]
    heard = [
        f"{escape(report.name)} was heard as “{escape(own.transcript)}”" for _, report, own in found if own.transcript
    ]
    lines = [" · ".join(part for part in said if part), *heard, *map(escape, notes)]
    head = "".join(f'<p class="soft">{line}</p>' for line in lines if line)
    return (
        f'<article id="item-{number}"><header><h3>{escape(name)}</h3>{head}</header>'
        f'<div class="clips">{"".join(_clip(clip, duration, audio) for clip in clips)}</div>'
        f'<figure class="melody">{melody(contours, duration, colours)}</figure></article>'
    )


def _heard(title: str, colour: str, record: ClipRecord, report: Report, values: str) -> _Heard:
    path = Path(record.path)
    if not path.exists() and report.folder is not None and (report.folder / path).exists():
        path = report.folder / path
    try:
        wav, rate = Clip(str(path), record.key).load()
    except (ValueError, OSError, LookupError) as error:
        return _Heard(title, colour, None, 1, str(error), values)
    mono = wav if wav.ndim == 1 else wav.mean(axis=0)
    return _Heard(title, colour, np.asarray(mono, np.float32), rate, "", values)


def _clip(clip: _Heard, duration: float, audio: str) -> str:
    parts = [f'<h4 style="--c:{clip.colour}">{escape(clip.title)}</h4>']
    if clip.wav is None:
        parts.append(f'<p class="soft">No audio: {escape(clip.fault)}</p>')
    elif not len(clip.wav) or not np.isfinite(clip.wav).all():
        parts.append('<p class="soft">No sound to show: no samples, or some that are not finite.</p>')
    else:
        if audio != "none":
            source = _data(_encoded(clip.wav, clip.sample_rate, audio), _TYPES[audio])
            parts.append(f'<audio controls preload="metadata" src="{source}"></audio>')
        picture = _data(spectrogram(clip.wav, clip.sample_rate, duration), "image/png")
        parts.append(f'<img alt="spectrogram of {escape(clip.title, quote=True)}" src="{picture}">')
    if clip.values:
        parts.append(f'<p class="values">{clip.values}</p>')
    return f'<div class="clip">{"".join(parts)}</div>'


def _encoded(wav: NDArray[np.float32], sample_rate: int, coding: str) -> bytes:
    from amphion_core import audio

    peak = float(np.abs(wav).max(initial=0.0))
    return audio.encode(wav / peak if peak > 1.0 else wav, sample_rate, coding)  # type: ignore[arg-type]


def _data(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _values(item: Item, report: Report, columns: Sequence[Column]) -> str:
    parts = []
    for column in columns:
        if column.fits(report):
            value, unit = item.metrics[column.name], column.definition["unit"]
            text = tables.number(value) + (f" {unit}" if unit and value is not None else "")
            parts.append(f"{_breakable(column.name)} <b>{escape(text)}</b>")
    return " · ".join(parts)


def _undefined(reports: Sequence[Report]) -> str:
    lines = []
    for report in reports:
        for name, reasons in tables.undefined_reasons(report).items():
            for reason, items in reasons.items():
                listed = ", ".join(items[:8]) + (f" and {len(items) - 8} more" if len(items) > 8 else "")
                lines.append(f"<li>{escape(f'{report.name}, {name}: {reason} ({len(items)}: {listed})')}</li>")
    return f"<ul>{''.join(lines)}</ul>" if lines else '<p class="soft">Every metric has a value for every item.</p>'


def _definitions(columns: Sequence[Column]) -> str:
    rows = []
    for column in columns:
        definition = column.definition
        low, high = ("" if definition[end] is None else f"{definition[end]:g}" for end in ("low", "high"))
        span = f"{low or '−∞'} to {high or '∞'}"
        rows.append(
            f'<tr><td class="name">{_breakable(definition["label"])}</td>'
            f"<td>{definition['version']}</td><td>{span}</td>"
            f'<td class="name">{escape(definition["description"])}<small>{escape(definition["source"])}</small></td>'
            "</tr>"
        )
    return (
        '<div class="scroll"><table><thead><tr><th>metric</th><th>version</th><th>range</th>'
        '<th class="name">what it says</th></tr>'
        f"</thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _provenance(report: Report) -> str:
    said = {key: value for key, value in report.provenance.items() if key != "metrics"}
    text = json.dumps(said, ensure_ascii=False, indent=1)
    return f"<details><summary>Provenance of {escape(report.name)}</summary><pre>{escape(text)}</pre></details>"


def _facts(reports: Sequence[Report]) -> str:
    provenance = reports[0].provenance
    rates = sorted({rate for report in reports for rate in report.provenance["sample_rates"]}, key=int)
    protocol = provenance.get("protocol", {})
    absent = sorted({name for report in reports for name in report.provenance.get("metrics_left_out", {})})
    parts = [
        *([f"protocol {protocol['name']}"] if protocol else []),
        *([f"not computed here: {', '.join(absent)}"] if absent else []),
        tables.items_of(reports),
        f"alignment {' and '.join(sorted({r.provenance['alignment'] for r in reports}))}",
    ]
    parts += [f"{' and '.join(rates)} Hz"] if rates else []
    return " · ".join([*parts, f"amphion-eval {provenance['versions']['amphion-eval']}"])


def _key(names: Sequence[str], recorded: bool) -> str:
    entries = [*([("recording", 0)] if recorded else []), *((name, place) for place, name in enumerate(names, 1))]
    spans = "".join(f'<span style="--c:{_colour(place)}">{escape(name)}</span>' for name, place in entries)
    return f'<div class="key">{spans}</div>'


def _choice(shown: int, total: int, columns: Sequence[Column]) -> str:
    if not columns:
        return f"The first {shown} of {total} items."
    by = escape(columns[0].definition["label"])
    return f"The worst {shown} of {total} items by {by}." if shown < total else f"All items, the worst by {by} first."


def _worst_first(reports: Sequence[Report], columns: Sequence[Column]) -> list[str]:
    if not columns:
        return _ids(reports)
    first = columns[0]
    worst: dict[str, float] = dict.fromkeys(_ids(reports), -math.inf)
    for report in filter(first.fits, reports):
        for item in report.items:
            value = item.metrics[first.name]
            bad = math.inf if value is None else tables.cost(value, first.definition)
            worst[item.id] = max(worst[item.id], bad)
    return sorted(worst, key=lambda item: -worst[item])


def _ids(reports: Sequence[Report]) -> list[str]:
    return list(dict.fromkeys(item.id for report in reports for item in report.items))


def _breakable(name: str) -> str:
    return escape(name).replace("_", "_<wbr>")


def _colour(place: int) -> str:
    return f"var(--s{0 if place == 0 else 1 + (place - 1) % _HUES})"
