"""NUS-48E: 20 English songs sung and read by 12 voices, four each, 169 min, 44.1 kHz, research only.

`SUBJECT/{sing,read}/NN.{wav,txt}`; the txt has a phone a line, `start end phone` in seconds. Words are not marked.

Source: Duan et al., "The NUS Sung and Spoken Lyrics Corpus", 2013.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amphion_core.data import Drop
from amphion_core.schema import Utterance
from amphion_data.corpora.cutting import cut_at_pauses, length_of, margins_of, phone_values, times_fault
from amphion_data.corpora.listing import Listing, find_root, make_row
from amphion_data.corpus import Corpus
from amphion_data.figures import Figures
from amphion_data.scores.lab import read_lab

__all__ = ["NUS48E", "iter_nus48e"]

_STYLES = {"sing": "singing", "read": "speech"}
_PAUSES = frozenset({"sil", "sp"})
_SHORTEST_PAUSE = 0.3


def iter_nus48e(root: Path, *, language: str = "en", **_: Any) -> Iterator[Utterance | Drop]:
    """Phrases by voice, style, song and place in it, without text.

    Args:
        root: the folder that holds the voices (ADIZ, JLEE ...).
        language: two letters.

    Raises:
        FileNotFoundError: there is no voice with `sing` or `read`.
    """

    def has_voice(folder: Path) -> bool:
        return any(any(folder.glob(f"*/{kind}/")) for kind in _STYLES)

    root = find_root(root, has_voice, "NUS-48E needs SUBJECT/sing and SUBJECT/read")
    listing = Listing(root)
    yield from listing.faults()
    for name, path in listing.audio.items():
        if not _is_recording(name):
            yield Drop(name.rpartition("/")[2], path, "unlisted_audio", "not of the form SUBJECT/sing|read/NN", "scan")
            continue
        yield from _recording(root, name, path, listing, language)
    for name, path in listing.orphans(".txt", audio_of=lambda name: name if _is_recording(name) else None):
        yield make_row(name.replace("/", "_"), None, looked_for=f"{name}.wav; {path} is there")


def _is_recording(name: str) -> bool:
    """Whether a name is of the form SUBJECT/sing|read/NN."""
    parts = name.split("/")
    return len(parts) == 3 and parts[1] in _STYLES


def _recording(root: Path, name: str, path: str, listing: Listing, language: str) -> Iterator[Utterance | Drop]:
    subject, kind, song = name.split("/")
    id = f"{subject}_{kind}_{song}"
    length = length_of(root, path, id)
    if isinstance(length, Drop):
        yield length
        return
    labels = listing.file(f"{name}.txt")
    try:
        if labels is None:
            raise ValueError("there is none beside the recording")
        intervals = read_lab(labels, seconds=True)
        phrases = cut_at_pauses(intervals, _PAUSES, _SHORTEST_PAUSE)
        if fault := times_fault(intervals, length) if phrases else "it has no phone":
            raise ValueError(fault)
        stretches = margins_of(phrases, length)
    except ValueError as error:
        yield Drop(id, path, "bad_row", f"{song}.txt: {error}", "scan")
        return
    for number, (phrase, (start, end)) in enumerate(zip(phrases, stretches, strict=True)):
        yield make_row(
            f"{id}_{number:02d}",
            path,
            duration=round(end - start, 6),
            speaker=subject,
            language=language,
            extra={
                "source": path,
                "start": start,
                "end": end,
                "song": song,
                "style": _STYLES[kind],
                **phone_values(phrase, start),
            },
        )


NUS48E = Corpus(
    name="nus48e",
    title="NUS-48E sung and spoken lyrics",
    licence="research only",
    source="https://drive.google.com/drive/folders/12pP9uUl0HTVANU3IPLnumTJiRjPtVUMx",
    rows=iter_nus48e,
    units={"song": lambda row: str(row.extra["song"])},
    languages=("en",),
    hours=2.82,
    speakers=12,
    sample_rate=44_100,
    figures=(
        Figures(part="singing", recordings=48, groups=20, speakers=12),
        Figures(part="speech", recordings=48, groups=20, speakers=12),
        Figures(recordings=96, groups=20, speakers=12, hours_uncut=2.82),
    ),
    part=lambda row: str(row.extra.get("style") or ""),
    layout="SUBJECT/sing|read/NN.{wav,txt}",
)
