"""From the JSON of a shard to an `Utterance`: our own rows, those of Emilia as published, and anything else.

Source: He et al., "Emilia: An Extensive, Multilingual, and Diverse Speech Dataset", 2024, arXiv:2407.05361; the fields
of the published tars (`id` in Emilia, `_id` in Emilia-YODAS).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from amphion_core.data.record import escape_key, unescape_key
from amphion_core.schema import Utterance

__all__ = ["RowError", "check_duration", "identity", "numbers", "parse_json", "utterance"]

_PLAIN = {"id", "audio", "duration", "sample_rate", "text", "speaker", "language", "extra"}
_EMILIA_KEPT = ("dnsmos", "phone_count", "wav")


class RowError(ValueError):
    """A row whose JSON can't be used.

    Attributes:
        reason: word for the list of drops.
    """

    def __init__(self, message: str, reason: str = "bad_row") -> None:
        super().__init__(message)
        self.reason = reason


def parse_json(data: bytes) -> dict[str, Any]:
    """The one object that a member holds.

    Raises:
        RowError: it is no UTF-8, no JSON, or no object.
    """
    try:
        values = json.loads(data.decode("utf-8-sig"))
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise RowError(f"the JSON can't be read: {error}") from None
    if not isinstance(values, dict):
        raise RowError(f"the JSON holds a {type(values).__name__}, one object was expected")
    return values


def utterance(
    values: Mapping[str, Any], key: str, *, duration: float, sample_rate: int, tar: str = "", text: str | None = None
) -> Utterance:
    """A row.

    Args:
        values: what the JSON says; empty where there is none.
        key: name of the row in its tar.
        duration: of the decoded audio, s; that of the JSON is not believed.
        sample_rate: Hz, of the decoded audio.
        tar: name of the shard, kept with rows of Emilia.
        text: content of a text member, used where the JSON has no text.

    Raises:
        RowError: the id is not that of the member, or a value has the wrong type.
    """
    source = _emilia(values)
    try:
        if source:
            return _emilia_row(values, key, source, duration, sample_rate, tar)
        return _plain_row(values, key, duration, sample_rate, text)
    except RowError:
        raise
    except ValueError as error:
        raise RowError(str(error)) from None


def check_duration(values: Mapping[str, Any], decoded: float) -> str | None:
    """Compare with the decoded duration; returns a warning where it differs by more than 0.05 s and 1 %.

    Raises:
        RowError: the JSON's duration is no number, negative, or off by more than 10 %.
    """
    stated = values.get("duration")
    if stated is None or (stated == 0 and "sample_rate" in values):
        return None
    if isinstance(stated, bool) or not isinstance(stated, int | float) or not math.isfinite(stated) or stated < 0:
        raise RowError(f"the JSON's duration is {stated!r}, a number of seconds was expected", "duration_mismatch")
    words = f"the JSON says {stated} s, the audio has {decoded:.3f} s"
    # Padding by the encoder makes short clips longer by up to 0.1 s.
    if abs(stated - decoded) > max(0.1, 0.1 * decoded):
        raise RowError(words, "duration_mismatch")
    return words if abs(stated - decoded) > max(0.05, 0.01 * decoded) else None


def identity(values: Mapping[str, Any], name: str) -> str:
    """The id of a row whose member is called `name`; names that our writer escaped are undone by the JSON's id."""
    stated = values.get("id", values.get("_id"))
    if isinstance(stated, str) and "%" in name and stated != name and escape_key(stated) == name:
        return unescape_key(name)
    return name


def numbers(row: Utterance) -> dict[str, float]:
    """The numbers of `extra`, for columns of the index."""
    return {
        name: float(value)
        for name, value in row.extra.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _emilia(values: Mapping[str, Any]) -> str | None:
    if "_id" in values:
        return "yodas"
    return "emilia" if "id" in values and "wav" in values and "sample_rate" not in values else None


def _emilia_row(
    values: Mapping[str, Any], key: str, source: str, duration: float, sample_rate: int, tar: str
) -> Utterance:
    name = values["_id" if source == "yodas" else "id"]
    if name != key:
        raise RowError(f"the JSON has the id {name!r}, its member the name {key!r}")
    speaker, text, language = values.get("speaker"), values.get("text"), values.get("language")
    if not isinstance(text, str | None) or not isinstance(speaker, str | None):
        raise RowError(f"text and speaker must be texts, got {text!r} and {speaker!r}")
    extra = {name: values[name] for name in _EMILIA_KEPT if values.get(name) is not None}
    if source == "yodas" and speaker and "_SPEAKER_" in speaker:
        extra["video"] = speaker.partition("_")[2].rpartition("_SPEAKER_")[0]
    rest = {k: v for k, v in values.items() if k not in _PLAIN and k not in _EMILIA_KEPT and k != "_id"}
    return Utterance(
        id=key,
        duration=duration,
        sample_rate=sample_rate,
        text=None if text is None else text.strip(),
        speaker=f"{source}:{speaker}" if speaker else None,
        language=language.lower() if isinstance(language, str) else None,
        extra={**rest, **extra, "tar": tar, "release": source},
    )


def _plain_row(values: Mapping[str, Any], key: str, duration: float, sample_rate: int, text: str | None) -> Utterance:
    kept = dict(values)
    name = kept.get("id")
    kept["id"] = name if isinstance(name, str) and name else key
    kept.update(audio="", duration=duration, sample_rate=sample_rate)
    for field in ("text", "speaker", "language"):
        value = kept.get(field)
        if isinstance(value, int | float) and not isinstance(value, bool):  # speakers by number are common
            kept[field] = str(value)
    if kept.get("text") is None and text is not None:
        kept["text"] = text
    extra = kept.get("extra")
    if extra is not None and not isinstance(extra, Mapping):
        kept["extra"] = {"extra": extra}
    return Utterance.from_dict(kept)
