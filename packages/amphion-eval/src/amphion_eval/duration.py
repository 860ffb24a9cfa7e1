"""How long the estimate is beside the reference. Descriptive: silence at the ends counts as it stands."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from amphion_eval.values import Undefined

__all__ = ["duration_difference", "duration_error", "duration_ratio"]


def duration_difference(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """Duration of the estimate minus that of the reference.

    Args:
        reference: (T,) samples of the recording.
        estimate: (U,) samples of the synthesis, at the same rate.
        sample_rate: Hz.

    Returns:
        Seconds, positive where the estimate is longer, 0 is best.
    """
    return float((np.shape(estimate)[-1] - np.shape(reference)[-1]) / sample_rate)


def duration_error(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """Size of `duration_difference`: too long and too short do not cancel in a mean.

    Args:
        reference: (T,) samples of the recording.
        estimate: (U,) samples of the synthesis, at the same rate.
        sample_rate: Hz.

    Returns:
        Seconds, at least 0, lower is better.
    """
    return abs(duration_difference(reference, estimate, sample_rate))


def duration_ratio(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """Duration of the estimate over that of the reference.

    Args:
        reference: (T,) samples of the recording.
        estimate: (U,) samples of the synthesis, at the same rate.
        sample_rate: Hz; it cancels, and stands here so that all metrics of waveforms are called alike.

    Returns:
        At least 0, 1 is best; undefined (nan) where the reference has no sample.
    """
    samples = np.shape(reference)[-1]
    return float(np.shape(estimate)[-1] / samples) if samples else Undefined("the reference has no sample")
