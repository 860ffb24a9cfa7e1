"""Mel-cepstra of WORLD envelopes and their distortion (MCD).

Definition, version 1: harvest 71 to 800 Hz every 5 ms steers CheapTrick with its default FFT size; the cepstrum of the
power envelope is warped by the all-pass constant of the rate to order D; c_0 is left out of path and distance.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amphion_eval.alignment import dtw_path
from amphion_eval.values import Undefined

__all__ = ["ALPHAS", "FRAME_PERIOD", "envelope", "mcd", "mcd_dtw_sl", "mel_cepstrum", "warping"]

FRAME_PERIOD = 0.005
"""Seconds between two frames."""

ALPHAS = {8000: 0.31, 16000: 0.42, 22050: 0.455, 24000: 0.466, 32000: 0.50, 44100: 0.544, 48000: 0.554}
"""All-pass constants by sampling rate; other rates take the value between their neighbours."""

F0_MIN, F0_MAX = 71.0, 800.0
SHORTEST = 0.05
"""Seconds below which there is no envelope: three periods of the lowest pitch."""

_NOTHING = 1e-5  # a third of a step of 16 bits
_STRETCH = 0.002  # s: half of the shortest filter
_TO_DECIBELS = 10.0 * np.sqrt(2.0) / np.log(10.0)


def mcd(reference: ArrayLike, estimate: ArrayLike) -> float:
    """Mel-cepstral distortion of aligned frames, c_0 excluded.

    Args:
        reference: (F, D + 1) mel-cepstra of the recording, c_0 first.
        estimate: (F, D + 1) mel-cepstra of the synthesis, on the same frames.

    Returns:
        dB, at least 0, lower is better; undefined (nan) without any frame. Noise floors and digital silence weigh as
        much as speech; a WORLD copy synthesis gives 3.5 to 4.2 dB at order 24.

    Raises:
        ValueError: the shapes differ, or there is no coefficient beside c_0.

    Source: Kubichek, "Mel-cepstral distance measure for objective speech quality assessment", 1993.
    """
    ref, est = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    if ref.shape != est.shape or ref.ndim != 2 or ref.shape[1] < 2:
        raise ValueError(f"reference has shape {ref.shape}, estimate {est.shape}; both must be (F, D + 1) and aligned")
    if not ref.shape[0]:
        return Undefined("there is no frame")
    return float(_TO_DECIBELS * np.mean(np.linalg.norm(ref[:, 1:] - est[:, 1:], axis=1)))


def mcd_dtw_sl(reference: ArrayLike, estimate: ArrayLike, path: NDArray[np.int64] | None = None) -> float:
    """Mel-cepstral distortion after warping, times how many times longer one clip is than the other.

    Args:
        reference: (F, D + 1) mel-cepstra of the recording, c_0 first.
        estimate: (G, D + 1) mel-cepstra of the synthesis, on its own frames.
        path: (P, 2) frames that belong together; None finds the exact one.

    Returns:
        dB, at least 0, lower is better; undefined (nan) without any frame.

    Raises:
        ValueError: there is no coefficient beside c_0, or another number of them.

    Source: Chen et al., "V2C: Visual Voice Cloning", 2022, arXiv:2111.12890.
    """
    ref, est = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    if not (len(ref) and len(est)):
        return Undefined("there is no frame")
    if path is None:
        path = dtw_path(ref[:, 1:], est[:, 1:])
    return mcd(ref[path[:, 0]], est[path[:, 1]]) * max(len(ref), len(est)) / min(len(ref), len(est))


def envelope(wav: ArrayLike, sample_rate: int, tracker: Literal["harvest", "dio"] = "harvest") -> NDArray[np.float64]:
    """WORLD power envelope, every 5 ms.

    Args:
        wav: (T,) samples; at least 50 ms.
        sample_rate: Hz.
        tracker: of the F0 that steers the windows; `dio` (with StoneMask) is no part of the definition of `mcd`.

    Returns:
        (F, n_fft // 2 + 1) power.

    Raises:
        ValueError: the signal is too short.
    """
    from amphion_core.features.harvest import harvest
    from amphion_core.features.world import pyworld

    samples = np.ascontiguousarray(wav, np.float64)
    if samples.size < SHORTEST * sample_rate:
        raise ValueError(f"{samples.size} samples are shorter than the {SHORTEST} s that an envelope needs")
    world = pyworld()
    period = 1000.0 * FRAME_PERIOD
    if tracker == "harvest" and not _falls_silent(samples, sample_rate):
        f0 = harvest(samples, sample_rate, f_min=F0_MIN, f_max=F0_MAX, frame_period=period)
        times = np.arange(len(f0)) * FRAME_PERIOD
    elif tracker == "harvest":
        f0, times = world.harvest(samples, sample_rate, F0_MIN, F0_MAX, period)
    else:
        f0, times = world.dio(samples, sample_rate, f0_floor=F0_MIN, f0_ceil=F0_MAX, frame_period=period)
        f0 = world.stonemask(samples, f0, times, sample_rate)
    power: NDArray[np.float64] = world.cheaptrick(samples, f0, times, sample_rate)
    return power


def mel_cepstrum(power: ArrayLike, sample_rate: int, order: int = 24) -> NDArray[np.float64]:
    """Mel-cepstra of power envelopes.

    Args:
        power: (F, n_fft // 2 + 1), above 0.
        sample_rate: Hz, chooses the all-pass constant.
        order: the last coefficient, D.

    Returns:
        (F, D + 1), c_0 first.
    """
    values = np.asarray(power, np.float64)
    cepstrum = np.fft.irfft(np.log(values), axis=-1)[:, : values.shape[1]]  # (F, n_fft / 2 + 1)
    cepstrum[:, 0] *= 0.5
    warped: NDArray[np.float64] = cepstrum @ warping(values.shape[1], _alpha(sample_rate), order).T
    return warped


@lru_cache(maxsize=16)
def warping(size: int, alpha: float, order: int) -> NDArray[np.float64]:
    """Matrix of the frequency transform from a cepstrum to a mel-cepstrum; the transform is linear.

    Args:
        size: coefficients that go in.
        alpha: all-pass constant.
        order: the last coefficient that comes out.

    Returns:
        (order + 1, size).
    """
    # The recursion of SPTK's freqt, for all unit vectors at once: column k is the transform of unit vector k.
    g = np.zeros((order + 1, size))
    for i in range(size - 1, -1, -1):
        d = g.copy()
        g[0] = alpha * d[0]
        g[0, i] += 1.0
        if order >= 1:
            g[1] = (1.0 - alpha * alpha) * d[0] + alpha * d[1]
        for j in range(2, order + 1):
            g[j] = d[j - 1] + alpha * (d[j] - g[j - 1])
    g.flags.writeable = False
    return g


def _falls_silent(samples: NDArray[np.float64], sample_rate: int) -> bool:
    """Whether some stretch has next to no sound, so that a filter of Harvest gives little there but its own rounding.

    What is heard in rounding differs between implementations, by up to 0.01 dB of distortion; there the first one is
    taken, so that the definition keeps its values.
    """
    size = max(2, int(_STRETCH * sample_rate))
    blocks = samples[: len(samples) // size * size].reshape(-1, size)
    return bool((np.ptp(blocks, axis=1) < _NOTHING).any())


def _alpha(sample_rate: int) -> float:
    return float(np.interp(sample_rate, list(ALPHAS), list(ALPHAS.values())))
