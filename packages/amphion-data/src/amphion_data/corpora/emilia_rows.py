"""What all layouts of Emilia share: a row of the fields of its JSON, and what is left out of its archives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from amphion_core.data import Drop
from amphion_core.data.record import AUDIO_FIELDS
from amphion_core.data.rows import RowError, parse_json, utterance
from amphion_core.data.scan import Group
from amphion_core.data.tar import Member
from amphion_core.schema import Utterance
from amphion_data.corpora.listing import nfc
from amphion_data.files import is_audio

__all__ = [
    "Asked",
    "below",
    "emilia_row",
    "further_sounds",
    "is_number",
    "refused_members",
    "repairs_of",
    "sounds_of",
    "table_lines",
    "unreadable",
]

_ARRAYS = frozenset({"npy", "npz"})
"""Endings of numpy objects, which can hold pickles; no row of Emilia has one."""
_NUMBERS = ("dnsmos", "phone_count")
"""Fields that filters compare with numbers."""
_RENAMED = {name: f"source_{name}" for name in ("start", "end", "channel", "split")}
"""Fields of the JSON that tell of the recording; under their own names they would say what to read of the clip."""
_BOM = b"\xef\xbb\xbf"


class Asked(NamedTuple):
    """What the user asked for.

    Attributes:
        language: of rows that state none.
        trusted: whether the name of a member counts where the JSON has another id.
        require_text: whether rows without text are dropped.
    """

    language: str | None
    trusted: bool
    require_text: bool


def emilia_row(
    values: dict[str, Any],
    key: str,
    audio: str,
    place: Mapping[str, Any],
    release: str | None,
    asked: Asked,
    repairs: Sequence[str],
) -> Utterance | Drop:
    """A row of the fields that both releases have.

    Args:
        values: the JSON.
        key: id by the name of the member or of the file.
        audio: path of the clip, as it is shown.
        place: where to read it, if not at that path.
        release: `emilia`, `yodas` or None for what the fields say.
        asked: by the user.
        repairs: words that are counted as warnings.
    """
    kind = release or ("yodas" if "_id" in values else "emilia")
    name = values.get("_id", values.get("id"))
    if not isinstance(name, str):
        return Drop(key, audio, "bad_row", "the JSON has neither id nor _id", "scan")
    if name != key and not asked.trusted:
        return Drop(key, audio, "bad_row", f"the JSON has the id {name!r}, its member the name {key!r}", "scan")
    duration = values.get("duration")
    if duration is not None and not (is_number(duration) and 0 <= duration < float("inf")):
        detail = f"the JSON's duration is {duration!r}, a number of seconds was expected"
        return Drop(key, audio, "duration_mismatch", detail, "scan")
    plain, left_out = _foreign({k: v for k, v in values.items() if k not in ("_id", "id")})
    marked = {"_id": key} if kind == "yodas" else {"id": key, "wav": plain.pop("wav", None) or ""}
    plain.pop("sample_rate", None)
    try:
        row = utterance({**marked, **plain}, key, duration=float(duration or 0), sample_rate=0)
    except RowError as error:
        return Drop(key, audio, error.reason, str(error), "scan")
    raw = values.get("text")
    text = nfc(" ".join((row.text or "").split()))
    if not text and asked.require_text:
        reason = "missing_text" if raw is None else "empty_text"
        return Drop(
            key, audio, reason, f"the JSON's text is {raw!r}" if "text" in values else "the JSON has no text", "scan"
        )
    extra = {k: v for k, v in row.extra.items() if v not in (None, "")}
    strange = {k: extra.pop(k) for k in _NUMBERS if k in extra and not is_number(extra[k])}
    language = values.get("language")
    noted = [
        *extra.pop("warnings", []),
        *repairs,
        *([f"id_of_member: the JSON has {name!r}"] if name != key else []),
        *(["speaker_prefix"] if row.speaker else []),
        *(["language_in_capitals"] if isinstance(language, str) and language != row.language else []),
        *(["blank_around_text"] if isinstance(raw, str) and raw != raw.strip() else []),
        *(f"no_number: {name} is {value!r:.50}; it is left out" for name, value in strange.items()),
        *left_out,
    ]
    return Utterance(
        id=row.id,
        audio=audio,
        duration=row.duration,
        text=text or None,
        speaker=row.speaker,
        language=row.language or asked.language,
        extra={
            **extra,
            **({"text_raw": raw} if isinstance(raw, str) else {}),
            **({"warnings": noted} if noted else {}),
            "release": kind,
            **place,
        },
    )


def _foreign(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Fields of the JSON under names that have no meaning of ours, and what is noted of those that are left out."""
    kept: dict[str, Any] = {}
    noted = []
    for name, value in values.items():
        listed = isinstance(value, list) and all(isinstance(item, str) for item in value)
        other = "custom_warnings" if name == "warnings" and not listed else _RENAMED.get(name, name)
        if name.startswith("_"):  # such names are ours and say where to read
            noted.append(f"private_field: {name!r:.50} of the JSON is left out")
        elif other != name and other in values:
            noted.append(f"field_twice: {name} of the JSON is left out, since it has {other} too")
        else:
            kept[other] = value
    return kept, noted


def table_lines(table: str, lines: Sequence[bytes]) -> Iterator[tuple[str, bytes, dict[str, Any]] | Drop]:
    """Of each line of a table of JSON lines where it stands, its bytes and its fields; a drop for one that is none."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{table}.jsonl:{number}"
        try:
            yield where, line, parse_json(line)
        except RowError as error:
            yield Drop(where, "", error.reason, f"{where}: {error}", "scan")


def is_number(value: object) -> bool:
    """Whether a value of a JSON is a number; truth values are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def repairs_of(data: bytes, *names: str) -> list[str]:
    """What was odd about the bytes of the JSON and the names of the files of a row, each a word that is counted."""
    capital = any(suffix != suffix.lower() for suffix in (PurePosixPath(name).suffix for name in names))
    return [
        *(["byte_order_mark"] if data.startswith(_BOM) else []),
        *(["ending_in_capitals"] if capital else []),
    ]


def refused_members(group: Group, archive: str) -> Iterator[Drop]:
    """Numpy objects among the members of a row, and audio of other kinds than Emilia has."""
    for name, member in sorted(group.members.items()):
        place = f"{archive}/{member.name}"
        if name.rpartition(".")[2] in _ARRAYS:
            detail = "a numpy object can run code when it is read; it is never opened"
            yield Drop(f"{group.key}.{name}", place, "unsafe_path", detail, "scan")
        elif is_audio(member.name) and name not in AUDIO_FIELDS:
            detail = f"the audio of a row is one of {', '.join(AUDIO_FIELDS)}"
            yield Drop(f"{group.key}.{name}", place, "unsupported_audio", detail, "scan")


def sounds_of(group: Group) -> list[Member]:
    """Audio among the members of a row, sorted by name."""
    return sorted((m for name, m in group.members.items() if name in AUDIO_FIELDS), key=lambda member: member.name)


def further_sounds(id: str, sounds: Sequence[Member], archive: str) -> Iterator[Drop]:
    """Audio whose name differs from the first only in its folder or its ending."""
    for member in sounds[1:]:
        detail = f"{sounds[0].name} has this name too; the first stays"
        yield Drop(id, f"{archive}/{member.name}", "duplicate_id", detail, "scan")


def unreadable(root: Path, path: str, error: Exception) -> Drop:
    """The drop of an archive that is none; its words name the path below the root, wherever that lies."""
    return Drop(PurePosixPath(path).name, path, "corrupt_audio", str(error).replace(str(root / path), path), "scan")


def below(drop: Drop, path: str) -> Drop:
    """A drop with the path below the root in place of that on this machine."""
    return Drop(drop.id, path, drop.reason, drop.detail, "scan")
