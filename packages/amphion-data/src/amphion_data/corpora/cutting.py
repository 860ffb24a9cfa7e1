"""Long recordings into clips: at pauses of their labels, at rests of their notes, at quiet places of their sound."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amphion_core.data import Drop
from amphion_data.scores.melody import Melody, Note
from amphion_data.scores.phones import SILENCE, special_phone
from amphion_data.scores.pitches import fault_of_pitches
from amphion_data.scores.score import TOLERANCE
from amphion_data.scores.textgrid import read_textgrid
from amphion_data.scores.timeline import Interval, faults_of_order

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from amphion_core.audio import AudioError

__all__ = [
    "MARGIN",
    "cut_at_pauses",
    "cut_at_rests",
    "grid_phones",
    "length_of",
    "margins_of",
    "note_values",
    "notes_within",
    "phone_values",
    "quietest",
    "slice_by_level",
    "times_fault",
    "unreadable",
    "with_margins",
]

MARGIN = 0.1
"""Seconds taken of the silence around a clip, but never more than half of it."""
_FRAME = 0.05


def length_of(root: Path, path: str, id: str) -> float | Drop:
    """Decoded seconds of a file, or the drop that says why there are none."""
    from amphion_core.audio import AudioError, info

    try:
        return info(root / path).duration
    except AudioError as error:
        return unreadable(root, path, id, error)
    except OSError as error:
        return Drop(id, path, "missing_audio", f"{type(error).__name__}: {error.strerror or error}", "scan")


def unreadable(root: Path, path: str, id: str, error: AudioError) -> Drop:
    """The drop of a file that can't be read; its words name the path below the root, wherever that lies."""
    return Drop(id, path, error.reason, str(error).replace(str(root / path), path), "scan")


def with_margins(stretches: Sequence[tuple[float, float]], length: float) -> list[tuple[float, float]]:
    """Stretches in order with a margin to each side, limited at both ends and at half the gap to the neighbour."""
    found = []
    for number, (start, end) in enumerate(stretches):
        before = stretches[number - 1][1] if number else 0.0
        after = stretches[number + 1][0] if number + 1 < len(stretches) else length
        room = (start - before if number == 0 else (start - before) / 2) if start > before else 0.0
        left = (after - end if number + 1 == len(stretches) else (after - end) / 2) if after > end else 0.0
        found.append((round(start - min(MARGIN, room), 6), round(min(end + min(MARGIN, left), length), 6)))
    return found


def margins_of(phrases: Sequence[Sequence[Interval | Note]], length: float) -> list[tuple[float, float]]:
    """Stretches of phrases, with margins, in a recording of so many seconds.

    Raises:
        ValueError: a phrase begins where the recording has ended.
    """
    for number, phrase in enumerate(phrases, 1):
        if phrase[0].start >= length:
            raise ValueError(f"phrase {number} begins at {phrase[0].start:.3f} s, the audio ends at {length:.3f} s")
    return with_margins([(phrase[0].start, min(phrase[-1].end, length)) for phrase in phrases], length)


def times_fault(
    intervals: Sequence[Interval], length: float, *, whole: bool = False, overlaps: bool = False
) -> str | None:
    """Why labels can't be those of a recording, in words; None where they can.

    Args:
        intervals: labels in the order of their file.
        length: seconds of the recording.
        whole: whether their durations must add up to the recording, as those of a clip that is not cut must.
        overlaps: whether they may overlap, as those of a TextGrid may, whose reader warns of it.
    """
    each = [[interval] for interval in intervals] if overlaps else [intervals]
    faults = [fault for part in each for fault in faults_of_order(part, gaps=False)]
    if faults:
        return f"{faults[0]}; labels of one voice follow each other"
    end = max((interval.end for interval in intervals), default=0.0)
    if round(end - length, 6) > TOLERANCE:
        return f"the labels go on to {end:.3f} s, the audio ends at {length:.3f} s; these are not labels of this file"
    total = math.fsum(interval.duration for interval in intervals)
    if whole and round(abs(total - length), 6) > TOLERANCE:
        return f"the labels last {total:.3f} s, the audio {length:.3f} s; they may differ by {TOLERANCE} s"
    return None


def grid_phones(grid: Path, tier: str | None, length: float | None) -> tuple[list[Interval], list[str]]:
    """Phones of the TextGrid of a clip, its breaths and pauses by our names; and what is odd about it, in words.

    Args:
        grid: the file.
        tier: name of the tier of phones; None finds it.
        length: seconds of the clip, as long as which they must last; None where it can't be read.

    Raises:
        ValueError: it is no TextGrid, has no such tier, or is not of this audio; names the file.
    """
    try:
        found = read_textgrid(grid)
        named = found.phones(tier).intervals
    except (ValueError, LookupError) as error:
        raise ValueError(f"{grid.name}: {error}") from None
    intervals = [Interval(i.start, i.end, special_phone(i.label) or i.label or SILENCE) for i in named]
    if length is not None and (fault := times_fault(intervals, length, whole=True, overlaps=True)):
        raise ValueError(f"{grid.name}: {fault}")
    return intervals, [f"textgrid: {warning}" for warning in found.warnings]


def cut_at_pauses(intervals: Sequence[Interval], pauses: Collection[str], shortest: float) -> list[list[Interval]]:
    """Phrases between labels of silence that last long enough; shorter silences stay inside."""
    phrases: list[list[Interval]] = []
    current: list[Interval] = []
    for interval in intervals:
        if interval.label in pauses and interval.duration >= shortest:
            phrases.append(current)
            current = []
        else:
            current.append(interval)
    phrases.append(current)
    stripped = [_stripped(phrase, pauses) for phrase in phrases]
    return [phrase for phrase in stripped if phrase]


def _stripped(phrase: list[Interval], pauses: Collection[str]) -> list[Interval]:
    """A phrase without silence at its ends."""
    kept = [i for i, interval in enumerate(phrase) if interval.label not in pauses]
    return phrase[kept[0] : kept[-1] + 1] if kept else []


def cut_at_rests(melody: Melody, shortest: float) -> list[list[Note]]:
    """Phrases of notes between rests of at least so many quarters."""
    phrases: list[list[Note]] = []
    for note in melody.notes:
        if phrases and melody.quarters(phrases[-1][-1].end, note.start) < shortest - 1e-6:
            phrases[-1].append(note)
        else:
            phrases.append([note])
    return phrases


def phone_values(intervals: Sequence[Interval], start: float) -> dict[str, Any]:
    """`phones`, `phone_starts` (s, from the beginning of the clip) and `phone_durations` (s) for `extra`."""
    return {
        "phones": [interval.label for interval in intervals],
        "phone_starts": [round(interval.start - start, 6) for interval in intervals],
        "phone_durations": [round(interval.duration, 6) for interval in intervals],
    }


def notes_within(notes: Sequence[Note], length: float) -> tuple[list[Note], list[str]]:
    """Notes in order, the last one cut where a recording of so many seconds ends; and that it was, in words.

    Raises:
        ValueError: a note begins where the recording has ended, or is of no voice.
    """
    kept = list(notes)
    if kept and kept[-1].start >= length:
        raise ValueError(f"a note begins at {kept[-1].start:.3f} s, the audio ends at {length:.3f} s")
    if fault := fault_of_pitches(note.pitch for note in kept):
        raise ValueError(fault)
    if not kept or round(kept[-1].end - length, 6) <= TOLERANCE:
        return kept, []
    beyond = f"the last note goes on to {kept[-1].end:.3f} s, the audio ends at {length:.3f} s; cut there"
    return [*kept[:-1], replace(kept[-1], end=length)], [beyond]


def note_values(notes: Sequence[Note], start: float) -> list[dict[str, Any]]:
    """Notes for `extra.notes`: MIDI number, start and end in seconds from the beginning of the clip, syllable, slur."""
    return [
        {
            "pitch": note.pitch,
            "start": round(note.start - start, 6),
            "end": round(note.end - start, 6),
            "syllable": note.lyric,
            "slur": int(note.slur),
        }
        for note in notes
    ]


def quietest(root: Path, path: str, start: float, end: float) -> float:
    """The middle of the quietest 50 ms between two moments of a file, s.

    Raises:
        AudioError: the file can't be read.
    """
    from amphion_core import audio

    wav, rate = audio.load(root / path, start=start, duration=end - start)
    levels = _levels(wav, rate)
    return start + (int(levels.argmin()) + 0.5) * _FRAME if levels.size else end


def _levels(wav: NDArray[np.float32], rate: int) -> NDArray[np.float64]:
    """Mean power of each whole 50 ms."""
    import numpy as np

    frame = round(_FRAME * rate)
    count = wav.shape[0] // frame
    powers: NDArray[np.float64] = np.square(wav[: count * frame].astype(np.float64)).reshape(count, frame)
    return np.asarray(powers.mean(axis=1))


def slice_by_level(
    wav: NDArray[np.float32],
    rate: int,
    *,
    below_peak: float = 30.0,
    pause: float = 0.5,
    shortest: float = 5.0,
    longest: float = 20.0,
) -> list[tuple[float, float]]:
    """Stretches of a recording between pauses, s.

    Args:
        wav: (T,) samples.
        rate: Hz.
        below_peak: what is so many dB under the loudest 50 ms is a pause.
        pause: shorter ones don't separate, s.
        shortest: stretches are joined until they last this long, as far as `longest` allows; those that are short still
            take from a neighbour that lies no further off than this, if there is one.
        longest: longer ones are cut at their quietest place that leaves no short part; at least three times `shortest`.
    """
    levels = _levels(wav, rate)
    if not levels.size or levels.max() <= 0:
        return []
    loud = levels > levels.max() * 10 ** (-below_peak / 10)
    runs = _runs(loud, round(pause / _FRAME))
    least, most = round(shortest / _FRAME), round(longest / _FRAME)
    joined: list[tuple[int, int]] = []
    for begin, end in runs:
        short = joined and min(joined[-1][1] - joined[-1][0], end - begin) < least
        if short and end - joined[-1][0] <= most:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((begin, end))
    parts: list[tuple[int, int]] = []
    for begin, end in joined:
        # What is short still has neighbours that are too long to take it whole: they share their sound with it.
        shared = parts and min(parts[-1][1] - parts[-1][0], end - begin) < least and begin - parts[-1][1] <= least
        first = parts.pop()[0] if shared else begin
        parts += _bounded((first, end), levels, least, most)
    length = wav.shape[0] / rate
    return [(begin * _FRAME, min(end * _FRAME, length)) for begin, end in parts]


def _runs(loud: NDArray[np.bool_], gap: int) -> list[tuple[int, int]]:
    """Runs of loud frames; those less than `gap` frames apart are one."""
    runs: list[tuple[int, int]] = []
    for frame in loud.nonzero()[0].tolist():
        if runs and frame - runs[-1][1] < gap:
            runs[-1] = (runs[-1][0], frame + 1)
        else:
            runs.append((frame, frame + 1))
    return runs


def _bounded(run: tuple[int, int], levels: NDArray[np.float64], least: int, most: int) -> list[tuple[int, int]]:
    """A run in parts of `least` to `most` frames, cut at the quietest of the last third of each."""
    begin, end = run
    parts = []
    while end - begin > most:
        low = begin + most * 2 // 3
        place = low + int(levels[low : min(begin + most, end - least) + 1].argmin())
        parts.append((begin, place))
        begin = place
    return [*parts, (begin, end)]
