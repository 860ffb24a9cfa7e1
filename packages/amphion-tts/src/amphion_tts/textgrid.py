"""Durations of phones from the TextGrid files of a forced aligner."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["SILENCES", "PhoneDurations", "phone_durations", "read_textgrid"]

SILENCES = frozenset({"", "sil", "sp", "spn"})
"""Labels that are dropped at both ends of an utterance; inner ones stay as phones (an empty one as `sp`)."""

_VALUE = re.compile(r'"((?:[^"]|"")*)"|(?<![\w.])(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(?![\w.])|(<exists>)')


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneDurations:
    """Phones of an utterance and the part of the recording that they fill.

    Attributes:
        phones: labels.
        durations: frames of each.
        start: s, of the first phone.
        end: s, of the last one.
    """

    phones: tuple[str, ...]
    durations: tuple[int, ...]
    start: float
    end: float

    def samples(self, sample_rate: int) -> tuple[int, int]:
        """First sample, and the one after the last."""
        return int(sample_rate * self.start), int(sample_rate * self.end)


def phone_durations(intervals: Sequence[tuple[float, float, str]], sample_rate: int, hop_length: int) -> PhoneDurations:
    """Frames of each phone: the difference of its rounded ends, half to even.

    Args:
        intervals: start s, end s, label, in order.
        sample_rate: Hz.
        hop_length: samples between frames.

    Raises:
        ValueError: there is no phone besides silence.
    """
    spoken = [number for number, (_, _, label) in enumerate(intervals) if label not in SILENCES]
    if not spoken:
        raise ValueError("the alignment holds no phone, only silence; leave the utterance out")
    kept = intervals[spoken[0] : spoken[-1] + 1]
    frames = [
        int(np.round(end * sample_rate / hop_length) - np.round(start * sample_rate / hop_length))
        for start, end, _ in kept
    ]
    return PhoneDurations(
        phones=tuple(label or "sp" for _, _, label in kept),
        durations=tuple(frames),
        start=kept[0][0],
        end=kept[-1][1],
    )


def read_textgrid(path: str | Path, tier: str = "phones") -> list[tuple[float, float, str]]:
    """Intervals of one tier of a TextGrid, in the long or the short text form.

    Args:
        path: of the file.
        tier: name of an interval tier.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no TextGrid, or cut.
        LookupError: it has no interval tier of that name.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no TextGrid at {path}")
    raw = path.read_bytes()
    text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    values = [m[1].replace('""', '"') if m[1] is not None else m[2] or m[3] for m in _VALUE.finditer(_plain(text))]
    if values[:2] != ["ooTextFile", "TextGrid"]:
        raise ValueError(f"{path} is no TextGrid in text form; it begins with {text[:30]!r}")
    names = []
    try:
        place = 6  # file type, class, xmin, xmax, <exists>, number of tiers
        for _ in range(int(values[5])):
            kind, name, count = values[place], values[place + 1], int(values[place + 4])
            place += 5
            width = 3 if kind == "IntervalTier" else 2
            rows = [values[place + width * i : place + width * (i + 1)] for i in range(count)]
            place += width * count
            names.append(name)
            if name == tier and width == 3:
                return [(float(start), float(end), label.strip()) for start, end, label in rows]
    except (IndexError, ValueError) as error:
        raise ValueError(f"{path} is cut or damaged: {error}") from None
    raise LookupError(f"{path} has no interval tier {tier!r}; it has: {', '.join(names) or 'none'}")


def _plain(text: str) -> str:
    """The long form without its `item [1]:`, which would read as numbers."""
    return re.sub(r"\[\d*\]:?", " ", text)
