"""Log-mel frames as Kaldi computes them, which several speaker networks and recognisers were trained with.

Source: Povey et al., "The Kaldi Speech Recognition Toolkit", 2011; without dither, so the same clip gives the same
frames.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["log_mel"]

_LOWEST = 20.0  # Hz, lower edge of the first band
_PREEMPHASIS = 0.97


def log_mel(wav: NDArray[np.floating], bands: int, sample_rate: int) -> NDArray[np.float32]:
    """Natural logarithm of mel powers, Hamming windows of 25 ms every 10 ms, whole windows only.

    Args:
        wav: (T,) samples in the range of 16-bit numbers.
        bands: of the mel scale.
        sample_rate: Hz.

    Returns:
        (F, bands); F = 0 below 25 ms.
    """
    size, hop = sample_rate * 25 // 1000, sample_rate // 100
    samples = np.asarray(wav, np.float64)
    if samples.size < size:
        return np.zeros((0, bands), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[::hop]
    frames = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    window = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(size) / (size - 1))
    n_fft = 1 << (size - 1).bit_length()
    power = np.abs(np.fft.rfft((frames - _PREEMPHASIS * before) * window, n_fft)) ** 2
    energy = power @ _filters(bands, n_fft, sample_rate).T
    return np.log(np.maximum(energy, np.finfo(np.float32).eps)).astype(np.float32)


@lru_cache(maxsize=8)
def _filters(bands: int, n_fft: int, sample_rate: int) -> NDArray[np.float64]:
    """(bands, n_fft // 2 + 1) triangles that are straight on the mel scale, not in Hz."""
    low, high = _mel(np.array(_LOWEST)), _mel(np.array(sample_rate / 2))
    step = (high - low) / (bands + 1)
    bins = _mel(np.arange(n_fft // 2 + 1) * sample_rate / n_fft)
    left = low + np.arange(bands)[:, None] * step
    return np.maximum(0, np.minimum((bins - left) / step, (left + 2 * step - bins) / step))


def _mel(frequency: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1127.0 * np.log1p(frequency / 700.0))
