"""Whole numbers as English words."""

from __future__ import annotations

__all__ = ["cardinal", "digits", "ordinal", "year"]

_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SCALES = [
    "thousand",
    "million",
    "billion",
    "trillion",
    "quadrillion",
    "quintillion",
    "sextillion",
    "septillion",
    "octillion",
    "nonillion",
    "decillion",
]
_IRREGULAR = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}


def cardinal(number: int, *, joiner: str = " ", conjunction: str = "") -> str:
    """Words of a number.

    Args:
        number: any; beyond 36 digits it is read digit by digit.
        joiner: stands between thousands and the rest; inflect writes `, `.
        conjunction: between hundreds and the rest, such as `and`.

    Returns:
        Such as `one thousand two hundred thirty-four`.
    """
    if number < 0:
        return f"minus {cardinal(-number, joiner=joiner, conjunction=conjunction)}"
    if number == 0:
        return "zero"
    if number >= 10 ** (3 * (len(_SCALES) + 1)):
        return digits(str(number))
    groups = []
    rest, scale = number, 0
    while rest:
        rest, group = divmod(rest, 1000)
        if group:
            name = _below_thousand(group, conjunction)
            groups.append(f"{name} {_SCALES[scale - 1]}" if scale else name)
        scale += 1
    groups.reverse()
    last = number % 1000
    if number > 1000 and 0 < last < 100:  # no comma before the last group, where joiner is one
        return " ".join([joiner.join(groups[:-1]), *([conjunction] if conjunction else []), groups[-1]])
    return joiner.join(groups)


def ordinal(number: int, *, joiner: str = " ", conjunction: str = "") -> str:
    """Words of a place in an order, such as `twenty-first`."""
    words = cardinal(number, joiner=joiner, conjunction=conjunction)
    cut = max(words.rfind(" "), words.rfind("-")) + 1
    head, last = words[:cut], words[cut:]
    if last in _IRREGULAR:
        return head + _IRREGULAR[last]
    if last.endswith("y"):
        return f"{head}{last[:-1]}ieth"
    return f"{head}{last}th"


def year(number: int) -> str:
    """Words of a year of three or four digits, read in pairs: `nineteen oh five`, `two thousand nine`."""
    if not 1000 < number < 10000 or 2000 <= number <= 2009 or number % 1000 == 0:
        return cardinal(number)
    if number % 100 == 0:
        return f"{cardinal(number // 100)} hundred"
    high, low = divmod(number, 100)
    return f"{cardinal(high)} {'oh ' if low < 10 else ''}{cardinal(low)}"


def digits(text: str, zero: str = "zero") -> str:
    """Digits one by one."""
    return " ".join(zero if character == "0" else _ONES[int(character)] for character in text)


def _below_thousand(number: int, conjunction: str) -> str:
    hundreds, rest = divmod(number, 100)
    words = [f"{_ONES[hundreds]} hundred"] if hundreds else []
    if rest:
        if words and conjunction:
            words.append(conjunction)
        if rest < 20:
            words.append(_ONES[rest])
        else:
            tens, ones = divmod(rest, 10)
            words.append(_TENS[tens - 2] + (f"-{_ONES[ones]}" if ones else ""))
    return " ".join(words)
