"""Spoken English numbers in Arabic digits, as the English normaliser of the Whisper paper writes them.

Source: Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022, arXiv:2212.04356,
appendix C: "ten thousand dollars" becomes "$10000", "nineteen oh five" 1905; a single "one" stays a word.
Its irregular cases ("ninth" stays, since its table has the spelling "nineth") are kept: published rates contain them.
"""

from __future__ import annotations

import re
from fractions import Fraction

__all__ = ["digits"]

_SMALL = (
    *("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen"),
    *("fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_ONES = {word: number for number, word in enumerate(_SMALL, 1)}
_TENTHS = ("twen", "thir", "for", "fif", "six", "seven", "eigh", "nine")
_TENS = {f"{word}ty": 10 * number for number, word in enumerate(_TENTHS, 2)}
_ILLIONS = ("m", "b", "tr", "quadr", "quint", "sext", "sept", "oct", "non", "dec")
_MULTIPLIERS = {
    "hundred": 100,
    "thousand": 1000,
    **{f"{word}illion": 1000 ** (number + 1) for number, word in enumerate(_ILLIONS, 1)},
}
_ZEROS = ("o", "oh", "zero")

_IRREGULAR_ORDINALS = {
    "zeroth": (0, "th"),
    "first": (1, "st"),
    "second": (2, "nd"),
    "third": (3, "rd"),
    "fifth": (5, "th"),
}
_ONES_ENDED = {
    **_IRREGULAR_ORDINALS,
    "twelfth": (12, "th"),
    **{
        word + ("h" if word.endswith("t") else "th"): (number, "th")
        for word, number in _ONES.items()
        if number > 3 and number not in (5, 12)
    },
    **{"sixes" if word == "six" else f"{word}s": (number, "s") for word, number in _ONES.items()},
}
_TENS_ENDED = {
    **{word[:-1] + "ieth": (number, "th") for word, number in _TENS.items()},
    **{word[:-1] + "ies": (number, "s") for word, number in _TENS.items()},
}
_MULTIPLIERS_ENDED = {
    **{f"{word}th": (number, "th") for word, number in _MULTIPLIERS.items()},
    **{f"{word}s": (number, "s") for word, number in _MULTIPLIERS.items()},
}
_SIGNS = {"minus": "-", "negative": "-", "plus": "+", "positive": "+"}
_CURRENCIES = {
    word + ending: symbol
    for word, symbol in {"pound": "£", "euro": "€", "dollar": "$", "cent": "¢"}.items()
    for ending in ("", "s")
}
_REPEATS = {"double": 2, "triple": 3}
_DECIMALS = {*_ONES, *_TENS, *_ZEROS}
_KNOWN = {
    *_DECIMALS, *_MULTIPLIERS, *_ONES_ENDED, *_TENS_ENDED, *_MULTIPLIERS_ENDED, *_SIGNS, *_CURRENCIES, *_REPEATS,
    "and", "point", "percent", "per",
}  # fmt: skip
_LITERAL = re.compile(r"[0-9]+(\.[0-9]+)?")


def digits(text: str) -> str:
    """Write the numbers of a text in digits.

    Args:
        text: lower case, words between single spaces, no symbols but `.%$¢€£`.

    Returns:
        The text with its spoken numbers, currencies and percentages in digits.
    """
    words = _spaced(_halves(text)).split()
    return _joined(" ".join(_Reader().read(words)))


class _Reader:
    """Reads word by word; `value` is the number so far, an int while it can be added to, text once it is spelled."""

    def __init__(self) -> None:
        self.value: int | str | None = None
        self.prefix = ""
        self.written: list[str] = []

    def read(self, words: list[str]) -> list[str]:
        skip = False
        for place, word in enumerate(words):
            if skip:
                skip = False
                continue
            previous = words[place - 1] if place else ""
            following = words[place + 1] if place + 1 < len(words) else ""
            skip = self._take(word, previous, following)
        if self.value is not None:
            self._write(self.value)
        return self.written

    def _take(self, word: str, previous: str, following: str) -> bool:
        """One word; says whether the next one was used up with it."""
        bare = word.lstrip("$¢€£") if word[0] in "$¢€£" else word
        if _LITERAL.fullmatch(bare):
            self._literal(word, bare)
        elif word in _ZEROS:
            self.value = f"{self._text()}0"
        elif word in _ONES:
            self.value = self._with_ones(_ONES[word], previous)
        elif word in _ONES_ENDED:
            number, ending = _ONES_ENDED[word]
            self._write(f"{self._with_ones(number, previous)}{ending}")
        elif word in _TENS:
            self.value = self._with_tens(_TENS[word])
        elif word in _TENS_ENDED:
            number, ending = _TENS_ENDED[word]
            self._write(f"{self._with_tens(number)}{ending}")
        elif word in _MULTIPLIERS:
            self.value = self._times(_MULTIPLIERS[word])
        elif word in _MULTIPLIERS_ENDED:
            number, ending = _MULTIPLIERS_ENDED[word]
            self._write(f"{self._times(number)}{ending}")
        else:
            return self._sign_or_word(word, previous, following)
        return False

    def _sign_or_word(self, word: str, previous: str, following: str) -> bool:
        number_follows = _LITERAL.fullmatch(following) is not None
        if word in _SIGNS and (following in _KNOWN or number_follows):
            self._flush()
            self.prefix = _SIGNS[word]
        elif word in _CURRENCIES and self.value is not None:
            self.prefix = _CURRENCIES[word]
            self._flush()
        elif word == "percent" and self.value is not None:
            self._write(f"{self.value}%")
        elif word == "per" and following == "cent" and self.value is not None:
            self._write(f"{self.value}%")
            return True
        elif word == "and" and previous in _MULTIPLIERS and (following in _KNOWN or number_follows):
            pass  # two hundred and five
        elif word in _REPEATS and (following in _ONES or following in _ZEROS):
            self.value = f"{self._text()}{str(_ONES.get(following, 0)) * _REPEATS[word]}"
            return True
        elif word == "point" and (following in _DECIMALS or number_follows):
            self.value = f"{self._text()}."
        elif word == "point" and following in _KNOWN:
            pass  # the original loses the word here
        else:
            self._flush()
            self._write(word)
        return False

    def _literal(self, word: str, bare: str) -> None:
        if isinstance(self.value, str) and self.value.endswith("."):
            self.value += bare
            return
        self._flush()
        self.prefix = word[: len(word) - len(bare)] or self.prefix
        number = Fraction(bare)
        self.value = int(number) if number.denominator == 1 else bare

    def _with_ones(self, number: int, previous: str) -> int | str:
        if self.value is None:
            return number
        if isinstance(self.value, str) or previous in _ONES:
            if previous in _TENS and number < 10:
                return f"{str(self.value)[:-1]}{number}"
            return f"{self.value}{number}"
        room = 10 if number < 10 else 100
        return self.value + number if self.value % room == 0 else f"{self.value}{number}"

    def _with_tens(self, number: int) -> int | str:
        if self.value is None:
            return number
        if isinstance(self.value, int) and self.value % 100 == 0:
            return self.value + number
        return f"{self.value}{number}"

    def _times(self, number: int) -> int | str:
        if self.value is None:
            return number
        if isinstance(self.value, str):
            product = Fraction(self.value.removesuffix(".") or "0") * number
            if product.denominator == 1:
                return int(product)
            self._flush()
            return number
        thousands, rest = divmod(self.value, 1000)
        if thousands:
            return 1000 * thousands + rest * number
        return self.value * number

    def _text(self) -> str:
        return str(self.value or "")

    def _flush(self) -> None:
        if self.value is not None:
            self._write(self.value)

    def _write(self, item: int | str) -> None:
        self.written.append(f"{self.prefix}{item}")
        self.value, self.prefix = None, ""


def _halves(text: str) -> str:
    """`two and a half` is `two point five`."""
    parts = re.split(r"\band\s+a\s+half\b", text)
    spoken = []
    for number, part in enumerate(parts):
        if part.strip():
            spoken.append(part)
            if number < len(parts) - 1:
                last = part.split()[-1]
                spoken.append("point five" if last in _DECIMALS or last in _MULTIPLIERS else "and a half")
    return " ".join(spoken)


def _spaced(text: str) -> str:
    text = re.sub(r"([a-z])([0-9])", r"\1 \2", text)
    text = re.sub(r"([0-9])([a-z])", r"\1 \2", text)
    return re.sub(r"([0-9])\s+(st|nd|rd|th|s)\b", r"\1\2", text)


def _joined(text: str) -> str:
    text = re.sub(r"([€£$])([0-9]+) (?:and )?¢([0-9]{1,2})\b", lambda m: f"{m[1]}{int(m[2])}.{int(m[3]):02d}", text)
    # The dot stands for any character in the original too.
    text = re.sub(r"[€£$]0.([0-9]{1,2})\b", lambda m: f"¢{int(m[1])}", text)
    return re.sub(r"\b1(s?)\b", r"one\1", text)
