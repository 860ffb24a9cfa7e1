"""Sums whose last digits do not depend on how many threads there are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["inner"]


def inner(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Sum of the products of two arrays of one shape; `@` and `norm` of long ones are split among threads by BLAS."""
    return float(np.sum(first * second))
