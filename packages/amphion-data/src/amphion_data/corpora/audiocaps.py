"""AudioCaps: captions of 10 s sounds; the table comes from its authors, the sounds from wherever they were fetched.

`dataset/{train,val,test}.csv` with `audiocap_id,youtube_id,start_time,caption`; sounds under one of the names that are
in use, below the folder, `SPLIT/`, `wav/` or `audio/`.

Source: Kim et al., "AudioCaps: Generating Captions for Audios in The Wild", 2019.
"""

from __future__ import annotations

import csv
import io
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from amphion_core.data import Drop
from amphion_core.schema import Utterance
from amphion_data.corpora.cutting import length_of
from amphion_data.corpora.listing import Listing, find_root, make_row, read_utf8
from amphion_data.corpus import Corpus
from amphion_data.figures import Figures

__all__ = ["AUDIOCAPS", "iter_audiocaps"]

log = logging.getLogger(__name__)

_TABLES = (("train", "train"), ("val", "valid"), ("test", "test"))
_COLUMNS = ("audiocap_id", "youtube_id", "start_time", "caption")
_SECONDS = 10
_LONGEST = 10.5


class _Clip(NamedTuple):
    """What the table says of a clip."""

    video: str
    start: int
    captions: list[tuple[int, str]]
    where: str


def iter_audiocaps(
    root: Path, *, language: str = "en", require_text: bool = True, cut: str | bool = False, **_: Any
) -> Iterator[Utterance | Drop]:
    """Clips in the order of the tables, one row for all captions of a clip; then the sounds that none lists.

    Args:
        root: the folder that holds `dataset`, or the tables.
        language: of the captions, two letters.
        require_text: whether clips with an empty caption are dropped.
        cut: `true` takes the first 10 s of longer sounds; otherwise they are dropped.

    Raises:
        FileNotFoundError: there is no table.
        ValueError: a table has other columns.
    """

    def tables(folder: Path) -> list[tuple[Path, str, str]]:
        places = [(folder / part / f"{name}.csv", name, split) for name, split in _TABLES for part in ("dataset", ".")]
        return [item for item in places if item[0].is_file()]

    root = find_root(
        root, lambda folder: bool(tables(folder)), "AudioCaps needs dataset/train.csv, val.csv or test.csv"
    )
    listing = Listing(root)
    yield from listing.faults()
    stems: dict[str, list[str]] = {}
    for name in listing.audio:
        stems.setdefault(name.rpartition("/")[2], []).append(name)
    shorten = str(cut).lower() in ("true", "1", "yes")
    for table, name, split in tables(root):
        clips, faults = _clips(table)
        yield from faults
        rules = Counter[str]()
        for clip in clips:
            stem, rule = _find(clip, stems, name)
            rules[rule] += 1
            yield _row(root, clip, listing.find(stem) if stem else None, rule, split, language, require_text, shorten)
        missing = rules.pop("", 0)
        log.info(
            "%s: sounds found by %s", table.name, ", ".join(f"{r} ({n})" for r, n in rules.most_common()) or "no rule"
        )
        if missing:
            log.warning(
                "%s: %d of %d sounds (%.1f %%) are not there",
                table.name,
                missing,
                len(clips),
                100 * missing / len(clips),
            )
    yield from listing.rest("no table lists it")


def _row(
    root: Path,
    clip: _Clip,
    audio: str | None,
    rule: str,
    split: str,
    language: str,
    require_text: bool,
    shorten: bool,
) -> Utterance | Drop:
    id = f"{clip.video}_{clip.start}"
    captions = [caption for _, caption in sorted(clip.captions)]
    extra: dict[str, Any] = {"captions": captions, "video": clip.video, "split": split, "found_by": rule}
    if audio is not None:
        length = length_of(root, audio, id)
        if isinstance(length, float) and length > _LONGEST:
            if not shorten:
                detail = f"{length:.2f} s, a clip has {_SECONDS} s; the option cut takes the first {_SECONDS}"
                return Drop(id, audio, "duration_mismatch", detail, "scan")
            extra |= {"source": audio, "start": 0.0, "end": float(_SECONDS)}
    return make_row(
        id,
        audio,
        raw=captions[0],
        require_text=require_text,
        looked_for=f"{clip.where}: {id}",
        language=language,
        extra=extra,
    )


def _clips(table: Path) -> tuple[list[_Clip], list[Drop]]:
    """Clips of a table, each once, and its faulty rows."""
    reader = csv.DictReader(io.StringIO(read_utf8(table), newline=""))
    names = tuple(reader.fieldnames or ())
    if set(_COLUMNS) - set(names):
        raise ValueError(f"{table}: expected the columns {', '.join(_COLUMNS)}; found {', '.join(names)}")
    clips: dict[tuple[str, int], _Clip] = {}
    faults = []
    for row in reader:
        where = f"{table.name}:{reader.line_num}"
        video = (row["youtube_id"] or "").strip()
        try:
            number, start = int(row["audiocap_id"]), int(float(row["start_time"]))
            if not video or "/" in video or row["caption"] is None or start < 0:
                raise ValueError
        except (TypeError, ValueError):
            faults.append(Drop(video or where, "", "bad_row", f"{where}: {[row[name] for name in _COLUMNS]}", "scan"))
            continue
        clip = clips.setdefault((video, start), _Clip(video, start, [], where))
        clip.captions.append((number, row["caption"]))
    return list(clips.values()), faults


def _find(clip: _Clip, stems: dict[str, list[str]], split: str) -> tuple[str | None, str]:
    """Name of the sound of a clip, and the rule by which it was found."""
    end = clip.start + _SECONDS
    number = min(number for number, _ in clip.captions)
    tries = (
        ("YTID_START_END in ms", f"{clip.video}_{clip.start * 1000}_{end * 1000}"),
        ("YTID_START", f"{clip.video}_{clip.start}"),
        ("YYTID", f"Y{clip.video}"),
        ("YTID", clip.video),
        ("AUDIOCAPID", str(number)),
    )
    for rule, stem in tries:
        found = stems.get(stem)
        if found:
            own = [name for name in found if split in name.split("/")[:-1]]
            return (own or found)[0], rule
    return None, ""


AUDIOCAPS = Corpus(
    name="audiocaps",
    title="AudioCaps (1.0 and 2.0)",
    licence="captions for academic use; sounds by their uploaders, never to be redistributed",
    source="https://audiocaps.github.io/",
    rows=iter_audiocaps,
    units={"video": lambda row: str(row.extra["video"])},
    languages=("en",),
    hours=142.0,
    figures=(
        Figures(part="train", release="1.0", rows=49_838),
        Figures(part="train", release="2.0", rows=91_256),
        Figures(part="valid", rows=495),
        Figures(part="test", rows=975),
    ),
    part=lambda row: str(row.extra.get("split") or ""),
    layout="dataset/{train,val,test}.csv, [SPLIT/|wav/|audio/]YTID_START_END.wav (and four other names)",
    options={"cut": "true takes the first 10 s of longer sounds instead of dropping them"},
)
