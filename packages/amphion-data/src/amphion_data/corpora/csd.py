"""CSD: 50 English and 50 Korean children's songs in two keys each, one female professional, about 4.9 h, 44.1 kHz.

`{english,korean}/{wav,mid,lyric,txt,csv}/en001a.*`; a row of the csv is a note with the phones of its syllable, a line
of the txt a phrase of syllables. CC BY-NC-SA 4.0.

Source: Choi et al., "Children's Song Dataset for Singing Voice Research", 2020.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from amphion_core.data import Drop
from amphion_core.schema import Utterance
from amphion_data.corpora.cutting import length_of, margins_of, note_values, times_fault
from amphion_data.corpora.listing import Listing, find_root, make_row
from amphion_data.corpus import Corpus
from amphion_data.figures import Figures
from amphion_data.scores.melody import Note
from amphion_data.scores.pitches import fault_of_pitches, midi_number
from amphion_data.scores.timeline import TOLERANCE as OVERLAP
from amphion_data.scores.timeline import Interval

__all__ = ["CSD", "iter_csd"]

_LANGUAGES = {"english": "en", "korean": "ko"}
_SONG = re.compile(r"([a-z]+\d+)([a-z])")


def iter_csd(root: Path, *, speaker: str = "csd", **_: Any) -> Iterator[Utterance | Drop]:
    """Phrases by language, song and place in it.

    Args:
        root: the folder that holds `english` and `korean`, or one of them.
        speaker: label of the voice.

    Raises:
        FileNotFoundError: neither is there.
    """

    def has_language(folder: Path) -> bool:
        return any((folder / name / "wav").is_dir() for name in _LANGUAGES)

    root = find_root(root, has_language, "CSD needs english/wav or korean/wav")
    listing = Listing(root, lambda path: path.split("/")[0] in _LANGUAGES)
    yield from listing.faults()
    for name, path in listing.audio.items():
        parts = name.split("/")
        if len(parts) != 3 or parts[1] != "wav" or _SONG.fullmatch(parts[2]) is None:
            yield Drop(parts[-1], path, "unlisted_audio", "not of the form LANGUAGE/wav/SONG", "scan")
            continue
        yield from _song(root, parts[0], parts[2], path, listing, speaker)
    for name, path in listing.orphans(".csv", ".txt", ".mid", audio_of=_wav_of):
        yield make_row(name.rpartition("/")[2], None, looked_for=f"{name}.wav; {path} is there")


def _wav_of(name: str) -> str | None:
    """The recording that a text, a table or a score of this name belongs to."""
    parts = name.split("/")
    return f"{parts[0]}/wav/{parts[2]}" if len(parts) == 3 and _SONG.fullmatch(parts[2]) else None


def _song(root: Path, folder: str, song: str, path: str, listing: Listing, speaker: str) -> Iterator[Utterance | Drop]:
    length = length_of(root, path, song)
    if isinstance(length, Drop):
        yield length
        return
    try:
        notes = _notes(listing.text(f"{folder}/csv/{song}.csv"), song)
        phrases = _phrases(notes, _lines(listing.text(f"{folder}/txt/{song}.txt"), song), song)
        lyrics = [line for line in (listing.text(f"{folder}/lyric/{song}.txt") or "").splitlines() if line.strip()]
        number, last = max(notes, key=lambda numbered: numbered[1].end)
        if fault := times_fault([Interval(last.start, last.end, str(last.lyric))], length):
            raise ValueError(f"{song}.csv:{number}: {fault}")
        stretches = margins_of(phrases, length)
    except ValueError as error:
        yield Drop(song, path, "bad_row", str(error), "scan")
        return
    number_of_song = _SONG.fullmatch(song)
    assert number_of_song is not None
    following = [phrase[0] for phrase in phrases[1:]]
    for number, (phrase, (start, end)) in enumerate(zip(phrases, stretches, strict=True)):
        phrase, warnings = _in_turn(phrase, following[number : number + 1])
        sung = [note for note in phrase if not note.slur]
        yield make_row(
            f"{song}_{number:02d}",
            path,
            raw=lyrics[number] if len(lyrics) == len(phrases) else None,
            duration=round(end - start, 6),
            speaker=speaker,
            language=_LANGUAGES[folder],
            extra={
                "source": path,
                "start": start,
                "end": end,
                "song": number_of_song[1],
                "key": number_of_song[2],
                "style": "singing",
                "phones": [phone for note in sung for phone in (note.lyric or "").split("_") if phone],
                "notes": note_values(phrase, start),
                "warnings": warnings or None,
            },
        )


def _in_turn(phrase: list[Note], following: list[Note]) -> tuple[list[Note], list[str]]:
    """Notes of a phrase, each cut where the next begins, for one voice sings them; and what was cut, in words."""
    notes, warnings = list(phrase), []
    for place, after in enumerate([*phrase[1:], *following]):
        note = notes[place]
        if note.end > after.start:
            notes[place] = replace(note, end=after.start)
        if note.end - after.start > OVERLAP:
            said = f"{note.lyric!r} of {note.start:.3f} to {note.end:.3f} s overlaps {after.lyric!r}"
            warnings.append(f"score: {said}; cut at {after.start:.3f} s")
    return notes, warnings


def _notes(text: str | None, song: str) -> list[tuple[int, Note]]:
    """Notes of a csv, each with its line; which continue a syllable is told by the lines of the txt.

    Raises:
        ValueError: a line is none; says which.
    """
    if text is None:
        raise ValueError(f"no csv/{song}.csv, which has the notes")
    reader = csv.DictReader(io.StringIO(text))
    try:
        return _notes_in(reader, song)
    except csv.Error as error:
        raise ValueError(f"{song}.csv:{reader.line_num + 1}: {error}") from None


def _notes_in(reader: csv.DictReader[str], song: str) -> list[tuple[int, Note]]:
    names = [name.strip() for name in reader.fieldnames or []]
    if names != ["start", "end", "pitch", "syllable"]:
        raise ValueError(f"{song}.csv: expected the columns start, end, pitch, syllable; found {', '.join(names)}")
    notes: list[tuple[int, Note]] = []
    for row in reader:
        values = {str(name).strip(): value for name, value in row.items()}
        try:
            start, end, pitch = float(values["start"]), float(values["end"]), midi_number(values["pitch"])
        except (TypeError, ValueError):
            raise ValueError(f"{song}.csv:{reader.line_num}: no note: {list(values.values())}") from None
        if not 0 <= start <= end < float("inf"):
            raise ValueError(f"{song}.csv:{reader.line_num}: from {start} to {end} s is no stretch of time")
        if notes and start < notes[-1][1].start:
            before = f"{notes[-1][1].start} s in line {notes[-1][0]}"
            raise ValueError(f"{song}.csv:{reader.line_num}: a note at {start} s out of order, after one at {before}")
        if fault := fault_of_pitches([pitch]):
            raise ValueError(f"{song}.csv:{reader.line_num}: {fault}")
        notes.append((reader.line_num, Note(pitch, start, end, (values["syllable"] or "").strip())))
    if not notes:
        raise ValueError(f"{song}.csv has no note")
    return notes


def _lines(text: str | None, song: str) -> list[tuple[int, list[str]]]:
    """Syllables of each phrase of a txt, with the number of its line; blank ones are between verses."""
    if text is None:
        raise ValueError(f"no txt/{song}.txt, which has the phrases")
    lines = [(number, line.split()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise ValueError(f"no phrases in {song}.txt")
    return lines


def _phrases(
    notes: Sequence[tuple[int, Note]], lines: Sequence[tuple[int, Sequence[str]]], song: str
) -> list[list[Note]]:
    """Notes by the lines of the txt; a syllable that is sung on several notes stands there once."""
    flat = [(phrase, syllable) for phrase, (_, syllables) in enumerate(lines) for syllable in syllables]
    phrases: list[list[Note]] = [[] for _ in lines]
    place = 0
    for count, (phrase, syllable) in enumerate(flat):
        if place >= len(notes) or notes[place][1].lyric != syllable:
            here = f"{song}.txt:{lines[phrase][0]}: {syllable!r} stands in the txt"
            if place >= len(notes):
                raise ValueError(f"{here}, but {song}.csv has ended")
            raise ValueError(f"{here}, {notes[place][1].lyric!r} in {song}.csv:{notes[place][0]}")
        phrases[phrase].append(notes[place][1])
        place += 1
        # Further notes of this syllable: as many as the syllables that follow and are spelt alike leave over.
        alike = _run([other for _, other in flat[count + 1 :]], syllable)
        for _ in range(_run([note.lyric for _, note in notes[place:]], syllable) - alike):
            phrases[phrase].append(replace(notes[place][1], slur=True))
            place += 1
    if place < len(notes):
        number, note = notes[place]
        raise ValueError(f"{song}.csv:{number} goes on with {note.lyric!r} after the last phrase of {song}.txt")
    return phrases


def _run(values: Sequence[str | None], wanted: str) -> int:
    """How many values at the beginning are the wanted one."""
    count = 0
    for value in values:
        if value != wanted:
            break
        count += 1
    return count


CSD = Corpus(
    name="csd",
    title="Children's Song Dataset",
    licence="CC BY-NC-SA 4.0",
    source="https://zenodo.org/records/4785016",
    rows=iter_csd,
    units={"song": lambda row: str(row.extra["song"])},
    languages=("en", "ko"),
    hours=4.9,
    speakers=1,
    sample_rate=44_100,
    figures=(
        Figures(part="en", recordings=100, groups=50),
        Figures(part="ko", recordings=100, groups=50),
        Figures(recordings=200, speakers=1, hours_uncut=4.9),
    ),
    part=lambda row: str(row.language or ""),
    layout="english|korean/{wav,csv,txt,lyric}/SONG.{wav,csv,txt}",
)
