"""A folder of one's own with singing: `ROOT/SINGER/SONG/NAME.wav`, or `ROOT/SINGER/NAME.wav`.

Beside a file may lie `NAME.txt` with its lyrics, `NAME.mid` with its notes and `NAME.TextGrid` with its phones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from amphion_core.data import Drop
from amphion_core.schema import Utterance
from amphion_data.corpora.cutting import grid_phones, note_values, notes_within, phone_values
from amphion_data.corpora.listing import Listing, make_row, seconds_of
from amphion_data.corpus import Corpus
from amphion_data.files import first_entries
from amphion_data.scores.midi import read_midi

__all__ = ["SINGING_FOLDER", "iter_singing_folder"]

_ENOUGH_SONGS = 5


def iter_singing_folder(
    root: Path, *, language: str | None = None, phone_tier: str | None = None, **_: Any
) -> Iterator[Utterance | Drop]:
    """Rows by singer, song and name; text is not needed.

    Args:
        root: the folder of the singers.
        language: two letters.
        phone_tier: name of the tier of phones; None finds it.

    Raises:
        FileNotFoundError: there is no audio in folders of singers.
    """
    listing = Listing(root)
    if not any("/" in name for name in listing.audio):
        raise FileNotFoundError(f"expected SINGER/SONG/NAME.wav or SINGER/NAME.wav below {root}; {first_entries(root)}")
    yield from listing.faults()
    songs = {tuple(name.split("/")[:2]) for name in listing.audio if name.count("/") >= 2}
    by_song = len({song for _, song in songs}) >= _ENOUGH_SONGS
    for name, path in listing.audio.items():
        parts = name.split("/")
        if len(parts) < 2:
            yield Drop(name, path, "unlisted_audio", "in no folder of a singer", "scan")
            continue
        song = parts[1] if len(parts) > 2 else None
        try:
            raw = listing.text(f"{name}.txt")
            labels, warnings = _labels(listing, name, path, phone_tier)
        except ValueError as error:
            yield Drop(name, path, "bad_row", str(error), "scan")
            continue
        extra = {"song": song, "unit": song if by_song and song else name, "style": "singing"}
        yield make_row(
            name,
            path,
            raw=raw,
            speaker=parts[0],
            language=language,
            extra={**extra, **labels, "warnings": warnings or None},
        )
    alone = dict(listing.orphans(".mid", ".textgrid", audio_of=partial(_within, folders=1)))
    texts = dict(listing.orphans(".txt", audio_of=partial(_within, folders=2)))  # beside the songs it may be anything
    for name, path in sorted((texts | alone).items()):
        yield make_row(name, None, looked_for=f"{name}.wav; {path} is there")


def _within(name: str, folders: int) -> str | None:
    """A name that lies in so many folders at least."""
    return name if name.count("/") >= folders else None


def _labels(listing: Listing, name: str, path: str, tier: str | None) -> tuple[dict[str, Any], list[str]]:
    """Notes and phones of the files beside the audio.

    Raises:
        ValueError: one of them can't be read, or is not of this audio; names the file.
    """
    found: dict[str, Any] = {}
    warnings: list[str] = []
    score, grid = listing.file(f"{name}.mid"), listing.file(f"{name}.TextGrid")
    length = seconds_of(listing.root / path) if score or grid else None
    if score is not None:
        try:
            melody = read_midi(score)
            notes, cut = notes_within(melody.notes, math.inf if length is None else length)
        except ValueError as error:
            raise ValueError(f"{score.name}: {error}") from None
        found |= {"tempo": round(melody.tempo, 3), "notes": note_values(notes, 0.0)}
        warnings += [f"score: {warning}" for warning in (*melody.warnings, *cut)]
    if grid is not None:
        phones, odd = grid_phones(grid, tier, length)
        found |= phone_values(phones, 0.0)
        warnings += odd
    return found, warnings


SINGING_FOLDER = Corpus(
    name="singing-folder",
    title="a folder of your own with singing",
    licence="yours to state",
    source="SINGER/SONG/NAME.wav, or SINGER/NAME.wav, with texts, notes and phones beside",
    rows=iter_singing_folder,
    units={"song": lambda row: str(row.extra["unit"])},
    layout="SINGER/SONG/NAME.{wav,flac,mp3}, NAME.txt, NAME.mid, NAME.TextGrid",
    options={"phone_tier": "name of the tier of phones, where it is not found"},
)
