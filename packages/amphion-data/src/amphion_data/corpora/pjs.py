"""PJS 1.1: 100 short Japanese songs, 27 min, and the same sentences read, one male singer, 48 kHz, CC BY-SA 4.0.

`pjs001/pjs001{_song.wav,_speech.wav,.lab,.mid,.musicxml,.txt}`; the labels are of the song, in units of 100 ns. The
folder `background_noise` is no voice.

Source: Koguchi, Takamichi and Morise, "PJS: Phoneme-Balanced Japanese Singing-Voice Corpus", 2020, arXiv:2006.02959.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amphion_core.data import Drop
from amphion_core.schema import Utterance
from amphion_data.corpora.cutting import cut_at_pauses, length_of, note_values, phone_values, with_margins
from amphion_data.corpora.listing import Listing, find_root, make_row
from amphion_data.corpus import Corpus
from amphion_data.figures import Figures
from amphion_data.scores.lab import read_lab
from amphion_data.scores.musicxml import read_musicxml
from amphion_data.scores.timeline import Interval

__all__ = ["PJS", "iter_pjs"]

_NAME = re.compile(r"(pjs\d+)/(pjs\d+)_(song|speech)")
_PAUSES = frozenset({"pau", "sil"})
_SHORTEST_PAUSE = 0.3
_LONGEST_SONG = 30.0
"""Seconds; a longer song is cut at its pauses."""


def iter_pjs(
    root: Path, *, speaker: str = "pjs", language: str = "ja", require_text: bool = True, **_: Any
) -> Iterator[Utterance | Drop]:
    """Rows by number, the song before the speech; a song of over 30 s in pieces, which have phones and no text.

    Args:
        root: the folder that holds `pjs001` and so on.
        speaker: label of the voice.
        language: two letters.
        require_text: whether recordings without a sentence are dropped.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    root = find_root(root, lambda folder: any(folder.glob("pjs[0-9]*/")), "PJS needs folders pjs001, pjs002 ...")
    listing = Listing(root)
    yield from listing.faults()
    for name, path in listing.audio.items():
        match = _NAME.fullmatch(name)
        if match is None or match[1] != match[2]:
            detail = "noise, not a voice" if name.startswith("background_noise/") else "not pjsNNN/pjsNNN_song|speech"
            yield Drop(name.rpartition("/")[2], path, "unlisted_audio", detail, "scan")
            continue
        song, style = match[1], "singing" if match[3] == "song" else "speech"
        id = f"{song}_{match[3]}"
        extra = {"song": song, "style": style}
        try:
            raw = listing.text(f"{song}/{song}.txt")
            if style == "speech":
                yield make_row(
                    id,
                    path,
                    raw=raw,
                    require_text=require_text,
                    looked_for=f"{song}.txt",
                    speaker=speaker,
                    language=language,
                    extra=extra,
                )
                continue
            labels = listing.file(f"{song}/{song}.lab")
            intervals = read_lab(labels) if labels else []
            yield from _song(root, id, path, raw, intervals, listing, extra, (speaker, language, require_text))
        except ValueError as error:
            yield Drop(id, path, "bad_row", str(error), "scan")


def _song(
    root: Path,
    id: str,
    path: str,
    raw: str | None,
    intervals: list[Interval],
    listing: Listing,
    extra: dict[str, Any],
    voice: tuple[str, str, bool],
) -> Iterator[Utterance | Drop]:
    speaker, language, require_text = voice
    length = length_of(root, path, id)
    if isinstance(length, Drop):
        yield length
        return
    if length <= _LONGEST_SONG or not intervals:
        score = listing.file(f"{extra['song']}/{extra['song']}.musicxml")
        notes, warnings = _notes(score)
        yield make_row(
            id,
            path,
            raw=raw,
            require_text=require_text,
            looked_for=f"{extra['song']}.txt",
            speaker=speaker,
            language=language,
            extra={
                **extra,
                **(phone_values(intervals, 0.0) if intervals else {}),
                "score_notes": notes,
                "warnings": warnings,
            },
        )
        return
    phrases = cut_at_pauses(intervals, _PAUSES, _SHORTEST_PAUSE)
    stretches = with_margins([(phrase[0].start, min(phrase[-1].end, length)) for phrase in phrases], length)
    for number, (phrase, (start, end)) in enumerate(zip(phrases, stretches, strict=True)):
        yield make_row(
            f"{id}_{number}",
            path,
            duration=round(end - start, 6),
            speaker=speaker,
            language=language,
            extra={**extra, "source": path, "start": start, "end": end, **phone_values(phrase, start)},
        )


def _notes(path: Path | None) -> tuple[list[dict[str, Any]] | None, list[str] | None]:
    """Notes as the score writes them, which is not when they were sung."""
    if path is None:
        return None, None
    try:
        melody = read_musicxml(path)
    except ValueError as error:
        return None, [f"score: {error}"]
    return note_values(melody.notes, 0.0), [f"score: {warning}" for warning in melody.warnings] or None


PJS = Corpus(
    name="pjs",
    title="PJS: phoneme-balanced Japanese singing voice (1.1)",
    licence="CC BY-SA 4.0",
    source="https://sites.google.com/site/shinnosuketakamichi/research-topics/pjs_corpus",
    rows=iter_pjs,
    units={"song": lambda row: str(row.extra["song"])},
    languages=("ja",),
    clips=200,
    speakers=1,
    sample_rate=48_000,
    figures=(
        Figures(part="singing", recordings=100, groups=100, hours_uncut=0.45),
        Figures(part="speech", recordings=100, groups=100),
        Figures(recordings=200, groups=100, speakers=1),
    ),
    part=lambda row: str(row.extra.get("style") or ""),
    layout="pjsNNN/pjsNNN{_song.wav,_speech.wav,.lab,.mid,.musicxml,.txt}",
)
