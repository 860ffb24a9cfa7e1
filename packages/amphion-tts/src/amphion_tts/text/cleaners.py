"""The text cleaners that released checkpoints were trained with, faults included; new models use `normalize`.

Source: the front end of the original toolkit; its rules and their order are described in the tests' golden case.
"""

from __future__ import annotations

import re

from amphion_tts.text.ascii import to_ascii
from amphion_tts.text.numbers import cardinal, ordinal, year
from amphion_tts.text.symbols import LEXICON_TABLE

__all__ = ["CLEANERS", "basic_cleaners", "english_cleaners", "text_to_sequence", "transliteration_cleaners"]

_ABBREVIATIONS = {
    "mrs": "misess", "mr": "mister", "dr": "doctor", "st": "saint", "co": "company", "jr": "junior", "maj": "major",
    "gen": "general", "drs": "doctors", "rev": "reverend", "lt": "lieutenant", "hon": "honorable", "sgt": "sergeant",
    "capt": "captain", "esq": "esquire", "ltd": "limited", "col": "colonel", "ft": "fort",
}  # fmt: skip
_ABBREVIATION = re.compile(rf"\b({'|'.join(sorted(_ABBREVIATIONS, key=len, reverse=True))})\.")
_IDS = {symbol: number for number, symbol in enumerate(LEXICON_TABLE)}
_DROPPED = {"_", "~"}


def english_cleaners(text: str) -> str:
    """ASCII, lower case, numbers and abbreviations in words, single blanks."""
    text = to_ascii(text)[0].lower()
    text = _expand_numbers(text)
    text = _ABBREVIATION.sub(lambda match: _ABBREVIATIONS[match[1]], text)
    return _collapse(text)


def transliteration_cleaners(text: str) -> str:
    """ASCII, lower case, single blanks."""
    return _collapse(to_ascii(text)[0].lower())


def basic_cleaners(text: str) -> str:
    """Lower case, single blanks."""
    return _collapse(text.lower())


CLEANERS = {
    "english_cleaners": english_cleaners,
    "transliteration_cleaners": transliteration_cleaners,
    "basic_cleaners": basic_cleaners,
}


def text_to_sequence(text: str, cleaners: list[str]) -> list[int]:
    """Ids of the 151-symbol table; what stands in braces is read as phones.

    Args:
        text: such as `{DH IH1 S} is it.`; symbols outside the table are dropped, as the original did.
        cleaners: names of `CLEANERS`, applied in order to what stands outside braces.

    Raises:
        LookupError: no cleaner of that name.
    """
    unknown = [name for name in cleaners if name not in CLEANERS]
    if unknown:
        raise LookupError(f"no cleaner named {unknown[0]!r}; there are: {', '.join(CLEANERS)}")
    symbols: list[str] = []
    position = 0
    for match in re.finditer(r"\{(.+?)\}", text):
        symbols += _clean(text[position : match.start()], cleaners)
        symbols += [f"@{phone}" for phone in match[1].split()]
        position = match.end()
    symbols += _clean(text[position:], cleaners)
    return [_IDS[symbol] for symbol in symbols if symbol in _IDS and symbol not in _DROPPED]


def _clean(text: str, cleaners: list[str]) -> list[str]:
    for name in cleaners:
        text = CLEANERS[name](text) if text else text
    return list(text)


def _collapse(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def _expand_numbers(text: str) -> str:
    text = re.sub(r"([0-9][0-9,]+[0-9])", lambda match: match[1].replace(",", ""), text)
    text = re.sub(r"£([0-9,]*[0-9]+)", r"\1 pounds", text)
    text = re.sub(r"\$([0-9.,]*[0-9]+)", lambda match: _dollars(match[1]), text)
    text = re.sub(r"([0-9]+)\.([0-9]+)", r"\1 point \2", text)
    text = re.sub(
        r"([0-9]+)(?:st|nd|rd|th)", lambda match: ordinal(int(match[1]), joiner=", ", conjunction="and"), text
    )
    return re.sub(r"[0-9]+", lambda match: _integer(int(match[0])), text)


def _dollars(amount: str) -> str:
    parts = amount.split(".")
    if len(parts) > 2:
        return f"{amount} dollars"
    dollars = int(parts[0]) if parts[0] else 0
    cents = int(parts[1]) if len(parts) > 1 and parts[1] else 0
    words = []
    if dollars:
        words.append(f"{dollars} {'dollar' if dollars == 1 else 'dollars'}")
    if cents:
        words.append(f"{cents} {'cent' if cents == 1 else 'cents'}")
    return ", ".join(words) or "zero dollars"


def _integer(number: int) -> str:
    if 1000 < number < 3000:
        if number == 2000:
            return "two thousand"
        if 2000 < number < 2010:
            return f"two thousand {cardinal(number % 100)}"
        return year(number)
    return cardinal(number, joiner=", ")
