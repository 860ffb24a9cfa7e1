"""Scores of corpora that give one pitch, note length and slur flag for each phone (Opencpop, M4Singer)."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from amphion_data.scores.phones import FINALS, INITIALS, SPECIAL, special_phone
from amphion_data.scores.score import Score, ScoreError

__all__ = ["score_from_columns"]


@dataclass
class _Syllable:
    """What is known of the syllable that is being read: its first phone, and which of its halves have come."""

    first: int
    last: int
    has_final: bool


def score_from_columns(
    phones: Sequence[str],
    phone_durations: Sequence[float],
    pitches: Sequence[int],
    note_durations: Sequence[float],
    slurs: Sequence[int | bool],
    *,
    lyrics: str | None = None,
    tempo: float | None = None,
) -> tuple[Score, list[str]]:
    """Notes, each once, from columns with one entry for each phone of Mandarin.

    An initial and the final after it are one syllable; a final that follows no initial is one alone. The phones of a
    syllable share a note, and each phone with a slur opens a further note of the same syllable. A breath or a pause is
    a rest of its own.

    Args:
        phones: pinyin initials and finals; the usual spellings of breaths and pauses become `AP` and `SP`.
        phone_durations: s.
        pitches: MIDI numbers, 0 for a rest.
        note_durations: s; the same on each phone of a note.
        slurs: 1 where the phone continues its syllable on a further note.
        lyrics: what is sung, one character a syllable; letters give the words their texts.
        tempo: quarters a minute.

    Returns:
        The score and what is odd about it, in words, the kind before a colon.

    Raises:
        ScoreError: columns of different lengths, or a score with faults (see `Score.faults`).
    """
    columns = {
        "phone durations": phone_durations,
        "pitches": pitches,
        "note durations": note_durations,
        "slur flags": slurs,
    }
    wrong = [f"{len(column)} {name}" for name, column in columns.items() if len(column) != len(phones)]
    if wrong:
        raise ScoreError(f"{len(phones)} phones, but {', '.join(wrong)}")
    own = [special_phone(phone) or phone for phone in phones]
    flags = [int(bool(slur)) for slur in slurs]
    notes: list[int] = []
    lengths: list[float] = []
    note_of_phone: list[int] = []
    syllables: list[_Syllable] = []
    open_syllable: _Syllable | None = None
    for i, phone in enumerate(own):
        new_note = True
        if phone in SPECIAL:
            open_syllable = None
        elif open_syllable is not None and flags[i]:
            open_syllable.last = i
        elif open_syllable is not None and not open_syllable.has_final and phone not in INITIALS:
            open_syllable.last, open_syllable.has_final = i, True
            # An initial may be written with the note before; then its syllable has two notes without a slur.
            new_note = (pitches[i], note_durations[i]) != (pitches[i - 1], note_durations[i - 1])
        else:
            open_syllable = _Syllable(i, i, phone not in INITIALS)
            syllables.append(open_syllable)
        if new_note:
            notes.append(int(pitches[i]))
            lengths.append(float(note_durations[i]))
        note_of_phone.append(len(notes) - 1)
    texts, warnings = _texts(lyrics, len(syllables))
    warnings += _notices(own, phones, syllables)
    score = Score(
        phones=tuple(own),
        phone_durations=tuple(map(float, phone_durations)),
        notes=tuple(notes),
        note_durations=tuple(lengths),
        note_of_phone=tuple(note_of_phone),
        slur=tuple(flags),
        words=tuple((s.first, s.last, text) for s, text in zip(syllables, texts, strict=True)),
        tempo=tempo,
    )
    return score.check(), warnings


def _texts(lyrics: str | None, count: int) -> tuple[list[str], list[str]]:
    """One character for each syllable, or none where their numbers differ."""
    characters = [c for c in lyrics or "" if unicodedata.category(c)[0] in "LN"]
    if len(characters) == count:
        return characters, []
    if lyrics is None:
        return [""] * count, []
    return [""] * count, [f"syllable_count: {count} syllables for {len(characters)} characters of the lyrics"]


def _notices(own: Sequence[str], given: Sequence[str], syllables: Sequence[_Syllable]) -> list[str]:
    found = []
    renamed = sum(new != old for new, old in zip(own, given, strict=True))
    if renamed:
        found.append(f"special_phone: {renamed} breaths and pauses renamed to AP and SP")
    known = INITIALS | FINALS | SPECIAL
    strange = sorted({phone for phone in own if phone not in known})
    if strange:
        found.append(f"unknown_phone: {', '.join(strange)}")
    cut = [own[s.first] for s in syllables if not s.has_final]
    if cut:
        found.append(f"no_final: {len(cut)} syllables end with their initial: {', '.join(cut[:5])}")
    return found
