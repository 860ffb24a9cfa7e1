"""Lines of JSON that are alike, read as a table by arithmetic on their bytes, without an object for each value.

Most lines of a manifest differ in their values only: `{"id": "` text `", "duration": ` number `, ...}`. The first line
says what stands between the values; a line that has exactly that between its values, whose texts hold no escapes and
whose numbers are plain decimals, means what the JSON parser would make of it. All other lines are left to the parser.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Places = NDArray[np.int64]

__all__ = ["Alike", "read_alike"]

_TOKEN = re.compile(rb'"[^"\\\x00-\x1f]*"|-?\d+(?:\.\d+)?|[{}:,]|[ \t]+')
_QUOTE, _BACKSLASH, _NEWLINE, _BLANK = ord('"'), ord("\\"), ord("\n"), 0x20
_WORD = 8
_DIGITS = 15  # of a number: so many are exact in double precision, and so is their quotient by a power of ten
_TRIES = 3  # lines of which one has to be a pattern for the others


class _Value(NamedTuple):
    """A value of the pattern: its key, whether it stands in `extra`, whether it is a text, its first quote."""

    name: str
    inner: bool
    text: bool
    quote: int


@dataclass
class Alike:
    """The lines that are like the first.

    Attributes:
        lines: (N,) their numbers.
        texts: first and last byte of each text, by key; those of `extra` in `inner_texts`.
        numbers: of each line, whole where all of them are, by key; those of `extra` in `inner_numbers`.
    """

    lines: Places
    texts: dict[str, tuple[Places, Places]] = field(default_factory=dict)
    numbers: dict[str, NDArray[np.int64] | NDArray[np.float64]] = field(default_factory=dict)
    inner_texts: dict[str, tuple[Places, Places]] = field(default_factory=dict)
    inner_numbers: dict[str, NDArray[np.int64] | NDArray[np.float64]] = field(default_factory=dict)


class _Pattern(NamedTuple):
    """Values, and what stands before the first, between them, and after the last."""

    values: list[_Value]
    between: list[bytes]
    quotes: int


def read_alike(data: bytes, begins: Places, ends: Places) -> Alike | None:
    """Those lines that are like the first of them; None where it is no pattern.

    Args:
        data: valid UTF-8.
        begins: (L,) first byte of each line.
        ends: (L,) the one behind its last.
    """
    found = (_pattern(data[begins[k] : ends[k]]) for k in range(min(_TRIES, len(begins))))
    pattern = next((each for each in found if each is not None), None)
    if pattern is None:
        return None
    view = np.frombuffer(data + b"\0" * (max(map(len, pattern.between)) + 4 * _WORD), np.uint8)
    own = view[: len(data)]
    quotes = np.flatnonzero(own == _QUOTE)
    first = np.searchsorted(quotes, begins)
    fits = np.diff(np.append(first, len(quotes))) == pattern.quotes
    if b"\\" in data or np.count_nonzero(own < _BLANK) > len(begins) - 1:
        strange = np.flatnonzero((own == _BACKSLASH) | ((own < _BLANK) & (own != _NEWLINE)))
        fits[np.searchsorted(begins, strange, side="right") - 1] = False
    lines = np.flatnonzero(fits)
    places = quotes[first[lines][:, None] + np.arange(pattern.quotes)]  # (N, quotes)
    return _values(pattern, view, begins[lines], ends[lines], places, lines)


def _pattern(line: bytes) -> _Pattern | None:
    """What a line is made of, if it is one object of texts and numbers and of such an object named `extra`."""
    tokens, at = [], 0
    while at < len(line):
        match = _TOKEN.match(line, at)
        if match is None:
            return None
        tokens.append((match.start(), match.end()))
        at = match.end()
    try:
        whole = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if (
        not isinstance(whole, dict)
        or not isinstance(whole.get("id"), str)
        or not isinstance(whole.get("text", ""), str)
    ):
        return None
    inner = whole.get("extra", {})
    values, between, quotes, last = list[_Value](), list[bytes](), 0, 0
    depth, key = 0, None
    for start, end in tokens:
        token = line[start:end]
        kind = token[:1]
        depth += (kind == b"{") - (kind == b"}")
        if kind == b'"' and key is None:
            key = token[1:-1].decode()
        elif kind == b'"' or kind in b"-0123456789":
            text = kind == b'"'
            values.append(_Value(key or "", depth > 1, text, quotes))
            between.append(line[last : start + text])
            last, key = end - text, None
        elif kind in b"{},":
            key = None
        quotes += 2 * (kind == b'"')
    between.append(line[last:])
    names = [(value.inner, value.name) for value in values]
    expected = [(False, name) for name in whole if name != "extra"]
    expected += [(True, name) for name in inner] if isinstance(inner, dict) else [(False, "extra")]
    if not isinstance(inner, dict) or sorted(names) != sorted(expected):  # a key twice, or another object inside
        return None
    return _Pattern(values, between, quotes)


def _values(
    pattern: _Pattern, view: NDArray[np.uint8], begins: Places, ends: Places, quotes: Places, lines: Places
) -> Alike:
    """Check what is between the values, and read these."""
    fits = _equal(view, begins, pattern.between[0])
    last = begins + len(pattern.between[0])
    found: list[tuple[_Value, Places, Places]] = []
    for number, value in enumerate(pattern.values):
        after = pattern.between[number + 1]
        if value.text:
            start, end = quotes[:, value.quote] + 1, quotes[:, value.quote + 1]
            fits &= start == last
        else:
            start = last
            inside = after.find(b'"')
            end = ends - len(after) if inside < 0 else quotes[:, value.quote] - inside
            fits &= end > start
        end = np.clip(end, start, ends)
        fits &= _equal(view, end, after)
        last = end + len(after)
        found.append((value, start, end))
    fits &= last == ends
    read: list[tuple[_Value, NDArray[np.int64], NDArray[np.float64] | None]] = []
    for value, start, end in found:
        if value.text:
            fits &= (end > start) | (value.inner or value.name != "id")
        else:
            whole, exact, plain = _decimals(view, np.where(fits, start, 0), np.where(fits, end, 1))
            fits &= plain
            read.append((value, whole, exact))
    alike = Alike(lines[fits])
    for value, start, end in found:
        if value.text:
            texts = alike.inner_texts if value.inner else alike.texts
            texts[value.name] = start[fits], end[fits]
    for value, whole, exact in read:
        numbers = alike.inner_numbers if value.inner else alike.numbers
        numbers[value.name] = whole[fits] if exact is None else exact[fits]
    return alike


def _equal(view: NDArray[np.uint8], places: Places, text: bytes) -> NDArray[np.bool_]:
    """Where a text stands at a place, eight bytes at a time."""
    words: NDArray[np.uint64] = np.ndarray((len(view) - _WORD + 1,), "<u8", buffer=view, strides=(1,))
    same = np.ones(len(places), bool)
    for at in range(0, len(text), _WORD):
        part = text[at : at + _WORD]
        mask = np.uint64((1 << (8 * len(part))) - 1)
        same &= (words[places + at] & mask) == np.uint64(int.from_bytes(part, "little"))
    return same


def _decimals(
    view: NDArray[np.uint8], starts: Places, ends: Places
) -> tuple[NDArray[np.int64], NDArray[np.float64] | None, NDArray[np.bool_]]:
    """Plain decimals: all digits as a whole number; the values, None where none has a point; and which are such."""
    sizes = ends - starts
    width = int(min(sizes.max(initial=1), _DIGITS + 2))
    negative = view[starts] == ord("-")
    mantissa = np.zeros(len(starts), np.int64)
    digits, points, before = (np.zeros(len(starts), np.int64) for _ in range(3))
    for k in range(width):
        here = k < sizes
        letter = view[starts + k]
        digit = letter - np.uint8(48)  # wraps around for what comes before the digits
        is_digit = here & (digit <= 9)
        mantissa = np.where(is_digit, mantissa * 10 + digit, mantissa)
        digits += is_digit
        before += is_digit & (points == 0)
        points += here & (letter == ord("."))
    leading = (view[starts + negative] == ord("0")) & (before > 1)
    after = digits - before
    plain = (digits + points + negative == sizes) & (digits <= _DIGITS) & (before > 0) & (points <= 1) & ~leading
    plain &= (after > 0) == (points > 0)
    mantissa = np.where(negative, -mantissa, mantissa)
    if not (points[plain] > 0).any():
        return mantissa, None, plain
    exact = np.abs(mantissa) / np.power(10.0, np.arange(_DIGITS + 1))[np.clip(after, 0, _DIGITS)]
    return mantissa, np.where(negative, -exact, exact), plain
