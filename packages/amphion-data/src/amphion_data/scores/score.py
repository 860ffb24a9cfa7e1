"""What singing synthesis trains on: phones and notes with their durations, and which belongs to which."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from amphion_data.scores.phones import SPECIAL
from amphion_data.scores.pitches import REST, fault_of_pitches

__all__ = ["TOLERANCE", "Score", "ScoreError"]

TOLERANCE = 0.1
"""Seconds by which the phones' sum may differ from the audio; compared to the microsecond, since sums of decimals are
not exact."""


class ScoreError(ValueError):
    """A score that contradicts itself or its audio; the message lists every fault."""


@dataclass(frozen=True)
class Score:
    """The score of one clip; `to_dict` is what stands in `extra.score` of a row.

    Attributes:
        tempo: quarters a minute, or None.
        phones: in the corpus' alphabet, with `AP` (breath) and `SP` (silence).
        phone_durations: s, one for each phone.
        words: first phone, last phone (included) and text of each syllable or word.
        notes: MIDI numbers, each note once; 0 is a rest.
        note_durations: s, one for each note.
        note_of_phone: index of the note that each phone is sung on.
        slur: 1 where a phone continues its syllable on a further note, else 0.
    """

    phones: tuple[str, ...]
    phone_durations: tuple[float, ...]
    notes: tuple[int, ...]
    note_durations: tuple[float, ...]
    note_of_phone: tuple[int, ...]
    slur: tuple[int, ...]
    words: tuple[tuple[int, int, str], ...] = ()
    tempo: float | None = None

    @property
    def duration(self) -> float:
        """Seconds of all phones."""
        return math.fsum(self.phone_durations)

    def to_dict(self) -> dict[str, Any]:
        """The score as a JSON object."""
        values = asdict(self)
        lists = {name: list(value) for name, value in values.items() if isinstance(value, tuple)}
        return {"tempo": self.tempo, **lists, "words": [list(word) for word in self.words]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` gave.

        Raises:
            ScoreError: a part is missing or of another kind.
        """
        names = ("phones", "phone_durations", "notes", "note_durations", "note_of_phone", "slur")
        absent = [name for name in names if not isinstance(values.get(name), Sequence)]
        if absent:
            raise ScoreError(f"no list for {', '.join(absent)}; there are {', '.join(values) or 'none'}")
        words = tuple((int(first), int(last), str(text)) for first, last, text in values.get("words") or ())
        return cls(**{name: tuple(values[name]) for name in names}, words=words, tempo=values.get("tempo"))

    def faults(self, duration: float | None = None) -> list[str]:
        """Everything that is wrong, in words.

        Args:
            duration: seconds of the audio; None leaves it out of account.
        """
        count = len(self.phones)
        lengths = {"phone_durations": self.phone_durations, "note_of_phone": self.note_of_phone, "slur": self.slur}
        found = [f"{len(v)} {name} for {count} phones" for name, v in lengths.items() if len(v) != count]
        if len(self.notes) != len(self.note_durations):
            found.append(f"{len(self.note_durations)} note_durations for {len(self.notes)} notes")
        for name, durations in (("phone", self.phone_durations), ("note", self.note_durations)):
            bad = [f"{value} ({name} {i})" for i, value in enumerate(durations) if not value >= 0 or math.isinf(value)]
            found += [f"durations that are no length of time: {', '.join(bad[:5])}"] if bad else []
        strange = fault_of_pitches(self.notes)
        found += [strange] if strange else []
        if found:
            return found
        found += self._faults_of_phones()
        if duration is not None and round(abs(self.duration - duration), 6) > TOLERANCE:
            found.append(f"the phones last {self.duration:.3f} s, the audio {duration:.3f} s")
        return found

    def check(self, duration: float | None = None) -> Self:
        """The score itself.

        Raises:
            ScoreError: it has faults; see `faults`.
        """
        found = self.faults(duration)
        if found:
            raise ScoreError("; ".join(found))
        return self

    def _faults_of_phones(self) -> list[str]:
        found = []
        for i, (phone, note, slur) in enumerate(zip(self.phones, self.note_of_phone, self.slur, strict=True)):
            if not 0 <= note < len(self.notes):
                found.append(f"phone {i} ({phone}) is on note {note} of {len(self.notes)}")
                continue
            if self.notes[note] == REST and phone not in SPECIAL:
                found.append(f"phone {i} ({phone}) is sung on a rest")
            if self.notes[note] != REST and phone in SPECIAL:
                found.append(f"phone {i} ({phone}) stands on a note, {self.notes[note]}")
            if slur and (i == 0 or self.phones[i - 1] != phone):
                before = self.phones[i - 1] if i else "nothing"
                found.append(f"phone {i} ({phone}) continues {before}; a slur repeats its vowel")
        found += [
            f"word {text!r} spans phones {first} to {last} of {len(self.phones)}"
            for first, last, text in self.words
            if not 0 <= first <= last < len(self.phones)
        ]
        return found
