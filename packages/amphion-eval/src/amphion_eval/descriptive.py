"""What a voice's spectrum looks like over a whole clip: long-term average spectrum and singing power ratio."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amphion_eval.values import Undefined

__all__ = [
    "LongTermSpectrum",
    "ltas",
    "ltas_distance",
    "singing_power_ratio",
    "singing_power_ratio_difference",
]

LongTermSpectrum = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Frequencies in Hz and densities, (129,) each."""

_SEGMENT = 256
_FLOOR = 1e-14  # per Hz: about the noise that 16-bit samples have anyway
_PERIOD = 0.005  # s between frames of F0
_WINDOW = 0.04  # s of a spectrum: several periods of any voice, so its harmonics stand apart
_FINER = 4  # bins for one of the window, so that none misses the peak of a harmonic by more than 0.1 dB


def ltas(wav: ArrayLike, sample_rate: int) -> LongTermSpectrum:
    """Long-term average spectrum: mean periodogram of half overlapped Hann segments of 256 samples.

    Args:
        wav: (T,) samples, at least 256.
        sample_rate: Hz.

    Returns:
        (129,) frequencies in Hz and (129,) power densities per Hz.

    Raises:
        ValueError: the clip is shorter than a segment, or has more than one channel.

    Source: Welch, "The use of fast Fourier transform for the estimation of power spectra", 1967.
    """
    from scipy.signal import welch

    samples = np.asarray(wav, np.float64)
    if samples.ndim != 1 or samples.size < _SEGMENT:
        raise ValueError(f"a long-term spectrum takes (T,) samples, at least {_SEGMENT}; got shape {samples.shape}")
    frequency, density = welch(samples, sample_rate, window="hann", nperseg=_SEGMENT)
    return frequency, density


def ltas_distance(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """Root mean square difference of two long-term average spectra over the frequencies, in dB.

    Args:
        reference: (T,) samples of the recording.
        estimate: (U,) samples of the output; its timing and length don't matter, its level does.
        sample_rate: Hz.

    Returns:
        dB, at least 0, lower is better; densities below -140 dB count as that. Undefined (nan) where a clip is
        silent or shorter than 256 samples.
    """
    levels = []
    for name, wav in (("reference", reference), ("estimate", estimate)):
        samples = np.asarray(wav, np.float64)
        if samples.shape[-1] < _SEGMENT:
            return Undefined(f"the {name} has {samples.shape[-1]} samples; a segment has {_SEGMENT}")
        if not samples.any():
            return Undefined(f"the {name} is silent")
        levels.append(10 * np.log10(np.maximum(ltas(samples, sample_rate)[1], _FLOOR)))
    return float(np.sqrt(np.mean((levels[1] - levels[0]) ** 2)))


def singing_power_ratio(wav: ArrayLike, sample_rate: int, f0: ArrayLike | None = None) -> float:
    """Highest level within 2 to 4 kHz minus the highest within 0 to 2 kHz, mean over the voiced frames, in dB.

    A ringing voice has a high one: the singer's formant. Descriptive; trained singers reach -15 to -25 dB, others less.

    Args:
        wav: (T,) samples.
        sample_rate: Hz, at least 8000.
        f0: (F,) Hz, 0 = unvoiced, every 5 ms; None takes WORLD's DIO with StoneMask.

    Returns:
        dB, mostly below 0; undefined (nan) where no frame is voiced or the rate is below 8 kHz.

    Source: Omori et al., "Singing power ratio: quantitative evaluation of singing voice quality", 1996.
    """
    samples = np.asarray(wav, np.float64)
    if sample_rate < 8000:
        return Undefined(f"the singing power ratio looks up to 4 kHz; the clip has a rate of {sample_rate} Hz")
    size = round(_WINDOW * sample_rate)
    if samples.size < size or not samples.any():
        return Undefined("the clip is silent or too short for a frame")
    voiced = np.flatnonzero(_f0(samples, sample_rate) if f0 is None else np.asarray(f0))
    centres = np.round(voiced * _PERIOD * sample_rate).astype(np.int64)
    centres = centres[centres < samples.size]
    if not centres.size:
        return Undefined("no frame is voiced")
    padded = np.pad(samples, size)
    frames = padded[centres[:, None] - size // 2 + size + np.arange(size)]  # (F, size)
    n_fft = _FINER << (size - 1).bit_length()
    power = np.abs(np.fft.rfft(frames * np.hanning(size), n_fft)) ** 2
    frequency = np.fft.rfftfreq(n_fft, 1 / sample_rate)
    low = power[:, (frequency > 0) & (frequency < 2000)].max(axis=1)
    high = power[:, (frequency >= 2000) & (frequency <= 4000)].max(axis=1)
    floor = np.finfo(np.float64).tiny
    return float(np.mean(10 * np.log10(np.maximum(high, floor) / np.maximum(low, floor))))


def singing_power_ratio_difference(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """Singing power ratio of the estimate minus that of the reference.

    Args:
        reference: (T,) samples of the recording.
        estimate: (U,) samples of the output.
        sample_rate: Hz.

    Returns:
        dB, positive where the estimate rings more, 0 is best; undefined (nan) where one of both is.
    """
    sides = [singing_power_ratio(wav, sample_rate) for wav in (reference, estimate)]
    for name, side in zip(("reference", "estimate"), sides, strict=True):
        if isinstance(side, Undefined):
            return Undefined(f"the {name}: {side.reason}")
    return sides[1] - sides[0]


def _f0(samples: NDArray[np.float64], sample_rate: int) -> NDArray[np.float64]:
    from amphion_core.features import pitch

    return pitch.f0(samples, sample_rate, frame_period=1000 * _PERIOD, method="dio", f_min=50, f_max=1100)
