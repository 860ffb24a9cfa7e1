"""How periodic a voice is, frame by frame, by CREPE (extra `crepe`); silent frames count as not periodic.

Source: Morrison et al., "Chunked autoregressive GAN for conditional waveform synthesis", 2022 (frames every 10 ms at
16 kHz; frames below -60 dB, A-weighted, are 0). Deviation: 160 samples at 16 kHz instead of 256 at 22 050 Hz.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amphion_eval.spectral import Resolution, magnitude_stft

__all__ = ["a_weighted_level", "a_weighting", "periodicity"]

SILENCE = -60.0
"""Level in dB below which a frame is silent."""

_RATE = 16000
_HOP_LENGTH = 160


def periodicity(
    wav: ArrayLike,
    sample_rate: int,
    *,
    f_min: float = 50.0,
    f_max: float = 1100.0,
    model: Literal["full", "tiny"] = "full",
) -> NDArray[np.float64]:
    """Periodicity contour.

    Args:
        wav: (T,) samples.
        sample_rate: Hz; other than 16 kHz is resampled.
        f_min: lowest pitch, Hz.
        f_max: highest pitch, Hz.
        model: size of the network.

    Returns:
        (F,) in 0 to 1, every 10 ms.

    Raises:
        MissingExtraError: torchcrepe is not installed.
        ValueError: bad samples.
    """
    from amphion_core import audio
    from amphion_core.features.trackers import crepe_periodicity

    samples = audio.resample(np.asarray(wav, np.float32), sample_rate, _RATE)
    contour = crepe_periodicity(samples, _RATE, hop_length=_HOP_LENGTH, f_min=f_min, f_max=f_max, model=model)
    level = a_weighted_level(samples, _RATE, _HOP_LENGTH)
    return np.where(level[: len(contour.periodicity)] < SILENCE, 0.0, contour.periodicity)


def a_weighted_level(wav: ArrayLike, sample_rate: int, hop_length: int) -> NDArray[np.float64]:
    """A-weighted level of each frame, the mean over the bins in dB.

    Args:
        wav: (T,) samples.
        sample_rate: Hz.
        hop_length: samples between frames.

    Returns:
        (F,) dB, -100 to about 40; F = T // hop_length + 1.
    """
    magnitude = magnitude_stft(wav, Resolution(1024, hop_length, 1024), padding="constant")
    level = 20.0 * np.log10(np.maximum(magnitude, 1e-5))
    level = np.maximum(level, level.max() - 80.0)
    weights = a_weighting(np.arange(513) * sample_rate / 1024) - 20.0
    mean: NDArray[np.float64] = np.maximum(level + weights, -100.0).mean(axis=1)
    return mean


def a_weighting(frequency: ArrayLike) -> NDArray[np.float64]:
    """The A curve, dB, 0 at 1 kHz, not below -80.

    Args:
        frequency: Hz.

    Source: IEC 61672-1.
    """
    square = np.asarray(frequency, np.float64) ** 2
    poles = (square + 20.6**2) * np.sqrt((square + 107.7**2) * (square + 737.9**2)) * (square + 12194.0**2)
    with np.errstate(divide="ignore"):
        gain: NDArray[np.float64] = 2.0 + 20.0 * np.log10(12194.0**2 * square**2 / poles)
    return np.maximum(gain, -80.0)
