"""Opencpop: 5.2 h of Mandarin singing by one female professional, 100 songs, 44.1 kHz, CC BY-NC-ND 4.0.

`segments/{wavs/2001000001.wav, train.txt, test.txt, transcriptions.txt}`, lines of seven fields at `|`: id, lyrics,
phones, notes, note durations, phone durations, slur flags; `midis/2001.midi`, of which only the tempo is used.

Source: Wang et al., "Opencpop: A High-Quality Open Source Chinese Popular Song Corpus for Singing Voice Synthesis",
2022, arXiv:2201.07429.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from amphion_core.data import Drop
from amphion_core.schema import Utterance
from amphion_data.corpora.listing import Listing, decode, find_root, make_row, seconds_of
from amphion_data.corpus import Corpus
from amphion_data.figures import Figures
from amphion_data.scores.columns import score_from_columns
from amphion_data.scores.midi import read_midi
from amphion_data.scores.pitches import pitch_number

__all__ = ["OPENCPOP", "iter_opencpop"]

_TABLES = (("train.txt", "train"), ("test.txt", "test"))
_TEST_SONGS = frozenset({"2044", "2086", "2092", "2093", "2100"})
_WRONG_LABEL = "2041001526"


class _Line(NamedTuple):
    """A line of a table: where it stands, and its split where the table is that of one."""

    content: bytes
    id: str
    song: str
    where: str
    split: str


def iter_opencpop(
    root: Path, *, speaker: str = "opencpop", language: str = "zh", require_text: bool = True, **_: Any
) -> Iterator[Utterance | Drop]:
    """Rows of `train.txt`, then of `test.txt` (or of `transcriptions.txt` where they are absent); then the rest.

    Where both have lines of one song, only those in the split that it has by publication are rows.

    Args:
        root: the folder that holds `segments`, or that folder.
        speaker: label of the voice.
        language: two letters.
        require_text: whether rows without lyrics are dropped.

    Raises:
        FileNotFoundError: there is no table.
    """
    names = [*(name for name, _ in _TABLES), "transcriptions.txt"]

    def has_table(folder: Path) -> bool:
        return any((folder / inner / name).is_file() for inner in ("segments", ".") for name in names)

    root = find_root(root, has_table, "Opencpop needs segments/train.txt, test.txt or transcriptions.txt")
    below = "segments/" if (root / "segments").is_dir() else ""
    folders = (f"{below}wavs/", "midis/")
    listing = Listing(
        root,
        lambda path: path.startswith(folders),
        beside=lambda path: bool(below) and path.startswith("wavs/"),  # whole songs
    )
    yield from listing.faults()
    given = [(name, split) for name, split in _TABLES if (root / below / name).is_file()]
    tables = given or [("transcriptions.txt", "")]
    lines = [line for table, split in tables for line in _lines(root / below, table, split)]
    train, test = ({line.song for line in lines if line.split == split} for split in ("train", "test"))
    tempos = {song: _tempo(listing, song) for song in {line.song for line in lines}}
    seen: set[str] = set()
    for line in lines:
        audio = listing.find(f"{below}wavs/{line.id}")
        torn = line.song in train & test and line.id not in seen  # an id that comes again is said to be that
        item = _misplaced(line, audio, torn) or _row(line, root, audio, *tempos[line.song])
        if isinstance(item, Drop):
            yield item
            continue
        seen.add(line.id)
        text, extra = item
        yield make_row(
            line.id,
            audio,
            raw=text,
            require_text=require_text,
            looked_for=f"{below}wavs/{line.id}.wav",
            speaker=speaker,
            language=language,
            extra={"song": line.song, "style": "singing", "split": line.split or _official(line.song), **extra},
        )
    yield from listing.rest("no table lists it")


def _lines(folder: Path, table: str, split: str) -> Iterator[_Line]:
    """Lines of a table that are not empty."""
    for number, line in enumerate((folder / table).read_bytes().split(b"\n"), 1):
        if line.strip():
            id = line.removeprefix(b"\xef\xbb\xbf").split(b"|")[0].strip().decode("utf-8", "backslashreplace")
            yield _Line(line, id, id[:4], f"{table}:{number}", split)


def _official(song: str) -> str:
    return "test" if song in _TEST_SONGS else "train"


def _misplaced(line: _Line, audio: str | None, torn: bool) -> Drop | None:
    """Why a line is no row whatever it says: its id leads elsewhere, or its song is torn apart by the tables.

    Args:
        line: the line.
        audio: path of its audio; None where it is not there.
        torn: whether both splits have lines of its song.
    """
    if "/" in line.id:
        return Drop(line.id, "", "unsafe_path", f"{line.where}: the id {line.id!r} leads out of wavs/", "scan")
    if torn and line.split != _official(line.song):
        detail = (
            f"{line.where}: song {line.song} stands in train.txt and in test.txt, but belongs to "
            f"{_official(line.song)} as published; keep each song in one of them"
        )
        return Drop(line.id, audio or "", "bad_row", detail, "scan")
    return None


def _row(
    line: _Line, root: Path, audio: str | None, tempo: float | None, notice: str | None
) -> tuple[str, dict[str, Any]] | Drop:
    try:
        fields = decode(line.content.removesuffix(b"\r"), line.where).split("|")
        if len(fields) != 7 or not line.id:
            raise ValueError(f"{line.where}: expected 7 fields at |, got {len(fields)}, id {line.id!r}")
        phones, notes, lengths, durations, slurs = (field.split() for field in fields[2:])
        score, warnings = score_from_columns(
            phones,
            [float(value) for value in durations],
            [pitch_number(name) for name in notes],
            [float(value) for value in lengths],
            [int(value) for value in slurs],
            lyrics=fields[1],
            tempo=tempo,
        )
        score.check(seconds_of(root / audio) if audio else None)
    except ValueError as error:
        detail = str(error)
        if not detail.startswith(line.where):
            detail = f"{line.where}: {detail}"
        return Drop(line.id or line.where, audio or "", "bad_row", detail, "scan")
    warnings += [notice] if notice else []
    if line.id == _WRONG_LABEL and ("y", "ing") in pairwise(score.phones):
        warnings.append("wrong_label: y ing; known to stand for g ou, left as it is")
    return fields[1], {"score": score.to_dict(), "warnings": warnings or None}


def _tempo(listing: Listing, song: str) -> tuple[float | None, str | None]:
    """Quarters a minute of a song's MIDI, whose times don't fit the audio and are not used; and why there is none."""
    for name in (f"midis/{song}.midi", f"midis/{song}.mid"):
        path = listing.file(name)
        if path is not None:
            try:
                return round(read_midi(path).tempo, 3), None
            except ValueError as error:
                return None, f"midi: no tempo from {name}: {error}"
    return None, None


OPENCPOP = Corpus(
    name="opencpop",
    title="Opencpop",
    licence="CC BY-NC-ND 4.0, on application",
    source="https://wenet.org.cn/opencpop/",
    rows=iter_opencpop,
    units={"song": lambda row: str(row.extra["song"])},
    languages=("zh",),
    hours=5.2,
    clips=3756,
    speakers=1,
    sample_rate=44_100,
    figures=(
        Figures(part="train", rows=3550),
        Figures(part="test", rows=206, groups=5),
        Figures(rows=3756, groups=100, speakers=1, hours=5.2),
    ),
    part=lambda row: str(row.extra.get("split") or ""),
    layout="segments/{wavs/ID.wav, train.txt, test.txt} (id|lyrics|phones|notes|note durations|phone durations|slurs)",
)
