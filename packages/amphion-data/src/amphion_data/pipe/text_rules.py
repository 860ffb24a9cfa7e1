"""What a transcript must look like: characters, loops, scripts, closings that recognisers make up, speaking rates."""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import as_file, files
from typing import Any

from amphion_core.config import read_mapping

__all__ = [
    "characters",
    "compression",
    "foreign_letters",
    "is_loop",
    "is_made_up",
    "rate_bounds",
    "seconds_per_character",
]

_LOOP = re.compile(r"(.{1,10}?)\1{4,}", re.DOTALL)
_GRAM = 4
_ONCE_MORE = 3  # times; in a short text two of a 4-gram are over 30 %, and mean nothing
_SCRIPTS = {
    "en": ("LATIN",),
    "de": ("LATIN",),
    "fr": ("LATIN",),
    "zh": ("CJK", "LATIN"),
    "ja": ("CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "LATIN"),
    "ko": ("HANGUL", "CJK", "LATIN"),
}
"""First words of the unicode names of letters that belong to a language; others are not looked at."""


def characters(text: str) -> int:
    """Letters, marks and digits."""
    return sum(unicodedata.category(character)[0] in "LMN" for character in text)


def seconds_per_character(text: str, seconds: float) -> float:
    """How long a character takes; infinite where there is none."""
    count = characters(text)
    return seconds / count if count else float("inf")


def compression(text: str) -> float:
    """Bytes of the text over those compressed; loops have a high one."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 0.0


def is_loop(text: str) -> bool:
    """Whether a unit of 1 to 10 characters stands more than 4 times in a row, or one 4-gram fills 30 % of the text."""
    bare = "".join(text.split())
    for match in _LOOP.finditer(bare):
        if characters(match[1]):
            return True
    grams = [bare[k : k + _GRAM] for k in range(len(bare) - _GRAM + 1)]
    most = Counter(grams).most_common(1)
    return bool(most) and most[0][1] > _ONCE_MORE and most[0][1] * _GRAM > 0.3 * len(bare)


def foreign_letters(text: str, language: str) -> str:
    """Letters whose script does not belong to a language; empty where all do or the language is not known."""
    allowed = _SCRIPTS.get(language)
    if allowed is None:
        return ""
    return "".join(letter for letter in _letters(text) if unicodedata.name(letter, "").split(" ")[0] not in allowed)


def is_made_up(text: str, language: str) -> bool:
    """Whether a text is one of the closings that recognisers are known to hear in silence and music."""
    bare = _bare(text)
    return bool(bare) and bare in _closings().get(language, frozenset())


def rate_bounds(language: str, own: Mapping[str, tuple[float, float]]) -> tuple[float, float] | None:
    """Lowest and highest seconds a character of a language; None where nothing is known of it."""
    if language in own:
        return own[language]
    bounds = _table()["rates"].get(language)
    return None if bounds is None else (float(bounds[0]), float(bounds[1]))


def _letters(text: str) -> Iterator[str]:
    return (character for character in text if unicodedata.category(character)[0] == "L" and not character.isspace())


def _bare(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if unicodedata.category(c)[0] in "LMN")


@cache
def _closings() -> dict[str, frozenset[str]]:
    return {language: frozenset(map(_bare, texts)) for language, texts in _table()["made_up"].items()}


@cache
def _table() -> dict[str, Any]:
    with as_file(files("amphion_data.pipe").joinpath("text_rules.yaml")) as path:
        return read_mapping(path)
