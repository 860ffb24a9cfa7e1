"""Distances between two energy contours.

Frame energy is the L2 norm over the bins of a magnitude STFT (FFT and periodic Hann window of 1024 samples, hop 256,
centred, zeros beyond the ends), in dB 20 log10(max(energy, 1e-5)).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amphion_eval.pitch import pearson
from amphion_eval.spectral import Resolution, magnitude_stft
from amphion_eval.values import Undefined

__all__ = [
    "HOP_LENGTH",
    "decibels",
    "energy_pearson_db",
    "energy_pearson_lin",
    "energy_rmse_db",
    "energy_rmse_db_mean_removed",
    "energy_rmse_lin",
    "frame_energy",
]

HOP_LENGTH = 256
"""Samples between two frames of the contour, at every rate."""

_RESOLUTION = Resolution(1024, HOP_LENGTH, 1024)
_FLOOR = 1e-5  # -100 dB: digital silence stays finite


def frame_energy(wav: ArrayLike) -> NDArray[np.float64]:
    """Energy contour of a waveform, linear.

    Args:
        wav: (T,) samples.

    Returns:
        (F,) with F = T // 256 + 1; no frame where there is no sample.
    """
    samples = np.asarray(wav, np.float64)
    if not samples.size:
        return np.zeros(0)
    energy: NDArray[np.float64] = np.linalg.norm(magnitude_stft(samples, _RESOLUTION, padding="constant"), axis=1)
    return energy


def decibels(energy: ArrayLike) -> NDArray[np.float64]:
    """Level of linear frame energies, dB, not below -100.

    Args:
        energy: (F,) as `frame_energy` gives.
    """
    levels: NDArray[np.float64] = 20.0 * np.log10(np.maximum(np.asarray(energy, np.float64), _FLOOR))
    return levels


def energy_rmse_db(reference: ArrayLike, estimate: ArrayLike) -> float:
    """Root mean square difference of the levels, in dB.

    Args:
        reference: (F,) linear frame energy of the recording.
        estimate: (F,) linear frame energy of the synthesis, on the same frames.

    Returns:
        dB, at least 0, lower is better; undefined (nan) without any frame.

    Raises:
        ValueError: the contours differ in length, or hold negative or not finite values.
    """
    ref, est = _contours(reference, estimate)
    return _rmse(decibels(ref), decibels(est))


def energy_rmse_db_mean_removed(reference: ArrayLike, estimate: ArrayLike) -> float:
    """Root mean square difference of the levels after the mean of each is taken off, in dB; ignores gain.

    Arguments, range, undefined cases and errors as `energy_rmse_db`.
    """
    ref, est = (decibels(energy) for energy in _contours(reference, estimate))
    return _rmse(ref - ref.mean(), est - est.mean()) if ref.size else _rmse(ref, est)


def energy_pearson_db(reference: ArrayLike, estimate: ArrayLike) -> float:
    """Pearson correlation of the levels in dB.

    Args:
        reference: (F,) linear frame energy of the recording.
        estimate: (F,) linear frame energy of the synthesis, on the same frames.

    Returns:
        -1 to 1, higher is better; undefined (nan) with fewer than 2 frames or where one side is constant.

    Raises:
        ValueError: the contours differ in length, or hold negative or not finite values.
    """
    ref, est = _contours(reference, estimate)
    return pearson(decibels(ref), decibels(est))


def energy_rmse_lin(reference: ArrayLike, estimate: ArrayLike) -> float:
    """Root mean square difference of the linear energies; depends on the level of the recording.

    Arguments, range, undefined cases and errors as `energy_rmse_db`; the unit is that of the magnitudes.
    """
    return _rmse(*_contours(reference, estimate))


def energy_pearson_lin(reference: ArrayLike, estimate: ArrayLike) -> float:
    """Pearson correlation of the linear energies.

    Arguments, range, undefined cases and errors as `energy_pearson_db`.
    """
    return pearson(*_contours(reference, estimate))


def _rmse(ref: NDArray[np.float64], est: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean((est - ref) ** 2))) if ref.size else Undefined("there is no frame")


def _contours(reference: ArrayLike, estimate: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    ref, est = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    if ref.shape != est.shape or ref.ndim != 1:
        raise ValueError(f"reference has shape {ref.shape}, estimate {est.shape}; align them first (see alignment)")
    for name, contour in (("reference", ref), ("estimate", est)):
        if not np.isfinite(contour).all() or (contour < 0).any():
            raise ValueError(f"the {name} has energies that are negative or not finite")
    return ref, est
