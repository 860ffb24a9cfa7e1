"""KiSing: 14 Mandarin songs by one female singer (version 1), and the songs with scores of version 2.

Version 1: `clean/421/.../NNNN.wav`, phrases. Version 2: `421/421-original.wav` (or `421-SINGER.wav` for the synthetic
voices of the ACE edition) and a `.mid` with a lyric for each note; folders `*-unseg` and `segments` are not read.

Source: Shi et al., "Muskits: an End-to-End Music Processing Toolkit for Singing Voice Synthesis", 2022,
arXiv:2205.04029; "Singing Voice Data Scaling-up: An Introduction to ACE-Opencpop and ACE-KiSing", 2024,
arXiv:2401.17619.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from amphion_core.data import Drop
from amphion_core.schema import Utterance
from amphion_data.corpora.cutting import cut_at_rests, length_of, margins_of, note_values, notes_within
from amphion_data.corpora.listing import Listing, find_root, make_row
from amphion_data.corpus import Corpus
from amphion_data.figures import Figures
from amphion_data.scores.melody import Melody, Note
from amphion_data.scores.midi import read_midi

__all__ = ["KISING", "iter_kising"]

_SHORTEST_REST = 0.75
"""Quarters of a rest that ends a phrase."""
_RIGHT = 1
"""Channel that holds the voice where there are two."""


def iter_kising(
    root: Path, *, speaker: str = "kising", language: str = "zh", require_text: bool = True, **_: Any
) -> Iterator[Utterance | Drop]:
    """Rows by song and phrase, of either version.

    Args:
        root: the folder that holds `clean` (version 1) or the songs (version 2).
        speaker: label of the voice.
        language: two letters.
        require_text: not used: version 1 has no text, version 2 has pinyin.

    Raises:
        FileNotFoundError: there is neither.
    """

    def has_songs(folder: Path) -> bool:
        return (folder / "clean").is_dir() or any(folder.glob("[0-9][0-9][0-9]/"))

    root = find_root(root, has_songs, "KiSing needs clean/ or folders of songs such as 421/")
    first = (root / "clean").is_dir()
    listing = Listing(root, lambda path: path.startswith("clean/") if first else True)
    yield from listing.faults()
    for name, path in listing.audio.items():
        if first:
            yield _phrase(name, path, speaker, language)
        else:
            yield from _song(root, name, path, listing, speaker, language)
    sung = {name.partition("/")[0] for name in listing.audio}
    for name, path in () if first else listing.orphans(".mid", ".midi", audio_of=_original_of):
        song = name.partition("/")[0]
        if song not in sung:  # the ACE edition has other voices only
            yield make_row(song, None, looked_for=f"{name}.wav; {path} is there")


def _original_of(name: str) -> str | None:
    """The recording that a score SONG/NAME belongs to."""
    song, _, stem = name.partition("/")
    return f"{song}/{song}-original" if song.isdecimal() and "/" not in stem else None


def _phrase(name: str, path: str, speaker: str, language: str) -> Utterance | Drop:
    parts = name.split("/")
    if len(parts) < 3 or not parts[1].isdecimal():
        return Drop(parts[-1], path, "unlisted_audio", "not of the form clean/SONG/.../NNNN", "scan")
    return make_row(
        f"{parts[1]}_{parts[-1]}",
        path,
        speaker=speaker,
        language=language,
        extra={"song": parts[1], "style": "singing"},
    )


def _song(
    root: Path, name: str, path: str, listing: Listing, speaker: str, language: str
) -> Iterator[Utterance | Drop]:
    parts = name.split("/")
    match = re.fullmatch(r"(\d+)-(.+)", parts[-1])
    if len(parts) != 2 or match is None or match[1] != parts[0]:
        detail = "an unsegmented or second copy" if "unseg" in name or "segments" in name else "not SONG/SONG-VOICE"
        yield Drop(parts[-1], path, "unlisted_audio", detail, "scan")
        return
    song, voice = match[1], match[2]
    own = voice == "original"
    id = song if own else f"{song}-{voice}"
    length = length_of(root, path, id)
    if isinstance(length, Drop):
        yield length
        return
    scores = [
        file for file in listing.files if file.startswith(f"{song}/") and file.lower().endswith((".mid", ".midi"))
    ]
    try:
        if not scores:
            raise ValueError(f"no .mid in {song}/")
        melody = read_midi(root / scores[0])
    except ValueError as error:
        said = f"{scores[0]}: {error}" if scores else str(error)
        yield Drop(id, path, "bad_row", said, "scan")
        return
    yield from _phrases(melody, length, id, path, song, speaker if own else f"{speaker}-{voice}", language)


def _phrases(
    melody: Melody, length: float, id: str, path: str, song: str, speaker: str, language: str
) -> Iterator[Utterance | Drop]:
    phrases = cut_at_rests(melody, _SHORTEST_REST)
    begun = [phrase for phrase in phrases if phrase[0].start < length]
    if not begun:
        yield Drop(id, path, "bad_row", f"no note of the score lies in the {length:.1f} s of the audio", "scan")
        return
    stretches = margins_of(begun, length)
    for number, phrase in enumerate(phrases):
        name = f"{id}_{number:02d}"
        try:
            whole, cut = notes_within(phrase, length)
        except ValueError as error:
            yield Drop(name, path, "bad_row", f"score: {error}", "scan")
            continue
        start, end = stretches[number]
        notes, slurs = _without_lone_slurs(whole)
        yield make_row(
            name,
            path,
            raw=" ".join(note.lyric for note in notes if note.lyric) or None,
            duration=round(end - start, 6),
            speaker=speaker,
            language=language,
            extra={
                "source": path,
                "start": start,
                "end": end,
                "channel": _RIGHT,
                "song": song,
                "style": "singing",
                "tempo": round(melody.tempo_at(phrase[0].start), 3),
                "notes": note_values(notes, start),
                "warnings": [f"score: {warning}" for warning in (*melody.warnings, *slurs, *cut)] or None,
            },
        )


def _without_lone_slurs(phrase: list[Note]) -> tuple[list[Note], list[str]]:
    """A phrase without slurs that no syllable precedes, and what was amiss."""
    notes, warnings = list(phrase), []
    sung = next((i for i, note in enumerate(notes) if note.lyric), len(notes))
    for i, note in enumerate(notes[:sung]):
        if note.slur:
            warnings.append(f"the note at {note.start:.3f} s has a slur, but no syllable is before it; taken for none")
            notes[i] = replace(note, slur=False)
    return notes, warnings


KISING = Corpus(
    name="kising",
    title="KiSing (versions 1 and 2)",
    licence="CC BY-NC 4.0 (version 2)",
    source="http://shijt.site/index.php/2021/05/16/kising-the-first-open-source-mandarin-singing-voice-synthesis-corpus/",
    rows=iter_kising,
    units={"song": lambda row: str(row.extra["song"])},
    languages=("zh",),
    speakers=1,
    sample_rate=44_100,
    figures=(Figures(part="version 1", groups=14, speakers=1),),
    part=lambda row: "version 1" if row.audio.startswith("clean/") else "version 2",
    layout="clean/SONG/.../NNNN.wav, or SONG/SONG-original.wav with SONG/*.mid",
)
