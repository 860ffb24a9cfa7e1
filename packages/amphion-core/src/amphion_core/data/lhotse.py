"""Our shards for lhotse: a manifest of cuts whose audio comes straight out of the tars.

lhotse's own reader of WebDataset tars wants a pickle in every sample. Instead, each recording here is a command that
prints the bytes of one member, which plain lhotse runs where the manifest is read; it needs neither this package nor a
copy of the audio. The two programs, `tail` and `head`, are those of POSIX.
"""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amphion_core.atomic import atomic_writer
from amphion_core.extras import require

if TYPE_CHECKING:
    from collections.abc import Iterator

    from amphion_core.data.reader import ShardSet

__all__ = ["lhotse_cuts", "write_lhotse_manifest"]


def write_lhotse_manifest(shards: ShardSet, path: str | Path) -> int:
    """Write the cuts of a set as JSON lines, whole or not at all; `CutSet.from_file(path)` reads them.

    The manifest names the tars by their full paths, so it belongs to this machine. lhotse is not needed to write it.

    Args:
        shards: a set, or a selection of it. Rows without audio are an error.
        path: ends in `.jsonl`.

    Returns:
        Number of cuts.

    Raises:
        LookupError: a row has no audio.
        ValueError: the path does not end in `.jsonl`.
    """
    path = Path(path)
    if path.suffix != ".jsonl":
        raise ValueError(f"lhotse knows the kind of a manifest by its name, which must end in .jsonl: {path}")
    count = 0
    with atomic_writer(path) as file:
        for row in range(len(shards)):
            file.write((json.dumps(_cut(shards, row), ensure_ascii=False) + "\n").encode())
            count += 1
    return count


def lhotse_cuts(shards: ShardSet) -> Any:
    """A lhotse `CutSet` of a set, lazily: the bytes of a row are read when its cut is reached.

    Raises:
        MissingExtraError: lhotse is not installed.
    """
    lhotse = require("lhotse", "lhotse")
    return lhotse.CutSet(_Cuts(shards))


class _Cuts:
    """Cuts with their audio in memory, one after the other; iterated anew each time."""

    def __init__(self, shards: ShardSet) -> None:
        self._shards = shards

    def __iter__(self) -> Iterator[Any]:
        lhotse = require("lhotse", "lhotse")
        for row in range(len(self._shards)):
            values = _cut(self._shards, row)
            tar, place = _audio(self._shards, row)
            source = values["recording"]["sources"][0]
            source["type"], source["source"] = "memory", self._shards.read(tar, place)
            yield lhotse.MonoCut.from_dict(values)

    def __len__(self) -> int:
        return len(self._shards)


def _audio(shards: ShardSet, row: int) -> tuple[Path, Any]:
    tar, place = shards.audio_place(row)
    if place is None:
        raise LookupError(f"row {row} ({shards.keys[row]}) of {tar} has no audio, so it is no cut")
    return tar, place


def _cut(shards: ShardSet, row: int) -> dict[str, Any]:
    tar, place = _audio(shards, row)
    said = shards.utterance(row)
    samples = round(said.duration * said.sample_rate)
    name = shlex.quote(os.fspath(tar.resolve()))
    command = f"tail -c +{place.offset + 1} {name} | head -c {place.size}"
    recording = {
        "id": said.id,
        "sources": [{"type": "command", "channels": [0], "source": command}],
        "sampling_rate": said.sample_rate,
        "num_samples": samples,
        "duration": said.duration,
        "channel_ids": [0],
    }
    spoken = {"id": said.id, "recording_id": said.id, "start": 0.0, "duration": said.duration, "channel": 0}
    known = {"text": said.text, "language": said.language, "speaker": said.speaker, "custom": dict(said.extra) or None}
    return {
        "id": said.id,
        "start": 0,
        "duration": said.duration,
        "channel": 0,
        "supervisions": [{**spoken, **{name: value for name, value in known.items() if value is not None}}],
        "recording": recording,
        "type": "MonoCut",
    }
