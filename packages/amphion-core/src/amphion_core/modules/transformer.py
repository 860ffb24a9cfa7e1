"""Feed-forward transformer blocks: self-attention, then a convolutional feed-forward network.

Source: Ren et al., "FastSpeech", 2019, arXiv:1905.09263.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.modules.attention import SelfAttention

__all__ = ["ConvFeedForward", "FFTBlock"]


class FFTBlock(nn.Module):
    """Attention and convolutional feed-forward, each with a residual and a LayerNorm after it.

    Args:
        dim: channels.
        heads: of the attention; they divide `dim`.
        filter_size: inner channels of the feed-forward network.
        kernel_sizes: of its two convolutions, odd.
        dropout: after each of the two.
        mask_inside: also set padding to zero between the two convolutions, so that an item does not depend on what
            is padded beside it; it matters where the second kernel is wider than 1.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        filter_size: int,
        kernel_sizes: tuple[int, int],
        dropout: float = 0.0,
        mask_inside: bool = True,
    ) -> None:
        super().__init__()
        self.attention = SelfAttention(dim, heads)
        self.attention_norm = nn.LayerNorm(dim)
        self.feed_forward = ConvFeedForward(dim, filter_size, kernel_sizes, mask_inside)
        self.feed_forward_norm = nn.LayerNorm(dim)
        self.dropout = dropout

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Transform a batch.

        Args:
            x: (B, N, D), zeros at padding.
            mask: (B, N) bool, True = valid.

        Returns:
            (B, N, D), zeros at padding.
        """
        keep = mask[..., None].to(x.dtype)
        attended = F.dropout(self.attention(x, mask), self.dropout, self.training)
        x = self.attention_norm(x + attended) * keep
        forwarded = F.dropout(self.feed_forward(x, keep), self.dropout, self.training)
        return torch.as_tensor(self.feed_forward_norm(x + forwarded) * keep)


class ConvFeedForward(nn.Module):
    """Convolution, ReLU, convolution, over time."""

    def __init__(self, dim: int, filter_size: int, kernel_sizes: tuple[int, int], mask_inside: bool = True) -> None:
        super().__init__()
        first, second = kernel_sizes
        self.expand = nn.Conv1d(dim, filter_size, first, padding=(first - 1) // 2)
        self.contract = nn.Conv1d(filter_size, dim, second, padding=(second - 1) // 2)
        self.mask_inside = mask_inside and second > 1

    def forward(self, x: Tensor, keep: Tensor) -> Tensor:
        """(B, N, D) to (B, N, D); `keep` (B, N, 1) is 1 at valid places."""
        hidden = F.relu(self.expand(x.transpose(1, 2)))  # (B, D', N)
        if self.mask_inside:
            hidden = hidden * keep.transpose(1, 2)
        return torch.as_tensor(self.contract(hidden)).transpose(1, 2)
