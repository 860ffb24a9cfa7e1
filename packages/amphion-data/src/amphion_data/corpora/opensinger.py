"""OpenSinger: about 50 h of Mandarin singing, 66 singers, 44.1 kHz, CC BY-NC-SA.

`{ManRaw,WomanRaw}/N_SONG/N_SONG_K.{wav,txt,lab}`. The same number is another singer in the other folder; titles may
hold underscores. The `.lab` holds phones or pinyin; where it has three columns, the first two are times.

Source: Huang et al., "Multi-Singer: Fast Multi-Singer Singing Voice Vocoder With A Large-Scale Corpus", 2021,
arXiv:2112.10358.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from amphion_core.data import Drop
from amphion_core.schema import Utterance
from amphion_data.corpora.cutting import phone_values, times_fault
from amphion_data.corpora.listing import Listing, find_root, make_row, nfc, seconds_of
from amphion_data.corpus import Corpus
from amphion_data.figures import Figures
from amphion_data.scores.lab import read_lab

__all__ = ["OPENSINGER", "iter_opensinger"]

_FOLDERS = {"ManRaw": ("Man", "M"), "WomanRaw": ("Woman", "F")}
_TIMES = re.compile(r"\s*[\d.]+\s+[\d.]+\s+\S")


class _Name(NamedTuple):
    """What the name of a clip says."""

    id: str
    speaker: str
    gender: str
    song: str
    number: str


def iter_opensinger(
    root: Path, *, language: str = "zh", require_text: bool = True, **_: Any
) -> Iterator[Utterance | Drop]:
    """Rows by folder, singer, song and number.

    Args:
        root: the folder that holds `ManRaw` and `WomanRaw`, or one of them.
        language: two letters.
        require_text: whether clips without lyrics are dropped.

    Raises:
        FileNotFoundError: neither folder is there.
    """

    def has_folder(folder: Path) -> bool:
        return any((folder / name).is_dir() for name in _FOLDERS)

    root = find_root(root, has_folder, "OpenSinger needs ManRaw/ or WomanRaw/")
    listing = Listing(root, lambda path: path.split("/")[0] in _FOLDERS)
    yield from listing.faults()
    for name, path in listing.audio.items():
        yield _row(name, path, listing, language, require_text)
    for name, path in listing.orphans(".txt", ".lab"):
        if known := _parsed(name):
            yield make_row(known.id, None, looked_for=f"{name}.wav; {path} is there")


def _parsed(name: str) -> _Name | None:
    """The parts of FOLDER/N_SONG/N_SONG_K; None where a name is not of this form."""
    parts = name.split("/")
    number, _, rest = parts[-1].partition("_")
    song, _, clip = rest.rpartition("_")
    if len(parts) != 3 or not number.isdecimal() or not song or not clip.isdecimal():
        return None
    kind, gender = _FOLDERS[parts[0]]
    return _Name(nfc(f"{kind}_{number}_{song}_{clip}"), f"{kind}_{number}", gender, song, number)


def _row(name: str, path: str, listing: Listing, language: str, require_text: bool) -> Utterance | Drop:
    known = _parsed(name)
    folder, stem = name.split("/")[-2:] if "/" in name else ("", name)
    if known is None:
        return Drop(stem, path, "unlisted_audio", "not of the form FOLDER/N_SONG/N_SONG_K", "scan")
    if folder.partition("_")[0] != known.number:
        detail = f"the folder {folder} is of another singer than the file {stem}"
        return Drop(known.id, path, "wrong_speaker", detail, "scan")
    try:
        raw, lab = listing.text(f"{name}.txt"), listing.text(f"{name}.lab")
        labels = _labels(lab, f"{stem}.lab", listing.root / path)
    except ValueError as error:
        return Drop(known.id, path, "bad_row", str(error), "scan")
    return make_row(
        known.id,
        path,
        raw=raw,
        require_text=require_text,
        looked_for=f"{stem}.txt beside it",
        speaker=known.speaker,
        language=language,
        extra={"song": known.song, "gender": known.gender, "style": "singing", **labels},
    )


def _labels(content: str | None, name: str, audio: Path) -> dict[str, Any]:
    """Phones of a `.lab`, with their times where it states them.

    Raises:
        ValueError: a line of a file with times has not three columns, or they are not the times of this audio.
    """
    if content is None:
        return {}
    if not _TIMES.match(content):
        return {"phones": content.split()}
    try:
        intervals = read_lab(content.encode())
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    length = seconds_of(audio)
    fault = None if length is None else times_fault(intervals, length, whole=True)
    if fault:
        raise ValueError(f"{name}: {fault}")
    return phone_values(intervals, 0.0)


OPENSINGER = Corpus(
    name="opensinger",
    title="OpenSinger",
    licence="CC BY-NC-SA",
    source="https://github.com/Multi-Singer/Multi-Singer.github.io",
    rows=iter_opensinger,
    units={"song": lambda row: str(row.extra["song"])},
    languages=("zh",),
    hours=50.0,
    speakers=66,
    sample_rate=44_100,
    figures=(Figures(speakers=66, hours=50.0),),
    layout="ManRaw|WomanRaw/N_SONG/N_SONG_K.{wav,txt,lab}",
)
