"""Pronunciations by rule, for English words that no lexicon has: letters to phones, then stress.

The rules stand in `english.rules`; each looks at the letters beside it. Written for this package.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

from amphion_tts.text.symbols import VOWELS

__all__ = ["pronounce_by_rule"]

_CLASSES = {
    "V": "[aeiouy]",
    "C": "[bcdfghjklmnpqrstvwxz]",
    "F": "[eiy]",
    "N": "(?:'?s?)$",
}
_LINE = re.compile(r"^(?P<left>.*?)\s*\[\s(?P<letters>\S+)\s\]\s*(?P<right>.*?)\s*=\s*(?P<phones>.*)$")
_FULL = {"AE": "AH", "EH": "AH", "AA": "AH", "AO": "AO"}
_BEFORE_LAST = re.compile(
    r"(tion|sion|cian|ic|ics|ical|ically|ity|ities|ious|eous|cial|tial|ian|ians|ion|ions|ia|ial|graphy|logy|logist|"
    r"meter|ual|ular|ible)s?$"
)
_TAIL_SYLLABLES = {
    "ical": 2,
    "ically": 2,
    "ity": 2,
    "ities": 2,
    "ious": 1,
    "ia": 2,
    "graphy": 2,
    "logy": 2,
    "logist": 2,
    "meter": 2,
    "ual": 2,
    "ular": 2,
    "ible": 2,
}
_FINAL = re.compile(r"(ee|eer|ese|ette|ique|oon|aire|ade|self|selves)s?$")
_PREFIX = re.compile(
    r"^(a(?=bout|cross|go|gain|head|live|lone|long|round|way|wake|ware|part|rise|mong|bb|cc|dd|ff|gg|ll|nn|pp|rr|ss|tt)"
    r"|be(?=[^aeiou][aeiouy])|de(?=[^aeiou])|dis|em|en(?=[^aeiou])|ex|for(?=g|b)|im(?=p)|in(?=[^aeiou]{1,2}[aeiou])"
    r"|mis|ob|per|pre|pro(?=[^aeiou])|re(?=[^aeiou])|sub|sur|trans|un|up|with|con|com|ad|ab)"
)


@dataclass(frozen=True, slots=True)
class _Rule:
    """Letters in a context and their phones."""

    letters: str
    left: re.Pattern[str] | None
    right: re.Pattern[str] | None
    phones: tuple[str, ...]


def pronounce_by_rule(word: str) -> list[str]:
    """Phones of a word, vowels with their stress.

    Args:
        word: letters a to z and apostrophes, lower case.

    Returns:
        ARPAbet; empty for a word without any letter.
    """
    phones: list[str] = []
    place = 0
    while place < len(word):
        rule = _rule_at(word, place)
        if rule is None:
            place += 1
            continue
        phones += rule.phones
        place += len(rule.letters)
    return _stress(word, _without_doubles(phones))


def _rule_at(word: str, place: int) -> _Rule | None:
    before = word[:place]
    for rule in _rules().get(word[place], ()):
        end = place + len(rule.letters)
        if not word.startswith(rule.letters, place):
            continue
        if rule.left is not None and not rule.left.search(before):
            continue
        if rule.right is None or rule.right.match(word, end):
            return rule
    return None


@cache
def _rules() -> dict[str, tuple[_Rule, ...]]:
    """The rules by their first letter."""
    text = resources.files("amphion_tts.text").joinpath("english.rules").read_text(encoding="utf-8")
    table: dict[str, list[_Rule]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#") or re.fullmatch(r"\[.\]", line.strip()):
            continue
        match = _LINE.match(line)
        if match is None:
            raise ValueError(f"english.rules:{number}: not of the form LEFT [ LETTERS ] RIGHT = PHONES: {line!r}")
        rule = _Rule(
            letters=match["letters"],
            left=re.compile(f"(?:{_expand(match['left'])})$") if match["left"] else None,
            right=re.compile(_expand(match["right"])) if match["right"] else None,
            phones=tuple(match["phones"].split()),
        )
        table.setdefault(rule.letters[0], []).append(rule)
    return {letter: tuple(rules) for letter, rules in table.items()}


def _expand(pattern: str) -> str:
    return re.sub(r"[VCFN]", lambda match: _CLASSES[match[0]], pattern.replace(" ", ""))


def _without_doubles(phones: list[str]) -> list[str]:
    """A consonant that two rules gave in a row is said once."""
    return [p for i, p in enumerate(phones) if i == 0 or p != phones[i - 1] or p in VOWELS]


def _stress(word: str, phones: list[str]) -> list[str]:
    """Digits on the vowels: one primary stress, weak vowels reduced."""
    places = [i for i, phone in enumerate(phones) if phone in VOWELS]
    if not places:
        return phones
    chosen = _stressed_syllable(word, phones, places)
    result = list(phones)
    for syllable, place in enumerate(places):
        if syllable == chosen:
            result[place] += "1"
        else:
            weak = abs(syllable - chosen) == 1 and phones[place] in _FULL and syllable > 0
            result[place] = f"{_FULL[phones[place]] if weak else phones[place]}0"
    return result


def _stressed_syllable(word: str, phones: list[str], places: list[int]) -> int:
    count = len(places)
    if count == 1:
        return 0
    if _FINAL.search(word):
        return count - 1
    match = _BEFORE_LAST.search(word)
    if match:
        return max(0, count - 1 - _TAIL_SYLLABLES.get(match[1].removesuffix("s"), 1))
    if word.endswith(("ate", "ates", "ated", "ize", "izes", "fy", "ise")) and count >= 3:
        return count - 3
    prefix = _PREFIX.match(word)
    if prefix is not None and count >= 2 and len(word) > len(prefix[0]) + 2:
        return 1
    full = [s for s, p in enumerate(places) if phones[p] not in ("AH", "IH", "ER")]
    if count == 2:
        return 0
    if full and full[0] <= count - 2:
        return full[0]
    return max(0, count - 3)
