"""Short-time spectra on arrays, for what has to work without torch: energies, evaluation, pictures."""

from __future__ import annotations

from typing import Literal

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from amphion_core.features.samples import check_samples

__all__ = ["stft_magnitude", "stft_spectrum"]

PadMode = Literal["center_zero", "center", "same", "none"]


def stft_magnitude(
    wav: ArrayLike,
    n_fft: int = 1024,
    hop_length: int = 256,
    win_length: int | None = None,
    pad_mode: PadMode = "center_zero",
) -> NDArray[np.float64]:
    """Magnitudes of the short-time Fourier transform, (n_fft // 2 + 1, F); arguments as `stft_spectrum`."""
    return np.abs(stft_spectrum(wav, n_fft, hop_length, win_length, pad_mode))


def stft_spectrum(
    wav: ArrayLike,
    n_fft: int = 1024,
    hop_length: int = 256,
    win_length: int | None = None,
    pad_mode: PadMode = "center_zero",
) -> NDArray[np.complex128]:
    """Short-time Fourier transform under a periodic Hann window, in float64.

    Args:
        wav: (T,) samples.
        n_fft: samples of one transform.
        hop_length: samples between frames.
        win_length: samples of the window, centred in `n_fft`; None is `n_fft`.
        pad_mode: `center_zero`: n_fft // 2 zeros at both ends, T // hop_length + 1 frames; `center`: the same by
            reflection; `same`: reflect (n_fft - hop_length) // 2, T // hop_length frames; `none`.

    Returns:
        (n_fft // 2 + 1, F).

    Raises:
        ValueError: bad samples, too few of them, or an unknown padding.
    """
    samples = check_samples(wav)
    size = win_length or n_fft
    if not 0 < size <= n_fft:
        raise ValueError(f"win_length must lie between 1 and n_fft {n_fft}, got {size}")
    padded = _pad(samples, n_fft, hop_length, pad_mode)
    if len(padded) < n_fft:
        raise ValueError(f"wav has {len(samples)} samples, too few for one frame of {n_fft} with padding {pad_mode!r}")
    window = np.zeros(n_fft)
    left = (n_fft - size) // 2
    window[left : left + size] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    frames = sliding_window_view(padded, n_fft)[::hop_length]  # (F, n_fft)
    spectrum: NDArray[np.complex128] = scipy.fft.rfft(frames * window).T
    return spectrum


def _pad(samples: NDArray[np.float64], n_fft: int, hop_length: int, pad_mode: str) -> NDArray[np.float64]:
    match pad_mode:
        case "none":
            return samples
        case "center_zero":
            return np.pad(samples, n_fft // 2)
        case "center" | "same":
            amount = n_fft // 2 if pad_mode == "center" else (n_fft - hop_length) // 2
            if len(samples) <= amount:
                raise ValueError(f"wav has {len(samples)} samples, reflecting {amount} at each end needs {amount + 1}")
            return np.pad(samples, amount, mode="reflect")
    raise ValueError(f"pad_mode must be center_zero, center, same or none, got {pad_mode!r}")
