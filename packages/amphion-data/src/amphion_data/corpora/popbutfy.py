"""PopBuTFy: about 40 h of English singing, 22 singers, 443 songs, each sung as an amateur and as a professional.

`data/SINGER#singing#SONG_{Amateur,Professional}/SINGER#singing#SONG_{Amateur,Professional}_K.mp3`; texts, where the
archive of labels is there, in `text_labels/STEM.txt` or folders below.

Source: Liu et al., "Learning the Beauty in Songs: Neural Singing Voice Beautifier", 2022, arXiv:2202.13277.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from amphion_core.data import Drop
from amphion_core.schema import Utterance
from amphion_data.corpora.listing import Listing, find_root, make_row, nfc
from amphion_data.corpus import Corpus
from amphion_data.figures import Figures
from amphion_data.files import is_audio

__all__ = ["POPBUTFY", "iter_popbutfy"]

_STEM = re.compile(r"(?P<singer>[^#]+)#(?P<style>[^#]+)#(?P<song>.+)_(?P<quality>Amateur|Professional)_(?P<clip>\d+)")
_TEXTS = "text_labels/"
_BEGINNING = 0.1  # s
_OTHER = {"Amateur": "Professional", "Professional": "Amateur"}


def iter_popbutfy(root: Path, *, language: str = "en", **_: Any) -> Iterator[Utterance | Drop]:
    """Rows by folder and number; each names its pair, the same phrase in the other quality, where that is a row too.

    Args:
        root: the folder that holds `data`, or that folder.
        language: two letters.

    Raises:
        FileNotFoundError: there is no folder of a song.
    """

    def has_songs(folder: Path) -> bool:
        return any(any(folder.glob(f"{part}*#*#*_*/")) for part in ("data/", ""))

    root = find_root(root, has_songs, "PopBuTFy needs data/SINGER#singing#SONG_QUALITY/")
    listing = Listing(root, lambda path: not (path.startswith(_TEXTS) and is_audio(path)))
    yield from listing.faults()
    texts = _texts(listing)
    items = [
        _row(name, path, listing, texts.get(name.rpartition("/")[2]), language) for name, path in listing.audio.items()
    ]
    rows: dict[str, str] = {}
    for item in items:
        if isinstance(item, Utterance):
            rows.setdefault(item.id, item.audio)
    for item in items:
        yield item if isinstance(item, Drop) else _paired(item, rows, root)
    stems = {name.rpartition("/")[2] for name in listing.audio}
    for stem, path in texts.items():
        if stem not in stems and _STEM.fullmatch(stem):
            yield make_row(stem, None, looked_for=f"{stem}.mp3; {path} is there")


def _texts(listing: Listing) -> dict[str, str]:
    """Texts of the archive of labels: stem to path."""
    found: dict[str, str] = {}
    for path in map(PurePosixPath, listing.files):
        if str(path).startswith(_TEXTS) and path.suffix.lower() == ".txt":
            found.setdefault(nfc(path.stem), str(path))
    return found


def _row(name: str, path: str, listing: Listing, text: str | None, language: str) -> Utterance | Drop:
    """A row whose `extra.pair` is the id that its pair would have."""
    stem = name.rpartition("/")[2]
    match = _STEM.fullmatch(stem)
    if match is None:
        return Drop(stem, path, "unlisted_audio", "not of the form SINGER#singing#SONG_QUALITY_K", "scan")
    try:
        raw = None if text is None else listing.text(text)
    except ValueError as error:
        return Drop(stem, path, "bad_row", str(error), "scan")
    return make_row(
        stem,
        path,
        raw=raw,
        speaker=match["singer"],
        language=language,
        extra={
            "song": match["song"],
            "quality": match["quality"].lower(),
            "style": match["style"],
            "pair": f"{stem[: match.start('quality')]}{_OTHER[match['quality']]}_{match['clip']}",
        },
    )


def _paired(row: Utterance, rows: Mapping[str, str], root: Path) -> Utterance:
    """A row that names its pair only where that is a row whose audio can be opened."""
    audio = rows.get(row.extra["pair"])
    if audio is not None and _opens(root / audio):
        return row
    return replace(row, extra={name: value for name, value in row.extra.items() if name != "pair"})


def _opens(path: Path) -> bool:
    """Whether an audio file begins as one; all of 40 h of MP3 is not decoded for that."""
    from amphion_core.audio import AudioError, load

    try:
        load(path, duration=_BEGINNING)
    except (AudioError, OSError):
        return False
    return True


POPBUTFY = Corpus(
    name="popbutfy",
    title="PopBuTFy (English part)",
    licence="research only, on registration",
    source="https://github.com/MoonInTheRiver/NeuralSVB",
    rows=iter_popbutfy,
    units={"song": lambda row: str(row.extra["song"])},
    languages=("en",),
    hours=40.0,
    speakers=22,
    figures=(Figures(groups=443, speakers=22, hours=40.0),),
    layout="data/SINGER#singing#SONG_QUALITY/SINGER#singing#SONG_QUALITY_K.mp3",
)
