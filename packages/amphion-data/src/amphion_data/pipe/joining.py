"""Speakers of a long recording from windows that were diarised one by one, each with labels of its own.

Windows share a stretch with their neighbours; labels are joined by the distance of their voices, and where a library
gives no vectors, by who speaks at the same time in what two windows share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from amphion_data.pipe.spans import RATE, Span, intersect, joined, total

__all__ = ["Heard", "Labelled", "join_windows", "read_result", "windows_of"]

Labelled = tuple[int, int, str]
"""First tick, tick behind the last, label."""

_IN_COMMON = 0.5  # share of what the quieter of two labels says in the common stretch that makes them one
_NEVER = 1e3


class Heard(NamedTuple):
    """What was heard in a window.

    Attributes:
        span: of the window, in ticks of the recording.
        turns: in ticks of the recording; they may overlap.
        voices: (D,) of each label, where the library gives any.
    """

    span: Span
    turns: list[Labelled]
    voices: Mapping[str, NDArray[np.float64]]


@dataclass
class _Speaker:
    """Somebody of the whole recording: the sum of the unit vectors of its voice times ticks, and its last turns."""

    label: str
    voice: NDArray[np.float64] | None = None
    turns: list[Span] = field(default_factory=list)


def windows_of(length: int, size: int, overlap: int) -> list[Span]:
    """Windows of a recording that share at least `overlap` ticks; all but that of a short recording are of one size."""
    if length <= size:
        return [Span(0, length)]
    starts = [*range(0, length - size, size - overlap), length - size]
    return [Span(start, start + size) for start in starts]


def read_result(found: Any, span: Span) -> Heard:
    """What pyannote.audio gave for a window; turns are cropped to it.

    Args:
        found: an object that holds an annotation and an array of vectors, or an annotation (`legacy` pipelines).
        span: of the window.
    """
    annotation, vectors = getattr(found, "speaker_diarization", found), getattr(found, "speaker_embeddings", None)
    turns = []
    for segment, _, label in annotation.itertracks(yield_label=True):
        start = max(span.start, span.start + round(segment.start * RATE))
        end = min(span.end, span.start + round(segment.end * RATE))
        if start < end:
            turns.append((start, end, str(label)))
    voices = {}
    if vectors is not None:
        for label, vector in zip(annotation.labels(), np.asarray(vectors, np.float64), strict=False):
            length = float(np.linalg.norm(vector))
            if np.isfinite(length) and length > 0:  # a speaker with too little speech has none
                voices[str(label)] = vector / length
    return Heard(span, turns, voices)


def join_windows(heard: Iterable[Heard], same: float) -> list[Labelled]:
    """Turns of the whole recording, labels the same person's in all windows.

    Args:
        heard: windows in order, each sharing a stretch with the one before.
        same: cosine distance up to which two labels are one person.
    """
    speakers: list[_Speaker] = []
    pieces: list[tuple[Span, list[Labelled]]] = []
    for window in heard:
        names = _named(window, speakers, pieces[-1][0] if pieces else None, same)
        pieces.append((window.span, [(start, end, names[label]) for start, end, label in window.turns]))
    # Two windows meet in the middle of what they share, where both know what comes before and behind.
    meetings = [(a.end + b.start) // 2 for (a, _), (b, _) in pairwise(pieces)]
    edges = [0, *meetings, pieces[-1][0].end]
    found = []
    for (_, turns), first, last in zip(pieces, edges, edges[1:], strict=False):
        own = ((max(start, first), min(end, last), label) for start, end, label in turns)
        found += [turn for turn in own if turn[0] < turn[1]]
    return found


def _named(window: Heard, speakers: list[_Speaker], before: Span | None, same: float) -> dict[str, str]:
    """The speaker of each label of a window; those that nobody knows are added."""
    own = {label: joined(Span(a, b) for a, b, name in window.turns if name == label) for _, _, label in window.turns}
    common = Span(window.span.start, before.end) if before is not None else Span(0, 0)
    matched = _matched(list(own), own, window.voices, speakers, common, same)
    for speaker in speakers:
        speaker.turns = []
    names = {}
    for label, spans in own.items():
        if label not in matched:
            speakers.append(_Speaker(f"S{len(speakers):04d}"))
        speaker = matched.get(label) or speakers[-1]
        speaker.turns = spans
        if label in window.voices:
            part = window.voices[label] * total(spans)
            speaker.voice = part if speaker.voice is None else speaker.voice + part
        names[label] = speaker.label
    return names


def _matched(
    labels: Sequence[str],
    own: Mapping[str, list[Span]],
    voices: Mapping[str, NDArray[np.float64]],
    speakers: Sequence[_Speaker],
    common: Span,
    same: float,
) -> dict[str, _Speaker]:
    """The known speaker of each label that has one, no speaker twice, so that all distances together are least."""
    from scipy.optimize import linear_sum_assignment

    if not labels or not speakers:
        return {}
    costs = np.full((len(labels), len(speakers)), _NEVER)
    for row, label in enumerate(labels):
        for column, speaker in enumerate(speakers):
            if speaker.voice is not None and label in voices:
                length = max(float(np.linalg.norm(speaker.voice)), 1e-12)
                cost = (1 - float(voices[label] @ speaker.voice) / length) / same
            else:
                cost = (1 - _in_common(own[label], speaker.turns, common)) / (1 - _IN_COMMON)
            if cost <= 1:
                costs[row, column] = cost
    rows, columns = linear_sum_assignment(costs)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return {labels[row]: speakers[column] for row, column in pairs if costs[row, column] < _NEVER}


def _in_common(spans: Sequence[Span], others: Sequence[Span], common: Span) -> float:
    """Share of the speech of the quieter of two, in a stretch, in which both speak."""
    first, second = intersect(spans, [common]), intersect(others, [common])
    least = min(total(first), total(second))
    return total(intersect(first, second)) / least if least else 0.0
