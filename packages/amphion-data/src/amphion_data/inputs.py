"""Which source files a shard was made of, so that a file changed in place is read again by the next run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from amphion_core.atomic import atomic_writer
from amphion_core.data.index import probe
from amphion_core.schema import Utterance
from amphion_data.files import read_record
from amphion_data.places import file_of

__all__ = ["forget_changed", "inputs_record"]

_THREADS = 8  # the files may lie on a network, where each answer takes a while


def forget_changed(folder: Path, root: Path, rows: Sequence[Utterance], per_shard: int) -> list[str]:
    """Remove the shards of a folder whose source files are others than when they were made.

    A file is another one when its size or samples of its bytes differ from those noted, or when it was written after
    the shard. What is noted depends on the files alone, so it is the same on every machine.

    Args:
        folder: of the shards of one split.
        root: folder of the corpus.
        rows: all rows of the split, in order.
        per_shard: rows of a shard.

    Returns:
        Names of the shards that were removed.
    """
    record = inputs_record(folder)
    before: dict[str, str] = read_record(record, replaced=True)  # a damaged one is written anew
    now: dict[str, str] = {}
    changed = set(before)
    with ThreadPoolExecutor(_THREADS) as pool:
        for number, start in enumerate(range(0, len(rows), per_shard)):
            name = f"shard-{number:06d}"
            files = [root / file_of(row) for row in rows[start : start + per_shard]]
            states = list(pool.map(_state, files))
            text = "\n".join(f"{row.audio}\0{state}" for row, (state, _) in zip(rows[start:], states, strict=False))
            now[name] = hashlib.sha256(text.encode()).hexdigest()[:32]
            shard = folder / f"{name}.tar"
            written = shard.stat().st_mtime_ns if shard.is_file() else 0
            if before.get(name) == now[name] and all(time <= written for _, time in states):
                changed.discard(name)
    for name in sorted(changed):
        for path in sorted(folder.glob(f"{name}.*")):
            path.unlink()
    if now != before:
        with atomic_writer(record) as file:
            file.write((json.dumps(now, indent=0) + "\n").encode())
    return sorted(changed)


def inputs_record(folder: Path) -> Path:
    """Where the state of the source files of a folder of shards is kept."""
    return folder.with_name(f".inputs-{folder.name}.json")


def _state(path: Path) -> tuple[str, int]:
    """Size and samples of a file in a few letters, and when it was written, ns."""
    try:
        return probe(path), path.stat().st_mtime_ns
    except OSError as error:
        return type(error).__name__, 0
