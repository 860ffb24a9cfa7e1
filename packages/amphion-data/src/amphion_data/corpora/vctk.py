"""VCTK 0.80 and 0.92: about 44 h of read English, 109 and 110 speakers of many accents, 48 kHz, CC BY 4.0.

0.80: `wav48/p225/p225_001.wav`; 0.92: `wav48_silence_trimmed/p225/p225_001_mic1.flac` and `..._mic2.flac`; in both
`txt/p225/p225_001.txt` and `speaker-info.txt`. The voice p315 has audio without text in both.

Source: Yamagishi, Veaux and MacDonald, "CSTR VCTK Corpus", 2019.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from amphion_core.data import Drop
from amphion_core.schema import Utterance
from amphion_data.corpora.listing import Listing, about_lines, find_root, make_row, read_utf8
from amphion_data.corpus import Corpus
from amphion_data.figures import Figures

__all__ = ["VCTK", "iter_vctk"]

_OLD, _NEW = "wav48", "wav48_silence_trimmed"
_MICROPHONES = ("mic1", "mic2", "both")
_PARALLEL = range(1, 25)
"""Sentences that all speakers read: the rainbow passage and the elicitation paragraph."""


def iter_vctk(
    root: Path, *, language: str = "en", require_text: bool = True, mic: str = "mic1", **_: Any
) -> Iterator[Utterance | Drop]:
    """Rows by speaker and sentence; then texts without audio.

    Args:
        root: the folder that holds `wav48` or `wav48_silence_trimmed`.
        language: two letters.
        require_text: whether audio without text is dropped.
        mic: of 0.92, `mic1`, `mic2` or `both`; with both the ids end in it.

    Raises:
        FileNotFoundError: neither folder of audio is there.
        ValueError: another microphone.
    """
    if mic not in _MICROPHONES:
        raise ValueError(f"mic is {mic!r}; choose {', '.join(_MICROPHONES)}")
    root = find_root(root, _has_audio, f"VCTK needs {_OLD}/ or {_NEW}/, and txt/")
    folder = _NEW if (root / _NEW).is_dir() else _OLD
    listing = Listing(root, lambda path: path.split("/")[0] in (_OLD, _NEW))
    yield from listing.faults()
    about = _speakers(root)
    written = sorted(path for path in (root / "txt").glob("*/*") if path.suffix.lower() == ".txt")
    texts = {path.stem: path for path in written if not path.name.startswith(".")}
    heard: set[str] = set()
    for name, path in listing.audio.items():
        stem = PurePosixPath(name).name
        if not path.startswith(f"{folder}/"):
            yield Drop(stem, path, "filtered", f"of the other version; {folder} is read where both are", "scan")
            continue
        match = re.fullmatch(r"((?:p|s)\d+)_(\d+)(?:_(mic[12]))?", stem)
        if match is None or (match[3] is None) != (folder == _OLD):
            yield Drop(stem, path, "unlisted_audio", f"not named as a sentence of {folder}", "scan")
            continue
        speaker, sentence, microphone = match.groups()
        utterance = f"{speaker}_{sentence}"
        if microphone is not None and mic not in (microphone, "both"):
            yield Drop(stem, path, "filtered", f"the microphone asked for is {mic}", "scan")
            continue
        heard.add(utterance)
        extra = {"mic": microphone, "parallel": int(sentence) in _PARALLEL or None, **about.get(speaker, {})}
        text = texts.get(utterance)
        id = stem if mic == "both" and microphone else utterance
        try:
            raw = None if text is None else read_utf8(text)
        except ValueError as error:
            yield Drop(id, path, "bad_row", str(error), "scan")
            continue
        yield make_row(
            id,
            path,
            raw=raw,
            require_text=require_text,
            looked_for=f"txt/{speaker}/{utterance}.txt",
            speaker=speaker,
            language=language,
            extra=extra,
        )
    for utterance, text in texts.items():
        if utterance not in heard:
            where = text.relative_to(root).as_posix()
            yield Drop(utterance, "", "missing_audio", f"{where} has no audio of {mic} in {folder}", "scan")


def _speakers(root: Path) -> dict[str, dict[str, Any]]:
    """What speaker-info.txt says of each voice: age, gender, accent, region."""
    found: dict[str, dict[str, Any]] = {}
    for _, line in about_lines(root, ["speaker-info.txt"], "age, gender, accent and region"):
        match = re.fullmatch(r"\s*([ps]?\d+)\s+(\d+)\s+([FM])\s+(\S+)\s*([^(]*)(?:\(.*)?", line)
        if match is None:
            continue
        id, age, gender, accent, region = match.groups()
        name = id if id[0] in "ps" else f"p{id}"
        found[name] = {
            "age": int(age),
            "gender": gender,
            "accent": accent,
            "region": " ".join(region.split()) or None,
        }
    return found


def _has_audio(folder: Path) -> bool:
    return (folder / _OLD).is_dir() or (folder / _NEW).is_dir()


VCTK = Corpus(
    name="vctk",
    title="CSTR VCTK Corpus (0.80 and 0.92)",
    licence="CC BY 4.0",
    source="https://datashare.ed.ac.uk/handle/10283/3443",
    rows=iter_vctk,
    units={
        "speaker": lambda row: str(row.speaker),
        "sentence": lambda row: row.id.split("_")[1],
    },
    languages=("en",),
    hours=44.0,
    speakers=110,
    sample_rate=48_000,
    layout="wav48/SPEAKER/ID.wav or wav48_silence_trimmed/SPEAKER/ID_mic1.flac, txt/SPEAKER/ID.txt",
    figures=(
        Figures(part="0.80", speakers=108, hours=44.0),  # of 109, one has no text
        Figures(part="0.92 mic1", speakers=109, hours=44.0),
        Figures(part="0.92 mic2", speakers=108, hours=44.0),  # p280 and p315 have none
    ),
    part=lambda row: f"0.92 {row.extra['mic']}" if row.extra.get("mic") else "0.80",
    options={"mic": "mic1 (default), mic2 or both, of version 0.92"},
)
