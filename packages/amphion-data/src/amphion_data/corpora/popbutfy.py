"""PopBuTFy: about 40 h of English singing, 22 singers, 443 songs, each sung as an amateur and as a professional.

`data/SINGER#singing#SONG_{Amateur,Professional}/SINGER#singing#SONG_{Amateur,Professional}_K.mp3`; texts, where the
archive of labels is there, in `text_labels/STEM.txt`.

Source: Liu et al., "Learning the Beauty in Songs: Neural Singing Voice Beautifier", 2022, arXiv:2202.13277.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amphion_core.data import Drop
from amphion_core.schema import Utterance
from amphion_data.corpora.listing import Listing, find_root, make_row
from amphion_data.corpus import Corpus
from amphion_data.figures import Figures

__all__ = ["POPBUTFY", "iter_popbutfy"]

_STEM = re.compile(r"(?P<singer>[^#]+)#(?P<style>[^#]+)#(?P<song>.+)_(?P<quality>Amateur|Professional)_(?P<clip>\d+)")
_OTHER = {"Amateur": "Professional", "Professional": "Amateur"}


def iter_popbutfy(root: Path, *, language: str = "en", **_: Any) -> Iterator[Utterance | Drop]:
    """Rows by folder and number; each names its pair, the same phrase in the other quality.

    Args:
        root: the folder that holds `data`, or that folder.
        language: two letters.

    Raises:
        FileNotFoundError: there is no folder of a song.
    """

    def has_songs(folder: Path) -> bool:
        return any(any(folder.glob(f"{part}*#*#*_*/")) for part in ("data/", ""))

    root = find_root(root, has_songs, "PopBuTFy needs data/SINGER#singing#SONG_QUALITY/")
    listing = Listing(root, lambda path: not path.startswith("text_labels/"))
    texts = {path.rpartition("/")[2]: path for path in Listing(root).files if path.startswith("text_labels/")}
    yield from listing.faults()
    stems = {name.rpartition("/")[2] for name in listing.audio}
    seen: dict[str, str] = {}
    for name, path in listing.audio.items():
        stem = name.rpartition("/")[2]
        match = _STEM.fullmatch(stem)
        if match is None:
            yield Drop(stem, path, "unlisted_audio", "not of the form SINGER#singing#SONG_QUALITY_K", "scan")
            continue
        if stem in seen:
            yield Drop(stem, path, "duplicate_id", f"the id is that of {seen[stem]}", "scan")
            continue
        seen[stem] = path
        head = stem[: match.start("quality")]
        pair = f"{head}{_OTHER[match['quality']]}_{match['clip']}"
        try:
            raw = listing.text(texts[f"{stem}.txt"]) if f"{stem}.txt" in texts else None
        except ValueError as error:
            yield Drop(stem, path, "bad_row", str(error), "scan")
            continue
        yield make_row(
            stem,
            path,
            raw=raw,
            speaker=match["singer"],
            language=language,
            extra={
                "song": match["song"],
                "quality": match["quality"].lower(),
                "style": match["style"],
                "pair": pair if pair in stems else None,
            },
        )


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
