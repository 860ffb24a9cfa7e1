"""How loud a clip is, as broadcasting measures it, and how much louder than its reference."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from amphion_core import audio
from amphion_eval.values import Undefined

__all__ = ["loudness", "loudness_difference"]


def loudness(wav: ArrayLike, sample_rate: int) -> float:
    """Integrated loudness with both gates. Descriptive: neither end is best.

    Args:
        wav: (T,) samples.
        sample_rate: Hz.

    Returns:
        LUFS, minus infinity for silence; undefined (nan) under 0.4 s.

    Source: ITU-R BS.1770-4, 2015.
    """
    value = audio.loudness(np.asarray(wav, np.float64), sample_rate)
    seconds = np.shape(wav)[-1] / sample_rate
    return Undefined(f"{seconds:.3f} s are shorter than the 0.4 s of a block") if math.isnan(value) else value


def loudness_difference(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """Integrated loudness of the estimate minus that of the reference.

    Args:
        reference: (T,) samples of the recording.
        estimate: (U,) samples of the output.
        sample_rate: Hz.

    Returns:
        LU, positive where the estimate is louder, 0 is best; undefined (nan) where one is silent or under 0.4 s.
    """
    sides = [loudness(wav, sample_rate) for wav in (reference, estimate)]
    for name, side in zip(("reference", "estimate"), sides, strict=True):
        if isinstance(side, Undefined):
            return Undefined(f"the {name}: {side.reason}")
        if math.isinf(side):
            return Undefined(f"the {name} is silent")
    return sides[1] - sides[0]
