"""Emilia and Emilia-YODAS as published: 215,600 h of speech in six languages, 24 kHz MP3, three layouts.

The early release (`EN/EN_B00000.tar.gz` with `EN/EN_B00000.jsonl` beside it, whole or in parts, or unpacked), the
WebDataset (`EN/EN-B000000.tar`), and today's (`Emilia/EN/...tar`, `Emilia-YODAS/EN/...tar`); and folders that the
pipeline itself wrote (`NAME.json`, a list, with `NAME_0.mp3` ...). Rows are read from the archives without unpacking.

Source: He et al., "Emilia: An Extensive, Multilingual, and Diverse Speech Dataset for Large-Scale Speech Generation",
2024, arXiv:2407.05361; Emilia-Large, 2025, arXiv:2501.15907.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from amphion_core.data import Drop
from amphion_core.data.rows import RowError, identity, parse_json
from amphion_core.data.scan import Group, Read, group_members, list_members, reading
from amphion_core.data.tar import Member
from amphion_core.schema import Utterance
from amphion_data.corpora.emilia_early import TABLES, early_rows, read_tables, tables_of
from amphion_data.corpora.emilia_rows import (
    Asked,
    below,
    emilia_row,
    further_sounds,
    refused_members,
    repairs_of,
    sounds_of,
    unreadable,
)
from amphion_data.corpora.emilia_unpacked import unpacked_rows
from amphion_data.corpora.listing import find_root
from amphion_data.corpus import Corpus
from amphion_data.figures import Figures
from amphion_data.files import hidden_drop, is_hidden, walk

__all__ = ["EMILIA", "iter_emilia"]

_BATCH = re.compile(r"(?P<stem>.*)\.tar\.gz(\.\d+)?")
_DATA = re.compile(r".*\.(tar|tar\.gz(\.\d+)?|jsonl?)")
_OLD_LOADER = ("audio_paths", "json_paths", "durations", "phone_counts")


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
    yield from (hidden_drop(path, path) for path in paths if is_hidden(path) and _DATA.fullmatch(path))
    files = [path for path in paths if not is_hidden(path)]
    asked = Asked(language, str(trust_stem).lower() in ("true", "1", "yes"), require_text)
    for path in files:
        if path.endswith(".tar"):
            yield from _tar(base, path, asked)
    listed = asked._replace(trusted=False)  # where a table says which clip is meant, ids have to agree
    early = sorted({f"{match['stem']}.tar.gz" for path in files if (match := _BATCH.fullmatch(path))})
    drops: list[Drop] = []
    tables = read_tables(base, files, early, drops)
    yield from drops
    early = [archive for archive in early if not archive.endswith(TABLES)]
    table_of = tables_of(base, early, tables)
    for archive in early:
        name = table_of.get(archive, "")
        yield from early_rows(base, archive, name, tables.pop(name, []), listed)
    if names is None:
        yield from unpacked_rows(base, tables, listed)


def _tar(root: Path, path: str, asked: Asked) -> Iterator[Utterance | Drop]:
    """Rows of a WebDataset archive: a json and an audio member each, in any order."""
    drops: list[Drop] = []
    release = "yodas" if "Emilia-YODAS" in path.split("/") else None
    try:
        groups = group_members(root / path, list_members(root / path, drops), drops)
    except ValueError as error:
        yield unreadable(root, path, error)
        return
    yield from (below(drop, path) for drop in drops)
    with reading(root / path) as (_, read):
        for group in groups:
            yield from _grouped(group, read, path, release, asked)


def _grouped(group: Group, read: Read, tar: str, release: str | None, asked: Asked) -> Iterator[Utterance | Drop]:
    """The row of members with one name, if it is one; and those among them that are refused or one audio too many."""
    held, sounds = group.members, sounds_of(group)
    yield from refused_members(group, tar)
    if sounds:
        yield _grouped_row(group, sounds[0], read, tar, release, asked)
        yield from further_sounds(group.key, sounds, tar)
    elif "json" in held:  # other members, such as a README, belong to no row
        detail = f"the tar has {held['json'].name} and no audio of that name"
        yield Drop(group.key, f"{tar}/{group.key}.mp3", "missing_audio", detail, "scan")


def _grouped_row(
    group: Group, sound: Member, read: Read, tar: str, release: str | None, asked: Asked
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
        *repairs_of(data, sound.name, stated.name),
        *(["audio_before_json"] if sound.offset < stated.offset else []),
        *(["id_unescaped"] if key != member else []),
    ]
    place = {"tar": tar, "_member": [sound.offset, sound.size]}
    return emilia_row(values, key, audio, place, release, asked, repairs)


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
