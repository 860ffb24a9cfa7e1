"""Distances between two waveforms that are aligned to the sample."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amphion_eval.sums import inner
from amphion_eval.values import Undefined

__all__ = ["delay", "si_sdr", "si_snr"]


def si_sdr(reference: ArrayLike, estimate: ArrayLike) -> float:
    """Scale-invariant signal-to-distortion ratio.

    Only sensible for output that is aligned to the sample: codecs, copy synthesis, enhancement, separation. A delay
    of a few milliseconds or a vocoder without phase gives values far below 0 dB whatever the quality.

    Args:
        reference: (T,) samples of the recording.
        estimate: (T,) samples of the output.

    Returns:
        dB, unbounded, higher is better, infinite for equal signals up to a gain; undefined (nan) where one side is all
        zeros or has no sample.

    Raises:
        ValueError: the lengths differ, or there is more than one channel.

    Source: Le Roux et al., "SDR - half-baked or well done?", 2019, arXiv:1811.02508.
    """
    ref, est = _samples(reference, estimate)
    if not ref.size:
        return Undefined("there is no sample")
    for name, wav in (("reference", ref), ("estimate", est)):
        if not wav.any():
            return Undefined(f"the {name} is silent: every sample is 0")
    ref, est = _near_one(ref), _near_one(est)
    target = inner(est, ref) / inner(ref, ref) * ref
    error = est - target
    signal, noise = inner(target, target), inner(error, error)
    if noise == 0.0 or np.array_equal(ref, est):
        return float("inf")
    return float(10.0 * np.log10(signal / noise)) if signal > 0.0 else float("-inf")


def si_snr(reference: ArrayLike, estimate: ArrayLike) -> float:
    """Scale-invariant signal-to-noise ratio: as `si_sdr`, after the mean of each side is taken off.

    Args:
        reference: (T,) samples of the recording.
        estimate: (T,) samples of the output.

    Returns:
        dB, unbounded, higher is better, infinite for equal signals up to gain and offset; undefined (nan) where one
        side is constant or has no sample.

    Raises:
        ValueError: the lengths differ, or there is more than one channel.

    Source: Luo and Mesgarani, "Conv-TasNet", 2019, arXiv:1809.07454.
    """
    ref, est = _samples(reference, estimate)
    if not ref.size:
        return Undefined("there is no sample")
    for name, wav in (("reference", ref), ("estimate", est)):
        if np.ptp(wav) == 0.0:
            return Undefined(f"the {name} is silent: its samples are all the same")
    return si_sdr(ref - ref.mean(), est - est.mean())


def delay(reference: ArrayLike, estimate: ArrayLike, limit: int) -> int:
    """Samples by which the estimate lags behind the reference, by the peak of their cross-correlation.

    Args:
        reference: (T,) samples of the recording.
        estimate: (U,) samples of the output.
        limit: the largest lag that is searched, samples.

    Returns:
        Lag within -limit to limit, positive where the estimate is late; 0 where one side is silent.
    """
    ref, est = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    if not (ref.any() and est.any()):
        return 0
    size = 1 << int(ref.size + est.size - 1).bit_length()
    correlation = np.fft.irfft(np.fft.rfft(est, size) * np.conj(np.fft.rfft(ref, size)), size)
    lags = np.arange(-limit, limit + 1)
    lags = lags[np.argsort(np.abs(lags), kind="stable")]  # of two equal peaks the smaller lag
    return int(lags[np.argmax(np.abs(correlation[lags]))])


def _near_one(wav: NDArray[np.float64]) -> NDArray[np.float64]:
    """Samples times a power of two, which is exact, so that the squares of faint ones do not vanish."""
    _, exponent = np.frexp(np.abs(wav).max())
    scaled: NDArray[np.float64] = np.ldexp(wav, -exponent)
    return scaled


def _samples(reference: ArrayLike, estimate: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # float64: in float32 the rounding alone bounds the ratio at about 54 dB.
    ref, est = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    if ref.shape != est.shape or ref.ndim != 1:
        raise ValueError(f"reference has shape {ref.shape}, estimate {est.shape}; cut both to one length and channel")
    return ref, est
