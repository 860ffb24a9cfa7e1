"""Opera: the cross-cultural SingingVoiceDataset of Chinese and western opera, without text, research only.

`{monophonic,polyphonic}/{chinese,western}/{fem,male}_NN/{pos,neg,neutral..}_K.wav`; only `monophonic` is singing
without accompaniment. Clips are sliced by level.

Source: Black, Li and Tian, "Automatic Identification of Emotional Cues in Chinese Opera Singing", 2014.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amphion_core import audio
from amphion_core.audio import AudioError
from amphion_core.data import Drop
from amphion_core.schema import Utterance
from amphion_data.corpora.cutting import MARGIN, slice_by_level, unreadable, with_margins
from amphion_data.corpora.listing import Listing, find_root, make_row
from amphion_data.corpus import Corpus

__all__ = ["OPERA", "iter_opera"]

_NAME = re.compile(r"(monophonic|polyphonic)/(chinese|western)/((?:fem|male)_\d+)/([^/]+)")
_LANGUAGES = {"chinese": "zh"}
_LONGEST = 20.0  # s, with the margins


def iter_opera(root: Path, *, polyphonic: str | bool = False, **_: Any) -> Iterator[Utterance | Drop]:
    """Clips by tradition, singer, recording and place in it.

    Args:
        root: the folder that holds `monophonic`.
        polyphonic: `true` reads the recordings with accompaniment as well.

    Raises:
        FileNotFoundError: `monophonic` is not there.
    """
    both = str(polyphonic).lower() in ("true", "1", "yes")
    root = find_root(root, lambda folder: (folder / "monophonic").is_dir(), "Opera needs monophonic/")
    listing = Listing(root)
    yield from listing.faults()
    for name, path in listing.audio.items():
        match = _NAME.fullmatch(name)
        if match is None:
            detail = "not of the form monophonic/TRADITION/SINGER/EMOTION_K"
            yield Drop(name.rpartition("/")[2], path, "unlisted_audio", detail, "scan")
            continue
        kind, tradition, singer, stem = match.groups()
        id = f"{tradition}_{singer}_{stem}" if kind == "monophonic" else f"{tradition}_{singer}_{stem}_polyphonic"
        if kind == "polyphonic" and not both:
            yield Drop(id, path, "filtered", "with accompaniment; the option polyphonic reads it", "scan")
            continue
        try:
            wav, rate = audio.load(root / path)
        except AudioError as error:
            yield unreadable(root, path, id, error)
            continue
        length = wav.shape[0] / rate
        clips = with_margins(slice_by_level(wav, rate, longest=_LONGEST - 2 * MARGIN), length)
        if not clips:
            yield Drop(id, path, "silent_audio", "no sound to slice", "scan")
        for number, (start, end) in enumerate(clips):
            yield make_row(
                f"{id}_{number:02d}",
                path,
                duration=round(end - start, 6),
                speaker=f"{tradition}_{singer}",
                language=_LANGUAGES.get(tradition),
                extra={
                    "source": path,
                    "start": start,
                    "end": end,
                    "style": "singing",
                    "tradition": tradition,
                    "gender": "F" if singer.startswith("fem") else "M",
                    "emotion": stem.partition("_")[0],
                },
            )


OPERA = Corpus(
    name="opera",
    title="SingingVoiceDataset (Chinese and western opera)",
    licence="unclear, research only",
    source="http://isophonics.net/SingingVoiceDataset",
    rows=iter_opera,
    units={"singer": lambda row: str(row.speaker)},
    sample_rate=44_100,
    layout="monophonic/chinese|western/fem_NN|male_NN/EMOTION_K.wav",
    options={"polyphonic": "true reads the recordings with accompaniment as well"},
)
