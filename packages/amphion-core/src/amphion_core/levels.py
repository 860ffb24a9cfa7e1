"""Levels of a waveform: loudness, silence at its ends, peak, clipping.

Source: ITU-R BS.1770-4, "Algorithms to measure audio programme loudness and true-peak audio level", 2015.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Wav = NDArray[np.float32]

__all__ = ["AudioCheck", "check", "loudness", "normalize_loudness", "peak_and_rms", "trim_silence"]

_BLOCK_SECONDS = 0.4
_HOP_SECONDS = 0.1
_FULL_SCALE = 32767 / 32768
_PIECE = 8192  # samples; so few that BLAS takes one thread, and the sum is the same with any number of them
_CHANNEL_WEIGHTS = (1.0, 1.0, 1.0, 1.41, 1.41)  # left, right, centre, two surrounds


class AudioCheck(NamedTuple):
    """What can be wrong with samples.

    Attributes:
        peak: largest magnitude.
        rms: root mean square.
        clipped_share: share of samples at full scale, or flat at the peak for three samples or more.
        dc: mean.
        silent: every sample is 0.
        finite: no sample is NaN or infinite; the other figures are over the finite ones.
        duration: s.
    """

    peak: float
    rms: float
    clipped_share: float
    dc: float
    silent: bool
    finite: bool
    duration: float


def check(wav: Wav, sample_rate: int) -> AudioCheck:
    """Peak, clipping, offset, silence and finiteness of (T,) or (C, T) samples at `sample_rate` Hz."""
    wav = np.atleast_2d(np.asarray(wav))
    duration = wav.shape[-1] / sample_rate
    if wav.size == 0:
        return AudioCheck(0.0, 0.0, 0.0, 0.0, True, True, duration)
    low, high = float(wav.min()), float(wav.max())  # nan where any sample is
    finite = math.isfinite(low) and math.isfinite(high)
    if not finite:
        wav = np.where(np.isfinite(wav), wav, 0.0)
        low, high = float(wav.min()), float(wav.max())
    peak = max(high, -low)
    total, power = _sums(wav, offset=True)
    rms, dc = math.sqrt(power / wav.size), total / wav.size
    return AudioCheck(peak, rms, _clipped_share(wav, peak), dc, peak == 0.0, finite, duration)


def peak_and_rms(wav: Wav) -> tuple[float, float]:
    """Largest magnitude and root mean square of (T,) or (C, T) finite samples, at half the cost of `check`."""
    wav = np.atleast_2d(np.asarray(wav))
    if wav.size == 0:
        return 0.0, 0.0
    return max(float(wav.max()), -float(wav.min())), math.sqrt(_sums(wav)[1] / wav.size)


def _sums(wav: Wav, offset: bool = False) -> tuple[float, float]:
    """Sum of (C, T) samples, where it is asked for, and of their squares, in double precision."""
    total, power = 0.0, 0.0
    held = np.empty(min(_PIECE, wav.shape[-1]), np.float64)
    for row in wav:
        for start in range(0, row.size, _PIECE):
            piece = held[: min(_PIECE, row.size - start)]
            piece[:] = row[start : start + _PIECE]
            total += float(piece.sum()) if offset else 0.0
            power += float(piece @ piece)
    return total, power


def _clipped_share(wav: NDArray[np.floating], peak: float) -> float:
    if peak == 0.0:
        return 0.0
    if peak >= _FULL_SCALE:  # what is flat at the peak is among these
        return float(np.count_nonzero((wav >= _FULL_SCALE) | (wav <= -_FULL_SCALE))) / wav.size
    flat = 0
    for row in wav:
        for value in (peak, -peak):
            places = np.flatnonzero(row == value)
            breaks = np.flatnonzero(np.diff(places) != 1)
            runs = np.diff(np.concatenate([[-1], breaks, [places.size - 1]]))
            flat += int(runs[runs >= 3].sum())
    return flat / wav.size


def loudness(wav: Wav, sample_rate: int) -> float:
    """Integrated loudness with both gates.

    Args:
        wav: (T,) or (C, T), up to five channels in the order left, right, centre, left and right surround.
        sample_rate: Hz.

    Returns:
        LUFS; -inf for silence, nan where the clip is shorter than one block of 0.4 s.

    Raises:
        ValueError: more than five channels.
    """
    from scipy.signal import lfilter

    x = np.atleast_2d(np.asarray(wav, np.float64))  # (C, T)
    if x.shape[0] > len(_CHANNEL_WEIGHTS):
        raise ValueError(f"loudness is defined for up to 5 channels, got {x.shape[0]}; mix them down first")
    block = round(_BLOCK_SECONDS * sample_rate)
    if x.shape[1] < block:
        return float("nan")
    for numerator, denominator in (_shelf(sample_rate), _high_pass(sample_rate)):
        x = lfilter(numerator, denominator, x, axis=-1)
    power = np.concatenate([np.zeros((x.shape[0], 1)), np.cumsum(x**2, axis=1)], axis=1)
    count = round((x.shape[1] / sample_rate - _BLOCK_SECONDS) / _HOP_SECONDS) + 1
    starts = np.round(np.arange(count) * _HOP_SECONDS * sample_rate).astype(np.int64)
    ends = np.minimum(starts + block, x.shape[1])
    weights = np.asarray(_CHANNEL_WEIGHTS[: x.shape[0]])
    energy = weights @ ((power[:, ends] - power[:, starts]) / block)  # (blocks,)
    energy = energy[energy > 10 ** ((-70.0 + 0.691) / 10)]
    if not energy.size:
        return float("-inf")
    gated = energy[energy > energy.mean() / 10]  # 10 LU below the mean of what passed the first gate
    return -0.691 + 10 * math.log10(gated.mean())


def normalize_loudness(wav: Wav, sample_rate: int, target: float = -23.0) -> Wav:
    """Scale to an integrated loudness; the peak may pass 1.

    Args:
        wav: (T,) or (C, T).
        sample_rate: Hz.
        target: LUFS.

    Raises:
        ValueError: the clip is silent, or shorter than 0.4 s, so it has no loudness.
    """
    measured = loudness(wav, sample_rate)
    if not math.isfinite(measured):
        what = "shorter than 0.4 s" if math.isnan(measured) else "silent"
        raise ValueError(f"the clip is {what} and has no loudness to normalise to {target} LUFS")
    return np.asarray(wav, np.float32) * np.float32(10 ** ((target - measured) / 20))


def trim_silence(
    wav: Wav, sample_rate: int, *, threshold_db: float = -40.0, margin: float = 0.05
) -> tuple[Wav, tuple[float, float]]:
    """Cut silence at both ends; pauses inside stay.

    Args:
        wav: (T,) or (C, T).
        sample_rate: Hz.
        threshold_db: frames of 20 ms below this level count as silence, dB relative to the loudest frame.
        margin: what is kept before the first and after the last frame that is no silence, s.

    Returns:
        The rest, and (start, end) of it in the original, s; empty and (0, 0) where every sample is 0.
    """
    wav = np.asarray(wav)
    length = wav.shape[-1]
    energy = np.square(np.atleast_2d(wav), dtype=np.float64).sum(axis=0)
    frame, hop = max(1, round(0.02 * sample_rate)), max(1, round(0.01 * sample_rate))
    total = np.concatenate([[0.0], np.cumsum(energy)])
    starts = np.arange(0, max(1, length - frame + hop), hop)
    ends = np.minimum(starts + frame, length)
    level = (total[ends] - total[starts]) / np.maximum(ends - starts, 1)
    if length == 0 or level.max() <= 0:
        return wav[..., :0], (0.0, 0.0)
    loud = np.flatnonzero(level > level.max() * 10 ** (threshold_db / 10))
    first = max(0, int(starts[loud[0]]) - round(margin * sample_rate))
    last = min(length, int(ends[loud[-1]]) + round(margin * sample_rate))
    return wav[..., first:last], (first / sample_rate, last / sample_rate)


# The two filters of the standard are given for 48 kHz; these are their analogue prototypes, warped for other rates.


def _shelf(sample_rate: int) -> tuple[list[float], list[float]]:
    k = math.tan(math.pi * 1681.974450955533 / sample_rate)
    q, high = 0.7071752369554196, 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    norm = 1 + k / q + k * k
    numerator = [(high + band * k / q + k * k) / norm, 2 * (k * k - high) / norm, (high - band * k / q + k * k) / norm]
    return numerator, [1.0, 2 * (k * k - 1) / norm, (1 - k / q + k * k) / norm]


_GAIN_48K = 1.0049948987  # the standard writes the numerator as 1, -2, 1, which is this gain in the pass band at 48 kHz


def _high_pass(sample_rate: int) -> tuple[list[float], list[float]]:
    k = math.tan(math.pi * 38.13547087602444 / sample_rate)
    q = 0.5003270373238773
    norm = 1 + k / q + k * k
    gain = _GAIN_48K / norm
    return [gain, -2 * gain, gain], [1.0, 2 * (k * k - 1) / norm, (1 - k / q + k * k) / norm]
