"""Libri-Light: 57,706 h of English audio books in three parts, 16 kHz, without text, public domain recordings.

`{small,medium,large}/SPEAKER/BOOKFOLDER/STEM.{flac,json}`, whole chapters. The JSON holds the book and the regions of
speech, which are stitched to clips across short gaps only.

Source: Kahn et al., "Libri-Light: A Benchmark for ASR with Limited or No Supervision", 2020, arXiv:1912.07875.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from amphion_core.audio import AudioError
from amphion_core.data import Drop
from amphion_core.schema import Utterance
from amphion_data.corpora.cutting import MARGIN, length_of, quietest, unreadable
from amphion_data.corpora.listing import Listing, find_root, make_row
from amphion_data.corpus import Corpus
from amphion_data.figures import Figures

__all__ = ["LIBRILIGHT", "iter_librilight", "stitch"]

_PARTS = ("small", "medium", "large")
_GAP = 1.0
"""Seconds; regions further apart are never in one clip."""
_CLIPPED = 0.05
"""Seconds that a region may end behind the audio without a word."""
_LANGUAGES = {"english": "en"}


def iter_librilight(
    root: Path, *, language: str | None = None, target: str | float = 30.0, **_: Any
) -> Iterator[Utterance | Drop]:
    """Clips by part, speaker, book, chapter and place in it; then the chapters of which there is the JSON alone.

    Args:
        root: the folder that holds `small`, `medium` or `large`, or one of these.
        language: two letters; None takes that of the book.
        target: seconds that a clip lasts at most.

    Raises:
        FileNotFoundError: there is no chapter.
        ValueError: the target is no length of time.
    """
    longest = float(target)
    if not 1 <= longest < math.inf:
        raise ValueError(f"target is {target}; it must be a number of seconds from 1 on")

    def has_part(folder: Path) -> bool:
        return any((folder / part).is_dir() for part in _PARTS) or any(folder.glob("*/*/*.flac"))

    root = find_root(root, has_part, "Libri-Light needs small/, medium/ or large/")
    listing = Listing(root)
    yield from listing.faults()
    first: dict[str, str] = {}
    for name, path in listing.audio.items():
        id = _id(name)
        if id in first:  # its clips are not those of the other file, though their numbers may be
            yield Drop(id, path, "duplicate_id", f"the id is that of {first[id]}, which came first", "scan")
            continue
        for item in _chapter(root, name, path, listing, language, longest):
            if isinstance(item, Utterance):
                first[id] = path
            yield item
    for name, path in listing.orphans(".json", audio_of=lambda name: name if name.count("/") >= 2 else None):
        detail = f"{path} is there, {name}.flac is not"
        yield Drop(_id(name), f"{name}.flac", "missing_audio", detail, "scan")


def _id(name: str) -> str:
    """Of a chapter, by its path without ending."""
    return "_".join(name.split("/")[-3:])


def _chapter(
    root: Path, name: str, path: str, listing: Listing, language: str | None, longest: float
) -> Iterator[Utterance | Drop]:
    parts = name.split("/")
    if len(parts) < 3:
        yield Drop(parts[-1], path, "unlisted_audio", "not of the form SPEAKER/BOOKFOLDER/STEM", "scan")
        return
    speaker, id = parts[-3], _id(name)
    length = length_of(root, path, id)
    if isinstance(length, Drop):
        yield length
        return
    try:
        values, spoken = _metadata(listing, f"{name}.json")
        regions = [(start, min(end, length)) for start, end in spoken if start < length]
        clips = stitch(regions, longest, length)
        pieces = [piece for clip in clips for piece in _bounded(root, path, clip, longest)]
    except AudioError as error:
        yield unreadable(root, path, id, error)
        return
    except ValueError as error:
        yield Drop(id, path, "bad_row", str(error), "scan")
        return
    behind = [(start, end) for start, end in spoken if start >= length and end > length + _CLIPPED]
    if behind:
        which = f"{len(behind)} regions of speech in its JSON, the first from {behind[0][0]} to {behind[0][1]} s,"
        detail = f"{which} lie behind the end of the audio at {length:.3f} s; fetch the chapter again"
        yield Drop(id, path, "duration_mismatch", detail, "scan")
    elif not pieces:
        yield Drop(id, path, "silent_audio", "no region of speech in its JSON", "scan")
    stated = values.get("book_meta")
    about: dict[str, Any] = stated if isinstance(stated, dict) else {}
    beyond = max((end for start, end in spoken if start < length), default=0.0)
    clipped = f"region_clipped: its JSON says {beyond} s, the audio ends at {length:.3f} s"
    tongue = language or _LANGUAGES.get(str(about.get("language", "english")).lower())
    for number, (start, end) in enumerate(pieces):
        yield make_row(
            f"{id}_{number:04d}",
            path,
            duration=round(end - start, 6),
            speaker=speaker,
            language=tongue,
            extra={
                "source": path,
                "start": start,
                "end": end,
                "part": parts[0] if parts[0] in _PARTS else None,
                "book": str(about.get("id")) if about.get("id") is not None else None,
                "title": about.get("title"),
                "snr": values.get("snr"),
                "warnings": [clipped] if beyond > length + _CLIPPED and end > length - _CLIPPED else None,
            },
        )


def _metadata(listing: Listing, path: str) -> tuple[dict[str, Any], list[tuple[float, float]]]:
    """What the JSON of a chapter says, and its regions of speech in order, s; those that overlap are one."""
    text = listing.text(path)
    if text is None:
        raise ValueError(f"no {path.rpartition('/')[2]} beside it")
    values = json.loads(text)
    if not isinstance(values, dict) or not isinstance(values.get("voice_activity"), list):
        raise ValueError(f"{path.rpartition('/')[2]} has no list voice_activity")
    pairs = []
    for pair in values["voice_activity"]:
        numbers = isinstance(pair, list) and len(pair) == 2 and all(isinstance(v, int | float) for v in pair)
        if not numbers or not 0 <= pair[0] <= pair[1]:
            raise ValueError(f"{path.rpartition('/')[2]}: {pair!r} is no region of speech")
        pairs.append((float(pair[0]), float(pair[1])))
    regions: list[tuple[float, float]] = []
    for start, end in sorted(pairs):
        if regions and start < regions[-1][1]:
            start, end = regions[-1][0], max(end, regions.pop()[1])
        regions.append((start, end))
    return values, regions


def stitch(
    regions: Sequence[tuple[float, float]], longest: float, length: float | None = None
) -> list[tuple[float, float]]:
    """Regions joined to clips across gaps under 1 s, up to a length; a gap between two clips is cut at its middle.

    Args:
        regions: start and end in seconds, in order; none reaches into the next.
        longest: of a clip, s; a region that is longer stays whole here.
        length: of the recording, s; None takes no margin behind the last region.

    Returns:
        Start and end of the clips, s. Beside a gap of 1 s or more a margin of 0.1 s is taken.
    """
    clips: list[tuple[float, float]] = []
    begin = 0.0
    for number, (start, end) in enumerate(regions):
        before = regions[number - 1][1] if number else None
        near = before is not None and start - before < _GAP
        after = regions[number + 1][0] if number + 1 < len(regions) else None
        tail = _edge(end, after, length)
        if clips and near and tail - begin <= longest:
            clips[-1] = (begin, tail)
            continue
        begin = (start + before) / 2 if near and before is not None else max(start - MARGIN, 0.0)
        clips.append((begin, tail))
    return [(round(start, 6), round(end, 6)) for start, end in clips]


def _edge(end: float, after: float | None, length: float | None) -> float:
    """Where a clip that ends with this region ends."""
    if after is None:
        return end if length is None else max(min(end + MARGIN, length), end)
    return (end + after) / 2 if after - end < _GAP else end + MARGIN


def _bounded(root: Path, path: str, clip: tuple[float, float], longest: float) -> list[tuple[float, float]]:
    """A clip in parts of at most the length, cut at the quietest place of the last third."""
    start, end = clip
    parts = []
    while end - start > longest:
        place = round(quietest(root, path, start + longest * 2 / 3, start + longest), 6)
        parts.append((start, place))
        start = place
    return [*parts, (start, end)]


LIBRILIGHT = Corpus(
    name="librilight",
    title="Libri-Light",
    licence="public domain recordings (LibriVox)",
    source="https://github.com/facebookresearch/libri-light",
    rows=iter_librilight,
    units={"speaker": lambda row: str(row.speaker)},
    languages=("en",),
    hours=57_706.0,
    sample_rate=16_000,
    figures=(
        Figures(part="small", speakers=489, hours_uncut=577.0),
        Figures(part="medium", speakers=1742, hours_uncut=5193.0),
        Figures(part="large", speakers=6845, hours_uncut=51_934.0),
    ),
    part=lambda row: str(row.extra.get("part") or ""),
    layout="small|medium|large/SPEAKER/BOOKFOLDER/STEM.{flac,json}",
    options={"target": "seconds that a clip lasts at most (default 30)"},
)
