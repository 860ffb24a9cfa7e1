"""From regions of speech and turns of speakers to segments: joined over short pauses, cut at the deepest ones.

Segments have no tick in common, never leave their speaker's turns but for a pause between two of them, and what is not
in one is counted by the reason, so that speech in = speech kept + speech dropped, to the sample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from amphion_data.pipe.settings import SegmentSettings
from amphion_data.pipe.spans import RATE, Diarisation, Span, intersect, joined, subtract, total, widened

__all__ = ["Cut", "Segment", "cut_segments"]

Read = Callable[[Span], NDArray[np.float32]]

_FRAME = RATE // 20  # samples whose energy tells a pause, 50 ms


@dataclass(frozen=True)
class Segment:
    """A stretch of one speaker.

    Attributes:
        start: first tick.
        end: tick behind the last.
        speaker: number in the recording.
        speech: ticks of speech in it; the rest are pauses.
    """

    start: int
    end: int
    speaker: int
    speech: int

    @property
    def seconds(self) -> float:
        """Length, s."""
        return (self.end - self.start) / RATE


@dataclass
class Cut:
    """What became of the speech of a recording, in ticks.

    Attributes:
        segments: sorted.
        short: those that are too short.
        speech: all of it, padding included.
        overlap: where several speak, margins included.
        nobody: in no turn.
        strangers: segments whose voice is not that of their speaker, with how far they are from it.
    """

    segments: list[Segment] = field(default_factory=list)
    short: list[Segment] = field(default_factory=list)
    speech: int = 0
    overlap: int = 0
    nobody: int = 0
    strangers: dict[Segment, str] = field(default_factory=dict)


def cut_segments(
    speech: Sequence[Span], diarisation: Diarisation, length: int, settings: SegmentSettings, read: Read
) -> Cut:
    """Segments of a recording.

    Args:
        speech: sorted regions.
        diarisation: turns and overlaps.
        length: ticks of the recording.
        settings: the numbers.
        read: gives the samples of a span, to find pauses in segments that are too long.
    """
    padded = joined(widened(speech, round(settings.pad * RATE), length))
    margin = round(settings.overlap_margin * RATE)
    crossed = joined(Span(max(0, start - margin), min(length, end + margin)) for start, end in diarisation.overlaps)
    clean = subtract(padded, crossed)
    turns = _reaching(diarisation, length, settings)
    pieces = sorted(
        (
            Segment(start, end, speaker, end - start)
            for speaker, own in turns.items()
            for start, end in intersect(clean, own)
        ),
        key=lambda piece: piece.start,
    )
    cut = Cut(speech=total(padded), overlap=total(padded) - total(clean))
    cut.nobody = total(clean) - sum(piece.speech for piece in pieces)
    blocked = [span.start for span in crossed]
    merged = _merge(pieces, settings.longest_gap, settings, blocked)
    merged = _join_short(merged, settings, blocked)
    for segment in merged:
        for part in _parts(segment, pieces, settings, read):
            (cut.segments if part.seconds >= settings.min_duration else cut.short).append(part)
    _check(cut)
    return cut


def _reaching(diarisation: Diarisation, length: int, settings: SegmentSettings) -> dict[int, list[Span]]:
    """Turns by speaker, made longer by the padding as far as no other turn begins there."""
    turns = diarisation.turns
    wide = widened([Span(turn.start, turn.end) for turn in turns], round(settings.pad * RATE), length)
    found: dict[int, list[Span]] = {}
    for turn, span in zip(turns, wide, strict=True):
        found.setdefault(turn.speaker, []).append(span)
    return {speaker: joined(spans) for speaker, spans in found.items()}


def _merge(pieces: Sequence[Segment], gap: float, settings: SegmentSettings, blocked: Sequence[int]) -> list[Segment]:
    """Neighbours of one speaker joined, forward, as long as the whole is not too long."""
    found: list[Segment] = []
    for piece in pieces:
        if found and _fits(found[-1], piece, gap, settings, blocked):
            found[-1] = _sum(found[-1], piece)
        else:
            found.append(piece)
    return found


def _join_short(segments: Sequence[Segment], settings: SegmentSettings, blocked: Sequence[int]) -> list[Segment]:
    """Each short segment goes to the one before it, or else to the one behind it, over a longer pause."""
    found: list[Segment] = []
    for segment in segments:
        short = min(segment.seconds, found[-1].seconds if found else segment.seconds) < settings.min_duration
        if found and short and _fits(found[-1], segment, settings.longest_short_gap, settings, blocked):
            found[-1] = _sum(found[-1], segment)
        else:
            found.append(segment)
    return found


def _fits(first: Segment, second: Segment, gap: float, settings: SegmentSettings, blocked: Sequence[int]) -> bool:
    """Whether two neighbours may be one segment: nothing that was removed lies between."""
    close = (second.start - first.end) <= gap * RATE
    whole = (second.end - first.start) <= settings.max_duration * RATE
    free = int(np.searchsorted(blocked, first.end)) == int(np.searchsorted(blocked, second.start))
    return first.speaker == second.speaker and close and whole and free


def _sum(first: Segment, second: Segment) -> Segment:
    return Segment(first.start, second.end, first.speaker, first.speech + second.speech)


def _parts(segment: Segment, pieces: Sequence[Segment], settings: SegmentSettings, read: Read) -> list[Segment]:
    """A segment that is too long, cut at its deepest pause from `first_cut` to the longest allowed, again and again."""
    found = []
    rest = segment
    while rest.seconds > settings.max_duration:
        first = rest.start + round(settings.first_cut * RATE)
        least = round(settings.min_duration * RATE)
        last = min(rest.start + round(settings.max_duration * RATE), rest.end - least)
        at = first + _deepest(read(Span(first, last)))
        # A piece that is too long came as one region, so all of it is speech.
        found.append(replace(rest, end=at, speech=at - rest.start))
        rest = replace(rest, start=at, speech=rest.end - at)
    return [*found, rest]


def _deepest(wav: NDArray[np.float32]) -> int:
    """The middle of the quietest 50 ms."""
    step = _FRAME // 5
    power = np.concatenate([[0.0], np.cumsum(wav.astype(np.float64) ** 2)])
    starts = np.arange(0, max(1, wav.size - _FRAME + 1), step)
    energy = power[np.minimum(starts + _FRAME, wav.size)] - power[starts]
    return int(starts[int(np.argmin(energy))]) + min(_FRAME, wav.size) // 2


def _check(cut: Cut) -> None:
    parts = sorted([*cut.segments, *cut.short], key=lambda segment: segment.start)
    assert all(a.end <= b.start for a, b in pairwise(parts)), "segments overlap"
    kept = sum(part.speech for part in parts)
    assert kept + cut.overlap + cut.nobody == cut.speech, (
        f"{cut.speech} ticks of speech are not {kept} in segments, {cut.overlap} of overlap, {cut.nobody} of nobody"
    )
