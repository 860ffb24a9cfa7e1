"""PopCS: about 5.9 h of Mandarin singing by one female singer, 117 songs, 24 kHz, non-commercial.

`popcs/popcs-SONG/NNNN_wf0.wav`, `NNNN.txt` (lyrics), `NNNN_ph.txt` (phones) and `NNNN.TextGrid`. There are no notes.

Source: Liu et al., "DiffSinger: Singing Voice Synthesis via Shallow Diffusion Mechanism", 2022, arXiv:2105.02446.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amphion_core.data import Drop
from amphion_core.schema import Utterance
from amphion_data.corpora.cutting import grid_phones, phone_values
from amphion_data.corpora.listing import Listing, find_root, make_row, seconds_of
from amphion_data.corpus import Corpus
from amphion_data.figures import Figures
from amphion_data.scores.phones import is_special, special_phone

__all__ = ["POPCS", "iter_popcs"]

_PREFIX, _SUFFIX = "popcs-", "_wf0"


def iter_popcs(
    root: Path,
    *,
    speaker: str = "popcs",
    language: str = "zh",
    require_text: bool = True,
    phone_tier: str | None = None,
    **_: Any,
) -> Iterator[Utterance | Drop]:
    """Rows by song and number.

    Args:
        root: the folder that holds the songs, or the one above it.
        speaker: label of the voice.
        language: two letters.
        require_text: whether clips without lyrics are dropped.
        phone_tier: name of the tier of phones; None finds it.

    Raises:
        FileNotFoundError: there is no song.
    """
    root = find_root(root, lambda folder: any(folder.glob(f"{_PREFIX}*/")), f"PopCS needs folders {_PREFIX}SONG")
    listing = Listing(root, lambda path: path.startswith(_PREFIX) and "/" in path)
    yield from listing.faults()
    for name, path in listing.audio.items():
        folder, stem = name.rpartition("/")[::2]
        song, number = folder.removeprefix(_PREFIX), stem.removesuffix(_SUFFIX)
        id = f"{song}_{number}"
        base = f"{folder}/{number}"
        try:
            raw, spelt = listing.text(f"{base}.txt"), listing.text(f"{base}_ph.txt")
            labels, warnings = _labels(listing.file(f"{base}.TextGrid"), spelt, phone_tier, root / path)
        except ValueError as error:
            yield Drop(id, path, "bad_row", str(error), "scan")
            continue
        yield make_row(
            id,
            path,
            raw=raw,
            require_text=require_text,
            looked_for=f"{number}.txt beside it",
            speaker=speaker,
            language=language,
            extra={"song": song, "style": "singing", **labels, "warnings": warnings or None},
        )

    def audio_of(name: str) -> str | None:
        base = name.removesuffix("_ph")
        is_clip = base.rpartition("/")[2].isdecimal()
        return f"{base}{_SUFFIX}" if is_clip and base not in listing.audio else None

    for name, path in listing.orphans(".txt", ".textgrid", audio_of=audio_of):
        folder, stem = name.rpartition("/")[::2]
        id = f"{folder.removeprefix(_PREFIX)}_{stem.removesuffix(_SUFFIX)}"
        yield make_row(id, None, looked_for=f"{name}.wav; {path} is there")


def _labels(grid: Path | None, spelt: str | None, tier: str | None, audio: Path) -> tuple[dict[str, Any], list[str]]:
    """Phones with their times of the TextGrid, or the list of phones alone.

    Raises:
        ValueError: no TextGrid, or one that is not of this audio.
    """
    if grid is None:
        phones = [special_phone(phone) or phone for phone in (spelt or "").split()]
        return ({"phones": phones} if phones else {}), []
    intervals, warnings = grid_phones(grid, tier, seconds_of(audio))
    sung = [i.label for i in intervals if not is_special(i.label)]
    listed = [special_phone(phone) or phone for phone in (spelt or "").split()]
    if listed and sung != [phone for phone in listed if not is_special(phone)]:
        warnings.append(f"phones_differ: {len(sung)} in the TextGrid, {len(listed)} in _ph.txt")
    return phone_values(intervals, 0.0), warnings


POPCS = Corpus(
    name="popcs",
    title="PopCS",
    licence="non-commercial, on application",
    source="https://github.com/MoonInTheRiver/DiffSinger",
    rows=iter_popcs,
    units={"song": lambda row: str(row.extra["song"])},
    languages=("zh",),
    hours=5.9,
    speakers=1,
    sample_rate=24_000,
    figures=(Figures(groups=117, speakers=1, hours=5.9),),
    layout="popcs-SONG/NNNN{_wf0.wav,.txt,_ph.txt,.TextGrid}",
    options={"phone_tier": "name of the tier of phones, where it is not found"},
)
