"""Triangular mel filters on numpy, equal to librosa's; the one filter bank of all mel features.

Source: Slaney, "Auditory Toolbox", 1998 (scale and area normalisation); HTK book, 2006 (the other scale).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amphion_core.features.mel_config import MelConfig

__all__ = ["filterbank", "hz_to_mel", "mel_to_hz"]

# Slaney's scale: linear below 1 kHz (200/3 Hz a mel), then 27 steps of a constant ratio from 1 kHz to 6.4 kHz
_LINEAR = 200.0 / 3
_CORNER_HZ = 1000.0
_CORNER_MEL = _CORNER_HZ / _LINEAR
_LOG_STEP = np.log(6.4) / 27


def hz_to_mel(frequency: ArrayLike, scale: str = "slaney") -> NDArray[np.float64]:
    """Frequency in Hz to mels of the scale `slaney` or `htk`, any shape."""
    hz = np.asarray(frequency, np.float64)
    if scale == "htk":
        return np.asarray(2595.0 * np.log10(1.0 + hz / 700.0))
    return np.where(
        hz < _CORNER_HZ, hz / _LINEAR, _CORNER_MEL + np.log(np.maximum(hz, _CORNER_HZ) / _CORNER_HZ) / _LOG_STEP
    )


def mel_to_hz(mel: ArrayLike, scale: str = "slaney") -> NDArray[np.float64]:
    """Mels of the scale `slaney` or `htk` to Hz, any shape."""
    value = np.asarray(mel, np.float64)
    if scale == "htk":
        return np.asarray(700.0 * (10.0 ** (value / 2595.0) - 1.0))
    return np.where(value < _CORNER_MEL, value * _LINEAR, _CORNER_HZ * np.exp(_LOG_STEP * (value - _CORNER_MEL)))


@lru_cache(maxsize=64)
def _filterbank(
    sample_rate: int, n_fft: int, n_mels: int, low: float, high: float, scale: str, norm: str
) -> NDArray[np.float64]:
    edges = mel_to_hz(np.linspace(hz_to_mel(low, scale), hz_to_mel(high, scale), n_mels + 2), scale)  # (n_mels + 2,)
    bins = np.arange(n_fft // 2 + 1) * (sample_rate / n_fft)
    rising = (bins[None] - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins[None]) / (edges[2:] - edges[1:-1])[:, None]
    weights = np.maximum(0.0, np.minimum(rising, falling))  # (n_mels, bins)
    if norm == "slaney":
        weights *= (2.0 / (edges[2:] - edges[:-2]))[:, None]
    weights.flags.writeable = False
    return weights


def filterbank(config: MelConfig) -> NDArray[np.float64]:
    """Mel filters of a configuration.

    Returns:
        (n_mels, n_fft // 2 + 1) weights, read-only and cached. Bands narrower than a bin are empty.
    """
    return _filterbank(
        config.sample_rate,
        config.n_fft,
        config.n_mels,
        config.f_min,
        config.upper_edge,
        config.mel_scale,
        config.mel_norm,
    )
