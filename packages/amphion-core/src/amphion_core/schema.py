"""The row of every manifest: one utterance, with where its audio is and what is known of it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from .atomic import atomic_writer

__all__ = ["Utterance", "read_manifest", "write_manifest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """One clip of a corpus.

    Attributes:
        id: unique within its corpus and the same on every machine and run.
        audio: path of the file, with `/` on every platform, below the corpus or manifest folder.
        duration: seconds, of the decoded audio.
        sample_rate: Hz.
        text: what is said or sung; None where unknown.
        speaker: label of the voice; None where unknown.
        language: two letters, lower case; None where unknown.
        extra: everything else, JSON values only.
    """

    id: str
    audio: str = ""
    duration: float = 0.0
    sample_rate: int = 0
    text: str | None = None
    speaker: str | None = None
    language: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what every reader relies on."""
        faults = []
        if not isinstance(self.id, str) or not self.id:
            faults.append(f"id must be a text that is not empty, got {self.id!r}")
        if isinstance(self.duration, bool) or not isinstance(self.duration, int | float):
            faults.append(f"duration must be a number of seconds, got {self.duration!r}")
        elif not math.isfinite(self.duration) or self.duration < 0:
            faults.append(f"duration must be finite and not negative, got {self.duration!r} s")
        if isinstance(self.sample_rate, bool) or not isinstance(self.sample_rate, int) or self.sample_rate < 0:
            faults.append(f"sample_rate must be a whole number of Hz, got {self.sample_rate!r}")
        for name in ("text", "speaker", "language"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                faults.append(f"{name} must be a text or absent, got {value!r}")
        if not isinstance(self.extra, Mapping):
            faults.append(f"extra must be a mapping, got {self.extra!r}")
        if faults:
            raise ValueError(f"utterance {self.id!r}: " + "; ".join(faults))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from a JSON object; keys that are no field go into `extra`.

        Raises:
            ValueError: `id` is missing, or a value has the wrong type.
        """
        if "id" not in values:
            raise ValueError(f"a row needs an id; this one has the keys {', '.join(map(str, values)) or 'none'}")
        known = {name: values[name] for name in _FIELDS if name in values and name != "extra"}
        rest = {name: value for name, value in values.items() if name not in _FIELDS}
        return cls(**known, extra={**dict(values.get("extra") or {}), **rest})

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with all fields, `extra` nested and left out where empty."""
        values = {name: getattr(self, name) for name in _FIELDS if name != "extra"}
        if self.extra:
            values["extra"] = dict(self.extra)
        return values

    def to_json(self) -> str:
        """One line of JSON, keys in the order of the fields, unicode kept."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)


_FIELDS = tuple(f.name for f in fields(Utterance))


def read_manifest(path: str | Path) -> Iterator[Utterance]:
    """Rows of a JSON-lines manifest, one at a time; memory does not grow with the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line is no JSON object or no utterance; the message has the line number.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no manifest at {path}")
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                values = json.loads(line)
                if not isinstance(values, dict):
                    raise ValueError(f"expected a JSON object, found {type(values).__name__}")
                row = Utterance.from_dict(values)
            except ValueError as error:
                raise ValueError(f"{path}:{number}: {error}") from None
            yield row


def write_manifest(path: str | Path, rows: Iterable[Utterance]) -> int:
    """Write a JSON-lines manifest, whole or not at all; returns the number of rows."""
    count = 0
    with atomic_writer(path) as file:
        for row in rows:
            file.write((row.to_json() + "\n").encode())
            count += 1
    return count
