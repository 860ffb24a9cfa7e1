"""Multi-head self-attention.

Source: Vaswani et al., "Attention Is All You Need", 2017, arXiv:1706.03762.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["SelfAttention"]


class SelfAttention(nn.Module):
    """Attention of a sequence to itself, with biases in all four projections.

    Args:
        dim: channels.
        heads: they divide `dim`.

    Raises:
        ValueError: they don't.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"{heads} heads do not divide {dim} channels")
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Attend.

        Args:
            x: (B, N, D).
            mask: (B, N) bool, True = valid; each item has at least one valid place.

        Returns:
            (B, N, D).
        """
        query, key, value = (self._split(layer(x)) for layer in (self.query, self.key, self.value))  # (B, H, N, D / H)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None, :])
        return torch.as_tensor(self.out(attended.transpose(1, 2).flatten(2)))

    def _split(self, x: Tensor) -> Tensor:
        items, places, dim = x.shape
        return x.reshape(items, places, self.heads, dim // self.heads).transpose(1, 2)
