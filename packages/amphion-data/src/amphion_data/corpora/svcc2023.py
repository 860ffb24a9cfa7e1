"""SVCC 2023, the data of the singing voice conversion challenge: six voices of the NHSS corpus, English, 24 kHz.

The archive of the challenge, `Data/{IDF1,IDM1,CDF1,CDM1}/1NNNN.wav`, or what the organisers' script makes of NHSS:
`{IDF1,...}/1NNNN.{wav,txt}`, `evaluation/{SF1,SM1}/3NNNN.wav`, `ground_truth/{IDF1,...}/3NNNN.wav`.

Source: Huang et al., "The Singing Voice Conversion Challenge 2023", 2023, arXiv:2306.14422.
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

__all__ = ["SVCC2023", "iter_svcc2023"]

_STYLES = {"IDF1": "singing", "IDM1": "singing", "CDF1": "speech", "CDM1": "speech", "SF1": "singing", "SM1": "singing"}
_TARGETS = ("IDF1", "IDM1", "CDF1", "CDM1")
_SOURCES = ("SF1", "SM1")


def iter_svcc2023(root: Path, *, language: str = "en", **_: Any) -> Iterator[Utterance | Drop]:
    """Rows by role, voice, number; those without text are kept, since conversion needs none; then texts without audio.

    Args:
        root: the folder that holds the voices, or `Data`.
        language: two letters.

    Raises:
        FileNotFoundError: none of the voices is there.
    """

    def has_voice(folder: Path) -> bool:
        return any((folder / part / name).is_dir() for part in (".", "Data") for name in _TARGETS)

    root = find_root(root, has_voice, f"SVCC 2023 needs folders {', '.join(_TARGETS)}")
    listing = Listing(root)
    yield from listing.faults()
    for name, path in listing.audio.items():
        parts = _parts(name)
        role = _role(parts)
        if role is None:
            detail = f"not {'|'.join(_TARGETS)}/1NNNN, evaluation/VOICE/3NNNN or ground_truth/VOICE/3NNNN"
            yield Drop(parts[-1], path, "unlisted_audio", detail, "scan")
            continue
        voice = parts[-2]
        try:
            raw = listing.text(f"{name}.txt")
        except ValueError as error:
            yield Drop(f"{voice}_{parts[-1]}", path, "bad_row", str(error), "scan")
            continue
        yield make_row(
            f"{voice}_{parts[-1]}",
            path,
            raw=raw,
            speaker=f"svcc_{voice}",
            language=language,
            extra={
                "style": _STYLES[voice] if role != "ground_truth" else "singing",
                "role": role,
                "split": "train" if role == "target" else "test",
            },
        )
    for name, path in listing.orphans(".txt", audio_of=lambda name: name if _role(_parts(name)) else None):
        voice, number = _parts(name)[-2:]
        yield Drop(f"{voice}_{number}", f"{name}.wav", "missing_audio", f"{path} is there, {name}.wav is not", "scan")


def _parts(name: str) -> list[str]:
    return name.removeprefix("Data/").split("/")


def _role(parts: list[str]) -> str | None:
    """What a phrase is for; numbers from 30001 on are those of the evaluation, which nothing is trained on."""
    *folders, number = parts
    if re.fullmatch(r"1\d{4}", number):
        return "target" if len(folders) == 1 and folders[0] in _TARGETS else None
    if len(folders) != 2 or not re.fullmatch(r"3\d{4}", number):
        return None
    if folders[0] == "evaluation" and folders[1] in _SOURCES:
        return "source"
    return "ground_truth" if folders[0] == "ground_truth" and folders[1] in _TARGETS else None


SVCC2023 = Corpus(
    name="svcc2023",
    title="Singing Voice Conversion Challenge 2023",
    licence="NHSS agreement, research only",
    source="https://www.vc-challenge.org/",
    rows=iter_svcc2023,
    units={"phrase": lambda row: row.id.rpartition("_")[2]},
    languages=("en",),
    speakers=6,
    sample_rate=24_000,
    figures=(
        Figures(part="target", speakers=4),
        Figures(part="source", rows=48, groups=24, speakers=2),
    ),
    part=lambda row: str(row.extra.get("role") or ""),
    layout="[Data/]IDF1|IDM1|CDF1|CDM1/1NNNN.wav, evaluation/SF1|SM1/3NNNN.wav, ground_truth/VOICE/3NNNN.wav",
)
