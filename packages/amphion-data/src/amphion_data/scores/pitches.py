"""Names of pitches and their MIDI numbers: C4 = 60, A4 = 69 = 440 Hz."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["HIGHEST", "LOWEST", "REST", "fault_of_pitches", "midi_number", "pitch_name", "pitch_number"]

REST = 0
"""The number of a pause."""
LOWEST, HIGHEST = 21, 108
"""A piano's range; what lies outside is no note that a voice sings."""

_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_NAME = re.compile(r"([A-G])(#|b)?(-?[0-9])")


def pitch_number(name: str) -> int:
    """MIDI number of a name such as `E4`, `D#4/Eb4` or `rest` (0).

    Raises:
        ValueError: no name, or the two spellings are of different pitches.
    """
    if name.strip().lower() == "rest":
        return REST
    spellings = name.strip().split("/")
    numbers = [_number(spelling, name) for spelling in spellings]
    if len(set(numbers)) > 1:
        raise ValueError(f"{name!r} names {len(numbers)} pitches: {', '.join(map(str, numbers))}")
    return numbers[0]


def midi_number(value: str | float) -> int:
    """A MIDI number as tables have it: `64`, `64.0`, `"64"`.

    Raises:
        ValueError: no number, or one between two pitches.
    """
    number = float(value)
    if not number.is_integer():
        raise ValueError(f"{value!r} is no MIDI number; those are whole")
    return int(number)


def pitch_name(number: int) -> str:
    """Name of a MIDI number with sharps, `rest` for 0."""
    return "rest" if number == REST else f"{_NAMES[number % 12]}{number // 12 - 1}"


def fault_of_pitches(numbers: Iterable[int]) -> str | None:
    """Which of some MIDI numbers are neither a rest nor sung by any voice, in words; None where all are."""
    strange = [str(number) for number in numbers if number != REST and not LOWEST <= number <= HIGHEST]
    return f"pitches outside {LOWEST} to {HIGHEST}: {', '.join(strange[:5])}" if strange else None


def _number(spelling: str, name: str) -> int:
    match = _NAME.fullmatch(spelling)
    if match is None:
        raise ValueError(f"{name!r} is no pitch such as C4, D#4/Eb4 or rest")
    step, accidental, octave = match.groups()
    return 12 * (int(octave) + 1) + _STEPS[step] + {"#": 1, "b": -1, None: 0}[accidental]
