"""The sets of shards that a preparation wrote, and their rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from amphion_core.data import ShardSet
from amphion_core.schema import Utterance
from amphion_data.files import first_entries
from amphion_data.splits import SPLITS

__all__ = ["iter_rows", "open_parts"]

_SHARDS = "shards"
"""Folder of the shards in what `emilia` wrote."""


def open_parts(source: str | Path) -> dict[str, ShardSet]:
    """The sets of shards below a folder: those of `train`, `valid` and `test`, or the folder itself under its name.

    What `emilia` wrote has its shards in `shards`; that is one set, under the name of the folder. So are tars of others
    in folders of their own, such as those of Emilia by language, also below `train`, `valid` and `test`.

    Raises:
        FileNotFoundError: there are no shards.
    """
    source = Path(source)
    if not source.exists():
        raise FileNotFoundError(f"no folder or file {source}")
    parts = {split: source / split for split in SPLITS if _tars_in(source / split)}
    if not parts and source.is_dir() and not any(source.glob("*.tar")):
        if any((source / _SHARDS).glob("*.tar")):
            parts = {source.name: source / _SHARDS}
        elif not _tars_in(source):
            where = ", ".join(SPLITS)
            raise FileNotFoundError(f"no shards (*.tar) in {source} or its {where}, {_SHARDS}; {first_entries(source)}")
    return {name: ShardSet.open(path) for name, path in (parts or {source.name: source}).items()}


def _tars_in(folder: Path) -> bool:
    """Whether there are tars in a folder, or tars of others in its folders; sets of ours are opened one at a time."""
    return any(folder.glob("*.tar")) or any(not (tar.parent / "shards.json").exists() for tar in folder.glob("*/*.tar"))


def iter_rows(source: str | Path, split: str | None = None) -> Iterator[Utterance]:
    """Rows of shards in their order, `audio` the path in the corpus that they came from.

    Args:
        source: as for `open_parts`.
        split: only this one.

    Raises:
        FileNotFoundError: there are no shards.
        LookupError: there is no such split.
    """
    parts = open_parts(source)
    if split is not None and split not in parts:
        raise LookupError(f"no split {split!r} in {source}; there are: {', '.join(parts)}")
    for name, shards in parts.items():
        if split in (None, name):
            for number in range(len(shards)):
                row = shards.utterance(number)
                yield replace(row, audio=str(row.extra.get("source", row.audio)))
