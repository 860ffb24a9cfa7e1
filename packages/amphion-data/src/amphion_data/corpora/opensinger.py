"""OpenSinger: about 50 h of Mandarin singing, 66 singers, 44.1 kHz, CC BY-NC-SA.

`{ManRaw,WomanRaw}/N_SONG/N_SONG_K.{wav,txt,lab}`. The same number is another singer in the other folder; titles may
hold underscores.

Source: Huang et al., "Multi-Singer: Fast Multi-Singer Singing Voice Vocoder With A Large-Scale Corpus", 2021,
arXiv:2112.10358.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amphion_core.data import Drop
from amphion_core.schema import Utterance
from amphion_data.corpora.listing import Listing, find_root, make_row, nfc
from amphion_data.corpus import Corpus
from amphion_data.figures import Figures

__all__ = ["OPENSINGER", "iter_opensinger"]

_FOLDERS = {"ManRaw": ("Man", "M"), "WomanRaw": ("Woman", "F")}


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


def _row(name: str, path: str, listing: Listing, language: str, require_text: bool) -> Utterance | Drop:
    parts = name.split("/")
    stem = parts[-1]
    number, _, rest = stem.partition("_")
    song, _, clip = rest.rpartition("_")
    if len(parts) != 3 or not number.isdecimal() or not song or not clip.isdecimal():
        return Drop(stem, path, "unlisted_audio", "not of the form FOLDER/N_SONG/N_SONG_K", "scan")
    kind, gender = _FOLDERS[parts[0]]
    speaker = f"{kind}_{number}"
    id = nfc(f"{speaker}_{song}_{clip}")
    if parts[1].partition("_")[0] != number:
        detail = f"the folder {parts[1]} is of another singer than the file {stem}"
        return Drop(id, path, "wrong_speaker", detail, "scan")
    try:
        raw, phones = listing.text(f"{name}.txt"), listing.text(f"{name}.lab")
    except ValueError as error:
        return Drop(id, path, "bad_row", str(error), "scan")
    return make_row(
        id,
        path,
        raw=raw,
        require_text=require_text,
        looked_for=f"{stem}.txt beside it",
        speaker=speaker,
        language=language,
        extra={
            "song": song,
            "gender": gender,
            "style": "singing",
            "phones": None if phones is None else phones.split(),
        },
    )


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
