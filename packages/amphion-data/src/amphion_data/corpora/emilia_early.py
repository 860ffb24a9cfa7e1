"""The early release of Emilia: batches `EN_B00000.tar.gz`, whose fields stand in tables of JSON lines.

A table lies beside its batch or in one big archive with those of all batches.
"""

from __future__ import annotations

import contextlib
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from amphion_core.data import Drop
from amphion_core.data.scan import Read, group_members, list_members
from amphion_core.data.tar import Member
from amphion_core.schema import Utterance
from amphion_data.corpora.emilia_rows import (
    Asked,
    below,
    emilia_row,
    further_sounds,
    refused_members,
    repairs_of,
    sounds_of,
    table_lines,
    unreadable,
)
from amphion_data.files import hidden_drop, is_hidden
from amphion_data.places import open_archive

__all__ = ["TABLES", "early_rows", "read_tables", "tables_of"]

TABLES = "openemilia_all.tar.gz"
"""The archive of the tables of all early batches."""


def early_rows(root: Path, archive: str, name: str, lines: list[bytes], asked: Asked) -> Iterator[Utterance | Drop]:
    """Rows of a compressed batch, whose fields stand in the lines of the table of this name; empty for none."""
    drops: list[Drop] = []
    members: list[Member] = []
    try:
        members = list_members(root / archive, drops, _unpacking)
    except (ValueError, OSError, EOFError) as error:
        yield unreadable(root, archive, error)
        if not name:
            return
    groups = group_members(root / archive, members, drops)
    yield from (below(drop, archive) for drop in drops)
    sounds: dict[str, Member] = {}
    for group in sorted(groups):
        yield from refused_members(group, archive)
        stem, found = PurePosixPath(group.key).name, sounds_of(group)
        if found:
            found = found if stem not in sounds else [sounds[stem], *found]
            sounds[stem] = found[0]
            yield from further_sounds(stem, found, archive)
    if not name:
        detail = f"no {PurePosixPath(archive).name.removesuffix('.tar.gz')}.jsonl beside it or in {TABLES}"
        yield from (Drop(stem, f"{archive}/{m.name}", "bad_row", detail, "scan") for stem, m in sounds.items())
        return
    listed = set()
    for row in table_lines(name, lines):
        if isinstance(row, Drop):
            yield row
            continue
        where, line, values = row
        key = str(values.get("id", where))
        sound = sounds.get(key)
        listed.add(key)
        if sound is None:
            yield Drop(key, "", "missing_audio", f"{where}: {archive} has no {key}.mp3", "scan")
            continue
        place = {"tar": archive, "_member": [sound.offset, sound.size]}
        repairs = repairs_of(line, sound.name)
        yield emilia_row(values, key, f"{archive}/{sound.name}", place, "emilia", asked, repairs)
    for stem, sound in sounds.items():
        if stem not in listed:
            yield Drop(stem, f"{archive}/{sound.name}", "unlisted_audio", "no line of the batch lists it", "scan")


def read_tables(root: Path, files: list[str], early: list[str], drops: list[Drop]) -> dict[str, list[bytes]]:
    """Lines of the JSON-lines tables by path without ending; of those in the big archive, the ones that no file has."""
    loose = [path.removesuffix(".jsonl") for path in files if path.endswith(".jsonl")]
    tables = {path: (root / f"{path}.jsonl").read_bytes().split(b"\n") for path in loose}
    packed: dict[str, list[bytes]] = {}
    for archive in early:
        if archive.endswith(TABLES):
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
                drops.append(hidden_drop(name, f"{archive}/{name}"))
            elif member.kind == "file" and name.endswith(".jsonl"):
                found[name.removesuffix(".jsonl")] = read(member.offset, member.size).split(b"\n")
    drops += [below(drop, archive) for drop in damage]
    return found


def tables_of(root: Path, archives: Sequence[str], tables: Iterable[str]) -> dict[str, str]:
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
