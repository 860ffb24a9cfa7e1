"""Masks of padded batches: True is valid."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["length_mask", "masked_mean"]


def length_mask(lengths: Tensor, size: int | None = None) -> Tensor:
    """Which places of each row are valid.

    Args:
        lengths: (B,) valid places.
        size: length of the rows; None takes the longest.

    Returns:
        (B, size) bool.
    """
    total = int(lengths.max()) if size is None else size
    return torch.arange(total, device=lengths.device) < lengths[:, None]


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the valid places; 0 where there is none.

    Args:
        values: (B, F) or (B, F, D).
        mask: (B, F) bool.
    """
    if values.dim() == 3:
        mask = mask[..., None].expand_as(values)
    return values.masked_fill(~mask, 0.0).sum() / mask.sum().clamp(min=1)
