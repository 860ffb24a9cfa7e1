"""A melody: notes in time, one after another, as a MIDI file or a score gives it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

__all__ = ["Melody", "Note", "monophonic"]

_ROUNDING = 1e-9
"""Seconds by which sums of one and the same time may differ."""


@dataclass(frozen=True, slots=True)
class Note:
    """A note or a rest.

    Attributes:
        pitch: MIDI number, 0 for a rest.
        start: s.
        end: s.
        lyric: syllable sung on it; None where it has none.
        slur: it continues the syllable of the note before.
    """

    pitch: int
    start: float
    end: float
    lyric: str | None = None
    slur: bool = False

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.end - self.start


@dataclass(frozen=True)
class Melody:
    """Notes in order, none overlapping another.

    Attributes:
        notes: the notes; rests between them only where the source writes them.
        tempo: quarters a minute at the beginning.
        changes: later moments (s) at which the tempo changes, in order, and the quarters a minute from there on.
        words: first note, last note (included) and text of each word, where the source joins syllables.
        warnings: what was repaired or guessed, in words.
    """

    notes: tuple[Note, ...]
    tempo: float
    words: tuple[tuple[int, int, str], ...] = ()
    warnings: tuple[str, ...] = ()
    changes: tuple[tuple[float, float], ...] = ()

    def tempo_at(self, time: float) -> float:
        """Quarters a minute at a moment (s)."""
        return next((tempo for start, tempo in reversed(self.changes) if start <= time + _ROUNDING), self.tempo)

    def quarters(self, start: float, end: float) -> float:
        """How many quarters lie between two moments (s)."""
        inner = [time for time, _ in self.changes if start < time < end]
        return sum((b - a) * self.tempo_at(a) / 60.0 for a, b in pairwise([start, *inner, end]))


def monophonic(notes: Iterable[Note]) -> tuple[list[Note], list[str]]:
    """Notes by onset, each cut where the next begins; and what was cut, in words."""
    ordered = sorted(notes, key=lambda note: (note.start, note.pitch))
    warnings: list[str] = []
    kept: list[Note] = []
    for note in ordered:
        if kept and note.start < kept[-1].end:
            before = kept[-1]
            warnings.append(
                f"note {before.pitch} of {before.start:.3f} to {before.end:.3f} s overlaps note {note.pitch}; "
                f"cut at {note.start:.3f} s"
            )
            kept[-1] = replace(before, end=note.start)
            if kept[-1].end <= kept[-1].start:
                kept.pop()
        kept.append(note)
    return kept, warnings
