"""Opencpop: 5.2 h of Mandarin singing by one female professional, 100 songs, 44.1 kHz, CC BY-NC-ND 4.0.

`segments/{wavs/2001000001.wav, train.txt, test.txt, transcriptions.txt}`, lines of seven fields at `|`: id, lyrics,
phones, notes, note durations, phone durations, slur flags; `midis/2001.midi`, of which only the tempo is used.

Source: Wang et al., "Opencpop: A High-Quality Open Source Chinese Popular Song Corpus for Singing Voice Synthesis",
2022, arXiv:2201.07429.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


def iter_opencpop(
    root: Path, *, speaker: str = "opencpop", language: str = "zh", require_text: bool = True, **_: Any
) -> Iterator[Utterance | Drop]:
    """Rows of `train.txt`, then of `test.txt` (or of `transcriptions.txt` where they are absent); then the rest.

    Args:
        root: the folder that holds `segments`, or that folder.
        speaker: label of the voice.
        language: two letters.
        require_text: whether rows without lyrics are dropped.

    Raises:
        FileNotFoundError: there is no table.
    """
    tables = [*(name for name, _ in _TABLES), "transcriptions.txt"]

    def has_table(folder: Path) -> bool:
        return any((folder / inner / name).is_file() for inner in ("segments", ".") for name in tables)

    root = find_root(root, has_table, "Opencpop needs segments/train.txt, test.txt or transcriptions.txt")
    below = "segments/" if (root / "segments").is_dir() else ""
    listing = Listing(
        root,
        lambda path: path.startswith(f"{below}wavs/"),
        beside=lambda path: bool(below) and path.startswith("wavs/"),  # whole songs
    )
    yield from listing.faults()
    given = [(name, split) for name, split in _TABLES if (root / below / name).is_file()]
    tempos: dict[str, float | None] = {}
    for table, split in given or [("transcriptions.txt", "")]:
        for number, line in enumerate((root / below / table).read_bytes().split(b"\n"), 1):
            if not line.strip():
                continue
            where = f"{table}:{number}"
            id = line.removeprefix(b"\xef\xbb\xbf").split(b"|")[0].strip().decode("utf-8", "backslashreplace")
            song = id[:4]
            if song not in tempos:
                tempos[song] = _tempo(root / "midis", song)
            own_split = split or ("test" if song in _TEST_SONGS else "train")
            item = _row(line, id, where, root, listing.find(f"{below}wavs/{id}"), tempos[song])
            if isinstance(item, Drop):
                yield item
                continue
            text, raw, extra = item
            yield make_row(
                id,
                listing.find(f"{below}wavs/{id}"),
                raw=raw,
                text=text,
                require_text=require_text,
                looked_for=f"{below}wavs/{id}.wav",
                speaker=speaker,
                language=language,
                extra={"song": song, "style": "singing", "split": own_split, **extra},
            )
    yield from listing.rest("no table lists it")


def _row(
    line: bytes, id: str, where: str, root: Path, audio: str | None, tempo: float | None
) -> tuple[str, str, dict[str, Any]] | Drop:
    try:
        fields = decode(line.removesuffix(b"\r"), where).split("|")
        if len(fields) != 7 or not id:
            raise ValueError(f"{where}: expected 7 fields at |, got {len(fields)}, id {id!r}")
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
        return Drop(
            id or where, audio or "", "bad_row", detail if detail.startswith(where) else f"{where}: {detail}", "scan"
        )
    return fields[1], fields[1], {"score": score.to_dict(), "warnings": warnings or None}


def _tempo(folder: Path, song: str) -> float | None:
    """Quarters a minute of a song's MIDI; its times don't fit the audio and are not used."""
    path = next((p for ending in ("midi", "mid") if (p := folder / f"{song}.{ending}").is_file()), None)
    try:
        return None if path is None else round(read_midi(path).tempo, 3)
    except ValueError:
        return None


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
