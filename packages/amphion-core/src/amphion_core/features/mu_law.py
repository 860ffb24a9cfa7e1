"""Samples as classes: companding by the mu-law, and the grids of labels.

Source: ITU-T G.711, 1988, in the continuous form of van den Oord et al., "WaveNet", 2016, arXiv:1609.03499.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

__all__ = ["label_to_wav", "mu_law_compress", "mu_law_expand", "wav_to_label"]


def mu_law_compress(wav: Tensor, classes: int) -> Tensor:
    """Compand samples in [-1, 1], mu = classes - 1, so that small ones get more of the range."""
    mu = _mu(classes)
    return torch.sign(wav) * torch.log1p(mu * wav.abs()) / math.log1p(mu)


def mu_law_expand(companded: Tensor, classes: int) -> Tensor:
    """The inverse of `mu_law_compress`."""
    mu = _mu(classes)
    return torch.sign(companded) * torch.expm1(companded.abs() * math.log1p(mu)) / mu


def wav_to_label(wav: Tensor, classes: int, *, rounding: Literal["nearest", "down"] = "nearest") -> Tensor:
    """Labels of samples on a grid of `classes` points from -1 to 1.

    Args:
        wav: samples, companded or not; those outside [-1, 1] count as its ends.
        classes: points.
        rounding: `nearest` keeps the mean; `down` takes the point below, as the well known helper does.

    Returns:
        int64 labels of the same shape.
    """
    _mu(classes)
    wav = wav.clamp(-1, 1)
    if rounding == "nearest":
        return torch.round((wav + 1) * ((classes - 1) / 2)).long()
    # The points as NumPy's linspace rounds them; torch's differ in the last bit, and so would labels on a point.
    grid = torch.arange(classes, dtype=torch.float64, device=wav.device) * (2 / (classes - 1)) - 1
    grid[-1] = 1.0
    return torch.bucketize(wav.double(), grid, right=True) - 1


def label_to_wav(labels: Tensor, classes: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """The points of the grid that labels name, in [-1, 1]."""
    return 2 * labels.to(dtype) / _mu(classes) - 1


def _mu(classes: int) -> int:
    if classes < 2:
        raise ValueError(f"a grid needs at least 2 classes, got {classes}; 256 are usual")
    return classes - 1
