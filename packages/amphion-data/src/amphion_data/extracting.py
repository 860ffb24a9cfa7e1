"""Audio files out of shards, to listen to, to score against, to give to other tools."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amphion_core.atomic import atomic_writer, remove_temporaries
from amphion_core.data import escape_key
from amphion_core.data.record import AUDIO_FIELDS
from amphion_data.parts import open_parts

__all__ = ["extract", "file_name"]

_LONGEST_NAME = 200  # bytes, without the ending; file systems take 255


def extract(
    source: str | Path, out: str | Path, *, limit: int | None = None, format: str = "wav", text: bool = False
) -> Iterator[Path]:
    """Write the audio of rows as files `ID.FORMAT`.

    Characters of ids that names can't carry are percent-escaped; ids too long for a name end in a digest of the whole.

    Args:
        source: what `prepare` wrote, a folder of shards, or one shard.
        out: folder to write.
        limit: only the first rows.
        format: wav, flac, mp3, ogg or opus.
        text: whether to write `ID.txt` beside each.

    Yields:
        The path of each audio file, as it is written.

    Raises:
        FileNotFoundError: there are no shards.
        ValueError: the format is not known, the limit is below 1, two rows have one id, or audio can't be decoded.
    """
    from amphion_core.audio import FORMATS, encode, load

    chosen: Any = format
    if format not in FORMATS:
        raise ValueError(f"no audio format named {format!r}; there are: {', '.join(FORMATS)}")
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}")
    out = Path(out)
    parts = open_parts(source)
    out.mkdir(parents=True, exist_ok=True)
    remove_temporaries(out)
    written: set[str] = set()
    for shards in parts.values():
        for number in range(len(shards)):
            if limit is not None and len(written) >= limit:
                return
            row = shards.utterance(number)
            name = file_name(row.id)
            if name in written:
                raise ValueError(f"two rows have the id {row.id!r}; extract one set at a time")
            written.add(name)
            path = out / f"{name}.{format}"
            fields = shards[number].fields
            stored = next(name for name in AUDIO_FIELDS if name in fields)
            try:
                data = fields[stored] if stored == format else encode(*load(fields[stored], mono=False), chosen)
            except ValueError as error:
                tar, _ = shards.places(number)
                raise ValueError(f"row {number} ({row.id}) of {tar}: {error}") from None
            with atomic_writer(path) as file:
                file.write(data)
            if text and row.text is not None:
                path.with_suffix(".txt").write_text(row.text + "\n", encoding="utf-8")
            yield path


def file_name(name: str) -> str:
    """The name of a file for an id, without its ending: escaped; where it is too long, cut and marked by a digest."""
    escaped = escape_key(name)
    if len(escaped.encode()) <= _LONGEST_NAME:
        return escaped
    digest = hashlib.sha256(escaped.encode()).hexdigest()[:16]
    return f"{escaped.encode()[: _LONGEST_NAME - 17].decode(errors='ignore')}-{digest}"
