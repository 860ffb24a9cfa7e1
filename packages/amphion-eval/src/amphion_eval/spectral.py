"""Multi-resolution STFT distance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amphion_eval.sums import inner
from amphion_eval.values import Undefined

__all__ = [
    "RESOLUTIONS",
    "Resolution",
    "combined",
    "magnitude_stft",
    "mstft",
    "mstft_log_magnitude",
    "mstft_spectral_convergence",
    "resolution_distances",
]


class Resolution(NamedTuple):
    """One STFT: sizes in samples."""

    n_fft: int
    hop_length: int
    win_length: int


RESOLUTIONS = (Resolution(1024, 120, 600), Resolution(2048, 240, 1200), Resolution(512, 50, 240))
"""The three of Parallel WaveGAN."""

_FLOOR = 1e-7  # of the power


def mstft(reference: ArrayLike, estimate: ArrayLike, resolutions: Sequence[Resolution] = RESOLUTIONS) -> float:
    """Multi-resolution STFT distance: spectral convergence plus log magnitude distance.

    Args:
        reference: (T,) samples of the recording.
        estimate: (T,) samples of the output.
        resolutions: the STFTs whose distances are averaged.

    Returns:
        At least 0, unbounded, lower is better; undefined (nan) for a silent reference and for signals too short to be
        reflected at their ends (half of the largest FFT).

    Raises:
        ValueError: the lengths differ.

    Source: Yamamoto et al., "Parallel WaveGAN", 2020, arXiv:1910.11480.
    """
    return _mean(reference, estimate, resolutions, 1.0, 1.0)


def mstft_spectral_convergence(
    reference: ArrayLike, estimate: ArrayLike, resolutions: Sequence[Resolution] = RESOLUTIONS
) -> float:
    """First part of `mstft`: Frobenius norm of the difference of the magnitudes over that of the reference.

    Arguments, undefined cases, errors and source as `mstft`; at least 0, lower is better.
    """
    return _mean(reference, estimate, resolutions, 1.0, 0.0)


def mstft_log_magnitude(
    reference: ArrayLike, estimate: ArrayLike, resolutions: Sequence[Resolution] = RESOLUTIONS
) -> float:
    """Second part of `mstft`: mean absolute difference of the natural logarithms of the magnitudes.

    Arguments, undefined cases, errors and source as `mstft`; at least 0, lower is better.
    """
    return _mean(reference, estimate, resolutions, 0.0, 1.0)


def magnitude_stft(
    wav: ArrayLike, resolution: Resolution, *, padding: str = "reflect", floor: float = 0.0
) -> NDArray[np.float64]:
    """Magnitudes of a centred STFT with a periodic Hann window.

    Args:
        wav: (T,) samples.
        resolution: sizes; the window stands in the middle of the FFT.
        padding: what lies beyond the ends, `reflect` or `constant` (zeros).
        floor: lower bound of the power.

    Returns:
        (F, n_fft // 2 + 1) with F = T // hop_length + 1.
    """
    n_fft, hop_length, win_length = resolution
    samples = np.asarray(wav, np.float64)
    padded = np.pad(samples, n_fft // 2, mode=padding)  # type: ignore[call-overload]
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop_length]  # (F, n_fft)
    first = (n_fft - win_length) // 2
    window = np.zeros(n_fft)
    window[first : first + win_length] = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(win_length) / win_length)
    spectrum = np.fft.rfft(frames * window, axis=-1)
    power = spectrum.real**2 + spectrum.imag**2
    magnitude: NDArray[np.float64] = np.sqrt(np.maximum(power, floor) if floor else power)
    return magnitude


def resolution_distances(
    reference: ArrayLike, estimate: ArrayLike, resolutions: Sequence[Resolution] = RESOLUTIONS
) -> list[tuple[float, float]]:
    """Spectral convergence and log magnitude distance of each resolution.

    Args:
        reference: (T,) samples of the recording.
        estimate: (T,) samples of the output.
        resolutions: the STFTs.

    Returns:
        One pair a resolution; one pair of undefined values where `mstft` is undefined.

    Raises:
        ValueError: the lengths differ.
    """
    ref, est = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    if ref.shape != est.shape or ref.ndim != 1:
        raise ValueError(f"reference has shape {ref.shape}, estimate {est.shape}; cut both to one length and channel")
    shortest = max(r.n_fft for r in resolutions) // 2 + 1
    if ref.size < shortest:
        none = Undefined(f"{ref.size} samples are too few, the largest window needs {shortest}")
        return [(none, none)]
    if not ref.any():
        none = Undefined("the reference is silent: every sample is 0")
        return [(none, none)]
    return [_distances(ref, est, resolution) for resolution in resolutions]


def _distances(ref: NDArray[np.float64], est: NDArray[np.float64], resolution: Resolution) -> tuple[float, float]:
    ref_magnitude, est_magnitude = (magnitude_stft(wav, resolution, floor=_FLOOR) for wav in (ref, est))
    difference = ref_magnitude - est_magnitude
    convergence = np.sqrt(inner(difference, difference) / inner(ref_magnitude, ref_magnitude))
    return float(convergence), float(np.mean(np.abs(np.log(ref_magnitude / est_magnitude))))


def combined(distances: Sequence[tuple[float, float]], convergence: float = 1.0, log_magnitude: float = 1.0) -> float:
    """Mean over the resolutions of the two distances, each times its weight.

    Args:
        distances: as `resolution_distances` gives.
        convergence: weight of the spectral convergence.
        log_magnitude: weight of the log magnitude distance.
    """
    if distances[0][0] != distances[0][0]:
        return distances[0][0]
    return float(np.mean([convergence * c + log_magnitude * m for c, m in distances]))


def _mean(
    reference: ArrayLike,
    estimate: ArrayLike,
    resolutions: Sequence[Resolution],
    convergence: float,
    log_magnitude: float,
) -> float:
    return combined(resolution_distances(reference, estimate, resolutions), convergence, log_magnitude)
