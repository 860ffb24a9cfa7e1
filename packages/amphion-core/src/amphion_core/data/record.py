"""What a shard holds: records of named bytes, and the list of rows that were dropped on the way."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from amphion_core.atomic import atomic_writer

__all__ = [
    "AUDIO_FIELDS",
    "REASONS",
    "UNSAFE_FIELDS",
    "Drop",
    "Record",
    "check_field",
    "escape_key",
    "read_drops",
    "unescape_key",
    "write_drops",
]

AUDIO_FIELDS = ("flac", "wav", "mp3", "ogg", "opus", "m4a", "aac")
"""Extensions that hold audio, in the order of preference."""

UNSAFE_FIELDS = frozenset({"pickle", "pkl", "pyd", "pth", "pt", "bin", "ckpt", "joblib", "dill", "py", "pyc"})
"""Extensions that some readers execute; they are never written and never read."""

REASONS = (
    "missing_audio",
    "empty_audio",
    "corrupt_audio",
    "truncated_audio",
    "silent_audio",
    "not_finite",
    "missing_text",
    "empty_text",
    "bad_row",
    "duplicate_id",
    "hidden_file",
    "unlisted_audio",
    "unsupported_audio",
    "wrong_speaker",
    "wrong_language",
    "duration_mismatch",
    "too_short",
    "too_long",
    "filtered",
    "unsafe_path",
)
"""Why rows are dropped; plug-ins may add words of their own."""

_FIELD = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_LONGEST_KEY = 1024  # bytes, escaped


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a shard.

    Attributes:
        key: the row's id. In the tar it is escaped (see `escape_key`); here it is as the corpus has it.
        fields: content by extension without the first dot, such as `flac`, `json`, `mel.npy`.
    """

    key: str
    fields: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Drop:
    """One row that did not get through, and why.

    Attributes:
        id: of the row; the name of the file where there is no id.
        audio: its file, where known.
        reason: one of `REASONS`, or a plug-in's word.
        detail: what was found, in words.
        stage: which step dropped it.
    """

    id: str
    audio: str = ""
    reason: str = "bad_row"
    detail: str = ""
    stage: str = ""

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)


def write_drops(path: str | Path, drops: Iterable[Drop]) -> None:
    """Write `drops.jsonl`, whole or not at all; an empty list gives an empty file."""
    with atomic_writer(path) as file:
        for drop in drops:
            file.write((drop.to_json() + "\n").encode())


def read_drops(path: str | Path) -> Iterator[Drop]:
    """Rows of a `drops.jsonl`."""
    with Path(path).open(encoding="utf-8") as lines:
        for line in lines:
            yield Drop(**json.loads(line))


def escape_key(key: str) -> str:
    """The name of a row inside a tar: NFC, with dots, slashes, white space, controls and `%` percent-escaped.

    A dot would end the key for the webdataset library, a slash would make it a folder, a colon in the second place a
    drive; other colons stay.

    Raises:
        ValueError: the id is empty, too long, or no valid unicode.
    """
    normal = unicodedata.normalize("NFC", key)
    if normal.isascii() and normal.replace("_", "a").replace("-", "a").isalnum():
        escaped = normal
    else:
        try:
            escaped = "".join(quote(c, safe="") if _unsafe(c) else c for c in normal)
            escaped = escaped.replace(".", "%2E")
            if escaped[1:2] == ":":  # a drive of Windows, which readers refuse
                escaped = f"{escaped[0]}%3A{escaped[2:]}"
        except UnicodeEncodeError:
            raise ValueError(f"the id {key!r} is no valid unicode") from None
    if not escaped:
        raise ValueError("a row has an empty id; give it one")
    if len(escaped.encode()) > _LONGEST_KEY:
        raise ValueError(f"the id {key[:40]!r}... has {len(key)} characters; {_LONGEST_KEY} escaped bytes are the most")
    return escaped


def unescape_key(name: str) -> str:
    """The id that `escape_key` made this name from."""
    return unquote(name, errors="strict")


def check_field(name: str) -> None:
    """Refuse a field name that a tar can't carry or that some readers would execute.

    Raises:
        ValueError: says which.
    """
    if not _FIELD.fullmatch(name):
        raise ValueError(f"the field name {name!r} is not of the form ext or name.ext in lower case, such as mel.npy")
    if name.rsplit(".", 1)[-1] in UNSAFE_FIELDS:
        raise ValueError(f"the field {name!r} is refused: other readers execute such members; store arrays as .npy")


def _unsafe(character: str) -> bool:
    return character in "./\\%" or character.isspace() or unicodedata.category(character)[0] == "C"
