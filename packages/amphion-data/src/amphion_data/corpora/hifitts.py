"""Hi-Fi TTS: 291.6 h of read English, 10 readers, 44.1 kHz, CC BY 4.0.

`audio/READER_{clean,other}/BOOK/STEM.flac`, and for each reader `READER_manifest_{clean,other}_{train,dev,test}.json`,
which hold a JSON object a line.

Source: Bakhturina et al., "Hi-Fi Multi-Speaker English TTS Dataset", 2021, arXiv:2104.01497.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from amphion_core.data import Drop
from amphion_core.schema import Utterance
from amphion_data.corpora.listing import Listing, decode, find_root, make_row
from amphion_data.corpus import Corpus
from amphion_data.figures import Figures
from amphion_data.files import safe_path

__all__ = ["HIFITTS", "iter_hifitts"]

_MANIFEST = re.compile(r"(\d+)_manifest_(clean|other)_(train|dev|test)\.json")
_SPLITS = {"train": "train", "dev": "valid", "test": "test"}
_MALE = frozenset({"6097", "6670", "6671", "9017"})
_FEMALE = frozenset({"92", "8051", "9136", "11614", "11697", "12787"})


def iter_hifitts(
    root: Path, *, language: str = "en", require_text: bool = True, **_: Any
) -> Iterator[Utterance | Drop]:
    """Rows in the order of the manifests, sorted by name; then the audio that none lists.

    Args:
        root: the folder that holds the manifests and `audio`.
        language: two letters.
        require_text: whether rows without text are dropped.

    Raises:
        FileNotFoundError: there is no manifest.
    """
    root = find_root(root, lambda folder: bool(_manifests(folder)), "Hi-Fi TTS needs READER_manifest_*_*.json")
    listing = Listing(root, lambda path: path.startswith("audio/"))
    yield from listing.faults()
    for manifest, reader, quality, split in _manifests(root):
        for number, line in enumerate(manifest.read_bytes().split(b"\n"), 1):
            if line.strip():
                where = f"{manifest.name}:{number}"
                yield _row(line, where, root, listing, (reader, quality, split), language, require_text)
    yield from listing.rest("no manifest lists it")


def _row(
    line: bytes,
    where: str,
    root: Path,
    listing: Listing,
    kind: tuple[str, str, str],
    language: str,
    require_text: bool,
) -> Utterance | Drop:
    reader, quality, split = kind
    fault = None
    try:
        decode(line, where)
    except ValueError as error:
        fault = str(error)
    try:
        values = json.loads(line.decode("utf-8-sig", "replace"))  # the names of a row with a fault are still of use
        if not isinstance(values, dict):
            raise ValueError(f"expected a JSON object, found {type(values).__name__}")
        stated = values.get("audio_filepath")
        if not isinstance(stated, str) or not stated.strip():
            raise ValueError("no audio_filepath")
    except ValueError as error:
        return Drop(where, "", "bad_row", fault or f"{where}: {error}", "scan")
    try:
        name = safe_path(stated, root)
    except ValueError as error:
        return Drop(_id(reader, quality, stated), "", "unsafe_path", f"{where}: {error}", "scan")
    id = _id(reader, quality, name)
    audio = listing.find(name.removesuffix(PurePosixPath(name).suffix))  # listed from here on, whatever the row says
    duration = values.get("duration", 0.0)
    raw, text, plain = (values.get(key) for key in ("text_no_preprocessing", "text_normalized", "text"))
    strange = [value for value in (raw, text, plain) if value is not None and not isinstance(value, str)]
    if isinstance(duration, bool) or not isinstance(duration, int | float) or not 0 <= duration < float("inf"):
        fault = fault or f"{where}: the duration is {duration!r}, a number of seconds was expected"
    elif strange:
        fault = fault or f"{where}: the text is {strange[0]!r}"
    if fault:
        return Drop(id, audio or "", "bad_row", fault, "scan")
    gender = "M" if reader in _MALE else "F" if reader in _FEMALE else None
    return make_row(
        id,
        audio,
        raw=raw if raw is not None else text if text is not None else plain,
        text=text if text is not None else plain,
        require_text=require_text,
        looked_for=f"{where}: {name}",
        duration=float(duration),
        speaker=reader,
        language=language,
        extra={
            "quality": quality,
            "book": PurePosixPath(name).parent.name,
            "split": _SPLITS[split],
            "gender": gender,
            "text_plain": plain,
            "warnings": ["text_from_plain"] if text is None and plain is not None else None,
        },
    )


def _id(reader: str, quality: str, path: str) -> str:
    """READER_QUALITY_BOOK_STEM; a stem alone is not unique."""
    parts = PurePosixPath(path)
    return f"{reader}_{quality}_{parts.parent.name}_{parts.stem}"


def _manifests(folder: Path) -> list[tuple[Path, str, str, str]]:
    if not folder.is_dir():
        return []
    named = [(path, _MANIFEST.fullmatch(path.name)) for path in sorted(folder.iterdir())]
    return [(path, match[1], match[2], match[3]) for path, match in named if match]


HIFITTS = Corpus(
    name="hifitts",
    title="Hi-Fi Multi-Speaker English TTS (v0)",
    licence="CC BY 4.0",
    source="https://www.openslr.org/109/",
    rows=iter_hifitts,
    units={"book": lambda row: f"{row.speaker}_{row.extra['book']}", "speaker": lambda row: str(row.speaker)},
    languages=("en",),
    hours=291.6,
    clips=323_978,
    speakers=10,
    sample_rate=44_100,
    figures=(
        Figures(part="clean train", rows=125_989),
        Figures(part="other train", rows=196_489),
        Figures(part="clean valid", rows=150),
        Figures(part="other valid", rows=350),
        Figures(part="clean test", rows=300),
        Figures(part="other test", rows=700),
        Figures(rows=323_978, speakers=10, hours=291.6),
    ),
    part=lambda row: f"{row.extra.get('quality')} {row.extra.get('split')}",
    layout="READER_manifest_QUALITY_SPLIT.json, audio/READER_QUALITY/BOOK/STEM.flac",
)
