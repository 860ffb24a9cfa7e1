"""AudioCaps: captions of 10 s sounds; the table comes from its authors, the sounds from wherever they were fetched.

`dataset/{train,val,test}.csv` with `audiocap_id,youtube_id,start_time,caption`; sounds under one of the names that are
in use, below the folder, `SPLIT/`, `wav/` or `audio/`.

Source: Kim et al., "AudioCaps: Generating Captions for Audios in The Wild", 2019.
"""

from __future__ import annotations

import csv
import io
import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from amphion_core.data import Drop
from amphion_core.schema import Utterance
from amphion_data.corpora.cutting import length_of
from amphion_data.corpora.listing import Listing, find_root, make_row
from amphion_data.corpus import Corpus
from amphion_data.figures import Figures

__all__ = ["AUDIOCAPS", "iter_audiocaps"]

log = logging.getLogger(__name__)

_TABLES = (("train", "train"), ("val", "valid"), ("test", "test"))
_COLUMNS = ("audiocap_id", "youtube_id", "start_time", "caption")
_SECONDS = 10
_LONGEST = 10.5
_BY_VIDEO = ("YYTID", "YTID")
"""Rules by which a sound is found whose name does not say where in the video it begins."""


class _Clip(NamedTuple):
    """What the table says of a clip."""

    video: str
    start: int
    captions: list[tuple[int, str]]
    where: str

    @property
    def id(self) -> str:
        return f"{self.video}_{self.start}"


class _Fault(NamedTuple):
    """A row of the table that can't be used; the clip that it is of, where that can be told."""

    detail: str
    name: str
    clip: _Clip | None


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
    read = [(table, name, split, *_clips(table)) for table, name, split in tables(root)]
    starts: dict[str, set[int]] = {}
    for clip in (clip for *_, clips, faults in read for clip in (*clips, *(f.clip for f in faults if f.clip))):
        starts.setdefault(clip.video, set()).add(clip.start)
    for table, name, split, clips, faults in read:
        kept = {clip.id for clip in clips}
        yield from (_faulty(fault, kept, stems, name, listing) for fault in faults)
        rules = Counter[str]()
        for clip in clips:
            stem, rule = _find(clip, stems, name)
            audio = listing.find(stem) if stem else None
            if audio is not None and rule in _BY_VIDEO and len(starts[clip.video]) > 1:
                rules[""] += 1
                yield _shared(clip, PurePosixPath(audio).name, starts[clip.video])
                continue
            rules[rule] += 1
            yield _row(root, clip, audio, rule, split, language, require_text, shorten)
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


def _shared(clip: _Clip, name: str, starts: set[int]) -> Drop:
    """A clip of which there is only a sound that may be that of another clip of the video."""
    places = ", ".join(f"{start} s" for start in sorted(starts))
    detail = f"{clip.where}: the tables have clips of this video at {places}; {name} does not say of which it is"
    return Drop(clip.id, "", "missing_audio", f"{detail}; name it {clip.id}{PurePosixPath(name).suffix}", "scan")


def _faulty(fault: _Fault, kept: set[str], stems: dict[str, list[str]], split: str, listing: Listing) -> Drop:
    """The drop of a row that can't be used; the sound of its clip is listed, unless other rows have it."""
    audio = None
    if fault.clip is not None and fault.clip.id not in kept:
        stem, _ = _find(fault.clip, stems, split)
        audio = listing.find(stem) if stem else None
    return Drop(fault.clip.id if fault.clip else fault.name, audio or "", "bad_row", fault.detail, "scan")


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
    id = clip.id
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


def _clips(table: Path) -> tuple[list[_Clip], list[_Fault]]:
    """Clips of a table, each once, and its faulty rows."""
    content = table.read_bytes().removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    reader = csv.DictReader(io.StringIO(content, newline=""))
    try:
        names, rows = tuple(reader.fieldnames or ()), [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise ValueError(f"{table}:{reader.line_num + 1}: {error}; is a quote left open?") from None
    if set(_COLUMNS) - set(names):
        raise ValueError(f"{table}: expected the columns {', '.join(_COLUMNS)}; found {', '.join(names)}")
    clips: dict[tuple[str, int], _Clip] = {}
    faults = []
    for line, row in rows:
        where = f"{table.name}:{line}"
        number, video, start, caption = (row[name] or "" for name in _COLUMNS)
        video = video.strip()
        clip = _clip(video, start, where)
        fault = _fault_of(row, clip)
        if clip is None or fault:
            faults.append(_Fault(f"{where}: {fault}", _shown(video) or where, clip))
            continue
        clip = clips.setdefault((clip.video, clip.start), clip)
        clip.captions.append((int(number), caption))
    return list(clips.values()), faults


def _fault_of(row: Mapping[str | None, Any], clip: _Clip | None) -> str:
    """What is wrong with a row, in words; empty where nothing is."""
    cells = [value for name, value in row.items() if name is not None and value is not None] + row.get(None, [])
    columns = len(row) - (None in row)
    shown = [_shown(cell) for cell in cells]
    if len(cells) != columns:
        return f"expected {columns} columns, got {len(cells)}: {shown}; a caption with commas has to be quoted"
    if shown != cells:
        return f"not UTF-8: {shown}"
    if swallowed := re.findall(r"\n(\d+,[^,\n]+,\d+),", row["caption"]):
        return f"a quote is left open: its caption holds {len(swallowed)} further rows, the first {swallowed[0]!r}"
    if not re.fullmatch(r"\s*\d+\s*", row["audiocap_id"]):
        return f"audiocap_id is {row['audiocap_id']!r}, a whole number was expected"
    stated = f"youtube_id {row['youtube_id']!r} and start_time {row['start_time']!r}"
    return "" if clip else f"{stated}; the id of a video and seconds from 0 on were expected"


def _clip(video: str, start: str, where: str) -> _Clip | None:
    """The clip of a row, without its captions; None where the row does not tell."""
    try:
        begin = int(float(start))
    except (OverflowError, ValueError):
        return None
    return _Clip(video, begin, [], where) if video and "/" not in video and begin >= 0 and _is_utf8(video) else None


def _is_utf8(text: str) -> bool:
    """Whether a text that was read with escapes for foreign bytes has none."""
    return not any("\udc80" <= letter <= "\udcff" for letter in text)


def _shown(text: str) -> str:
    """A text with its foreign bytes escaped, as people and JSON can have it."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _find(clip: _Clip, stems: dict[str, list[str]], split: str) -> tuple[str | None, str]:
    """Name of the sound of a clip, and the rule by which it was found."""
    end = clip.start + _SECONDS
    tries = [
        ("YTID_START_END in ms", f"{clip.video}_{clip.start * 1000}_{end * 1000}"),
        ("YTID_START", f"{clip.video}_{clip.start}"),
        ("YYTID", f"Y{clip.video}"),
        ("YTID", clip.video),
    ]
    if clip.captions:
        tries.append(("AUDIOCAPID", str(min(number for number, _ in clip.captions))))
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
