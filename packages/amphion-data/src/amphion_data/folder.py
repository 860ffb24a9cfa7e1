"""A folder of one's own: audio and its text, in a table (csv, tsv, JSON lines, LJSpeech form) or in files beside it.

With a table (or the `wav.scp`, `segments`, `text` and `utt2spk` of Kaldi, or manifests of lhotse), its columns name
the audio, the text and all else that is known; see `amphion_data.tables.ALIASES`. With none, each `NAME.wav` (any
audio) has its text in `NAME.txt` or `NAME.lab`. The folders `train`, `valid` and `test`, or tables of these names, are
an official split. In a tree of files the first folder is the speaker.

Of such folders some may be without a table: the tables that are there count, and other audio is `unlisted_audio`; but
where audio outside the folders that have one has its text beside it, the texts count and no table does.

A text beside no audio of its name is `missing_audio`, with two exceptions: files called like a readme or a licence
(`README...`, `LICENSE...`, or just `COPYING`, `COPYRIGHT`, `NOTICE`, `AUTHORS`, `CITATION`, `CHANGELOG`), and texts in
the folder itself where no audio lies there.
"""

from __future__ import annotations

import contextlib
import logging
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from posixpath import splitext
from typing import Any

from amphion_core.data import Drop
from amphion_core.schema import Utterance
from amphion_data.corpus import Corpus
from amphion_data.files import (
    clean_text,
    first_entries,
    hidden_drop,
    is_audio,
    is_hidden,
    printable,
    safe_path,
    walk,
)
from amphion_data.kaldi import KALDI_TABLE, read_kaldi
from amphion_data.languages import language_code
from amphion_data.manifests import find_manifests, is_manifest, read_manifests
from amphion_data.splits import split_name
from amphion_data.tables import TABLE_SUFFIXES, TableRow, read_table

__all__ = ["FOLDER", "iter_folder"]

log = logging.getLogger(__name__)

_PLAIN_FOLDERS = frozenset({"wav", "wavs", "audio", "clips", "data", "flac", "mp3", "recordings", "files"})
_TEXTS = (".normalized.txt", ".txt", ".lab")
"""Endings of texts beside audio, the better first."""
_ABOUT = re.compile(
    r"(read[ _-]?me|licen[cs]es?)([^a-z].*)?|copying|copyright|notice|authors|citation|changelog",
    re.IGNORECASE | re.DOTALL,
)
"""Names, without their ending, of files that tell about a folder and are the text of no recording."""
_TIMED_LINE = re.compile(r"\d+(\.\d+)?\s+\d+(\.\d+)?\s+\S+")


def iter_folder(
    root: Path, *, speaker: str | None = None, language: str | None = None, require_text: bool = True, **_: Any
) -> Iterator[Utterance | Drop]:
    """Rows in the order of the tables, then audio that none lists; without tables in that of files, then texts alone.

    Args:
        root: the folder, or the table in it.
        speaker: of rows that say nothing about theirs.
        language: the same, two letters.
        require_text: whether audio without text is dropped.

    Raises:
        FileNotFoundError: there is no audio.
        ValueError: several tables of which none is the obvious one, or one that is no table.
    """
    given = root if root.is_file() else None
    base = root.parent if given else root
    files = list(walk(base))
    paths = [path for path in files if is_audio(path)]
    audio = [path for path in paths if not is_hidden(path) and path == printable(path)]
    if not audio:
        raise FileNotFoundError(f"no audio files (.wav, .flac, .mp3 ...) below {base}; {first_entries(base)}")
    for path in paths:
        shown = printable(path)
        if is_hidden(path):
            yield hidden_drop(_stem(path), path)
        elif path != shown:
            yield Drop(_stem(shown), shown, "bad_row", "the name of the file is not UTF-8; rename it", "scan")
    texts = {_small_ending(path): path for path in reversed(files) if path.lower().endswith(_TEXTS)}
    spoken = (path for path in audio if _text_of(path, texts) is not None)
    tables: Sequence[tuple[Path, str | None]] = [(given, None)] if given else find_tables(base, spoken)
    if not tables:
        for path in audio:
            yield _beside(base, path, texts, speaker, language, require_text)
        yield from _texts_alone(files, paths)
        return
    finder, listed = _Finder(base, audio), set[str]()
    for table, split in tables:
        for row in _rows_of(table):
            item = _from_table(row, finder, table.parent, speaker, language, split, require_text)
            listed.add(item.audio)
            yield item
    names = ", ".join(table.with_name(_rows_file(table)).relative_to(base).as_posix() for table, _ in tables)
    for path in audio:
        if path not in listed:
            yield Drop(_stem(path), path, "unlisted_audio", f"{names} has no row for it", "scan")


def _rows_of(table: Path) -> Iterator[TableRow]:
    """Rows of a table of whatever form."""
    if table.name == KALDI_TABLE:
        return read_kaldi(table)
    return read_manifests(table) if is_manifest(table) else read_table(table)


def _rows_file(table: Path) -> str:
    """Name of the file with a line for each row."""
    cut = table.name == KALDI_TABLE and table.with_name("segments").exists()
    return "segments" if cut else table.name


def find_tables(root: Path, spoken: Iterable[str]) -> Sequence[tuple[Path, str | None]]:
    """Tables of a folder with the split that their name or folder states.

    Args:
        root: the folder.
        spoken: paths below it of audio that has its text beside it.

    Raises:
        ValueError: there are several and none is called metadata or manifest.
    """
    if (root / KALDI_TABLE).is_file():
        return [(root / KALDI_TABLE, None)]
    manifests = find_manifests(root)
    if manifests:
        return [(path, _split_in(path.name)) for path in manifests]
    here = _tables_in(root)
    by_split = [(path, split) for path in here if (split := _split_of(path.stem)) is not None]
    if by_split and len(by_split) == len(here):
        return by_split
    obvious = [path for path in here if path.stem.lower() in ("metadata", "manifest")]
    chosen = obvious if len(obvious) == 1 else here
    _only_one(chosen, root)
    if chosen:
        return [(chosen[0], None)]
    above = next((p for p in (root, root / "data") if p.is_dir() and _tables_of_splits(p)), None)
    return [] if above is None else _counted(_tables_of_splits(above), above, root, spoken)


def _split_folders(root: Path) -> list[tuple[Path, str]]:
    """Folders that are called like a split."""
    return [(p, split) for p in sorted(root.iterdir()) if p.is_dir() and (split := _split_of(p.name)) is not None]


def _tables_of_splits(root: Path) -> Sequence[tuple[Path, str | None]]:
    """The table `metadata` in each folder that is called like a split and has one."""
    folders = _split_folders(root)
    return [(table, split) for p, split in folders for table in _tables_in(p) if table.stem.lower() == "metadata"]


def _counted(
    tables: Sequence[tuple[Path, str | None]], above: Path, root: Path, spoken: Iterable[str]
) -> Sequence[tuple[Path, str | None]]:
    """The tables, if they tell of the whole folder; none if they are those of a part, and texts lie beside other audio.

    A folder of a speaker may be called like a split and hold a table of anything.
    """
    labelled = {table.parent for table, _ in tables}
    for folder in sorted(labelled):
        _only_one([table for table, _ in tables if table.parent == folder], folder)
    if len(labelled) == len(_split_folders(above)):
        return tables
    within = tuple(f"{folder.relative_to(root).as_posix()}/" for folder in labelled)
    other = next((path for path in spoken if not path.startswith(within)), None)
    if other is None:
        return tables
    names = ", ".join(table.relative_to(root).as_posix() for table, _ in tables)
    log.warning("%s has its text beside it, so texts are read and %s not; or give the path of a table", other, names)
    return []


def _only_one(tables: Sequence[Path], root: Path) -> None:
    if len(tables) > 1:
        names = ", ".join(path.name for path in tables)
        raise ValueError(f"{root} has several tables, {names}; give the path of one of them in place of the folder")


class _Finder:
    """Finds the file that a row means: by path, without its ending, or by its bare name where only one has it."""

    def __init__(self, root: Path, audio: list[str]) -> None:
        self.root = root
        self.names: dict[str, list[str]] = {}
        for path in audio:
            name = path.rpartition("/")[2]
            for key in {path, _stem(path), name, _stem(name)}:
                self.names.setdefault(key, []).append(path)

    def __call__(self, stated: str, folder: Path) -> str:
        """The path below the root; raises ValueError for an unsafe one, LookupError for one that is not there."""
        path = safe_path(stated, self.root)
        below = folder.relative_to(self.root).as_posix()
        tries = [path] if below == "." else [f"{below}/{path}", path]
        for key in [*tries, *([PurePosixPath(path).name] if "/" not in path else [])]:
            found = self.names.get(key, [])
            if key in found or len(found) == 1:
                return key if key in found else found[0]
            if found:
                raise LookupError(f"{stated!r} may be {' or '.join(found[:3])}")
        raise LookupError(f"no such file: {path}")

    def meant(self, row: TableRow, folder: Path) -> str:
        """The audio of a faulty row, so that it does not count as unlisted as well; empty where that is not known."""
        stated = row.values.get("audio") or row.values.get("id")
        inner = stated.get("path") if isinstance(stated, dict) else None  # as the data sets of Hugging Face have it
        for name in (inner or stated, *filter(is_audio, row.cells)):
            with contextlib.suppress(ValueError, LookupError):
                return self(str(name or ""), folder)
        return ""


def _from_table(
    row: TableRow,
    finder: _Finder,
    folder: Path,
    speaker: str | None,
    language: str | None,
    split: str | None,
    require_text: bool,
) -> Utterance | Drop:
    values = dict(row.values)
    stated, own_id = values.pop("audio", None), values.pop("id", None)
    try:
        own_id = _word("id", own_id)
    except ValueError as error:
        row, own_id = replace(row, fault=row.fault or str(error)), None
    if isinstance(stated, dict | list | bool):
        row, stated = replace(row, fault=row.fault or f"audio is {stated!r:.99}, the path of a file was expected"), None
    name = printable(own_id or (_stem(str(stated)) if stated else ""))
    if row.fault or not name:
        path = finder.meant(row, folder) if row.reason == "bad_row" else ""
        fault = row.fault or "neither audio nor id"
        return Drop(name or _stem(path), path, row.reason, printable(f"{row.where}: {fault}"), "scan")
    try:
        path = finder(str(stated) if stated else name, folder)
    except ValueError as error:
        return Drop(name, "", "unsafe_path", f"{row.where}: {error}", "scan")
    except LookupError as error:
        below = safe_path(str(stated), finder.root) if stated else ""
        return Drop(name, below, "missing_audio", f"{row.where}: {error}", "scan")
    try:
        duration = _seconds(values.pop("duration", None))
        cut = _stretch(values, duration)
        place = _channel(values) | ({"start": cut[0], "end": cut[1], "source": path} if cut else {})
    except ValueError as error:
        return Drop(own_id or _stem(path), path, "bad_row", f"{row.where}: {error}", "scan")
    name = own_id or _stem(path) + (f"_{cut[0] * 1000:.0f}_{cut[1] * 1000:.0f}" if cut else "")
    raw, text = values.pop("text_raw", None), values.pop("text", None)
    text = raw if text is None else text
    reason = _text_fault(text, require_text)
    if reason:
        return Drop(name, path, reason, f"{row.where}: the text is {text!r}", "scan")
    try:
        _word("text_raw", raw)
        extra = {**({"text_raw": str(raw if raw is not None else text)} if text is not None else {}), **place}
        own_split, own_speaker, own_language = (
            _word(name, values.pop(name, None)) for name in ("split", "speaker", "language")
        )
        if own_split or split:
            extra["split"] = split_name(own_split or split or "")
        return Utterance(
            id=name,
            audio=path,
            duration=cut[1] - cut[0] if cut else duration,
            text=clean_text(str(text)) if text is not None else None,
            speaker=own_speaker or speaker,
            language=_language(own_language or language),
            extra={**{_own(key, value): value for key, value in values.items() if _kept(key, value)}, **extra},
        )
    except ValueError as error:
        return Drop(name, path, "bad_row", f"{row.where}: {error}", "scan")


def _kept(name: str, value: object) -> bool:
    """Whether a column goes to `extra`; names with `_` in front are ours and say where to read."""
    return bool(name) and not name.startswith("_") and value not in (None, "")


def _own(name: str, value: object) -> str:
    """The name of a column in `extra`; one called like our list of warnings gets another, unless it is such a list."""
    listed = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return "custom_warnings" if name == "warnings" and not listed else name


def _beside(
    root: Path, path: str, texts: Mapping[str, str], speaker: str | None, language: str | None, require_text: bool
) -> Utterance | Drop:
    """The row of a file whose text is in a file beside it; `texts` has their paths by path with a small ending."""
    name = _stem(path)
    folders = list(PurePosixPath(name).parts[:-1])
    split = _split_of(folders[0]) if folders else None
    voice = next((part for part in folders if part.lower() not in _PLAIN_FOLDERS and _split_of(part) is None), None)
    extra: dict[str, Any] = {"split": split} if split else {}
    found = _text_of(path, texts)
    source = None if found is None else root / found
    text: str | None = None
    if source is not None:
        try:
            raw = source.read_bytes().removeprefix(b"\xef\xbb\xbf").decode("utf-8")
        except UnicodeDecodeError as error:
            return Drop(name, path, "bad_row", f"{source.name}: not UTF-8 at byte {error.start}", "scan")
        lines = [line for line in raw.splitlines() if line.strip()]
        if lines and source.suffix.lower() == ".lab" and all(_TIMED_LINE.fullmatch(line.strip()) for line in lines):
            extra["labels"], source = source.relative_to(root).as_posix(), None
        else:
            text, extra["text_raw"] = clean_text(raw), raw
    reason = _text_fault(text, require_text)
    if reason:
        looked = f"no {PurePosixPath(name).name}.txt or .lab with text beside it" if source is None else "is empty"
        return Drop(name, path, reason, looked if source is None else f"{source.name} {looked}", "scan")
    return Utterance(
        id=name, audio=path, text=text, speaker=voice or speaker, language=_language(language), extra=extra
    )


def _text_of(path: str, texts: Mapping[str, str]) -> str | None:
    """The file with the text of an audio file; None where there is none."""
    name = _stem(path)
    return next((texts[name + ending] for ending in _TEXTS if name + ending in texts), None)


def _texts_alone(files: Sequence[str], audio: Sequence[str]) -> Iterator[Drop]:
    """Texts that no audio has the name of, each name once."""
    seen = {_stem(path) for path in audio if not is_hidden(path)}
    at_root = any("/" not in name for name in seen)
    for path in files:
        if not path.lower().endswith(_TEXTS) or is_hidden(path) or not (at_root or "/" in path):
            continue
        name = path[: -len(_ending(path))]
        if not {name, splitext(path)[0]} & seen and not _ABOUT.fullmatch(name.rpartition("/")[2]):
            seen.add(name)
            detail = f"no audio is called like {PurePosixPath(path).name} and lies beside it"
            yield Drop(printable(name), "", "missing_audio", printable(detail), "scan")


def _text_fault(text: object, require_text: bool) -> str:
    if text is None:
        return "missing_text" if require_text else ""
    if not isinstance(text, str):
        return "bad_row"
    return "" if text.strip() or not require_text else "empty_text"


def _tables_in(folder: Path) -> list[Path]:
    found = [p for p in folder.iterdir() if splitext(p.name)[1].lower() in TABLE_SUFFIXES]
    files = sorted(p for p in found if p.is_file() and not is_hidden(p.name))
    plain = [p for p in files if p.suffix.lower() != ".json"]
    return plain + [p for p in files if p.suffix.lower() == ".json" and "manifest" in p.stem.lower()]


def _split_of(name: str) -> str | None:
    try:
        return split_name(name)
    except ValueError:
        return None


def _split_in(name: str) -> str | None:
    """The split that one word of a name states."""
    found = {split for word in re.split(r"[_.-]", name) if (split := _split_of(word)) is not None}
    return found.pop() if len(found) == 1 else None


def _stretch(values: dict[str, Any], duration: float) -> tuple[float, float] | None:
    """Where a row begins and ends in its file, s; None for all of it.

    Either `start` and `end` say so, or `offset` and `duration`, as in manifests of NeMo. One of `start` and `end`
    without the other is a column of another meaning.
    """
    offset = _number("offset", values.pop("offset", None))
    paired = "start" in values and "end" in values
    start, end = (_number(name, values[name]) if paired else None for name in ("start", "end"))
    if start is None and end is None and offset is not None:
        if offset and not duration:
            raise ValueError(f"an offset of {offset} s needs a duration")
        start, end = offset, offset + duration if duration else None
        if end is None:
            return None
        if not paired:  # `extra.start` and `extra.end` are those of the stretch
            values.update({f"custom_{name}": values.pop(name) for name in ("start", "end") if name in values})
    if start is None and end is None:
        return None
    if start is None or end is None or not 0 <= start < end:
        raise ValueError(f"from {start} to {end} s is no stretch of time")
    return round(start, 6), round(end, 6)


def _channel(values: dict[str, Any]) -> dict[str, int]:
    """Which channel holds the row, from 0, and how many there have to be for that; other words are no channel."""
    stated = values.get("channel")
    if isinstance(stated, bool) or not re.fullmatch(r"-?\d+", str(stated)):
        return {}
    channel = int(str(stated))
    if channel < 0:
        raise ValueError(f"channels are counted from 0, got {channel}")
    return {"channel": channel, "_channels": channel + 1}


def _number(name: str, value: object) -> float | None:
    if value is None or value == "":
        return None
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name} has to be a number of seconds, got {value!r}")
    return number


def _seconds(value: object) -> float:
    seconds = _number("the duration", value)
    if seconds is not None and seconds <= 0:
        raise ValueError(f"the duration has to be above 0 s, got {value!r}")
    return seconds or 0.0


def _language(value: str | None) -> str | None:
    return language_code(value) if value else None


def _word(name: str, value: object) -> str | None:
    if isinstance(value, dict | list | bool):
        raise ValueError(f"{name} is {value!r:.99}, a text or a number was expected")
    return str(value).strip() or None if value is not None else None


def _small_ending(path: str) -> str:
    """The path with its ending in small letters."""
    ending = _ending(path)
    return path[: -len(ending)] + ending


def _ending(path: str) -> str:
    """The ending of a text, in small letters."""
    return next(ending for ending in _TEXTS if path.lower().endswith(ending))


def _stem(path: str) -> str:
    return splitext(path)[0] if is_audio(path) else path


FOLDER = Corpus(
    name="folder",
    title="a folder of your own",
    licence="yours to state",
    source="a folder of audio with a csv, tsv or jsonl table, or with .txt or .lab files beside the audio",
    rows=iter_folder,
    units={
        "speaker": lambda row: row.speaker or row.id,
        "id": lambda row: row.id,
        "folder": lambda row: PurePosixPath(row.audio).parent.as_posix(),
    },
    least_speakers=10,
    layout="metadata.csv|tsv|jsonl with columns audio, text; or NAME.wav + NAME.txt|lab",
)
