"""M4Singer: 29.8 h of Mandarin singing, 20 singers of four voices, 700 songs, CC BY-NC-SA 4.0.

`SINGER#SONG/NNNN.{wav,mid,TextGrid}` and `meta.json`, a list of objects with one entry a phone in each of their lists.

Source: Zhang et al., "M4Singer: A Multi-Style, Multi-Singer and Musical Score Provided Mandarin Singing Corpus", 2022.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from amphion_core.data import Drop
from amphion_core.schema import Utterance
from amphion_data.corpora.listing import Listing, find_root, make_row, nfc, seconds_of
from amphion_data.corpus import Corpus
from amphion_data.figures import Figures
from amphion_data.scores.columns import score_from_columns
from amphion_data.scores.phones import INITIALS
from amphion_data.scores.pitches import midi_number

__all__ = ["M4SINGER", "iter_m4singer"]

NumberT = TypeVar("NumberT", bound=float)

_BEFORE_VAN = frozenset("jqxy")
_LISTS = ("phs", "ph_dur", "notes", "notes_dur", "is_slur")


def iter_m4singer(
    root: Path, *, language: str = "zh", require_text: bool = True, **_: Any
) -> Iterator[Utterance | Drop]:
    """Rows in the order of `meta.json`; then the audio that it does not list.

    Args:
        root: the folder that holds `meta.json`.
        language: two letters.
        require_text: whether rows without lyrics are dropped.

    Raises:
        FileNotFoundError: there is no `meta.json`.
        ValueError: it is no UTF-8, no JSON, or no list.
    """
    root = find_root(root, lambda folder: (folder / "meta.json").is_file(), "M4Singer needs meta.json")
    listing = Listing(root)
    yield from listing.faults()
    names = _spellings(listing)
    for number, item in enumerate(_items(root / "meta.json"), 1):
        yield _row(item, f"meta.json, item {number}", listing, names, language, require_text)
    yield from listing.rest("meta.json has no item for it")


def _items(table: Path) -> list[Any]:
    """The objects of `meta.json`.

    Raises:
        ValueError: it is no UTF-8, no JSON, or no list.
    """
    needed = "it has to be a list with one object a phrase; take it from the archive of the corpus again"
    try:
        items = json.loads(table.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{table} is no UTF-8 at byte {error.start}; {needed}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{table}:{error.lineno}: no JSON at column {error.colno}: {error.msg}; {needed}") from None
    if not isinstance(items, list):
        raise ValueError(f"{table} holds a JSON {type(items).__name__}; {needed}")
    return items


def _row(
    item: Any, where: str, listing: Listing, names: Mapping[str, str], language: str, require_text: bool
) -> Utterance | Drop:
    name = item.get("item_name") if isinstance(item, dict) else None
    if not isinstance(name, str) or not name:
        return Drop(where, "", "bad_row", f"{where}: no object with an item_name", "scan")
    parts = name.split("#")
    if len(parts) != 3 or not all(parts):
        audio = listing.find("/".join(name.rsplit("#", 1)))  # its phrase is no further drop
        return Drop(name, audio or "", "bad_row", f"{where}: item_name is not of the form SINGER#SONG#NUMBER", "scan")
    singer, song, number = parts
    if ".." in name.split("/") or name.startswith("/"):
        return Drop(name, "", "unsafe_path", f"{where}: the name leads out of the corpus", "scan")
    place = f"{singer}#{song}/{number}"
    audio = next((path for key in _tries(place) if (path := listing.find(names.get(key, key)))), None)
    text = item.get("txt")
    missing = [key for key in _LISTS if not isinstance(item.get(key), list)]
    if missing or (text is not None and not isinstance(text, str)):
        what = f"no list {', '.join(missing)}" if missing else f"txt is {text!r}"
        return Drop(name, audio or "", "bad_row", f"{where}: {what}", "scan")
    try:
        score, warnings = score_from_columns(
            [str(phone) for phone in item["phs"]],
            _numbers(item, "ph_dur", float, "a number of seconds"),
            _numbers(item, "notes", midi_number, "a MIDI number"),
            _numbers(item, "notes_dur", float, "a number of seconds"),
            _numbers(item, "is_slur", int, "0 or 1"),
            lyrics=text,
        )
        score.check(seconds_of(listing.root / audio) if audio else None)
    except ValueError as error:
        return Drop(name, audio or "", "bad_row", f"{where}: {error}", "scan")
    return make_row(
        name,
        audio,
        raw=text,
        require_text=require_text,
        looked_for=f"{place}.wav",
        speaker=singer,
        language=language,
        extra={
            "song": song,
            "voice": singer.partition("-")[0],
            "style": "singing",
            "score": score.to_dict(),
            "warnings": [*warnings, *_known_faults(score.phones)] or None,
        },
    )


def _numbers(item: Mapping[str, Any], key: str, read: Callable[[Any], NumberT], kind: str) -> list[NumberT]:
    """A list of numbers of an item, which `kind` says in words.

    Raises:
        ValueError: an entry is none; says which.
    """
    found = []
    for place, value in enumerate(item[key]):
        try:
            found.append(read(value))
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"{key} has {value!r} in place {place}, where {kind} is needed") from None
    return found


def _known_faults(phones: Sequence[str]) -> list[str]:
    """The wrong label that the corpus is known for: `van` (üan, only after j, q, x and y) where `uang` is sung."""
    wrong = [
        f"{before} van" for before, phone in pairwise(phones) if phone == "van" and before in INITIALS - _BEFORE_VAN
    ]
    return [f"wrong_label: {', '.join(wrong)}; known to stand for uang, left as it is"] if wrong else []


def _spellings(listing: Listing) -> dict[str, str]:
    """Names as meta.json may have them, to names as they are on this disk.

    Some copies write `#Uxxxx` for a character of a song's name.
    """
    found = {}
    for name in listing.audio:
        plain = re.sub(r"#U([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), name)
        if plain != name:
            found[nfc(plain)] = name
    return found


def _tries(place: str) -> list[str]:
    """A name as it is, and as copies with other rules for blanks have it."""
    exact = nfc(place)
    return [exact, exact.replace(" ", "-")]


M4SINGER = Corpus(
    name="m4singer",
    title="M4Singer",
    licence="CC BY-NC-SA 4.0, on application",
    source="https://github.com/M4Singer/M4Singer",
    rows=iter_m4singer,
    units={"song": lambda row: str(row.extra["song"])},
    languages=("zh",),
    hours=29.8,
    clips=20_900,
    speakers=20,
    sample_rate=48_000,
    figures=(Figures(rows=20_900, speakers=20, hours=29.8),),
    layout="SINGER#SONG/NNNN.wav, meta.json",
)
