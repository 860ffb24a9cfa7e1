"""The anchors of MUSHRA: the recording through a steep low-pass, so that the bad end of the scale is known.

Source: ITU-R BS.1534-3, 2015, section 5.1: low anchor 3.5 kHz, mid anchor 7 kHz; at most 0.1 dB of ripple below the
edge, and for the low anchor at least 25 dB of attenuation at 4 kHz and 50 dB at 4.5 kHz.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["HIGHEST_SHARE", "low_pass"]

HIGHEST_SHARE = 0.45
"""Of the sampling rate: an edge above it would leave the sound as it is."""

_WIDTH = 1 / 7  # of the edge: 3.5 kHz has its stop band from 4 kHz
_DEPTH = 60.0  # dB


def low_pass(wav: ArrayLike, sample_rate: int, edge: float) -> NDArray[np.float32]:
    """Remove what lies above an edge, without delay.

    Args:
        wav: (T,) samples.
        sample_rate: Hz.
        edge: end of the pass band, Hz; the stop band begins a seventh higher and is 60 dB down.

    Returns:
        (T,) samples.

    Raises:
        ValueError: the edge is not below 0.45 of the rate, or not above 0.
    """
    if not 0 < edge <= HIGHEST_SHARE * sample_rate:
        raise ValueError(
            f"an anchor of {edge:g} Hz needs sound of more than {edge / HIGHEST_SHARE:.0f} Hz, got {sample_rate} Hz"
        )
    samples = np.asarray(wav, np.float64)
    width = edge * _WIDTH
    half = math.ceil((_DEPTH - 7.95) / (2.285 * 2 * np.pi * width / sample_rate) / 2) + 1
    middle = 2 * (edge + width / 2) / sample_rate
    taps = middle * np.sinc(middle * np.arange(-half, half + 1)) * np.kaiser(2 * half + 1, 0.1102 * (_DEPTH - 8.7))
    taps /= taps.sum()
    size = 1 << (samples.size + taps.size - 1).bit_length()
    filtered = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(taps, size), size)
    return np.asarray(filtered[half : half + samples.size], np.float32)
