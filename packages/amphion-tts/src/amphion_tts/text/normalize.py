"""English text as it is spoken: numbers, money, dates, times, units and abbreviations in words.

`normalize_english` gives words of ASCII letters (capitals kept, they tell acronyms), apostrophes, and the pauses
`, . ? ! ; :`. What has no reading, such as emoji, is left out and reported.
"""

from __future__ import annotations

import logging
import re

from amphion_tts.text.abbreviations import (
    ABBREVIATIONS,
    CURRENCIES,
    MONTHS,
    SIGNS,
    UNITS,
    WEEKDAYS,
)
from amphion_tts.text.ascii import to_ascii
from amphion_tts.text.numbers import cardinal, digits, ordinal, year

__all__ = ["normalize_english"]

log = logging.getLogger(__name__)

_KEPT = {sign: sign for sign in CURRENCIES} | {
    "°": "°",
    "½": " 1/2",
    "¼": " 1/4",
    "¾": " 3/4",
    "…": ".",
    "„": '"',
    "″": '"',
    "\u200b": "",
    "±": " plus or minus ",
}
_NUMBER = r"\d{1,3}(?:,\d{3})+|\d+"
_MONTH_NAMES = "|".join(sorted([*MONTHS.values(), *(m[:3] for m in MONTHS.values()), "Sept"], key=len, reverse=True))
_SCALE = r"(?:\s?(hundred|thousand|million|billion|trillion|[kKmMbB](?:n|illion)?)\b)?"
_SCALES = {"k": "thousand", "m": "million", "b": "billion", "bn": "billion", "mn": "million"}
_ROMAN = re.compile(
    r"\b(Chapter|Part|Book|Volume|Act|Scene|Section|World War|Type|Phase|King|Queen|Pope|Henry|Louis|Charles|George|"
    r"Edward|Richard|William|James|Elizabeth|Philip|John|Paul|Pius|Benedict|Napoleon) ([IVXL]+)\b"
)
_RULERS = frozenset(
    [
        "King",
        "Queen",
        "Pope",
        "Henry",
        "Louis",
        "Charles",
        "George",
        "Edward",
        "Richard",
        "William",
        "James",
        "Elizabeth",
        "Philip",
        "John",
        "Paul",
        "Pius",
        "Benedict",
        "Napoleon",
    ]
)


def normalize_english(text: str) -> str:
    """Write out everything that is not a word.

    Args:
        text: any.

    Returns:
        Words, apostrophes and pauses; empty where nothing of the text can be spoken.
    """
    text = "".join(" " if ord(c) < 32 or 127 <= ord(c) < 160 else c for c in text)
    text, lost = to_ascii(text, _KEPT)
    if lost:
        log.warning("left out, no reading in English: %s", " ".join(f"{c} (U+{ord(c):04X})" for c in lost[:20]))
    text = _addresses(text)
    text = _dates(text)
    text = _times(text)
    text = _decades(text)
    text = _money(text)
    text = _measures(text)
    text = _abbreviations(text)
    text = _plain_numbers(text)
    return _tidy(_signs(text))


def _addresses(text: str) -> str:
    def spoken(match: re.Match[str]) -> str:
        inner = re.sub(r"^(?:https?://)", "", match[0]).rstrip("/")
        return re.sub(r"[./@:_-]", lambda m: f" {_ADDRESS_SIGNS[m[0]]} ", inner)

    text = re.sub(r"\b[\w.+-]{1,64}@[A-Za-z\d-]{1,63}(?:\.[A-Za-z\d-]{1,63}){1,8}", spoken, text)
    return re.sub(r"\b(?:https?://|www\.)[^\s,;!?\"')]{1,500}[^\s,;:.!?\"')]", spoken, text)


_ADDRESS_SIGNS = {".": "dot", "/": "slash", "@": "at", ":": "colon", "_": "underscore", "-": "dash"}


def _dates(text: str) -> str:
    text = re.sub(r"\b(\d{4})-(\d\d)-(\d\d)\b", lambda m: _date(m[0], m[1], m[2], m[3]), text)
    text = re.sub(r"\b(\d{1,2})/(\d{1,2})/(\d{4})\b", lambda m: _date(m[0], m[3], m[1], m[2]), text)
    text = re.sub(
        rf"\b({_MONTH_NAMES})\.? (\d{{1,2}})(?:st|nd|rd|th)?(?:,? (\d{{4}}))?\b(?!:|\d|,\d{{3}}|\.\d)",
        lambda m: f"{_month(m[1])} {_day(m[2])}{_year_after(m[3], comma=True)}",
        text,
    )
    text = re.sub(
        rf"\b(?:the )?(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? ({_MONTH_NAMES})\b\.?(?:,? (\d{{4}})\b)?",
        lambda m: f"the {_day(m[1])} of {_month(m[2])}{_year_after(m[3], comma=False)}",
        text,
    )
    text = re.sub(rf"\b({_MONTH_NAMES})\.? (\d{{4}})\b", lambda m: f"{_month(m[1])} {year(int(m[2]))}", text)
    days = "|".join(WEEKDAYS)
    return re.sub(rf"\b({days})\.(?= |,)", lambda m: WEEKDAYS[m[1]], text)


def _date(whole: str, of_year: str, month: str, day: str) -> str:
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return whole
    return f"{MONTHS[int(month)]} {ordinal(int(day))}, {year(int(of_year))}"


def _month(name: str) -> str:
    return next(full for full in MONTHS.values() if full.startswith(name[:3]))


def _day(text: str) -> str:
    return ordinal(int(text))


def _year_after(text: str | None, comma: bool) -> str:
    return "" if text is None else f"{',' if comma else ''} {year(int(text))}"


def _times(text: str) -> str:
    def spoken(match: re.Match[str]) -> str:
        hour, minute, second, half = int(match[1]), int(match[2] or 0), match[3], match[4]
        if hour > 24 or minute > 59:
            return match[0]
        words = [cardinal(hour)]
        if minute:
            words.append(f"oh {cardinal(minute)}" if minute < 10 else cardinal(minute))
        elif not half:
            words.append("o'clock" if 0 < hour <= 12 else "hundred hours")
        if second:
            words.append(f"and {cardinal(int(second))} seconds")
        if half:
            words.append("A M" if half[0] in "aA" else "P M")
        return " ".join(words)

    text = re.sub(r"\b(\d{1,2}):(\d\d)(?::(\d\d))?(?:\s?([aApP]\.?[mM]\b\.?))?", spoken, text)
    return re.sub(r"\b(\d{1,2})()()\s?([aApP]\.?[mM]\b\.?)", spoken, text)


def _money(text: str) -> str:
    def spoken(match: re.Match[str]) -> str:
        sign, whole, cents, scale = match[1], match[2], match[3], match[4]
        one, many, small_one, small_many = CURRENCIES[sign]
        amount = int(whole.replace(",", "")) if len(whole) < 60 else 2
        if scale:
            words = _decimal(whole, cents)
            return f"{words} {_SCALES.get(scale.lower(), scale.lower())} {many}"
        parts = []
        if amount or not cents:
            parts.append(f"{_whole(whole)} {one if amount == 1 else many}")
        if cents and small_many and len(cents) <= 2:
            small = int(cents.ljust(2, "0"))
            if small:
                parts.append(f"{cardinal(small)} {small_one if small == 1 else small_many}")
            return " and ".join(parts) or f"zero {many}"
        return f"{_decimal(whole, cents)} {many}" if cents else parts[0]

    signs = "".join(re.escape(sign) for sign in CURRENCIES)
    return re.sub(rf"([{signs}])\s?({_NUMBER})(?:\.(\d+))?{_SCALE}", spoken, text)


def _measures(text: str) -> str:
    def spoken(match: re.Match[str]) -> str:
        whole, fraction, unit = match[1], match[2], match[3]
        one, many = UNITS[unit]
        return f"{_decimal(whole, fraction)} {one if whole == '1' and not fraction else many}"

    units = "|".join(re.escape(unit) for unit in sorted(UNITS, key=len, reverse=True))
    return re.sub(rf"(?<![\w.])({_NUMBER})(?:\.(\d+))?\s?({units})(?![A-Za-z\d])", spoken, text)


def _abbreviations(text: str) -> str:
    text = re.sub(r"\bSt\.? (?=[A-Z])", "Saint ", text)
    names = "|".join(re.escape(name) for name in sorted(ABBREVIATIONS, key=len, reverse=True))
    text = re.sub(rf"(?<![\w.])({names})\.(?!\w)", lambda m: ABBREVIATIONS[m[1]], text)
    text = re.sub(r"\bNo\. ?(?=\d)", "number ", text)
    text = re.sub(r"\bvs\b", "versus", text)

    def roman(match: re.Match[str]) -> str:
        value = _roman(match[2])
        if value is None:
            return match[0]
        return f"{match[1]} the {ordinal(value)}" if match[1] in _RULERS else f"{match[1]} {cardinal(value)}"

    text = _ROMAN.sub(roman, text)
    # initials such as U.S.A. and J. R. lose their points, the last one stays where a sentence may end
    return re.sub(r"\b(?:[A-Za-z]\.){2,}", lambda m: " ".join(m[0].replace(".", "").upper()) + " ", text)


def _roman(text: str) -> int | None:
    if not re.fullmatch(r"(?:XL|L?X{0,3})(?:IX|IV|V?I{0,3})", text):
        return None
    values = [{"I": 1, "V": 5, "X": 10, "L": 50}[c] for c in text]
    following = [*values[1:], 0]
    return sum(-v if v < after else v for v, after in zip(values, following, strict=True))


def _plain_numbers(text: str) -> str:
    text = re.sub(r"\b(\d{3})-(\d{3})-(\d{4})\b", lambda m: ", ".join(digits(part, "oh") for part in m.groups()), text)
    text = re.sub(r"\b(\d{3})-(\d{4})\b", lambda m: ", ".join(digits(part, "oh") for part in m.groups()), text)
    text = re.sub(r"\b([1-9])/([2-9]|10)\b(?!/)", lambda m: _fraction(int(m[1]), int(m[2])), text)
    text = re.sub(r"(?<=[A-Za-z] )(\d+) (?=(?:one half|\w+ (?:half|third|quarter|fifth)s?\b))", r"\1 and ", text)
    text = re.sub(rf"\b({_NUMBER})(?:st|nd|rd|th)\b", lambda m: _ordinal(m[1]), text)
    text = re.sub(r"\b(\d+) ?- ?(\d+)\b", r"\1 to \2", text)
    text = re.sub(r"(?<![\w.])-(?=\d)", "minus ", text)
    text = re.sub(r"\b(\d+(?:\.\d+){2,})\b", lambda m: m[1].replace(".", " point "), text)
    text = re.sub(rf"\b({_NUMBER})\.(\d+)", lambda m: _decimal(m[1], m[2]), text)
    text = re.sub(r"(?<!\d)\.(\d+)", lambda m: f" point {digits(m[1])}", text)
    text = re.sub(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])", " ", text)
    return re.sub(rf"{_NUMBER}", lambda m: f" {_integer(m[0])} ", text)


def _decades(text: str) -> str:
    text = re.sub(r"\b(1[0-9]|20)(\d)0s\b", lambda m: _decade(int(m[1]), int(m[2])), text)
    return re.sub(r"(?<![\d.,])'?([2-9])0s\b", lambda m: _decade(None, int(m[1])), text)


def _decade(century: int | None, tens: int) -> str:
    names = [
        "hundreds",
        "tens",
        "twenties",
        "thirties",
        "forties",
        "fifties",
        "sixties",
        "seventies",
        "eighties",
        "nineties",
    ]
    if century is None:
        return names[tens]
    if century == 20 and tens == 0:
        return "two thousands"
    return f"{cardinal(century)} {names[tens]}"


def _fraction(top: int, bottom: int) -> str:
    name = {2: "half", 4: "quarter"}.get(bottom) or ordinal(bottom)
    if top > 1:
        name = "halves" if bottom == 2 else f"{name}s"
    return f"{cardinal(top)} {name}"


def _whole(text: str) -> str:
    plain = text.replace(",", "")
    return cardinal(int(plain)) if len(plain) <= 36 else digits(plain)


def _decimal(whole: str, fraction: str | None) -> str:
    return f"{_whole(whole)} point {digits(fraction)}" if fraction else _whole(whole)


def _ordinal(text: str) -> str:
    plain = text.replace(",", "")
    return ordinal(int(plain)) if len(plain) <= 36 else digits(plain)


def _integer(text: str) -> str:
    if len(text) > 1 and text[0] == "0":
        return digits(text, "oh")
    if len(text) == 4 and "1100" <= text <= "2099":
        return year(int(text))
    return _whole(text)


def _signs(text: str) -> str:
    table = {**SIGNS, **{sign: f" {names[1]} " for sign, names in CURRENCIES.items()}}
    return re.sub("|".join(map(re.escape, table)), lambda m: table[m[0]], text)


def _tidy(text: str) -> str:
    """Only letters, apostrophes inside words and pauses, with single blanks."""
    text = re.sub(r"\s-+\s|--+|[()\[\]{}]", ", ", text)
    text = re.sub(r"(?<![A-Za-z])'|'(?![A-Za-z])", " ", text)
    text = re.sub(r"[^A-Za-z',.?!;: ]", " ", text)
    text = re.sub(r"(?:\s*[,.?!;:])+", lambda m: _strongest(m[0]), text)
    text = re.sub(r"\s+", " ", text).strip()
    return re.sub(r"^[,.;:?! ]+", "", text)


def _strongest(run: str) -> str:
    return next(mark for mark in "?!.;:," if mark in run)
