"""PJS 1.1: 100 short Japanese songs, 27 min, and the same sentences read, one male singer, 48 kHz, CC BY-SA 4.0.

`pjs001/pjs001{_song.wav,_speech.wav,.lab,.mid,.musicxml,.txt}`; the labels are of the song, in units of 100 ns. The
folder `background_noise` is no voice.

Source: Koguchi, Takamichi and Morise, "PJS: Phoneme-Balanced Japanese Singing-Voice Corpus", 2020, arXiv:2006.02959.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from amphion_core.data import Drop
from amphion_core.schema import Utterance
from amphion_data.corpora.cutting import (
    cut_at_pauses,
    length_of,
    margins_of,
    note_values,
    phone_values,
    times_fault,
)
from amphion_data.corpora.listing import Listing, find_root, make_row
from amphion_data.corpus import Corpus
from amphion_data.figures import Figures
from amphion_data.scores.lab import read_lab
from amphion_data.scores.musicxml import read_musicxml
from amphion_data.scores.pitches import fault_of_pitches
from amphion_data.scores.score import TOLERANCE
from amphion_data.scores.timeline import Interval

__all__ = ["PJS", "iter_pjs"]

_NAME = re.compile(r"(pjs\d+)/(pjs\d+)_(song|speech)")
_NUMBER = re.compile(r"pjs\d+")
_PAUSES = frozenset({"pau", "sil"})
_SHORTEST_PAUSE = 0.3
_LONGEST_SONG = 30.0
"""Seconds; a longer song is cut at its pauses."""


def iter_pjs(
    root: Path, *, speaker: str = "pjs", language: str = "ja", require_text: bool = True, **_: Any
) -> Iterator[Utterance | Drop]:
    """Rows by number, the song before the speech; a song of over 30 s in pieces, which have phones and no text.

    Args:
        root: the folder that holds `pjs001` and so on.
        speaker: label of the voice.
        language: two letters.
        require_text: whether recordings without a sentence are dropped.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    root = find_root(root, lambda folder: any(folder.glob("pjs[0-9]*/")), "PJS needs folders pjs001, pjs002 ...")
    listing = Listing(root)
    yield from listing.faults()
    voice = {"speaker": speaker, "language": language}
    for name, path in listing.audio.items():
        match = _NAME.fullmatch(name)
        if match is None or match[1] != match[2]:
            detail = "noise, not a voice" if name.startswith("background_noise/") else "not pjsNNN/pjsNNN_song|speech"
            yield Drop(name.rpartition("/")[2], path, "unlisted_audio", detail, "scan")
            continue
        id = name.rpartition("/")[2]
        try:
            rows = _song if match[3] == "song" else _speech
            yield from rows(match[1], id, path, listing, require_text, voice)
        except ValueError as error:
            yield Drop(id, path, "bad_row", str(error), "scan")
    for style, endings in (("song", (".lab", ".mid", ".musicxml", ".txt")), ("speech", (".txt",))):
        for name, path in listing.orphans(*endings, audio_of=partial(_recording, style=style)):
            yield make_row(name.rpartition("/")[2], None, looked_for=f"{name}.wav; {path} is there")


def _recording(name: str, style: str) -> str | None:
    """The recording that a sentence, a label or a score of this name belongs to."""
    folder, _, stem = name.partition("/")
    return f"{name}_{style}" if folder == stem and _NUMBER.fullmatch(stem) else None


def _speech(
    song: str, id: str, path: str, listing: Listing, require_text: bool, voice: dict[str, Any]
) -> Iterator[Utterance | Drop]:
    text = _sentence(song, listing, require_text)
    yield make_row(id, path, **text, **voice, extra={"song": song, "style": "speech"})


def _song(
    song: str, id: str, path: str, listing: Listing, require_text: bool, voice: dict[str, Any]
) -> Iterator[Utterance | Drop]:
    length = length_of(listing.root, path, id)
    if isinstance(length, Drop):
        yield length
        return
    lab = listing.file(f"{song}/{song}.lab")
    intervals = _labels(lab, length)
    about = {"song": song, "style": "singing"}
    if length <= _LONGEST_SONG or not intervals:
        text = _sentence(song, listing, require_text)
        notes, warnings = _notes(listing.file(f"{song}/{song}.musicxml"))
        extra = {**about, **_whole(intervals, length, path, lab), "score_notes": notes, "warnings": warnings}
        duration = round(extra.get("end", length) - extra.get("start", 0.0), 6)
        yield make_row(id, path, duration=duration, **text, **voice, extra=extra)
        return
    phrases = cut_at_pauses(intervals, _PAUSES, _SHORTEST_PAUSE)
    for number, (phrase, (start, end)) in enumerate(zip(phrases, margins_of(phrases, length), strict=True)):
        extra = {**about, "source": path, "start": start, "end": end, **phone_values(phrase, start)}
        yield make_row(f"{id}_{number}", path, duration=round(end - start, 6), **voice, extra=extra)


def _sentence(song: str, listing: Listing, require_text: bool) -> dict[str, Any]:
    return {"raw": listing.text(f"{song}/{song}.txt"), "require_text": require_text, "looked_for": f"{song}.txt"}


def _labels(path: Path | None, length: float) -> list[Interval]:
    """Phones of a song of so many seconds; none where it has no labels.

    Raises:
        ValueError: they are of something else, or there is no phone among them.
    """
    if path is None:
        return []
    try:
        intervals = read_lab(path)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None
    silent = all(interval.label in _PAUSES for interval in intervals)
    if fault := "it has no phone" if silent else times_fault(intervals, length):
        raise ValueError(f"{path.name}: {fault}")
    return intervals


def _whole(intervals: list[Interval], length: float, path: str, lab: Path | None) -> dict[str, Any]:
    """Phones of a song that is not cut at pauses, and which stretch of it they fill where that is not all of it.

    Args:
        intervals: the phones.
        length: seconds of the song.
        path: of the song.
        lab: file of the phones.

    Raises:
        ValueError: the phones leave out more than the beginning and the end.
    """
    if lab is None or not intervals:
        return {}
    start, end = round(intervals[0].start, 6), round(min(intervals[-1].end, length), 6)
    if round(length - (end - start), 6) <= TOLERANCE:
        start, end, place = 0.0, length, {}
    else:
        place = {"source": path, "start": start, "end": end}
    clip = [Interval(interval.start - start, interval.end - start, interval.label) for interval in intervals]
    if fault := times_fault(clip, end - start, whole=True):
        raise ValueError(f"{lab.name}: {fault}")
    return {**place, **phone_values(clip, 0.0)}


def _notes(path: Path | None) -> tuple[list[dict[str, Any]] | None, list[str] | None]:
    """Notes as the score writes them, which is not when they were sung."""
    if path is None:
        return None, None
    try:
        melody = read_musicxml(path)
    except ValueError as error:
        return None, [f"score: {error}"]
    if fault := fault_of_pitches(note.pitch for note in melody.notes):
        return None, [f"score: {fault}"]
    return note_values(melody.notes, 0.0), [f"score: {warning}" for warning in melody.warnings] or None


PJS = Corpus(
    name="pjs",
    title="PJS: phoneme-balanced Japanese singing voice (1.1)",
    licence="CC BY-SA 4.0",
    source="https://sites.google.com/site/shinnosuketakamichi/research-topics/pjs_corpus",
    rows=iter_pjs,
    units={"song": lambda row: str(row.extra["song"])},
    languages=("ja",),
    clips=200,
    speakers=1,
    sample_rate=48_000,
    figures=(
        Figures(part="singing", recordings=100, groups=100, hours_uncut=0.45),
        Figures(part="speech", recordings=100, groups=100),
        Figures(recordings=200, groups=100, speakers=1),
    ),
    part=lambda row: str(row.extra.get("style") or ""),
    layout="pjsNNN/pjsNNN{_song.wav,_speech.wav,.lab,.mid,.musicxml,.txt}",
)
