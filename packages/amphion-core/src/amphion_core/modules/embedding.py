"""Positions as vectors."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["sinusoidal_positions"]


def sinusoidal_positions(count: int, dim: int) -> Tensor:
    """Sine on even, cosine on odd channels, of the position over 10000^(2 * (channel // 2) / dim).

    Args:
        count: positions, from 0.
        dim: channels.

    Returns:
        (count, dim) float32, computed in float64.

    Source: Vaswani et al., "Attention Is All You Need", 2017, arXiv:1706.03762.
    """
    place = torch.arange(count, dtype=torch.float64)[:, None]
    channel = torch.arange(dim)
    angle = place / 10000.0 ** (2 * (channel // 2).double() / dim)
    return torch.where(channel % 2 == 0, angle.sin(), angle.cos()).float()
