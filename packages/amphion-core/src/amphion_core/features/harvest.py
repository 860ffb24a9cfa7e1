"""F0 by Harvest, vectorised: the contour of WORLD's implementation at half of its CPU time; numpy only.

Source: Morise, "Harvest: A High-Performance Fundamental Frequency Estimator from Speech Signals", 2017. The constants
are those of WORLD, with which the tests compare. Deviation: filters run by blocks, and of each spectrum of a window
only the bins of the harmonics are computed; both differ by rounding, which decides what is heard in digital silence.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from amphion_core.features.harvest_path import best_contour, impulse_response
from amphion_core.features.samples import check_samples

__all__ = ["Candidates", "harvest"]

_Array = NDArray[np.float64]

_RATE = 8000.0  # Hz to which the signal is brought, about
_CHANNELS = 40  # filters an octave
_WIDEST = 3  # frames to either side from which a candidate is taken over
_LEAST = 10  # neighbouring filters that must agree
_HARMONICS = 6
_SCORE = 2.5
_BLOCK = 4096
_ROWS = 4096


class Candidates(NamedTuple):
    """Refined candidates of all frames, every millisecond, sorted by frame.

    Attributes:
        frame: (K,) their frames.
        f0: (K,) Hz.
        score: (K,) the higher, the more its harmonics agree.
    """

    frame: NDArray[np.int64]
    f0: _Array
    score: _Array


def harvest(
    wav: ArrayLike, sample_rate: int, *, f_min: float = 71.0, f_max: float = 800.0, frame_period: float = 5.0
) -> _Array:
    """F0 contour; voices nearly every frame.

    Args:
        wav: (T,) samples.
        sample_rate: Hz.
        f_min: lowest F0, Hz.
        f_max: highest F0, Hz.
        frame_period: ms between frames.

    Returns:
        (F,) Hz, 0 = unvoiced; F = floor(1000 T / sample_rate / frame_period) + 1.

    Raises:
        ValueError: not one dimension, no samples, or NaN.
    """
    samples = check_samples(wav)
    ratio = int(np.clip(_round(sample_rate / _RATE), 1, 12))
    rate = sample_rate / ratio
    signal = _decimated(samples, ratio)
    signal -= signal.mean()
    frames = int(1000.0 * len(samples) / sample_rate) + 1  # of 1 ms
    length = int(1000.0 * len(samples) / sample_rate / frame_period) + 1
    raw = _raw_candidates(signal, rate, frames, f_min, f_max)
    frame, f0 = _agreed(raw)
    if not len(frame):
        return np.zeros(length)
    found = _reliable(_refined(signal, rate, *_overlapped(frame, f0, frames), f_min, f_max), frames)
    contour = best_contour(found.frame, found.f0, found.score, frames)
    places = np.floor(np.arange(length) * frame_period / 1000.0 * 1000.0 + 0.5).astype(np.int64)
    chosen: _Array = contour[np.minimum(frames - 1, places)]
    return chosen


def _decimated(samples: _Array, ratio: int) -> _Array:
    """Low-passed forwards and backwards, every `ratio`-th sample."""
    length = math.ceil(len(samples) / ratio)
    if ratio == 1:
        return samples.copy()
    offset = math.ceil(140.0 / ratio) * ratio
    padded = np.pad(samples, offset, mode="edge")
    edge = 9
    extended = np.concatenate([2 * padded[0] - padded[edge:0:-1], padded, 2 * padded[-1] - padded[-2 : -edge - 2 : -1]])
    response = impulse_response(*_chebyshev(0.8 / ratio), 160 * ratio)  # by then below the rounding
    once = _convolved(extended, response)
    twice = _convolved(once[::-1], response)[::-1]
    count = (len(padded) - 1) // ratio + 1
    first = ratio - ratio * count + len(padded)
    low = twice[first + edge - 1 : len(padded) + 2 * edge - 1 : ratio]
    start = offset // ratio
    return np.array(low[start : start + length])


def _chebyshev(cutoff: float) -> tuple[list[float], list[float]]:
    """Low-pass of third order with a ripple of 0.05 dB: its numerator and denominator.

    Args:
        cutoff: share of half the rate.
    """
    order = 3
    bend = math.asinh(1.0 / math.sqrt(10.0**0.005 - 1.0)) / order
    angle = np.pi * (2 * np.arange(1, order + 1) - 1) / (2 * order)
    poles = 4.0 * math.tan(np.pi * cutoff / 2) * (-np.sinh(bend) * np.sin(angle) + 1j * np.cosh(bend) * np.cos(angle))
    a = np.poly((4.0 + poles) / (4.0 - poles)).real  # bilinear transform
    b = np.array([1.0, 3.0, 3.0, 1.0])
    return list(b * a.sum() / b.sum()), list(a)


def _convolved(wave: _Array, response: _Array) -> _Array:
    size = 1 << (len(wave) + len(response) - 1).bit_length()
    return np.fft.irfft(np.fft.rfft(wave, size) * np.fft.rfft(response, size), size)[: len(wave)]


def _raw_candidates(signal: _Array, rate: float, frames: int, f_min: float, f_max: float) -> _Array:
    """(channels, frames) Hz of each band-pass filter's output, 0 where that is no pitch near its centre."""
    low, high = 0.9 * f_min, 1.1 * f_max
    channels = 1 + int(math.log2(high / low) * _CHANNELS)
    centres = low * 2.0 ** ((np.arange(channels) + 1) / _CHANNELS)
    longest = 2 * _round(rate / centres[0] * 2.0) + 1
    # Overlap and save: spectra of blocks are shared by all filters.
    step = _BLOCK - longest + 1
    reach = longest // 2
    padded = np.pad(signal, (reach, reach + _BLOCK))
    count = math.ceil(len(signal) / step)
    spectra = np.fft.rfft(sliding_window_view(padded, _BLOCK)[::step][:count], axis=1)
    raw = np.zeros((channels, frames))
    for channel, centre in enumerate(centres):
        half = _round(rate / centre * 2.0)
        taps = np.zeros(_BLOCK)
        middle = np.arange(-half, half + 1)
        taps[: 2 * half + 1] = _nuttall(2 * half + 1) * np.cos(2 * np.pi * centre * middle / rate)
        taps = np.roll(taps, reach - half)  # the centre tap of every filter at one place
        filtered = np.fft.irfft(spectra * np.fft.rfft(taps), _BLOCK, axis=1)[:, longest - 1 :].reshape(-1)
        contour = _of_crossings(filtered[1 : len(signal) + 1], rate, frames)
        if contour is not None:
            kept = (contour <= 1.1 * centre) & (contour >= 0.9 * centre) & (contour <= f_max) & (contour >= f_min)
            raw[channel] = np.where(kept, contour, 0.0)
    return raw


def _of_crossings(wave: _Array, rate: float, frames: int) -> _Array | None:
    """(frames,) mean of the frequencies between falls through zero, rises, peaks and dips; None with too few of one."""
    found, here, after = [], [], []
    for values in (wave, wave[:-1] - wave[1:]):
        above, below = values > 0.0, values < 0.0
        for before in (above[:-1] & ~above[1:], below[:-1] & ~below[1:]):
            found.append(np.flatnonzero(before))
            here.append(values[found[-1]])
            after.append(values[found[-1] + 1])
    counts = np.array([len(places) for places in found])
    if counts.min() < 4:
        return None
    first = np.concatenate(here)
    edges = np.concatenate(found) + 1 - first / (np.concatenate(after) - first)
    kind = np.repeat(np.arange(4), counts)
    within = kind[1:] == kind[:-1]
    spans = np.diff(edges)[within]
    knots, values = ((edges[:-1] + edges[1:]) / 2)[within] / rate, rate / spans
    # The last knot before each frame: knots are counted in the frames in which they come to lie before.
    row = kind[:-1][within]
    arrival = np.minimum(np.ceil(knots * 1000.0).astype(np.int64), frames)
    passed = np.cumsum(np.bincount(row * (frames + 1) + arrival, minlength=4 * (frames + 1)).reshape(4, -1), axis=1)
    last = counts[:, None] - 2  # of the knots of a kind
    place = np.clip(passed[:, :frames], 1, last) + (np.cumsum(counts - 1) - counts + 1)[:, None]
    slope = np.diff(values) / np.diff(knots)
    times = np.arange(frames) / 1000.0
    # Straight lines through the knots, the outer ones prolonged.
    lines = values[place - 1] + (times - knots[place - 1]) * slope[place - 1]
    mean: _Array = lines.sum(axis=0) / 4
    return mean


def _agreed(raw: _Array) -> tuple[NDArray[np.int64], _Array]:
    """Means over runs of filters that all see a pitch: frames and Hz."""
    voiced = raw.T > 0  # (frames, channels)
    voiced[:, 0] = voiced[:, -1] = False
    change = np.diff(voiced.astype(np.int8), axis=1)
    frame, start = np.nonzero(change == 1)
    _, end = np.nonzero(change == -1)
    long = end - start >= _LEAST
    frame, start, end = frame[long], start[long] + 1, end[long] + 1
    sums = np.concatenate([np.zeros((1, raw.shape[1])), np.cumsum(raw, axis=0)])
    return frame, (sums[end, frame] - sums[start, frame]) / (end - start)


def _overlapped(frame: NDArray[np.int64], f0: _Array, frames: int) -> tuple[NDArray[np.int64], _Array]:
    """Candidates of each frame and of its neighbours."""
    shifts = np.arange(-_WIDEST, _WIDEST + 1)
    where = (frame[:, None] + shifts).reshape(-1)
    values = np.repeat(f0, len(shifts))
    inside = (where >= 0) & (where < frames)
    where, values = where[inside], values[inside]
    order = np.argsort(where, kind="stable")
    return where[order], values[order]


def _refined(
    signal: _Array, rate: float, frame: NDArray[np.int64], f0: _Array, f_min: float, f_max: float
) -> Candidates:
    """Candidates by the instantaneous frequencies of their first harmonics, without those that are none."""
    half = (1.5 * rate / np.maximum(f0, 1.0) + 1.0).astype(np.int64)
    refined, score = np.zeros(len(f0)), np.zeros(len(f0))
    order = np.argsort(half, kind="stable")
    bounds = np.flatnonzero(np.r_[True, np.diff(half[order]) != 0, True])
    reach = int(half.max(initial=0)) + 1
    padded = np.pad(signal, reach, mode="edge")
    for start, end in pairwise(bounds):
        chosen = order[start:end]
        refined[chosen], score[chosen] = _of_windows(
            padded, reach, rate, int(half[chosen[0]]), frame[chosen], f0[chosen]
        )
    kept = (refined >= f_min) & (refined <= f_max) & (score >= _SCORE)
    return Candidates(frame[kept], refined[kept], score[kept])


def _of_windows(
    padded: _Array, reach: int, rate: float, half: int, frame: NDArray[np.int64], f0: _Array
) -> tuple[_Array, _Array]:
    """Refined F0 and score of candidates whose windows have one length."""
    size = 2 * half + 1
    n_fft = 2 ** (2 + int(math.log2(size)))
    harmonics = np.minimum((rate / 2.0 / f0).astype(np.int64), _HARMONICS)
    numbers = np.arange(1, _HARMONICS + 1)
    bins = np.floor(f0[:, None] * n_fft / rate * numbers + 0.5).astype(np.int64)  # (K, harmonics)
    inside = numbers <= harmonics[:, None]
    bins = np.where(inside, bins, bins[:, :1])
    column = np.zeros(n_fft, np.int64)
    column[bins] = 1
    wanted = np.flatnonzero(column)
    column[wanted] = np.arange(len(wanted))
    fresh = np.r_[True, frame[1:] != frame[:-1]]  # candidates of one frame share a window
    places, row = frame[fresh], np.cumsum(fresh) - 1
    power, numerator = np.empty((len(places), len(wanted))), np.empty((len(places), len(wanted)))
    # The first sample of a window, and how far its middle lies from the time of its frame.
    position = places / 1000.0
    first = np.floor((position - half / rate) * rate + 0.001 + 0.5).astype(np.int64)
    shift = np.round((first - 1) / rate - position, 12)
    waves = np.exp(-2j * np.pi * np.outer(np.arange(size), wanted) / n_fft)  # (size, bins)
    views = sliding_window_view(padded, size)
    for offset in np.unique(shift):
        rows = np.flatnonzero(shift == offset)
        time = offset + np.arange(size) / rate
        turn = 2 * np.pi * time * rate / size
        window = 0.42 + 0.5 * np.cos(turn) + 0.08 * np.cos(2 * turn)
        slope = np.zeros(size)
        slope[1:-1] = (window[:-2] - window[2:]) / 2
        slope[0], slope[-1] = -window[1] / 2, window[-2] / 2
        kernel = np.concatenate([window[:, None] * waves, slope[:, None] * waves], axis=1)
        kernel = np.concatenate([kernel.real, kernel.imag], axis=1)
        for begin in range(0, len(rows), _ROWS):
            part = rows[begin : begin + _ROWS]
            clipped = np.clip(first[part] - 1 + reach, 0, len(views) - 1)
            product = views[clipped] @ kernel
            main_real, slope_real, main_imag, slope_imag = np.split(product, 4, axis=1)
            power[part] = main_real**2 + main_imag**2
            numerator[part] = main_real * slope_imag - main_imag * slope_real
    column = column[bins]
    power, numerator = power[row[:, None], column], numerator[row[:, None], column]
    with np.errstate(divide="ignore", invalid="ignore"):
        frequency = np.where(power == 0, 0.0, bins * rate / n_fft + numerator / power * rate / 2 / np.pi)
    amplitude = np.where(inside, np.sqrt(power), 0.0)
    refined = (amplitude * frequency).sum(axis=1) / ((amplitude * numbers).sum(axis=1) + 1e-12)
    deviation = np.where(inside, np.abs((frequency / numbers - f0[:, None]) / f0[:, None]), 0.0).sum(axis=1)
    return refined, 1.0 / (deviation / harmonics + 1e-12)


def _reliable(found: Candidates, frames: int) -> Candidates:
    """Without candidates that have none within 5 % in the frames beside."""
    width = 1e4  # above any pitch
    keys = np.sort(found.frame * width + found.f0)
    kept = (found.frame == 0) | (found.frame == frames - 1)
    for step in (-1, 1):
        wanted = (found.frame + step) * width + found.f0
        place = np.searchsorted(keys, wanted)
        for beside in (np.maximum(place - 1, 0), np.minimum(place, len(keys) - 1)):
            if len(keys):
                kept |= np.abs(keys[beside] - wanted) <= 0.05 * found.f0
    return Candidates(found.frame[kept], found.f0[kept], found.score[kept])


def _nuttall(size: int) -> _Array:
    turn = 2 * np.pi * np.arange(size) / (size - 1)
    return np.asarray(0.355768 - 0.487396 * np.cos(turn) + 0.144232 * np.cos(2 * turn) - 0.012604 * np.cos(3 * turn))


def _round(value: float) -> int:
    return math.floor(value + 0.5)
