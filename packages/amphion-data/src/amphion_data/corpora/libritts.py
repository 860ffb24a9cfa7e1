"""LibriTTS and LibriTTS-R: 585.8 h of read English, 2,456 speakers, 24 kHz, CC BY 4.0.

`SUBSET/SPEAKER/CHAPTER/SPEAKER_CHAPTER_PPPPPP_SSSSSS.{wav,normalized.txt,original.txt}`, and for each chapter
`SPEAKER_CHAPTER.trans.tsv` and `.book.tsv`; `SPEAKERS.txt` beside the subsets. Any of the subsets may be there. A tab
table here is never quoted.

Source: Zen et al., "LibriTTS", 2019, arXiv:1904.02882; Koizumi et al., "LibriTTS-R", 2023, arXiv:2305.18802.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from amphion_core.data import Drop
from amphion_core.schema import Utterance
from amphion_data.corpora.listing import Listing, about_lines, decode, find_root, make_row
from amphion_data.corpus import Corpus
from amphion_data.figures import Figures

__all__ = ["LIBRITTS", "LIBRITTS_R", "SUBSETS", "iter_libritts"]

SUBSETS = {
    "train-clean-100": 33_236,
    "train-clean-360": 116_500,
    "train-other-500": 205_044,
    "dev-clean": 5_736,
    "dev-other": 4_613,
    "test-clean": 4_837,
    "test-other": 5_120,
}
"""Utterances of each."""
_FIGURES = tuple(
    Figures(part=part, rows=SUBSETS[part], speakers=speakers, hours=hours)
    for part, speakers, hours in (
        ("train-clean-100", 247, 53.8),
        ("train-clean-360", 904, 191.3),
        ("train-other-500", 1160, 310.1),
        ("dev-clean", 40, 9.0),
        ("dev-other", 33, 6.4),
        ("test-clean", 39, 8.6),
        ("test-other", 33, 6.7),
    )
)
_SPLITS = {"train": "train", "dev": "valid", "test": "test"}


def iter_libritts(
    root: Path, *, language: str = "en", require_text: bool = True, exclude: str | None = None, **_: Any
) -> Iterator[Utterance | Drop]:
    """Rows by subset, speaker, chapter and place in it; then what the tables list without audio.

    Args:
        root: the folder that holds the subsets.
        language: two letters.
        require_text: whether audio without text is dropped.
        exclude: file with an id a line, such as the published list of clips whose restoration failed.

    Raises:
        FileNotFoundError: there is no subset in the folder, or no such list.
    """
    root = find_root(root, _has_subset, f"LibriTTS needs one of {', '.join(SUBSETS)}")
    excluded = _excluded(exclude)
    listing = Listing(root, lambda path: path.split("/")[0] in SUBSETS)
    yield from listing.faults()
    genders = _genders(listing)
    chapters: dict[str, list[tuple[str, str]]] = {}
    for name, path in listing.audio.items():
        chapters.setdefault(name.rpartition("/")[0], []).append((name, path))
    texts: dict[str, dict[str, str]] = {}
    for name, path in listing.orphans(".txt", audio_of=_audio_of):
        texts.setdefault(name.rpartition("/")[0], {})[PurePosixPath(name).name] = PurePosixPath(path).name
    tables = {path.rpartition("/")[0] for path in listing.files if path.endswith((".trans.tsv", ".book.tsv"))}
    for folder in sorted({*chapters, *tables, *texts}):
        sounds, orphans = chapters.get(folder, []), texts.get(folder, {})
        yield from _chapter(listing, folder, sounds, orphans, genders, excluded, language, require_text)


def _audio_of(name: str) -> str | None:
    """The clip that a text is of, by its name without `.txt`."""
    stem, _, kind = name.rpartition(".")
    return stem if kind in ("normalized", "original") else None


def _chapter(
    listing: Listing,
    folder: str,
    audio: list[tuple[str, str]],
    orphans: dict[str, str],
    genders: dict[str, str],
    excluded: frozenset[str],
    language: str,
    require_text: bool,
) -> Iterator[Utterance | Drop]:
    parts = folder.split("/")
    if len(parts) != 3:
        for name, path in audio:
            detail = f"{folder} is no SUBSET/SPEAKER/CHAPTER folder"
            yield Drop(PurePosixPath(name).name, path, "unlisted_audio", detail, "scan")
        return
    subset, speaker, chapter = parts
    spoken, faults = _table(listing, f"{folder}/{speaker}_{chapter}.trans.tsv", 3)
    book, _ = _table(listing, f"{folder}/{speaker}_{chapter}.book.tsv", 4)  # a faulty line costs its SNR only
    here = {PurePosixPath(name).name: path for name, path in audio}
    yield from (Drop(id, here.get(id, ""), reason, detail, "scan") for id, reason, detail in faults)
    broken = {id for id, *_ in faults} - spoken.keys()
    kept: set[str] = set()
    for id, path in here.items():
        if id in broken:
            continue
        if not re.fullmatch(rf"{re.escape(speaker)}_{re.escape(chapter)}_\d+_\d+", id):
            detail = f"not named {speaker}_{chapter}_PPPPPP_SSSSSS, as the clips of this folder are"
            yield Drop(id, path, "unlisted_audio", detail, "scan")
            continue
        if id in excluded:
            yield Drop(id, path, "filtered", "stands in the list of excluded clips", "scan")
            continue
        try:
            raw, text, warnings = _text(listing, f"{folder}/{id}", spoken.get(id))
        except ValueError as error:
            yield Drop(id, path, "bad_row", str(error), "scan")
            continue
        snr = _snr(book.get(id))
        extra = {
            "subset": subset,
            "chapter": chapter,
            "split": _SPLITS[subset.split("-")[0]],
            "gender": genders.get(speaker),
            "snr": snr,
            "previous": _previous(id, kept),
            "warnings": warnings or None,
        }
        row = make_row(
            id,
            path,
            raw=raw,
            text=text,
            require_text=require_text,
            looked_for=f"{speaker}_{chapter}.trans.tsv, {id}.normalized.txt, {id}.original.txt",
            speaker=speaker,
            language=language,
            extra=extra,
        )
        if isinstance(row, Utterance):
            kept.add(id)
        yield row
    for id in sorted({*spoken, *book, *orphans} - here.keys() - broken):
        table = f"{speaker}_{chapter}.{'trans' if id in spoken else 'book'}.tsv lists it"
        known = table if id in spoken or id in book else f"{orphans[id]} is there"
        yield Drop(id, "", "missing_audio", f"{known}, {id}.wav is not", "scan")


def _text(listing: Listing, stem: str, columns: list[str] | None) -> tuple[str | None, str | None, list[str]]:
    """Raw text, the text to use, and what is odd: of the table, else the normalised, else the original file."""
    original = columns[1] if columns else listing.text(f"{stem}.original.txt")
    if columns and columns[2].strip():
        return original, columns[2], []
    normalized = listing.text(f"{stem}.normalized.txt")
    if normalized is not None and normalized.strip():
        return original if original is not None else normalized, normalized, []
    if original is None or not original.strip():
        original = listing.text(f"{stem}.original.txt") or original
    if original is not None and original.strip():
        return original, original, ["text_from_original"]
    return original, "", []


def _table(listing: Listing, path: str, least: int) -> tuple[dict[str, list[str]], list[tuple[str, str, str]]]:
    """Rows of a table of a chapter by id, the first of several; then the other ids, with reason and detail."""
    file = listing.file(path)
    rows: dict[str, list[str]] = {}
    faults: list[tuple[str, str, str]] = []
    for number, line in enumerate(file.read_bytes().split(b"\n") if file else [], 1):
        if not line.strip():
            continue
        id = line.split(b"\t")[0].strip().decode("utf-8", "backslashreplace")
        where = f"{PurePosixPath(path).name}:{number}"
        try:
            columns = decode(line.removesuffix(b"\r"), where).split("\t")
        except ValueError as error:
            faults.append((id, "bad_row", str(error)))
            continue
        id = columns[0].strip()
        if len(columns) < least or (least == 3 and len(columns) != 3):
            faults.append((id, "bad_row", f"{where}: expected {least} columns, got {len(columns)}"))
        elif rows.setdefault(id, columns) is not columns:
            detail = f"{where}: a second row of this id, with {columns[-1]!r}; the first stays, with {rows[id][-1]!r}"
            faults.append((id, "duplicate_id", detail))
    return rows, faults


def _snr(columns: list[str] | None) -> float | None:
    """Decibels in the last column of book.tsv."""
    try:
        return float(columns[-1]) if columns else None
    except ValueError:
        return None


def _previous(id: str, kept: Collection[str]) -> str | None:
    """The row before this one in the chapter, where its numbers of paragraph and sentence follow on."""
    speaker, _, rest = id.partition("_")
    numbers = rest.split("_")
    if len(numbers) != 3 or not all(number.isdecimal() for number in numbers[1:]):
        return None
    chapter, paragraph, sentence = numbers
    before = f"{speaker}_{chapter}_{paragraph}_{int(sentence) - 1:0{len(sentence)}d}"
    return before if int(sentence) and before in kept else None


def _genders(listing: Listing) -> dict[str, str]:
    """Speaker to `F` or `M`, of SPEAKERS.txt or speakers.tsv beside the subsets."""
    found: dict[str, str] = {}
    separators = {"SPEAKERS.txt": "|", "speakers.tsv": "\t"}
    for name, line in about_lines(listing.root, [*separators], "gender"):
        columns = [column.strip() for column in line.split(separators[name])]
        if not line.startswith(";") and len(columns) > 1 and columns[1] in ("F", "M"):
            found.setdefault(columns[0], columns[1])
    return found


def _excluded(path: str | None) -> frozenset[str]:
    if path is None:
        return frozenset()
    if not Path(path).is_file():
        raise FileNotFoundError(f"no list of clips to exclude at {path}")
    lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    return frozenset(PurePosixPath(line.strip()).name.removesuffix(".wav") for line in lines if line.strip())


def _has_subset(folder: Path) -> bool:
    return any((folder / subset).is_dir() for subset in SUBSETS)


LIBRITTS = Corpus(
    name="libritts",
    title="LibriTTS",
    licence="CC BY 4.0",
    source="https://www.openslr.org/60/",
    rows=iter_libritts,
    units={"speaker": lambda row: str(row.speaker), "chapter": lambda row: str(row.extra["chapter"])},
    languages=("en",),
    hours=585.8,
    clips=sum(SUBSETS.values()),
    speakers=2456,
    sample_rate=24_000,
    figures=_FIGURES,
    part=lambda row: str(row.extra.get("subset", "")),
    layout="SUBSET/SPEAKER/CHAPTER/ID.wav, ID.normalized.txt, SPEAKER_CHAPTER.trans.tsv",
    options={"exclude": "file with an id a line, of clips to leave out"},
)
LIBRITTS_R = Corpus(
    name="libritts-r",
    title="LibriTTS-R",
    licence="CC BY 4.0",
    source="https://www.openslr.org/141/",
    rows=iter_libritts,
    units=LIBRITTS.units,
    languages=("en",),
    hours=585.8,
    clips=sum(SUBSETS.values()),
    speakers=2456,
    sample_rate=24_000,
    figures=_FIGURES,
    part=lambda row: str(row.extra.get("subset", "")),
    layout=LIBRITTS.layout,
    options=LIBRITTS.options,
)
