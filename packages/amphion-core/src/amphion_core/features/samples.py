"""What every analysis on arrays asks of its samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["check_samples"]


def check_samples(wav: ArrayLike) -> NDArray[np.float64]:
    """Samples as a contiguous float64 array (T,).

    Raises:
        ValueError: not one dimension, no samples, integers, NaN or infinity.
    """
    array = np.asarray(wav)
    if array.ndim != 1:
        raise ValueError(f"wav must be (T,), got shape {array.shape}; mix the channels down or take one clip at a time")
    if array.size == 0:
        raise ValueError("wav has no samples")
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"wav must be floating point in [-1, 1], got {array.dtype}; divide 16-bit samples by 32768")
    samples = np.ascontiguousarray(array, np.float64)
    if not np.isfinite(samples).all():
        raise ValueError(
            f"wav holds {int((~np.isfinite(samples)).sum())} samples that are NaN or infinite; repair or drop the clip"
        )
    return samples
