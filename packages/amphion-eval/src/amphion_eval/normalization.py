"""What is taken off two texts before their words are compared: the two normalisers of the Whisper paper.

Source: Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022, arXiv:2212.04356, C.
Deviation: both start with NFKC for every language, and the ends are stripped.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Literal, get_args

from amphion_eval.numerals import digits

__all__ = [
    "NORMALIZERS",
    "Normalizer",
    "basic",
    "english",
    "graphemes",
    "is_unspaced",
    "language_code",
    "normalize",
    "normalizer_for",
]

Normalizer = Literal["auto", "basic", "english", "none"]
NORMALIZERS: tuple[Normalizer, ...] = get_args(Normalizer)

UNSPACED = ("zh", "ja", "th", "lo", "my", "yue")
"""Languages written without spaces between words: their characters are counted."""

_OTHER_NAMES = {
    "en": ("eng", "english"),
    "zh": ("zho", "chi", "cmn", "chinese", "mandarin"),
    "ja": ("jpn", "japanese"),
    "th": ("tha", "thai"),
    "lo": ("lao",),
    "my": ("mya", "bur", "burmese", "myanmar"),
    "yue": ("cantonese",),
}
_CODES = {other: code for code, others in _OTHER_NAMES.items() for other in others}

_BRACKETS = (r"[<\[][^>\]]*[>\]]", r"\(([^)]+?)\)")
_FILLERS = r"\b(hmm|mm|mhm|mmm|uh|um)\b"
_LETTERS = {"œ": "oe", "ø": "o", "æ": "ae", "ß": "ss", "đ": "d", "ð": "d", "þ": "th", "ł": "l"}
_TITLES = {
    "mr": "mister", "mrs": "missus", "st": "saint", "dr": "doctor", "prof": "professor", "capt": "captain",
    "gov": "governor", "ald": "alderman", "gen": "general", "sen": "senator", "rep": "representative",
    "pres": "president", "rev": "reverend", "hon": "honorable", "asst": "assistant", "assoc": "associate",
    "lt": "lieutenant", "col": "colonel", "jr": "junior", "sr": "senior", "esq": "esquire",
}  # fmt: skip
_EXPANSIONS = (
    (r"\bwon't\b", "will not"), (r"\bcan't\b", "can not"), (r"\blet's\b", "let us"), (r"\bain't\b", "aint"),
    (r"\by'all\b", "you all"), (r"\bwanna\b", "want to"), (r"\bgotta\b", "got to"), (r"\bgonna\b", "going to"),
    (r"\bi'ma\b", "i am going to"), (r"\bimma\b", "i am going to"), (r"\bwoulda\b", "would have"),
    (r"\bcoulda\b", "could have"), (r"\bshoulda\b", "should have"), (r"\bma'am\b", "madam"),
    (rf"\b({'|'.join(_TITLES)})\b", lambda match: _TITLES[match[1]]),
    (r"'d been\b", " had been"), (r"'s been\b", " has been"), (r"'d gone\b", " had gone"), (r"'s gone\b", " has gone"),
    (r"'d done\b", " had done"), (r"'s got\b", " has got"),
    (r"n't\b", " not"), (r"'re\b", " are"), (r"'s\b", " is"), (r"'d\b", " would"), (r"'ll\b", " will"),
    (r"'t\b", " not"), (r"'ve\b", " have"), (r"'m\b", " am"),
)  # fmt: skip


def normalize(text: str, normalizer: Normalizer = "auto", language: str | None = None) -> str:
    """Apply a normaliser by name.

    Args:
        text: any text.
        normalizer: `basic`, `english`, `none` (NFKC and single spaces only), or `auto` by the language.
        language: two letters; decides `auto`.

    Raises:
        ValueError: there is no such normaliser.
    """
    name = normalizer_for(language) if normalizer == "auto" else normalizer
    if name == "english":
        return english(text)
    if name == "basic":
        return basic(text)
    if name == "none":
        return " ".join(unicodedata.normalize("NFKC", text).split())
    raise ValueError(f"no normaliser named {normalizer!r}; there are: {', '.join(NORMALIZERS)}")


def normalizer_for(language: str | None) -> Normalizer:
    """The normaliser that `auto` stands for: `english` for en, `basic` for all else.

    Args:
        language: two letters, with or without a region; None where unknown.
    """
    return "english" if language_code(language) == "en" else "basic"


def is_unspaced(language: str | None) -> bool:
    """Whether a language is written without spaces, so that its characters are compared.

    Args:
        language: two letters, with or without a region; None where unknown.
    """
    return language_code(language) in UNSPACED


def language_code(language: str | None) -> str:
    """The code of a language by which texts are treated; empty where unknown.

    Args:
        language: two letters, with or without a region or script (`zh-CN`, `zh_Hans`). Languages that are treated in a
            way of their own may also have three letters (ISO 639-2 or -3) or their English name, for a corpus that says
            `cmn` must not be split at spaces; all other names stay as they are.
    """
    name = re.split(r"[-_]", (language or "").strip().lower())[0]
    return _CODES.get(name, name)


def basic(text: str) -> str:
    """The normaliser for all languages: lower case, no bracketed parts, marks and symbols to spaces.

    Args:
        text: any text.
    """
    text = unicodedata.normalize("NFKC", text.lower())
    for pattern in _BRACKETS:
        text = re.sub(pattern, "", text)
    text = "".join(" " if unicodedata.category(c)[0] in "MSP" else c for c in unicodedata.normalize("NFKC", text))
    return " ".join(text.lower().split())


def english(text: str, spellings: Mapping[str, str] | None = None) -> str:
    """The normaliser for English: `basic` plus contractions, fillers, titles, diacritics, numbers and currencies.

    Args:
        text: any text.
        spellings: word to word, such as a table from British to American; applied last.
    """
    text = unicodedata.normalize("NFKC", text).lower()  # in this order: NFKC makes capitals of signs such as №
    for pattern in (*_BRACKETS, _FILLERS):
        text = re.sub(pattern, "", text)
    text = re.sub(r"\s+'", "'", text)
    for pattern, replacement in _EXPANSIONS:
        text = re.sub(pattern, replacement, text)
    text = re.sub(r"(\d),(\d)", r"\1\2", text)
    text = re.sub(r"\.([^0-9]|$)", r" \1", text)
    text = digits(" ".join(_plain_letters(text, keep=".%$¢€£").split()))
    if spellings:
        text = " ".join(spellings.get(word, word) for word in text.split())
    text = re.sub(r"[.$¢€£]([^0-9]|$)", r" \1", text)
    text = re.sub(r"([^0-9]|^)%", r"\1 ", text)
    return " ".join(text.split())


def graphemes(text: str) -> list[str]:
    """Characters as they are counted: marks stay with the letter they stand on, spaces are left out.

    Args:
        text: normalised text.
    """
    found: list[str] = []
    for character in text:
        if character.isspace():
            continue
        if found and unicodedata.category(character) in ("Mn", "Me", "Mc"):
            found[-1] += character
        else:
            found.append(character)
    return found


def _plain_letters(text: str, keep: str) -> str:
    plain = []
    for character in unicodedata.normalize("NFKD", text):
        if character in keep:
            plain.append(character)
        elif character in _LETTERS:
            plain.append(_LETTERS[character])
        elif unicodedata.category(character) == "Mn":
            continue
        else:
            plain.append(" " if unicodedata.category(character)[0] in "MSP" else character)
    return "".join(plain)
