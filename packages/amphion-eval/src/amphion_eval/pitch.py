"""Distances between two F0 contours.

Both contours are in Hz on the same frames, 0 where unvoiced. Let V be the frames voiced in both and
d = 1200 log2(estimate / reference) on V. Nothing is aligned here: see `amphion_eval.alignment`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amphion_eval.sums import inner
from amphion_eval.values import Rate, Undefined

__all__ = [
    "f0_median_offset",
    "f0_pearson_cents",
    "f0_pearson_hz",
    "f0_rmse_cents",
    "f0_rmse_cents_median_removed",
    "f0_rmse_hz",
    "ffe",
    "gpe",
    "pearson",
    "periodicity_rmse",
    "vuv_error",
    "vuv_f1",
]

GROSS = 0.2
"""Relative deviation above which a pitch is a gross error (Chu and Alwan, 2009)."""

_NO_COMMON = "no frame is voiced in both"


def f0_rmse_hz(reference: ArrayLike, estimate: ArrayLike) -> float:
    """Root mean square pitch error over the frames voiced in both, in Hz.

    Args:
        reference: (F,) contour of the recording, Hz, 0 where unvoiced.
        estimate: (F,) contour of the synthesis, on the same frames.

    Returns:
        Hz, at least 0, lower is better; undefined (nan) where no frame is voiced in both.

    Raises:
        ValueError: the contours differ in length, or hold negative or not finite values.
    """
    ref, est = _voiced_in_both(reference, estimate)
    return float(np.sqrt(np.mean((est - ref) ** 2))) if ref.size else Undefined(_NO_COMMON)


def f0_rmse_cents(reference: ArrayLike, estimate: ArrayLike) -> float:
    """Root mean square pitch error over the frames voiced in both, in cents.

    Args:
        reference: (F,) contour of the recording, Hz, 0 where unvoiced.
        estimate: (F,) contour of the synthesis, on the same frames.

    Returns:
        Cents, at least 0, lower is better; undefined (nan) where no frame is voiced in both.

    Raises:
        ValueError: the contours differ in length, or hold negative or not finite values.
    """
    cents = _deviation(reference, estimate)
    return float(np.sqrt(np.mean(cents**2))) if cents.size else Undefined(_NO_COMMON)


def f0_median_offset(reference: ArrayLike, estimate: ArrayLike) -> float:
    """Median pitch deviation over the frames voiced in both, in cents: how far the estimate is transposed.

    Args:
        reference: (F,) contour of the recording, Hz, 0 where unvoiced.
        estimate: (F,) contour of the synthesis, on the same frames.

    Returns:
        Cents, positive where the estimate is higher, 0 is best; undefined (nan) where no frame is voiced in both.

    Raises:
        ValueError: the contours differ in length, or hold negative or not finite values.
    """
    cents = _deviation(reference, estimate)
    return float(np.median(cents)) if cents.size else Undefined(_NO_COMMON)


def f0_rmse_cents_median_removed(reference: ArrayLike, estimate: ArrayLike) -> float:
    """Pitch error in cents after each contour's median over the common voiced frames is taken off.

    Ignores transposition: the shape of the melody alone.

    Args:
        reference: (F,) contour of the recording, Hz, 0 where unvoiced.
        estimate: (F,) contour of the synthesis, on the same frames.

    Returns:
        Cents, at least 0, lower is better; undefined (nan) where no frame is voiced in both.

    Raises:
        ValueError: the contours differ in length, or hold negative or not finite values.
    """
    ref, est = (_cents(f0) for f0 in _voiced_in_both(reference, estimate))
    if not ref.size:
        return Undefined(_NO_COMMON)
    return float(np.sqrt(np.mean((est - np.median(est) - ref + np.median(ref)) ** 2)))


def f0_pearson_hz(reference: ArrayLike, estimate: ArrayLike) -> float:
    """Pearson correlation of the contours in Hz over the frames voiced in both.

    Args:
        reference: (F,) contour of the recording, Hz, 0 where unvoiced.
        estimate: (F,) contour of the synthesis, on the same frames.

    Returns:
        -1 to 1, higher is better; undefined (nan) with fewer than 2 common voiced frames or a constant contour.

    Raises:
        ValueError: the contours differ in length, or hold negative or not finite values.
    """
    return _correlation(*_voiced_in_both(reference, estimate))


def f0_pearson_cents(reference: ArrayLike, estimate: ArrayLike) -> float:
    """Pearson correlation of the contours in cents over the frames voiced in both.

    Args:
        reference: (F,) contour of the recording, Hz, 0 where unvoiced.
        estimate: (F,) contour of the synthesis, on the same frames.

    Returns:
        -1 to 1, higher is better; undefined (nan) with fewer than 2 common voiced frames or a constant contour.

    Raises:
        ValueError: the contours differ in length, or hold negative or not finite values.
    """
    ref, est = _voiced_in_both(reference, estimate)
    return _correlation(_cents(ref), _cents(est))


def vuv_f1(reference: ArrayLike, estimate: ArrayLike) -> float:
    """F1 of the voicing decision, the reference being the truth and voiced the positive class.

    Args:
        reference: (F,) contour of the recording, Hz, 0 where unvoiced.
        estimate: (F,) contour of the synthesis, on the same frames.

    Returns:
        0 to 1, higher is better, a `Rate` of 2 TP over 2 TP + FP + FN; undefined (nan) where neither is voiced.

    Raises:
        ValueError: the contours differ in length, or hold negative or not finite values.
    """
    ref, est = (f0 > 0 for f0 in _contours(reference, estimate))
    both, wrong = int(np.sum(ref & est)), int(np.sum(ref != est))
    return Rate(2 * both, 2 * both + wrong) if both + wrong else Undefined("neither has a voiced frame")


def vuv_error(reference: ArrayLike, estimate: ArrayLike) -> float:
    """Share of the frames whose voicing decision differs.

    Args:
        reference: (F,) contour of the recording, Hz, 0 where unvoiced.
        estimate: (F,) contour of the synthesis, on the same frames.

    Returns:
        0 to 1, lower is better, a `Rate` over all frames; undefined (nan) without any frame.

    Raises:
        ValueError: the contours differ in length, or hold negative or not finite values.
    """
    ref, est = (f0 > 0 for f0 in _contours(reference, estimate))
    return Rate(int(np.sum(ref != est)), ref.size) if ref.size else Undefined("there is no frame")


def gpe(reference: ArrayLike, estimate: ArrayLike) -> float:
    """Gross pitch error: share of the frames voiced in both that are off by more than 20 %.

    Args:
        reference: (F,) contour of the recording, Hz, 0 where unvoiced.
        estimate: (F,) contour of the synthesis, on the same frames.

    Returns:
        0 to 1, lower is better, a `Rate` over the frames voiced in both; undefined (nan) where there is none.

    Raises:
        ValueError: the contours differ in length, or hold negative or not finite values.
    """
    ref, est = _voiced_in_both(reference, estimate)
    return Rate(_gross(ref, est), ref.size) if ref.size else Undefined(_NO_COMMON)


def ffe(reference: ArrayLike, estimate: ArrayLike) -> float:
    """F0 frame error: share of all frames with a wrong voicing decision or a gross pitch error.

    Args:
        reference: (F,) contour of the recording, Hz, 0 where unvoiced.
        estimate: (F,) contour of the synthesis, on the same frames.

    Returns:
        0 to 1, lower is better, a `Rate` over all frames; undefined (nan) without any frame.

    Raises:
        ValueError: the contours differ in length, or hold negative or not finite values.

    Source: Chu and Alwan, "Reducing F0 frame error of F0 tracking algorithms under noisy conditions", 2009.
    """
    ref, est = _contours(reference, estimate)
    if not ref.size:
        return Undefined("there is no frame")
    wrong = int(np.sum((ref > 0) != (est > 0)))
    return Rate(wrong + _gross(*_voiced_in_both(ref, est)), ref.size)


def periodicity_rmse(reference: ArrayLike, estimate: ArrayLike) -> float:
    """Root mean square difference of two periodicity contours.

    Args:
        reference: (F,) periodicity of the recording, 0 to 1.
        estimate: (F,) periodicity of the synthesis, on the same frames.

    Returns:
        0 to 1, lower is better; undefined (nan) without any frame.

    Raises:
        ValueError: the contours differ in length, or hold negative or not finite values.

    Source: Morrison et al., "Chunked autoregressive GAN for conditional waveform synthesis", 2022.
    """
    ref, est = _contours(reference, estimate)
    return float(np.sqrt(np.mean((est - ref) ** 2))) if ref.size else Undefined("there is no frame")


def pearson(reference: ArrayLike, estimate: ArrayLike) -> float:
    """Pearson correlation of two sequences.

    Args:
        reference: (F,) values.
        estimate: (F,) values.

    Returns:
        -1 to 1, higher is better; undefined (nan) with fewer than 2 values or where one side does not vary.

    Raises:
        ValueError: the sequences differ in length.
    """
    ref, est = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    if ref.shape != est.shape or ref.ndim != 1:
        raise ValueError(f"reference has shape {ref.shape}, estimate {est.shape}; align them first (see alignment)")
    if ref.size < 2:
        return Undefined(f"a correlation needs 2 frames, there are {ref.size}")
    # Constant up to rounding is constant: a correlation of rounding errors means nothing.
    if any(np.ptp(x) <= 1e-12 * np.max(np.abs(x)) for x in (ref, est)):
        return Undefined("a contour does not vary, so there is no correlation")
    ref, est = ref - ref.mean(), est - est.mean()
    ref, est = (x / np.sqrt(inner(x, x)) for x in (ref, est))
    return float(np.clip(inner(ref, est), -1.0, 1.0))


def _correlation(ref: NDArray[np.float64], est: NDArray[np.float64]) -> float:
    return pearson(ref, est) if ref.size else Undefined(_NO_COMMON)


def _contours(reference: ArrayLike, estimate: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    ref, est = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    if ref.shape != est.shape or ref.ndim != 1:
        raise ValueError(f"reference has shape {ref.shape}, estimate {est.shape}; align them first (see alignment)")
    for name, contour in (("reference", ref), ("estimate", est)):
        if not np.isfinite(contour).all() or (contour < 0).any():
            raise ValueError(f"the {name} has negative or not finite values; unvoiced frames are 0")
    return ref, est


def _voiced_in_both(reference: ArrayLike, estimate: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    ref, est = _contours(reference, estimate)
    voiced = (ref > 0) & (est > 0)
    return ref[voiced], est[voiced]


def _cents(f0: NDArray[np.float64]) -> NDArray[np.float64]:
    cents: NDArray[np.float64] = 1200.0 * np.log2(f0)
    return cents


def _deviation(reference: ArrayLike, estimate: ArrayLike) -> NDArray[np.float64]:
    ref, est = _voiced_in_both(reference, estimate)
    return _cents(est / ref)


def _gross(ref: NDArray[np.float64], est: NDArray[np.float64]) -> int:
    return int(np.sum(np.abs(est / ref - 1.0) > GROSS))
