"""Shards as lhotse Shar: `cuts.000000.jsonl.gz` beside `recording.000000.tar`.

`CutSet.from_shar(in_dir="OUT/train")` reads them; where there are no splits the folder is called `shar`.

Source: Żelasko et al., "Lhotse: a speech data representation library for the modern deep learning ecosystem", 2021,
arXiv:2110.12561. The fields are those that lhotse 1.33 writes; lhotse itself is not needed.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amphion_core.atomic import atomic_writer
from amphion_core.data import Drop, ShardSet, escape_key
from amphion_core.data.record import AUDIO_FIELDS
from amphion_core.data.tar import END, header, padding
from amphion_core.schema import Utterance
from amphion_data.deriving import Source
from amphion_data.exporting import Unit, cut_into_units
from amphion_data.pointers import Pointers

__all__ = ["LhotseLayout"]


@dataclass(frozen=True)
class LhotseLayout:
    """One cut with one supervision a row; the audio is copied as it is, what the row knows besides is `custom`."""

    name: str = field(default="lhotse", init=False)

    @property
    def settings(self) -> Mapping[str, Any]:
        """What the bytes depend on."""
        return {}

    def units(self, source: Source, parts: Mapping[str, Pointers], per_file: int) -> list[Unit]:
        """A manifest and a tar each; splits in folders of their own."""
        return [
            unit
            for part, rows in parts.items()
            for unit in cut_into_units(lambda k, p=part: f"{_folder(p)}/{k:06d}", part, rows, per_file)  # type: ignore[misc]
        ]

    def write(self, unit: Unit, sets: Sequence[ShardSet], out: Path) -> tuple[list[str], list[Drop]]:
        """The tar of the recordings, then the manifest of the cuts."""
        names = [f"{_folder(unit.part)}/{kind}.{unit.number:06d}{end}" for kind, end in _FILES]
        cuts, drops = [], []
        with atomic_writer(out / names[0]) as file:
            for pointer in unit.rows:
                shards = sets[pointer.source]
                fields = shards[pointer.row].fields
                stored = next((name for name in AUDIO_FIELDS if name in fields), None)
                if stored is None:
                    drops.append(Drop(pointer.id, "", "missing_audio", "a row without audio is no cut", "export"))
                    continue
                cut = _cut(shards.utterance(pointer.row), _channels(fields[stored]))
                cuts.append(cut)
                told = (json.dumps(cut["recording"]) + "\n").encode()
                for ending, content in ((stored, fields[stored]), ("json", told)):
                    file.write(header(f"{cut['id']}.{ending}", len(content)) + content + padding(len(content)))
            file.write(END)
        lines = "".join(json.dumps(cut, ensure_ascii=False) + "\n" for cut in cuts)
        with atomic_writer(out / names[1]) as file:
            file.write(gzip.compress(lines.encode(), mtime=0))
        return names, drops

    def finish(self, source: Source, out: Path, units: Sequence[Unit], dropped: frozenset[str]) -> list[str]:
        """Nothing more is needed."""
        return []


_FILES = (("recording", ".tar"), ("cuts", ".jsonl.gz"))


def _folder(part: str) -> str:
    """Where the shards of a split lie; lhotse takes all that is in such a folder for shards."""
    return part or "shar"


def _channels(data: bytes) -> int:
    from amphion_core.audio import info

    return info(data).channels


def _cut(row: Utterance, channels: int) -> dict[str, Any]:
    key, places = escape_key(row.id), list(range(channels))
    recording = {
        "id": key,
        "sources": [{"type": "shar", "channels": places, "source": ""}],
        "sampling_rate": row.sample_rate,
        "num_samples": round(row.duration * row.sample_rate),
        "duration": row.duration,
        "channel_ids": places,
    }
    channel = 0 if channels == 1 else places
    said = {"text": row.text, "language": row.language, "speaker": row.speaker, "custom": dict(row.extra) or None}
    spoken = {"id": key, "recording_id": key, "start": 0.0, "duration": row.duration, "channel": channel}
    return {
        "id": key,
        "start": 0.0,
        "duration": row.duration,
        "channel": channel,
        "supervisions": [{**spoken, **{name: value for name, value in said.items() if value is not None}}],
        "recording": recording,
        "type": "MonoCut" if channels == 1 else "MultiCut",
    }
