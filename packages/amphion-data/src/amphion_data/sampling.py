"""A page to listen to some rows of shards: one file with players, texts and columns, which needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import heapq
import html
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amphion_core.atomic import atomic_writer
from amphion_core.data import ShardSet
from amphion_core.data.record import AUDIO_FIELDS
from amphion_data.parts import open_parts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["sample"]

log = logging.getLogger(__name__)

_TYPES = {"flac": "flac", "wav": "wav", "mp3": "mpeg", "ogg": "ogg", "opus": "ogg", "m4a": "mp4", "aac": "aac"}
_LARGE = 50 << 20  # bytes of audio that a browser should load at once
_POINTS = 240
_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; media-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem;
  color: #1a1a1a; background: #fff }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; vertical-align: top; padding: .5rem .75rem; border-bottom: 1px solid #ddd }}
td.number {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }}
td.text {{ width: 60%; overflow-wrap: anywhere }}
audio {{ width: 16rem; display: block }}
svg {{ width: 16rem; height: 2.5rem; display: block; color: #2563a8 }}
code {{ overflow-wrap: anywhere }}
dl {{ margin: .35rem 0 0; font-size: .85em; color: #555 }} dt, dd {{ display: inline; margin: 0 }}
dl div {{ display: inline; margin-right: 1em }} dt {{ color: #6b6b6b }}
@media (max-width: 45rem) {{ thead {{ display: none }} td, td.text {{ display: block; width: auto; border: 0 }}
  td.number {{ text-align: left }} tr {{ border-bottom: 1px solid #ddd }} }}
@media (prefers-color-scheme: dark) {{
  body {{ color: #e8e8e8; background: #161616 }} th, td {{ border-color: #444 }}
  svg {{ color: #7db3e8 }} dl {{ color: #aaa }} dt {{ color: #999 }}
}}
</style>
</head>
<body>
"""


def sample(
    source: str | Path, out: str | Path, *, count: int = 20, seed: int = 0, where: str | None = None
) -> list[str]:
    """Write a page with some rows, drawn by a hash of seed and id: the same rows on every machine.

    Args:
        source: what `prepare` wrote, a folder of shards, or a shard.
        out: the page, `NAME.html`.
        count: number of rows; all where there are fewer.
        seed: another one draws others.
        where: only rows that meet this condition.

    Returns:
        Ids of the rows, in the order of the page.

    Raises:
        ValueError: no row at all, or a count below 1.
        LookupError: no row has a value of a column that the condition asks for.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    out = Path(out)
    parts = {name: shards.where(where) if where else shards for name, shards in open_parts(source).items()}
    total = sum(map(len, parts.values()))
    if not total:
        raise ValueError(f"no row of {source} to listen to" + (f" meets {where!r}" if where else ""))
    chosen = sorted(heapq.nsmallest(count, _places(parts, seed)), key=lambda place: (place[2], place[3]))
    names, size = list(parts), 0
    title = f"{len(chosen)} of {total} rows of {Path(source).resolve().name}"
    ids = []
    with atomic_writer(out) as file:
        file.write(_HEAD.format(title=html.escape(title)).encode())
        file.write(f"<h1>{html.escape(title)}</h1>\n".encode())
        if where:
            file.write(f"<p>Those that meet <code>{html.escape(where)}</code>.</p>\n".encode())
        file.write(b"<table>\n<thead><tr><th>Sound<th>Text and row<th>Voice<th>Seconds</tr></thead>\n<tbody>\n")
        for _, key, part, row in chosen:
            text = _row(parts[names[part]], row, names[part])
            size += len(text)
            file.write(text.encode())
            ids.append(key)
        file.write(b"</tbody>\n</table>\n</body>\n</html>\n")
    if size > _LARGE:
        log.warning("%s has %.0f MB; browsers are slow with such pages, ask for fewer rows", out, size / 1e6)
    return ids


def _places(parts: dict[str, ShardSet], seed: int) -> Iterator[tuple[bytes, str, int, int]]:
    """Hash, id, part and number of every row."""
    for part, shards in enumerate(parts.values()):
        for row, key in enumerate(shards.keys):
            yield hashlib.sha256(f"{seed}:{key}".encode()).digest()[:8], key, part, row


def _row(shards: ShardSet, number: int, part: str) -> str:
    row, fields = shards.utterance(number), shards[number].fields
    stored = next((name for name in AUDIO_FIELDS if name in fields), None)
    sound = "no audio"
    if stored is not None:
        data = base64.b64encode(fields[stored]).decode()
        source = f'src="data:audio/{_TYPES[stored]};base64,{data}"'
        sound = f'<audio controls preload="metadata" aria-label="{html.escape(row.id)}" {source}></audio>'
        sound += _picture(shards, number)
    known = {"part": part, "rate": f"{row.sample_rate} Hz", "format": stored, **row.extra}
    more = " ".join(
        f"<div><dt>{html.escape(name)}</dt> <dd>{html.escape(_short(value))}</dd></div>"
        for name, value in known.items()
        if value not in (None, "", [], {}) and name != "text_raw"
    )
    voice = html.escape(", ".join(filter(None, (row.speaker, row.language))) or "not stated")
    text = html.escape(row.text) if row.text else "<em>none</em>"
    lang = f' lang="{html.escape(row.language)}"' if row.language else ""
    return (
        f'<tr><td>{sound}</td><td class="text"><div dir="auto"{lang}>{text}</div>'
        f"<dl><div><dt>id</dt> <dd><code>{html.escape(row.id)}</code></dd></div> {more}</dl></td>"
        f'<td>{voice}</td><td class="number">{row.duration:.2f}</td></tr>\n'
    )


def _picture(shards: ShardSet, number: int) -> str:
    """The envelope as a small drawing; a word where the audio can't be decoded."""
    try:
        wav, _ = shards.audio(number)
    except ValueError as error:
        return f"<p>{html.escape(str(error))}</p>"
    highs = _peaks(wav)
    points = " ".join(
        f"{k},{50 - side * 50 * value:.1f}"
        for side, values in ((1, highs), (-1, highs[::-1]))
        for k, value in (enumerate(values) if side > 0 else zip(range(len(values) - 1, -1, -1), values, strict=True))
    )
    return (
        f'<svg viewBox="0 0 {len(highs)} 100" preserveAspectRatio="none" aria-hidden="true">'
        f'<polygon fill="currentColor" points="{points}"/></svg>'
    )


def _peaks(wav: NDArray[np.float32]) -> Sequence[float]:
    import numpy as np

    pieces = np.array_split(np.abs(wav), min(_POINTS, max(len(wav), 1)))
    return [float(min(piece.max(initial=0.01), 1.0)) for piece in pieces]


def _short(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 120 else text[:117] + "..."
