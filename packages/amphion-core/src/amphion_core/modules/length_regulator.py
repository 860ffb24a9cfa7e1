"""From symbols to frames: each symbol's vector repeated, or spread by Gaussians.

Source: Ren et al., "FastSpeech", 2019, arXiv:1905.09263 (repetition); Shen et al., "Non-Attentive Tacotron", 2020,
arXiv:2010.04301 (Gaussian upsampling, here with one fixed temperature).
"""

from __future__ import annotations

import torch
from torch import Tensor

from amphion_core.modules.masking import length_mask

__all__ = ["gaussian_upsampling", "regulate_length", "token_of_frame"]


def regulate_length(x: Tensor, durations: Tensor, size: int | None = None) -> tuple[Tensor, Tensor]:
    """Repeat each vector as often as its duration says.

    Args:
        x: (B, N, D) one vector per symbol.
        durations: (B, N) frames; fractions are cut off, negative ones count as 0.
        size: frames of the result; None takes the longest item's. What is longer is cut.

    Returns:
        (B, F, D) with zeros beyond each item's frames, and the items' frames (B,) int64 before any cut.
    """
    counts = durations.trunc().clamp(min=0).long()
    lengths = counts.sum(1)
    total = int(lengths.max()) if size is None else size
    tokens, valid = token_of_frame(counts, total)
    frames = x.gather(1, tokens[..., None].expand(-1, -1, x.shape[2]))  # (B, F, D)
    return frames * valid[..., None].to(x.dtype), lengths


def token_of_frame(durations: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Which symbol each frame belongs to, (B, F) int64, and which frames are valid, (B, F) bool.

    Args:
        durations: (B, N) int64, not negative.
        size: frames F of the result.
    """
    ends = durations.cumsum(1)
    place = torch.arange(size, device=durations.device).expand(len(durations), size).contiguous()
    tokens = torch.searchsorted(ends, place, right=True)
    return tokens.clamp(max=durations.shape[1] - 1), length_mask(ends[:, -1], size)


def gaussian_upsampling(
    x: Tensor,
    durations: Tensor,
    frame_mask: Tensor | None = None,
    token_mask: Tensor | None = None,
    delta: float = 0.1,
) -> Tensor:
    """Each frame a mean of all symbols, weighted by a Gaussian around each symbol's centre.

    Args:
        x: (B, N, D) one vector per symbol.
        durations: (B, N) frames, fractions allowed.
        frame_mask: (B, F) valid frames; None: as many frames as the sum of all durations of the longest item.
        token_mask: (B, N) valid symbols; None: all.
        delta: inverse temperature; the larger, the harder the borders.

    Returns:
        (B, F, D).
    """
    if frame_mask is None:
        size = int(durations.sum(1).max())
        place = torch.arange(size, device=x.device).expand(len(x), size).to(x.dtype)
    else:
        place = torch.arange(frame_mask.shape[1], device=x.device) * frame_mask.to(x.dtype)  # padded frames: time 0
    centres = durations.cumsum(1) - durations / 2  # (B, N)
    energy = -delta * (place[..., None] - centres[:, None, :]) ** 2  # (B, F, N)
    if token_mask is not None:
        energy = energy.masked_fill(~token_mask[:, None, :], -torch.inf)
    return energy.softmax(-1) @ x
