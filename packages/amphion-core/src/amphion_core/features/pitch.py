"""Fundamental frequency of a voice, by several trackers on one frame grid, and what models and metrics make of it.

Nothing here needs torch; `crepe` and `fcpe` import it when asked for.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amphion_core.features.pyin import pyin_f0
from amphion_core.features.samples import check_samples
from amphion_core.features.trackers import crepe_f0, fcpe_f0, praat_f0
from amphion_core.features.world import dio_f0, harvest_f0

__all__ = [
    "F0Method",
    "cents",
    "coarse_f0",
    "f0",
    "fit_frames",
    "interpolate_f0",
    "log_f0",
    "semitones",
    "unvoiced_flags",
    "voiced",
]

F0Method = Literal["dio", "harvest", "pyin", "praat", "crepe", "fcpe"]

_Contour = NDArray[np.float64]


def f0(
    wav: ArrayLike,
    sample_rate: int,
    *,
    hop_length: float | None = None,
    frame_period: float | None = None,
    method: F0Method = "dio",
    f_min: float = 50.0,
    f_max: float = 1100.0,
    frames: int | None = None,
) -> _Contour:
    """F0 contour; frame i lies at sample i * hop_length, whatever the method.

    Args:
        wav: (T,) samples.
        sample_rate: Hz.
        hop_length: samples between frames; give this or `frame_period`.
        frame_period: ms between frames.
        method: `dio` (WORLD's DIO + StoneMask, fast), `harvest` (WORLD), `pyin`, or behind extras `praat`
            (autocorrelation), `crepe`, `fcpe` (neural).
        f_min: lowest F0, Hz.
        f_max: highest F0, Hz.
        frames: length wanted, such as that of a mel; the contour is cut, or its last value repeated.

    Returns:
        (F,) Hz, 0 = unvoiced; F = T // hop_length + 1 where `frames` is None.

    Raises:
        ValueError: neither or both of the hops, an unknown method, bad samples, or a `frames` that
            is more than 0.1 s away from the clip's length.
        MissingExtraError: the method's package is not installed.
    """
    samples = check_samples(wav)
    hop = _hop(sample_rate, hop_length, frame_period)
    if not 0 < f_min < f_max:
        raise ValueError(f"f_min {f_min} Hz must lie above 0 and below f_max {f_max} Hz")
    match method:
        case "dio":
            contour = dio_f0(samples, sample_rate, hop_length=hop, f_min=f_min, f_max=f_max)
        case "harvest":
            contour = harvest_f0(samples, sample_rate, hop_length=hop, f_min=f_min, f_max=f_max)
        case "pyin":
            contour = pyin_f0(samples, sample_rate, hop_length=_whole(hop, method), f_min=f_min, f_max=f_max)
        case "praat":
            contour = praat_f0(samples, sample_rate, hop_length=hop, f_min=f_min, f_max=f_max, frames=frames)
        case "crepe":
            contour = crepe_f0(samples, sample_rate, hop_length=hop, f_min=f_min, f_max=f_max)
        case "fcpe":
            contour = fcpe_f0(samples, sample_rate, hop_length=hop, f_min=f_min, f_max=f_max)
        case _:
            raise ValueError(f"no F0 method {method!r}; choose one of {', '.join(get_args(F0Method))}")
    if frames is None:
        return contour
    if abs(frames - len(contour)) > 2 + math.ceil(0.1 * sample_rate / hop):
        raise ValueError(f"{frames} frames were asked for, but the clip has {len(contour)} at a hop of {hop:g} samples")
    return fit_frames(contour, frames)


def fit_frames(contour: ArrayLike, frames: int) -> _Contour:
    """Cut a contour (F,) to that many frames, or repeat its last value; an empty one becomes zeros."""
    values = np.asarray(contour, np.float64)
    if len(values) == 0:
        return np.zeros(frames)
    return np.concatenate([values[:frames], np.full(max(0, frames - len(values)), values[-1])])


def voiced(contour: ArrayLike) -> NDArray[np.bool_]:
    """Frames that have a pitch, (F,) bool."""
    return np.asarray(contour) > 0


def interpolate_f0(contour: ArrayLike) -> _Contour:
    """Fill the unvoiced frames by straight lines between voiced ones; ends hold the nearest voiced value.

    Args:
        contour: (F,) Hz, 0 = unvoiced. One without any voiced frame stays 0.
    """
    values = np.array(contour, np.float64)
    present = np.flatnonzero(values > 0)
    if len(present) == 0:
        return values
    return np.interp(np.arange(len(values)), present, values[present])


def unvoiced_flags(contour: ArrayLike) -> NDArray[np.int64]:
    """Unvoiced flags as models take them beside an interpolated contour.

    A frame counts as unvoiced (1) only where its two neighbours are unvoiced as well; the first and the last are 0.

    Args:
        contour: (F,) Hz before the interpolation, 0 = unvoiced.
    """
    raw = (np.asarray(contour) <= 0).astype(np.int64)
    flags = np.zeros_like(raw)
    if len(raw) > 2:
        flags[1:-1] = np.minimum(np.minimum(raw[:-2], raw[1:-1]), raw[2:])
    return flags


def log_f0(contour: ArrayLike) -> _Contour:
    """Natural log of the contour, 0 where unvoiced."""
    values = np.asarray(contour, np.float64)
    return np.log(np.where(values > 0, values, 1.0))


def cents(contour: ArrayLike, reference: float = 440.0) -> _Contour:
    """Cents above the reference in Hz, (F,); nan where unvoiced."""
    values = np.asarray(contour, np.float64)
    return 1200 * np.log2(np.where(values > 0, values, np.nan) / reference)


def semitones(contour: ArrayLike, reference: float = 440.0) -> _Contour:
    """Semitones above the reference in Hz, (F,); nan where unvoiced. MIDI numbers are these + 69 at 440 Hz."""
    return cents(contour, reference) / 100


def coarse_f0(
    contour: ArrayLike,
    *,
    bins: int = 256,
    f_min: float = 50.0,
    f_max: float = 1100.0,
    rounding: Literal["even", "half_up"] = "half_up",
) -> NDArray[np.int64]:
    """Indices of equal steps on the mel scale, as embeddings take them.

    Args:
        contour: (F,) or any shape, Hz, 0 = unvoiced, which gives 1.
        bins: number of indices; 1 to bins - 1 are used.
        f_min: Hz of index 1.
        f_max: Hz of index bins - 1.
        rounding: what a half becomes; released models were trained with `half_up` (floor(x + 0.5), tensors) or with
            `even` (arrays).
    """
    values = np.asarray(contour, np.float64)
    low, high = _mel(np.asarray(f_min)), _mel(np.asarray(f_max))
    index = (_mel(values) - low) * (bins - 2) / (high - low) + 1
    index = np.clip(np.where(values > 0, index, 1.0), 1, bins - 1)
    return (np.rint(index) if rounding == "even" else np.floor(index + 0.5)).astype(np.int64)


def _mel(frequency: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1127 * np.log1p(frequency / 700))


def _hop(sample_rate: int, hop_length: float | None, frame_period: float | None) -> float:
    if (hop_length is None) == (frame_period is None):
        raise ValueError(f"give hop_length or frame_period, got {hop_length} and {frame_period}")
    hop = hop_length if hop_length is not None else frame_period * sample_rate / 1000  # type: ignore[operator]
    if hop <= 0:
        raise ValueError(f"frames must lie more than 0 samples apart, got {hop}")
    return hop


def _whole(hop: float, method: str) -> int:
    if hop != int(hop):
        raise ValueError(
            f"{method} needs a whole number of samples between frames, got {hop}; choose another frame period"
        )
    return int(hop)
