"""One contour through the candidates of Harvest: the best of each frame, without jumps, prolonged, joined, smoothed.

Source: Morise, "Harvest: A High-Performance Fundamental Frequency Estimator from Speech Signals", 2017, section 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["best_contour", "impulse_response"]

_Array = NDArray[np.float64]

_JUMP = 0.008
_SHORTEST = 6  # frames
_REACH = 0.18
_FURTHEST = 100  # frames that a section grows at most
_PATIENCE = 4  # frames without a candidate until it stops
_GAP = 9
_LAG = 300
_SMOOTHING = (
    (0.0078202080334971724, 0.015640416066994345, 0.0078202080334971724),
    (1.0, -1.7347257688092754, 0.76600660094326412),
)
"""Butterworth low-pass of second order."""


@dataclass
class _Section:
    """A voiced stretch: its first and last frame, and its contour over all frames."""

    first: int
    last: int
    f0: _Array


def best_contour(frame: NDArray[np.int64], f0: _Array, score: _Array, frames: int) -> _Array:
    """The contour, every millisecond.

    Args:
        frame: (K,) frames of the candidates, rising.
        f0: (K,) Hz.
        score: (K,) the higher, the better.
        frames: length of the contour.

    Returns:
        (frames,) Hz, 0 = unvoiced.
    """
    starts = np.searchsorted(frame, np.arange(frames + 1))
    base = np.zeros(frames)
    if len(frame):
        held = np.flatnonzero(starts[1:] > starts[:-1])
        best = np.repeat(np.maximum.reduceat(score, starts[held]), np.diff(starts)[held])
        top = np.flatnonzero(score == best)[::-1]  # of equals the first is set last
        base[frame[top]] = f0[top]
    steady = _without_short(_without_jumps(base))
    joined = _prolonged(steady, starts, frame, f0, score)
    return _smoothed(_without_gaps(joined))


def impulse_response(b: Sequence[float], a: Sequence[float], length: int) -> _Array:
    """First values of the response of a recursive filter to a unit pulse.

    Args:
        b: numerator.
        a: denominator; its first coefficient is 1.
        length: values.
    """
    response: list[float] = []
    for n in range(length):
        value = b[n] if n < len(b) else 0.0
        response.append(value - sum(a[k] * response[n - k] for k in range(1, min(n, len(a) - 1) + 1)))
    return np.array(response)


def _without_jumps(base: _Array) -> _Array:
    steady = np.zeros_like(base)
    now, before, second = base[2:], base[1:-1], base[:-2]
    expected = 2 * before - second
    with np.errstate(divide="ignore", invalid="ignore"):
        far = (np.abs((now - expected) / expected) > _JUMP) & (np.abs(now - before) / before > _JUMP)
    steady[2:] = np.where((now == 0) | far, 0.0, now)
    return steady


def _without_short(f0: _Array) -> _Array:
    kept = f0.copy()
    for first, last in _sections(f0):
        if last - first < _SHORTEST:
            kept[first : last + 1] = 0.0
    return kept


def _sections(f0: _Array) -> list[tuple[int, int]]:
    """First and last frame of each voiced stretch; the ends of the contour count as unvoiced."""
    voiced = (f0 > 0).astype(np.int8)
    voiced[0] = voiced[-1] = 0
    change = np.diff(voiced)
    return list(zip((np.flatnonzero(change == 1) + 1).tolist(), np.flatnonzero(change == -1).tolist(), strict=True))


def _prolonged(
    f0: _Array, starts: NDArray[np.int64], frame: NDArray[np.int64], candidates: _Array, score: _Array
) -> _Array:
    """Sections grown along candidates near their ends, and where they then overlap the better one."""
    frames = len(f0)
    grown = []
    mean = 0.0
    for first, last in _sections(f0):
        contour = np.zeros(frames)
        contour[first : last + 1] = f0[first : last + 1]
        end = _grow(contour, last, min(frames - 2, last + _FURTHEST), 1, starts, candidates)
        begin = _grow(contour, first, max(1, first - _FURTHEST), -1, starts, candidates)
        # In WORLD each section's mean has that of the one before in its sum, and not its last frame.
        mean = (mean + contour[begin:end].sum()) / (end - begin)
        if 2200.0 / mean < end - begin:
            grown.append(_Section(begin, end, contour))
    if not grown:
        return f0
    ordered = sorted(grown, key=lambda section: section.first)
    merged = ordered[0].f0.copy()
    first, last = grown[0].first, grown[0].last
    for section in ordered[1:]:
        inside = slice(section.first, section.last + 1)
        if section.first - last > 0:
            merged[inside] = section.f0[inside]
            first, last = section.first, section.last
        elif not (first <= section.first and last >= section.last):
            shared = slice(starts[section.first], starts[last + 1])
            own, other = (
                _score(contour, frame[shared], candidates[shared], score[shared]) for contour in (merged, section.f0)
            )
            inside = slice(last if own > other else section.first, section.last + 1)
            merged[inside] = section.f0[inside]
            last = section.last
    return merged


def _grow(contour: _Array, origin: int, limit: int, step: int, starts: NDArray[np.int64], candidates: _Array) -> int:
    """Follow the nearest candidates from a frame on; returns the last frame that has one."""
    f0, end, misses = contour[origin], origin, 0
    for place in range(origin, limit + step, step):
        beside = place + step
        near = candidates[starts[beside] : starts[beside + 1]]
        best = 0.0
        if len(near):
            error = np.abs(f0 - near) / f0
            nearest = len(near) - 1 - int(error[::-1].argmin())  # of equal errors the last one
            best = float(near[nearest]) if error[nearest] <= _REACH else 0.0
        contour[beside] = best
        if best == 0.0:
            misses += 1
            if misses == _PATIENCE:
                break
        else:
            f0, end, misses = best, beside, 0
    return end


def _score(contour: _Array, frame: NDArray[np.int64], candidates: _Array, score: _Array) -> float:
    """Sum over frames of the scores of the candidates that a contour goes through."""
    if not len(frame):
        return 0.0
    own = np.where(candidates == contour[frame], score, 0.0)
    return float(np.maximum.reduceat(own, np.flatnonzero(np.r_[True, frame[1:] != frame[:-1]])).sum())


def _without_gaps(f0: _Array) -> _Array:
    filled = f0.copy()
    sections = _sections(f0)
    for (_, last), (first, _) in pairwise(sections):
        distance = first - last - 1
        if distance < _GAP:
            low, high = f0[last] + 1, f0[first] - 1
            filled[last + 1 : first] = low + (high - low) / (distance + 1.0) * np.arange(1, distance + 1)
    return filled


def _smoothed(f0: _Array) -> _Array:
    """Each section low-passed forwards and backwards, its ends held."""
    smooth = np.zeros_like(f0)
    padded = np.pad(f0, _LAG)
    response = impulse_response(*_SMOOTHING, _LAG)
    for first, last in _sections(padded):
        held = padded.copy()
        held[:first], held[last + 1 :] = padded[first], padded[last]
        near = held[first - _LAG : last + 1 + _LAG]  # further away the filter has forgotten
        once = np.convolve(near, response)[: len(near)]
        both = np.convolve(once[::-1], response)[: len(near)][::-1]
        smooth[first - _LAG : last + 1 - _LAG] = both[_LAG : len(near) - _LAG]
    return smooth
