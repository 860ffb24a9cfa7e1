"""Emilia and Emilia-YODAS as published: 215,600 h of speech in six languages, 24 kHz MP3, three layouts.

The early release (`EN/EN_B00000.tar.gz` with `EN/EN_B00000.jsonl` beside it, whole or in parts, or unpacked), the
WebDataset (`EN/EN-B000000.tar`), and today's (`Emilia/EN/...tar`, `Emilia-YODAS/EN/...tar`); and folders that the
pipeline itself wrote (`NAME.json`, a list, with `NAME_0.mp3` ...). Rows are read from the archives without unpacking.

Source: He et al., "Emilia: An Extensive, Multilingual, and Diverse Speech Dataset for Large-Scale Speech Generation",
2024, arXiv:2407.05361; Emilia-Large, 2025, arXiv:2501.15907.
"""

from __future__ import annotations

import contextlib
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple

from amphion_core.data import Drop
from amphion_core.data.record import AUDIO_FIELDS
from amphion_core.data.rows import RowError, identity, parse_json, utterance
from amphion_core.data.scan import Group, Read, group_members, list_members, reading
from amphion_core.data.tar import Member
from amphion_core.schema import Utterance
from amphion_data.corpora.listing import Listing, find_root, nfc
from amphion_data.corpus import Corpus
from amphion_data.figures import Figures
from amphion_data.files import is_audio, is_hidden, walk
from amphion_data.places import open_archive

__all__ = ["EMILIA", "iter_emilia"]

_BATCH = re.compile(r"(?P<stem>.*)\.tar\.gz(\.\d+)?")
_DATA = re.compile(r".*\.(tar|tar\.gz(\.\d+)?|jsonl?)")
_TABLES = "openemilia_all.tar.gz"
"""The archive of the tables of all early batches."""
_OLD_LOADER = ("audio_paths", "json_paths", "durations", "phone_counts")
_ARRAYS = frozenset({"npy", "npz"})
"""Endings of numpy objects, which can hold pickles; no row of Emilia has one."""
_NUMBERS = ("dnsmos", "phone_count")
"""Fields that filters compare with numbers."""
_RENAMED = {name: f"source_{name}" for name in ("start", "end", "channel", "split")}
"""Fields of the JSON that tell of the recording; under their own names they would say what to read of the clip."""
_BOM = b"\xef\xbb\xbf"


class _Asked(NamedTuple):
    """What the user asked for."""

    language: str | None
    trusted: bool
    require_text: bool


def iter_emilia(
    root: Path,
    *,
    language: str | None = None,
    require_text: bool = True,
    trust_stem: str | bool = False,
    **_: Any,
) -> Iterator[Utterance | Drop]:
    """Rows by archive, in the order of their members; then those of unpacked batches and of the pipeline's folders.

    Args:
        root: a folder of archives, or one tar.
        language: of rows that state none, two letters.
        require_text: whether rows without text are dropped.
        trust_stem: `true` keeps rows whose JSON has another id than their member, under the member's name.

    Raises:
        FileNotFoundError: there is no archive, batch or list.
        ValueError: an archive is none.
    """
    if root.is_file():
        base, names = root.parent, [root.name]
    else:
        base, names = find_root(root, _has_data, "Emilia needs *.tar, *.tar.gz, *.jsonl or lists of its pipeline"), None
    paths = names or list(walk(base))
    yield from (_hidden(path, path) for path in paths if is_hidden(path) and _DATA.fullmatch(path))
    files = [path for path in paths if not is_hidden(path)]
    asked = _Asked(language, str(trust_stem).lower() in ("true", "1", "yes"), require_text)
    for path in files:
        if path.endswith(".tar"):
            yield from _tar(base, path, asked)
    early = sorted({f"{match['stem']}.tar.gz" for path in files if (match := _BATCH.fullmatch(path))})
    drops: list[Drop] = []
    tables = _tables(base, files, early, drops)
    yield from drops
    early = [archive for archive in early if not archive.endswith(_TABLES)]
    table_of = _tables_of(base, early, tables)
    for archive in early:
        name = table_of.get(archive, "")
        yield from _early(base, archive, name, tables.pop(name, []), asked)
    if names is None:
        yield from _unpacked(base, tables, asked)


def _tar(root: Path, path: str, asked: _Asked) -> Iterator[Utterance | Drop]:
    """Rows of a WebDataset archive: a json and an audio member each, in any order."""
    drops: list[Drop] = []
    release = "yodas" if "Emilia-YODAS" in path.split("/") else None
    try:
        groups = group_members(root / path, list_members(root / path, drops), drops)
    except ValueError as error:
        yield _unreadable(root, path, error)
        return
    yield from (_below(drop, path) for drop in drops)
    with reading(root / path) as (_, read):
        for group in groups:
            yield from _grouped(group, read, path, release, asked)


def _grouped(group: Group, read: Read, tar: str, release: str | None, asked: _Asked) -> Iterator[Utterance | Drop]:
    """The row of members with one name, if it is one; and those among them that are refused or one audio too many."""
    held, sounds = group.members, _sounds(group)
    yield from _refused(group, tar)
    if sounds:
        yield _grouped_row(group, sounds[0], read, tar, release, asked)
        yield from _further(group.key, sounds, tar)
    elif "json" in held:  # other members, such as a README, belong to no row
        detail = f"the tar has {held['json'].name} and no audio of that name"
        yield Drop(group.key, f"{tar}/{group.key}.mp3", "missing_audio", detail, "scan")


def _refused(group: Group, archive: str) -> Iterator[Drop]:
    """Numpy objects among the members of a row, and audio of other kinds than Emilia has."""
    for name, member in sorted(group.members.items()):
        place = f"{archive}/{member.name}"
        if name.rpartition(".")[2] in _ARRAYS:
            detail = "a numpy object can run code when it is read; it is never opened"
            yield Drop(f"{group.key}.{name}", place, "unsafe_path", detail, "scan")
        elif is_audio(member.name) and name not in AUDIO_FIELDS:
            detail = f"the audio of a row is one of {', '.join(AUDIO_FIELDS)}"
            yield Drop(f"{group.key}.{name}", place, "unsupported_audio", detail, "scan")


def _sounds(group: Group) -> list[Member]:
    """Audio among the members of a row, sorted by name."""
    return sorted((m for name, m in group.members.items() if name in AUDIO_FIELDS), key=lambda member: member.name)


def _further(id: str, sounds: Sequence[Member], archive: str) -> Iterator[Drop]:
    """Audio whose name differs from the first only in its folder or its ending."""
    for member in sounds[1:]:
        detail = f"{sounds[0].name} has this name too; the first stays"
        yield Drop(id, f"{archive}/{member.name}", "duplicate_id", detail, "scan")


def _grouped_row(
    group: Group, sound: Member, read: Read, tar: str, release: str | None, asked: _Asked
) -> Utterance | Drop:
    stated = group.members.get("json")
    audio = f"{tar}/{sound.name}"
    if stated is None:
        return Drop(group.key, audio, "bad_row", "no json beside the audio", "scan")
    data = read(stated.offset, stated.size)
    try:
        values = parse_json(data)
    except RowError as error:
        return Drop(group.key, audio, error.reason, str(error), "scan")
    member = PurePosixPath(group.key).name
    key = identity(values, member)
    repairs = [
        *_repairs(data, sound.name, stated.name),
        *(["audio_before_json"] if sound.offset < stated.offset else []),
        *(["id_unescaped"] if key != member else []),
    ]
    place = {"tar": tar, "_member": [sound.offset, sound.size]}
    return _row(values, key, audio, place, release, asked, repairs)


def _early(root: Path, archive: str, name: str, lines: list[bytes], asked: _Asked) -> Iterator[Utterance | Drop]:
    """Rows of a compressed batch, whose fields stand in the lines of the table of this name; empty for none."""
    drops: list[Drop] = []
    members: list[Member] = []
    try:
        members = list_members(root / archive, drops, _unpacking)
    except (ValueError, OSError, EOFError) as error:
        yield _unreadable(root, archive, error)
        if not name:
            return
    groups = group_members(root / archive, members, drops)
    yield from (_below(drop, archive) for drop in drops)
    sounds: dict[str, Member] = {}
    for group in sorted(groups):
        yield from _refused(group, archive)
        stem, found = PurePosixPath(group.key).name, _sounds(group)
        if found:
            found = found if stem not in sounds else [sounds[stem], *found]
            sounds[stem] = found[0]
            yield from _further(stem, found, archive)
    if not name:
        detail = f"no {PurePosixPath(archive).name.removesuffix('.tar.gz')}.jsonl beside it or in {_TABLES}"
        yield from (Drop(stem, f"{archive}/{m.name}", "bad_row", detail, "scan") for stem, m in sounds.items())
        return
    listed = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{name}.jsonl:{number}"
        try:
            values = parse_json(line)
        except RowError as error:
            yield Drop(where, "", error.reason, f"{where}: {error}", "scan")
            continue
        key = str(values.get("id", where))
        sound = sounds.get(key)
        listed.add(key)
        if sound is None:
            yield Drop(key, "", "missing_audio", f"{where}: {archive} has no {key}.mp3", "scan")
            continue
        place = {"tar": archive, "_member": [sound.offset, sound.size]}
        repairs = _repairs(line, sound.name)
        yield _row(values, key, f"{archive}/{sound.name}", place, "emilia", asked._replace(trusted=False), repairs)
    for stem, sound in sounds.items():
        if stem not in listed:
            yield Drop(stem, f"{archive}/{sound.name}", "unlisted_audio", "no line of the batch lists it", "scan")


def _unpacked(root: Path, tables: Mapping[str, list[bytes]], asked: _Asked) -> Iterator[Utterance | Drop]:
    """Rows of batches that lie unpacked beside their JSON lines, and of folders that the pipeline wrote."""
    listing = Listing(root)
    yield from listing.faults()
    stems: dict[str, str] = {}
    for name in listing.audio:
        stems.setdefault(name.rpartition("/")[2], name)
    for batch, lines in sorted(tables.items()):
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _unpacked_row(line, f"{batch}.jsonl:{number}", stems, listing, asked)
    for path in listing.files:
        if path.endswith(".json"):
            yield from _pipeline_list(listing, path, asked)
    rest = {drop.id: drop for drop in listing.rest("no list has it")}
    for name, drop in rest.items():
        first = stems[name.rpartition("/")[2]]
        detail = f"{listing.audio[first]} has this name too and is listed"
        yield drop if first in rest else Drop(name, drop.audio, "duplicate_id", detail, "scan")


def _unpacked_row(
    line: bytes, where: str, stems: Mapping[str, str], listing: Listing, asked: _Asked
) -> Utterance | Drop:
    try:
        values = parse_json(line)
    except RowError as error:
        return Drop(where, "", error.reason, f"{where}: {error}", "scan")
    key = str(values.get("id", where))
    path = listing.find(stems[nfc(key)]) if nfc(key) in stems else None
    if path is None:
        return Drop(key, str(values.get("wav") or ""), "missing_audio", f"{where}: no file {key}.mp3", "scan")
    return _row(values, key, path, {}, "emilia", asked._replace(trusted=False), _repairs(line, path))


def _pipeline_list(listing: Listing, path: str, asked: _Asked) -> Iterator[Utterance | Drop]:
    """Rows of a list `NAME.json` of the pipeline, whose clips are `NAME_0.mp3`, `NAME_1.mp3` ..."""
    base = path.removesuffix(".json")
    try:
        items = json.loads(listing.text(path) or "")
        if not isinstance(items, list) or not all(isinstance(item, dict) and "text" in item for item in items):
            return
    except ValueError:
        return
    for number, item in enumerate(items):
        key = f"{PurePosixPath(base).name}_{number}"
        audio = listing.find(f"{base}_{number}")
        if audio is None:
            yield Drop(key, "", "missing_audio", f"{path}, item {number}: no {key}.mp3", "scan")
            continue
        start, end, speaker = item.get("start"), item.get("end"), item.get("speaker")
        recording = PurePosixPath(base).name
        if isinstance(speaker, str) and speaker and not speaker.startswith(recording):
            speaker = f"{recording}_{speaker}"  # labels are valid within one recording only
        values = item | {"id": key, "wav": audio, "speaker": speaker}
        if _is_number(start) and _is_number(end):
            values["duration"] = end - start
        yield _row(values, key, audio, {}, "emilia", asked._replace(trusted=False), _repairs(b"", audio))


def _row(
    values: dict[str, Any],
    key: str,
    audio: str,
    place: Mapping[str, Any],
    release: str | None,
    asked: _Asked,
    repairs: Sequence[str],
) -> Utterance | Drop:
    """A row of the fields that both releases have; repairs that are allowed are counted as warnings."""
    kind = release or ("yodas" if "_id" in values else "emilia")
    name = values.get("_id", values.get("id"))
    if not isinstance(name, str):
        return Drop(key, audio, "bad_row", "the JSON has neither id nor _id", "scan")
    if name != key and not asked.trusted:
        return Drop(key, audio, "bad_row", f"the JSON has the id {name!r}, its member the name {key!r}", "scan")
    duration = values.get("duration")
    if duration is not None and not (_is_number(duration) and 0 <= duration < float("inf")):
        detail = f"the JSON's duration is {duration!r}, a number of seconds was expected"
        return Drop(key, audio, "duration_mismatch", detail, "scan")
    plain, left_out = _foreign({k: v for k, v in values.items() if k not in ("_id", "id")})
    marked = {"_id": key} if kind == "yodas" else {"id": key, "wav": plain.pop("wav", None) or ""}
    plain.pop("sample_rate", None)
    try:
        row = utterance({**marked, **plain}, key, duration=float(duration or 0), sample_rate=0)
    except RowError as error:
        return Drop(key, audio, error.reason, str(error), "scan")
    raw = values.get("text")
    text = nfc(" ".join((row.text or "").split()))
    if not text and asked.require_text:
        reason = "missing_text" if raw is None else "empty_text"
        return Drop(
            key, audio, reason, f"the JSON's text is {raw!r}" if "text" in values else "the JSON has no text", "scan"
        )
    extra = {k: v for k, v in row.extra.items() if v not in (None, "")}
    strange = {k: extra.pop(k) for k in _NUMBERS if k in extra and not _is_number(extra[k])}
    language = values.get("language")
    noted = [
        *extra.pop("warnings", []),
        *repairs,
        *([f"id_of_member: the JSON has {name!r}"] if name != key else []),
        *(["speaker_prefix"] if row.speaker else []),
        *(["language_in_capitals"] if isinstance(language, str) and language != row.language else []),
        *(["blank_around_text"] if isinstance(raw, str) and raw != raw.strip() else []),
        *(f"no_number: {name} is {value!r:.50}; it is left out" for name, value in strange.items()),
        *left_out,
    ]
    return Utterance(
        id=row.id,
        audio=audio,
        duration=row.duration,
        text=text or None,
        speaker=row.speaker,
        language=row.language or asked.language,
        extra={
            **extra,
            **({"text_raw": raw} if isinstance(raw, str) else {}),
            **({"warnings": noted} if noted else {}),
            "release": kind,
            **place,
        },
    )


def _foreign(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Fields of the JSON under names that have no meaning of ours, and what is noted of those that are left out."""
    kept: dict[str, Any] = {}
    noted = []
    for name, value in values.items():
        listed = isinstance(value, list) and all(isinstance(item, str) for item in value)
        other = "custom_warnings" if name == "warnings" and not listed else _RENAMED.get(name, name)
        if name.startswith("_"):  # such names are ours and say where to read
            noted.append(f"private_field: {name!r:.50} of the JSON is left out")
        elif other != name and other in values:
            noted.append(f"field_twice: {name} of the JSON is left out, since it has {other} too")
        else:
            kept[other] = value
    return kept, noted


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _repairs(data: bytes, *names: str) -> list[str]:
    """What was odd about the bytes of the JSON and the names of the files of a row, each a word that is counted."""
    capital = any(suffix != suffix.lower() for suffix in (PurePosixPath(name).suffix for name in names))
    return [
        *(["byte_order_mark"] if data.startswith(_BOM) else []),
        *(["ending_in_capitals"] if capital else []),
    ]


def _tables(root: Path, files: list[str], early: list[str], drops: list[Drop]) -> dict[str, list[bytes]]:
    """Lines of the JSON-lines tables by path without ending; of those in the big archive, the ones that no file has."""
    loose = [path.removesuffix(".jsonl") for path in files if path.endswith(".jsonl")]
    tables = {path: (root / f"{path}.jsonl").read_bytes().split(b"\n") for path in loose}
    packed: dict[str, list[bytes]] = {}
    for archive in early:
        if archive.endswith(_TABLES):
            packed |= _packed_tables(root, archive, drops)
    known = {short for path in tables for short in (_name(path), _folder_and_name(path))}
    count = Counter(map(_name, packed))
    for path, lines in packed.items():
        if (_name(path) if count[_name(path)] == 1 else _folder_and_name(path)) not in known:
            tables[path] = lines
    return tables


def _packed_tables(root: Path, archive: str, drops: list[Drop]) -> dict[str, list[bytes]]:
    """Lines of the tables in the big archive, by path in it without ending."""
    found: dict[str, list[bytes]] = {}
    damage: list[Drop] = []
    with _unpacking(root / archive) as (_, read):
        for member in list_members(root / archive, damage, _unpacking):
            name = member.name.removeprefix("./")
            if member.kind == "file" and is_hidden(name):
                drops.append(_hidden(name, f"{archive}/{name}"))
            elif member.kind == "file" and name.endswith(".jsonl"):
                found[name.removesuffix(".jsonl")] = read(member.offset, member.size).split(b"\n")
    drops += [_below(drop, archive) for drop in damage]
    return found


def _tables_of(root: Path, archives: Sequence[str], tables: Iterable[str]) -> dict[str, str]:
    """The table of each archive: that beside it; else one in a folder called like its own; else one of its name."""
    chosen: dict[str, str] = {}
    for short in (str, _folder_and_name, _name):
        left = sorted(set(tables) - set(chosen.values()), reverse=True)
        # A table beside an unpacked batch is of that one, unless the archive lies there too.
        free = {short(table): table for table in left if short is str or not (root / table).is_dir()}
        for archive in archives:
            own = short(archive.removesuffix(".tar.gz"))
            if archive not in chosen and own in free:
                chosen[archive] = free.pop(own)
    return chosen


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _folder_and_name(path: str) -> str:
    return "/".join(path.split("/")[-2:])


@contextlib.contextmanager
def _unpacking(path: Path) -> Iterator[tuple[int, Read]]:
    """Size of what a compressed archive holds, and how to read it; forward reading is cheap."""
    with open_archive(path) as stream:
        size = _length(stream)

        def read(offset: int, count: int) -> bytes:
            stream.seek(offset)
            return stream.read(count)

        yield size, read


def _length(stream: BinaryIO) -> int:
    """Bytes that can be unpacked; of a cut archive those before the cut."""
    size = 0
    with contextlib.suppress(EOFError, OSError, zlib.error):
        while piece := stream.read1(1 << 16):  # type: ignore[attr-defined]
            size += len(piece)
    return size


def _hidden(name: str, path: str) -> Drop:
    return Drop(name, path, "hidden_file", "left by a system or an archiver", "scan")


def _unreadable(root: Path, path: str, error: Exception) -> Drop:
    """The drop of an archive that is none; its words name the path below the root, wherever that lies."""
    return Drop(PurePosixPath(path).name, path, "corrupt_audio", str(error).replace(str(root / path), path), "scan")


def _below(drop: Drop, path: str) -> Drop:
    """A drop with the path below the root in place of that on this machine."""
    return Drop(drop.id, path, drop.reason, drop.detail, "scan")


def _has_data(folder: Path) -> bool:
    pickled = [p.name for p in folder.iterdir() if p.suffix in (".pkl", ".pickle")]
    if any(name.startswith(_OLD_LOADER) for name in pickled) and not any(folder.rglob("*.tar*")):
        raise ValueError(
            f"{folder} holds pickles of an old training loader ({', '.join(pickled[:4])}), which are never opened; "
            "make an index of the tars with 'amphion data index' or prepare the published layout"
        )
    return any(any(folder.rglob(pattern)) for pattern in ("*.tar", "*.tar.gz*", "*.jsonl", "*.json"))


_HOURS = {
    "emilia": {"en": 46_828.0, "zh": 49_922.0, "de": 1590.0, "fr": 1381.0, "ja": 1715.0, "ko": 217.0},
    "yodas": {"en": 92_200.0, "zh": 300.0, "de": 5600.0, "fr": 7400.0, "ja": 1100.0, "ko": 7300.0},
}
"""As published, by release and language."""

EMILIA = Corpus(
    name="emilia",
    title="Emilia and Emilia-YODAS",
    licence="Emilia CC BY-NC 4.0, Emilia-YODAS CC BY 4.0",
    source="https://huggingface.co/datasets/amphion/Emilia-Dataset (gated: accept the terms, then log in)",
    rows=iter_emilia,
    units={"source": lambda row: str(row.extra.get("video") or row.speaker or row.id)},
    languages=("de", "en", "fr", "ja", "ko", "zh"),
    hours=215_600.0,
    sample_rate=24_000,
    figures=tuple(
        Figures(part=f"{release} {language}", hours=hours)
        for release, table in _HOURS.items()
        for language, hours in table.items()
    ),
    part=lambda row: f"{row.extra.get('release')} {row.language}",
    layout="[Emilia/|Emilia-YODAS/]EN/EN-B000000.tar, or EN/EN_B00000.tar.gz with EN/EN_B00000.jsonl",
    options={"trust_stem": "true keeps rows whose JSON has another id than their member"},
)
