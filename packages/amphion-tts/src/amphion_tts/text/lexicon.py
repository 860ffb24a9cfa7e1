"""Pronunciations of English words: lexicons first, then endings, then letters of acronyms, then rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path

from amphion_tts.text.letter_to_sound import pronounce_by_rule
from amphion_tts.text.symbols import ARPABET, VOWELS

__all__ = ["Pronouncer", "own_lexicon", "read_lexicon"]

_PHONES = frozenset(ARPABET)
_VOICELESS = frozenset({"P", "T", "K", "F", "TH"})
_HISSING = frozenset({"S", "Z", "SH", "ZH", "CH", "JH"})


class Pronouncer:
    """Words to phones.

    Args:
        lexicon: file of words and phones, looked up before our own.
        entries: words and their phones, before everything else.

    Raises:
        ValueError: an entry holds something that is no phone; names it.
    """

    def __init__(self, lexicon: str | Path | None = None, entries: Mapping[str, str] | None = None) -> None:
        self._entries = {word.lower(): _checked(word, phones.split()) for word, phones in (entries or {}).items()}
        self._lexicon = read_lexicon(lexicon) if lexicon is not None else {}
        self._own = own_lexicon()
        self._known: dict[str, tuple[str, ...]] = {}

    def __call__(self, word: str) -> tuple[str, ...]:
        """Phones of one word.

        Args:
            word: letters and apostrophes; a word in capitals that no lexicon has is spelled out.
        """
        found = self._known.get(word)
        if found is None:
            found = self._pronounce(word)
            if len(self._known) < 50_000:
                self._known[word] = found
        return found

    def lookup(self, word: str) -> tuple[str, ...] | None:
        """Phones of a word that a lexicon has, in lower case."""
        return self._entries.get(word) or self._lexicon.get(word) or self._own.get(word)

    def _pronounce(self, word: str) -> tuple[str, ...]:
        lower = word.lower().strip("'")
        found = self.lookup(lower) or self._with_ending(lower)
        if found:
            return found
        letters = word.removesuffix("s") if len(word) > 2 and word[:-1].isupper() else word
        if (letters.isupper() and len(letters) <= 5) or len(word) == 1 or not re.search(r"[aeiouy]", lower):
            spelled = self._spell(letters.lower())
            return (*spelled, "Z") if letters != word else spelled
        return tuple(pronounce_by_rule(lower)) or self._spell(lower)

    def _spell(self, letters: str) -> tuple[str, ...]:
        return tuple(phone for letter in letters for phone in self._own.get(f"{letter}.", ()))

    def _with_ending(self, word: str) -> tuple[str, ...] | None:
        """A known word with an ending such as `'s`, `ed` or `ly`, with `un` before it, or two known words."""
        for ending, add in _ENDINGS.items():
            if not word.endswith(ending) or len(word) < len(ending) + 2:
                continue
            for stem in _stems(word[: -len(ending)], ending):
                base = self.lookup(stem)
                if base:
                    return add(base)
        for prefix, phones in (("un", ("AH0", "N")), ("re", ("R", "IY0"))):
            base = self.lookup(word[2:]) if word.startswith(prefix) and len(word) > 5 else None
            if base:
                return (*phones, *base)
        return self._compound(word)

    def _compound(self, word: str) -> tuple[str, ...] | None:
        """Two known words of at least three letters, such as `sunlight`; the second loses its main stress."""
        for cut in range(3, len(word) - 2):
            first, second = self.lookup(word[:cut]), self.lookup(word[cut:])
            if first and second and len(word) > 6:
                return (*first, *(phone.replace("1", "2") for phone in second))
        return None


def read_lexicon(path: str | Path) -> dict[str, tuple[str, ...]]:
    """A lexicon in the form of CMUdict or LibriSpeech: a word and its phones a line; the first entry of a word wins.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line holds something that is no phone; names line and phone.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"no lexicon at {path}; the front end of this model wants one: give its place, or leave it out for our own"
        )
    return _parse(path.read_text(encoding="utf-8", errors="replace"), str(path))


@cache
def own_lexicon() -> dict[str, tuple[str, ...]]:
    """The lexicon of this package; `a.` to `z.` are the names of the letters."""
    text = resources.files("amphion_tts.text").joinpath("english.lexicon").read_text(encoding="utf-8")
    return _parse(text, "english.lexicon")


def _parse(text: str, where: str) -> dict[str, tuple[str, ...]]:
    table: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith((";;;", "#")):
            continue
        word, *phones = line.partition(" #")[0].split()
        word = re.sub(r"\(\d+\)$", "", word).lower()
        if word not in table:
            table[word] = _checked(f"{where}:{number}: {word}", phones)
    return table


def _checked(word: str, phones: list[str]) -> tuple[str, ...]:
    wrong = [phone for phone in phones if phone not in _PHONES]
    if wrong or not phones:
        raise ValueError(f"{word}: {wrong[0]!r} is no ARPAbet phone" if wrong else f"{word}: no phones are given")
    return tuple(f"{phone}0" if phone in VOWELS else phone for phone in phones)


def _stems(rest: str, ending: str) -> list[str]:
    """What a word may have been before the ending: `hop` and `hope` of `hoping`, `try` of `tries`."""
    if ending in ("'s", "s", "less", "ness", "ful"):
        return [rest, rest[:-1] + "y"] if rest.endswith("i") else [rest]
    stems = [rest, f"{rest}e"]
    if len(rest) > 2 and rest[-1] == rest[-2]:
        stems.insert(0, rest[:-1])
    if rest.endswith("i"):
        stems.insert(0, rest[:-1] + "y")
    if ending == "ly" and rest.endswith("i"):
        stems.insert(0, rest[:-1] + "y")
    if ending == "es":
        stems = [rest, *([rest[:-1] + "y"] if rest.endswith("i") else [])]
    return stems


def _plural(base: tuple[str, ...]) -> tuple[str, ...]:
    last = base[-1]
    if last in _HISSING:
        return (*base, "IH0", "Z")
    return (*base, "S" if last in _VOICELESS else "Z")


def _past(base: tuple[str, ...]) -> tuple[str, ...]:
    last = base[-1]
    if last in ("T", "D"):
        return (*base, "IH0", "D")
    return (*base, "T" if last in _VOICELESS | {"S", "SH", "CH"} else "D")


_ENDINGS: dict[str, Callable[[tuple[str, ...]], tuple[str, ...]]] = {
    "'s": _plural,
    "es": _plural,
    "s": _plural,
    "ed": _past,
    "ing": lambda base: (*base, "IH0", "NG"),
    "ers": lambda base: (*base, "ER0", "Z"),
    "er": lambda base: (*base, "ER0"),
    "est": lambda base: (*base, "AH0", "S", "T"),
    "ly": lambda base: (*base, "L", "IY0") if base[-1] != "L" else (*base, "IY0"),
    "ness": lambda base: (*base, "N", "AH0", "S"),
    "less": lambda base: (*base, "L", "AH0", "S"),
    "ful": lambda base: (*base, "F", "AH0", "L"),
}
