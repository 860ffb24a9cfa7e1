"""Shards in the layout of Emilia as published: `LL/LL-B000000.tar` with `KEY.json` and `KEY.mp3`, 24 kHz, mono.

Source: He et al., "Emilia: An Extensive, Multilingual, and Diverse Speech Dataset", 2024, arXiv:2407.05361; the fields
of its published tars.
"""

from __future__ import annotations

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

__all__ = ["EmiliaLayout"]

_RATE = 24_000
_RELEASES = ("emilia", "yodas")


@dataclass(frozen=True)
class EmiliaLayout:
    """Tars by language; rows without text or language are dropped, since no reader of Emilia expects them.

    Attributes:
        language: of rows that state none, two letters; None drops them.
    """

    language: str | None = None
    name: str = field(default="emilia", init=False)

    @property
    def settings(self) -> Mapping[str, Any]:
        """What the bytes depend on."""
        return {"language": self.language}

    def units(self, source: Source, parts: Mapping[str, Pointers], per_file: int) -> list[Unit]:
        """One tar each; the languages in the order of their names."""
        import numpy as np

        units = []
        for part, rows in parts.items():
            spoken = np.array([(name or self.language or "xx").upper() for name in source.parts[part].languages])
            for language in sorted(set(spoken.tolist())):
                folder = f"{part}/{_folder(language)}" if part else _folder(language)
                mine = rows.taken(np.flatnonzero(spoken == language))
                units += cut_into_units(lambda k, f=folder: f"{f}/{Path(f).name}-B{k:06d}", part, mine, per_file)  # type: ignore[misc]
        return units

    def write(self, unit: Unit, sets: Sequence[ShardSet], out: Path) -> tuple[list[str], list[Drop]]:
        """One tar."""
        drops, name = [], f"{unit.name}.tar"
        with atomic_writer(out / name) as file:
            for pointer in unit.rows:
                shards = sets[pointer.source]
                row = shards.utterance(pointer.row)
                fault = self._fault(row)
                if fault is None:
                    try:
                        data, duration = _mp3(shards, pointer.row)
                    except (ValueError, LookupError) as error:
                        fault = (getattr(error, "reason", "missing_audio"), str(error))
                if fault is not None:
                    drops.append(Drop(row.id, "", *fault, "export"))
                    continue
                key = escape_key(row.id)
                text = json.dumps(self._fields(row, key, duration), ensure_ascii=False).encode()
                for ending, content in (("json", text), ("mp3", data)):
                    file.write(header(f"{key}.{ending}", len(content)) + content + padding(len(content)))
            file.write(END)
        return [name], drops

    def finish(self, source: Source, out: Path, units: Sequence[Unit], dropped: frozenset[str]) -> list[str]:
        """Nothing more is needed."""
        return []

    def _fault(self, row: Utterance) -> tuple[str, str] | None:
        if not (row.language or self.language):
            return "wrong_language", "no language is stated; --language gives one to such rows"
        return None if row.text else ("missing_text", "Emilia has no rows without text")

    def _fields(self, row: Utterance, key: str, duration: float) -> dict[str, Any]:
        extra, release = dict(row.extra), row.extra.get("release")
        source, sign, speaker = (row.speaker or "").partition(":")
        values: dict[str, Any] = {"_id": key} if release == "yodas" else {"id": key, "wav": f"{key}.mp3"}
        values |= {
            "text": f" {row.text}",
            "duration": round(duration, 3),
            "speaker": (speaker if sign and source in _RELEASES else row.speaker) or None,
            "language": (row.language or self.language or "").lower(),
            "dnsmos": extra.get("dnsmos"),
        }
        if extra.get("phone_count") is not None:
            values["phone_count"] = extra["phone_count"]
        return values


def _folder(language: str) -> str:
    return escape_key(language)


def _mp3(shards: ShardSet, number: int) -> tuple[bytes, float]:
    """The audio of a row, as it is where it is what Emilia has, and its duration, s."""
    from amphion_core import audio

    fields = shards[number].fields
    stored = next((name for name in AUDIO_FIELDS if name in fields), None)
    if stored is None:
        raise LookupError("the row has no audio")
    if stored == "mp3":
        found = audio.info(fields[stored])
        if (found.sample_rate, found.channels) == (_RATE, 1):
            return fields[stored], float(shards.durations[number])
    wav, rate = audio.load(fields[stored])
    if rate != _RATE:
        wav = audio.resample(wav, rate, _RATE, quality="VHQ")
    return audio.encode(wav, _RATE, "mp3"), wav.shape[-1] / _RATE
