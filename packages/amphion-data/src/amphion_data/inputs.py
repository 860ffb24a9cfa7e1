"""Which source files a shard was made of, so that a file changed in place is read again by the next run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from amphion_core.atomic import atomic_writer
from amphion_core.schema import Utterance

__all__ = ["forget_changed", "inputs_record"]


def forget_changed(folder: Path, root: Path, rows: Sequence[Utterance], per_shard: int) -> list[str]:
    """Remove the shards of a folder whose source files have another size or time than when they were made.

    Args:
        folder: of the shards of one split; the record lies beside it, the only file that differs between machines.
        root: folder of the corpus.
        rows: all rows of the split, in order.
        per_shard: rows of a shard.

    Returns:
        Names of the shards that were removed.
    """
    now = {}
    for number, start in enumerate(range(0, len(rows), per_shard)):
        state = hashlib.sha256()
        for row in rows[start : start + per_shard]:
            state.update(f"{row.audio}\0{_state(root / row.audio)}\n".encode())
        now[f"shard-{number:06d}"] = state.hexdigest()[:32]
    before: dict[str, str] = {}
    record = inputs_record(folder)
    if record.is_file():
        before = json.loads(record.read_text(encoding="utf-8"))
    changed = sorted(name for name in before if now.get(name) != before[name])
    for name in changed:
        for path in sorted(folder.glob(f"{name}.*")):
            path.unlink()
    if now != before:
        with atomic_writer(record) as file:
            file.write((json.dumps(now, indent=0) + "\n").encode())
    return changed


def inputs_record(folder: Path) -> Path:
    """Where the state of the source files of a folder of shards is kept."""
    return folder.with_name(f".inputs-{folder.name}.json")


def _state(path: Path) -> str:
    try:
        found = path.stat()
    except OSError as error:
        return type(error).__name__
    return f"{found.st_size} {found.st_mtime_ns}"
