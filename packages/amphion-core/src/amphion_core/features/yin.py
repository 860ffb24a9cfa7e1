"""Normalised difference function of YIN over all frames of a clip at once.

Source: de Cheveigne and Kawahara, "YIN, a fundamental frequency estimator for speech and music", 2002, steps 2, 3, 5.
Deviation: the frame is compared with its shifted, zero-extended self over its whole length, as librosa 0.11 does, not
over a window of half its length; long periods are thereby discouraged.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = ["PeriodCandidates", "period_candidates", "period_range"]

_CHUNK = 256  # frames of one transform: 256 x 4096 float64 are 8 MB
_TINY = np.finfo(np.float64).tiny

_Array = NDArray[np.float64]


class PeriodCandidates(NamedTuple):
    """Local minima ("troughs") of the normalised difference, in the order of frames, then of periods.

    Attributes:
        frame: (K,) frame of each trough.
        period: (K,) samples, refined by a parabola.
        height: (K,) value of the normalised difference, 0 = perfectly periodic.
    """

    frame: NDArray[np.int64]
    period: _Array
    height: _Array


def period_range(sample_rate: int, frame_length: int, f_min: float, f_max: float) -> tuple[int, int]:
    """Shortest and longest period in samples that a frame can hold."""
    return math.floor(sample_rate / f_max), min(math.ceil(sample_rate / f_min), frame_length - 1)


def period_candidates(
    samples: _Array, frame_length: int, hop_length: int, shortest: int, longest: int
) -> PeriodCandidates:
    """Troughs of all frames.

    Args:
        samples: (T,), padded already; frame i starts at i * hop_length.
        frame_length: samples compared.
        hop_length: samples between frames.
        shortest: smallest period, samples, at least 1.
        longest: largest period, samples, under `frame_length`.
    """
    frames = sliding_window_view(samples, frame_length)[::hop_length]
    parts = []
    for start in range(0, len(frames), _CHUNK):
        difference = _normalized_difference(frames[start : start + _CHUNK], shortest, longest)
        frame, index = np.nonzero(_troughs(difference))
        height = difference[frame, index]
        period = shortest + index + _parabolic_shift(difference, frame, index)
        parts.append(PeriodCandidates(frame + start, period, height))
    return PeriodCandidates(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _normalized_difference(frames: _Array, shortest: int, longest: int) -> _Array:
    """(F, longest - shortest + 1) cumulative mean normalised difference, in place as far as possible."""
    length = frames.shape[1]
    size = scipy.fft.next_fast_len(length + longest, real=True)
    spectrum = scipy.fft.rfft(frames, size)
    power = spectrum.real**2
    power += spectrum.imag**2
    correlation = scipy.fft.irfft(power, size)[:, 1 : longest + 1]  # (F, longest) lags from 1
    energy = np.cumsum(frames[:, :longest] ** 2, axis=1)  # energy of the samples that a lag shifts out
    total = np.einsum("ft,ft->f", frames, frames)[:, None]
    difference = 2 * (total - correlation) - energy
    np.maximum(difference, 0, out=difference)
    mean = np.cumsum(difference, axis=1)
    mean /= np.arange(1, longest + 1)
    mean += _TINY
    normalized: _Array = difference[:, shortest - 1 :] / mean[:, shortest - 1 :]
    return normalized


def _troughs(values: _Array) -> NDArray[np.bool_]:
    """Where a row falls before and does not fall after; its ends count if their only neighbour is larger."""
    lower = np.zeros(values.shape, bool)
    lower[:, 1:-1] = (values[:, 1:-1] < values[:, :-2]) & (values[:, 1:-1] <= values[:, 2:])
    lower[:, 0] = values[:, 0] < values[:, 1]
    lower[:, -1] = values[:, -1] < values[:, -2]
    return lower


def _parabolic_shift(values: _Array, frame: NDArray[np.int64], index: NDArray[np.int64]) -> _Array:
    """Offset in (-1, 1) of the vertex of the parabola through a minimum and its neighbours; 0 at the edges."""
    inner = np.clip(index, 1, values.shape[1] - 2)
    left, middle, right = (values[frame, inner + step] for step in (-1, 0, 1))
    curvature = left + right - 2 * middle
    slope = (right - left) / 2
    usable = (inner == index) & (np.abs(slope) < np.abs(curvature))
    return np.where(usable, -slope / np.where(usable, curvature, 1.0), 0.0)
