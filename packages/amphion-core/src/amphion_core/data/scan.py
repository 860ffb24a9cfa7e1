"""Making the index of a tar that came without one: plain WebDataset shards and those of Emilia."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple

from amphion_core.audio import AudioError, info
from amphion_core.data.index import Entry, IndexBuilder, Place
from amphion_core.data.record import AUDIO_FIELDS, UNSAFE_FIELDS, Drop
from amphion_core.data.rows import RowError, check_duration, identity, numbers, parse_json, utterance
from amphion_core.data.tar import BLOCK, Member, TarError, members
from amphion_core.data.workers import end_with_parent

__all__ = ["Group", "group_members", "list_members", "reading", "scan"]

_log = logging.getLogger(__name__)
_STAGE = "index"
_CHUNK = 256  # rows handed to a worker at once


class Group(NamedTuple):
    """Members of one row.

    Attributes:
        key: what their names have in common.
        members: by field, the rest of the name in lower case.
    """

    key: str
    members: dict[str, Member]


Read = Callable[[int, int], bytes]
"""Bytes at an offset, of a size."""


class _Expected(NamedTuple):
    audio: bool
    json: bool


def scan(
    tar: str | Path, *, workers: int = 1, on_error: Literal["record", "fail"] = "record"
) -> tuple[IndexBuilder, list[Drop]]:
    """Read a tar once, decode its audio for the durations, and collect what an index keeps.

    Args:
        tar: path.
        workers: processes that decode; the result is the same for any number.
        on_error: `record` leaves bad rows out and lists them; `fail` raises at the first.

    Returns:
        The rows, and what was left out with its reason.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: nothing in it is a tar, or `fail` and something is bad.
    """
    tar = Path(tar)
    drops: list[Drop] = []
    listed = list_members(tar, drops)
    groups = group_members(tar, listed, drops)
    builder = IndexBuilder()
    kinds = {field for group in groups for field in group.members}
    expected = _Expected(audio=not kinds.isdisjoint(AUDIO_FIELDS), json="json" in kinds)
    for result in _rows(tar, groups, expected, workers):
        if isinstance(result, Drop):
            drops.append(result)
        else:
            builder.add(result)
    if drops:
        if on_error == "fail":
            raise ValueError(f"{tar}: {drops[0].id}: {drops[0].reason}: {drops[0].detail} ({len(drops)} in all)")
        _log.warning("%s: %d left out, the first: %s: %s", tar, len(drops), drops[0].reason, drops[0].detail)
    return builder, drops


def reading(path: Path) -> contextlib.AbstractContextManager[tuple[int, Read]]:
    """Size of a plain tar, and how to read it, for a `with` block."""
    return _reading(path)


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[tuple[int, Read]]:
    with path.open("rb", buffering=0) as file:

        def read(offset: int, count: int) -> bytes:
            file.seek(offset)
            return file.read(count) or b""

        yield file.seek(0, os.SEEK_END), read


def list_members(
    tar: Path,
    drops: list[Drop],
    opened: Callable[[Path], contextlib.AbstractContextManager[tuple[int, Read]]] = reading,
) -> list[Member]:
    """Members of an archive in order, as far as it is whole.

    Args:
        tar: path.
        drops: where the damage is noted.
        opened: gives size and bytes of the archive; for one that is compressed, of what is inside.

    Raises:
        ValueError: the file is empty, compressed, or no tar from its beginning on.
    """
    with opened(tar) as (size, read):
        if size == 0:
            raise ValueError(f"{tar} is empty: 0 bytes; fetch or write it again")
        if read(0, 2) == b"\x1f\x8b":
            raise ValueError(f"{tar} is compressed by gzip and can't be read at random; unpack it to a plain tar first")
        found: list[Member] = []
        try:
            for member in members(read, size):
                found.append(member)  # one by one: those before the damage are good
        except TarError as error:
            if not found:
                raise ValueError(f"{tar} is no tar, or its beginning is destroyed: {error}") from None
            drops.append(
                Drop(tar.name, str(tar), error.reason, f"{error}; {len(found)} members before are whole", _STAGE)
            )
        else:
            if read(max(0, size - BLOCK), BLOCK).strip(b"\0"):
                _log.warning("%s has no end marker; its %d members are whole", tar, len(found))
        return found


def group_members(tar: Path, listed: Sequence[Member], drops: list[Drop]) -> list[Group]:
    """Rows of an archive by the names of its members; those that are refused or there twice are noted."""
    names = [(member, member.name.removeprefix("./")) for member in listed if member.kind != "folder"]
    audio_keys = {
        name.rpartition(".")[0] for _, name in names if name.rpartition(".")[2].lower() in AUDIO_FIELDS and "." in name
    }
    groups: dict[str, Group] = {}
    dotted = 0
    for member, name in names:
        reason = _refusal(member, name)
        if reason:
            drops.append(Drop(name, str(tar), reason[0], reason[1], _STAGE))
            continue
        key, field = _split(name, audio_keys)
        dotted += "." in key.rpartition("/")[2]
        group = groups.setdefault(key, Group(key, {}))
        if field in group.members:
            drops.append(
                Drop(key, str(tar), "duplicate_id", f"the member {name!r} is there twice; the first stays", _STAGE)
            )
        else:
            group.members[field] = member
    if dotted:
        _log.warning("%s: %d members have dots in their keys; the webdataset library would merge them", tar, dotted)
    return list(groups.values())


def _refusal(member: Member, name: str) -> tuple[str, str] | None:
    parts = name.split("/")
    base = parts[-1]
    if member.kind != "file":
        return "unsafe_path", f"a {member.kind}, only files are read"
    if name.startswith("/") or ".." in parts or "\\" in name or (len(name) > 1 and name[1] == ":"):
        return "unsafe_path", f"the name {name!r} leads out of the archive"
    if base.startswith(".") or "__MACOSX" in parts:
        return "hidden_file", "a hidden file"
    try:
        name.encode()
    except UnicodeEncodeError:
        return "unsafe_path", f"the name {name!r} is no UTF-8"
    if "." not in base:
        return "bad_row", "a name without an extension belongs to no row"
    if base.rpartition(".")[2].lower() in UNSAFE_FIELDS:
        return "unsafe_path", f"a {base.rpartition('.')[2]} member can run code when it is read; it is never opened"
    return None


def _split(name: str, audio_keys: set[str]) -> tuple[str, str]:
    stem, _, extension = name.rpartition(".")
    if stem in audio_keys and "." not in stem.rpartition("/")[2]:
        return stem, extension.lower()
    folder, slash, base = name.rpartition("/")
    pieces = base.split(".")
    for count in range(len(pieces) - 1, 0, -1):
        key = folder + slash + ".".join(pieces[:count])
        if key in audio_keys:
            return key, ".".join(pieces[count:]).lower()
    if extension.lower() in ("json", "txt"):
        return stem, extension.lower()
    return folder + slash + pieces[0], ".".join(pieces[1:]).lower()


def _rows(tar: Path, groups: Sequence[Group], expected: _Expected, workers: int) -> Iterator[Entry | Drop]:
    work = functools.partial(_chunk, tar, expected=expected)
    chunks = [groups[k : k + _CHUNK] for k in range(0, len(groups), _CHUNK)]
    if workers > 1 and len(chunks) > 1:
        with ProcessPoolExecutor(workers, initializer=end_with_parent) as pool:
            for rows in pool.map(work, chunks):
                yield from rows
    else:
        for chunk in chunks:
            yield from work(chunk)


def _chunk(tar: Path, groups: Sequence[Group], *, expected: _Expected) -> list[Entry | Drop]:
    results: list[Entry | Drop] = []
    with reading(tar) as (_, read):
        for group in groups:
            try:
                results.append(_entry(tar, group, read, expected))
            except (AudioError, RowError) as error:
                results.append(Drop(group.key, str(tar), error.reason, str(error), _STAGE))
    return results


def _entry(tar: Path, group: Group, read: Callable[[int, int], bytes], expected: _Expected) -> Entry:
    content = {field: read(member.offset, member.size) for field, member in group.members.items()}
    places = [Place(f, m.offset, m.size, zlib.crc32(content[f])) for f, m in sorted(group.members.items())]
    audio = next((field for field in AUDIO_FIELDS if field in content), None)
    if audio is None and expected.audio:
        raise RowError(f"no audio beside {', '.join(sorted(content))}", "missing_audio")
    if "json" not in content and expected.json:
        raise RowError(f"no json beside {', '.join(sorted(content))}; other rows have one")
    values = parse_json(content["json"]) if "json" in content else {}
    key = identity(values, group.key)
    if audio is None:
        row = utterance(values, key, duration=_stated(values), sample_rate=_rate(values))
    else:
        told = info(content[audio])
        warning = check_duration(values, told.duration)
        if warning:
            _log.warning("%s: %s: %s", tar, group.key, warning)
        text = content["txt"].decode("utf-8", "replace").strip() if "txt" in content else None
        row = utterance(values, key, duration=told.duration, sample_rate=told.sample_rate, text=text)
    return Entry(
        key,
        places,
        row.duration,
        row.sample_rate,
        row.speaker,
        row.language,
        len(row.text or ""),
        numbers(row),
    )


def _stated(values: dict[str, object]) -> float:
    stated = values.get("duration", 0.0)
    return float(stated) if isinstance(stated, int | float) and 0 <= stated < float("inf") else 0.0


def _rate(values: dict[str, object]) -> int:
    rate = values.get("sample_rate", 0)
    return rate if isinstance(rate, int) and rate > 0 else 0
