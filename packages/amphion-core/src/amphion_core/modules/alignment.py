"""Monotonic alignment of tokens to frames: the search, paths, losses and the prior.

The search is numpy only and needs no compiler: each of its three operations per frame runs over the whole batch as
one flat row, with a column of minus infinity between the items, and writes in place; the way back looks at the
decisions as bytes. `benchmarks/alignment.py` compares it with compiled code.

Source: Kim et al., "Glow-TTS", 2020, arXiv:2005.11129 (search); Shih et al., "RAD-TTS", 2021, and Badlani et al.,
"One TTS Alignment To Rule Them All", 2021, arXiv:2108.10447 (forward sum, binarisation, prior).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from amphion_core.modules.masking import length_mask

__all__ = [
    "average_by_duration",
    "beta_binomial_prior",
    "binarisation_loss",
    "durations_to_path",
    "forward_sum_loss",
    "monotonic_alignment",
    "search_monotonic",
]

_RUN = 24  # frames of a column that are searched at a time on the way back
_CHUNK = 32  # frames copied at a time into the flat layout: the copy then stays in the cache


def monotonic_alignment(
    scores: Tensor,
    text_lengths: Tensor,
    frame_lengths: Tensor,
    *,
    ties: Literal["stay", "move"] = "stay",
    double: bool = False,
) -> Tensor:
    """Durations of the best monotonic alignment of every item; see `search_monotonic`.

    Args:
        scores: (B, F, N), the larger the better, on any device.
        text_lengths: (B,) tokens of each item.
        frame_lengths: (B,) frames of each item.
        ties: which way equal sums go.
        double: sum in float64.

    Returns:
        (B, N) int64 frames of each token, 0 beyond the item's tokens, on the device of `scores`.
    """
    table = scores.detach().to("cpu", torch.float32).numpy()
    durations = search_monotonic(
        table, text_lengths.cpu().numpy(), frame_lengths.cpu().numpy(), ties=ties, double=double
    )
    return torch.from_numpy(durations).to(scores.device)


def search_monotonic(
    scores: NDArray[np.float32],
    text_lengths: NDArray[np.integer],
    frame_lengths: NDArray[np.integer],
    *,
    ties: Literal["stay", "move"] = "stay",
    double: bool = False,
) -> NDArray[np.int64]:
    """Durations of the best path through each item's table.

    The path starts at the first token and frame, ends at the last ones, and from frame to frame stays on its token
    or moves to the next, so every token has at least one frame. Its sum of scores is the largest.

    Args:
        scores: (B, F, N) float, the larger the better; what lies beyond the lengths is not looked at.
        text_lengths: (B,) tokens of each item, at least 1.
        frame_lengths: (B,) frames of each item, at least as many as tokens.
        ties: on equal sums, seen from the end: `stay` on the token, or `move` to the one before.
        double: sum in float64; float32 is what VITS does.

    Returns:
        (B, N) frames of each token, 0 beyond the item's tokens.

    Raises:
        ValueError: fewer frames than tokens, or lengths beyond the table.
    """
    scores = np.asarray(scores)
    tokens, frames = np.asarray(text_lengths), np.asarray(frame_lengths)
    _check_lengths(scores.shape, tokens, frames)
    moved = np.greater if ties == "stay" else np.greater_equal
    moves = _forward(scores, (tokens.tolist(), frames.tolist()), np.float64 if double else np.float32, moved)
    durations = np.zeros((scores.shape[0], scores.shape[2]), np.int64)
    table, row_length = moves.tobytes(), moves.shape[1]
    for item, (n, f) in enumerate(zip(tokens.tolist(), frames.tolist(), strict=True)):
        durations[item, :n] = _backward(table, row_length, item * (scores.shape[2] + 1), n, f)
    return durations


def durations_to_path(durations: Tensor, frames: int | None = None) -> Tensor:
    """The path that durations describe, one token per frame.

    Args:
        durations: (B, N) frames of each token, whole numbers.
        frames: frames of the result; None takes the longest item's.

    Returns:
        (B, F, N) bool; rows beyond an item's frames are all False.
    """
    ends = durations.cumsum(1)  # (B, N)
    total = int(ends[:, -1].max()) if frames is None else frames
    place = torch.arange(total, device=durations.device)[None, :, None]  # (1, F, 1)
    return (place < ends[:, None, :]) & (place >= (ends - durations)[:, None, :])


def average_by_duration(values: Tensor, durations: Tensor) -> Tensor:
    """Mean of frame values over each token's frames; 0 for a token without any.

    Args:
        values: (B, F) of the frames.
        durations: (B, N) int64, the sum of each item at most F.

    Returns:
        (B, N).
    """
    ends = durations.cumsum(1)
    sums = F.pad(values.double().cumsum(1), (1, 0))  # (B, F + 1), float64: differences of long sums
    total = sums.gather(1, ends) - sums.gather(1, ends - durations)
    return (total / durations.clamp(min=1)).to(values.dtype)


def beta_binomial_prior(text_lengths: Tensor, frame_lengths: Tensor, scale: float = 1.0) -> Tensor:
    """Log-probability of tokens at frames near the diagonal.

    Row t = 1..T is the beta-binomial distribution of n = N trials with alpha = scale * t and
    beta = scale * (T - t + 1), at k = 0..N - 1 (so a row sums to a little less than one).

    Args:
        text_lengths: (B,) tokens N of each item.
        frame_lengths: (B,) frames T of each item.
        scale: the larger, the narrower.

    Returns:
        (B, F, N) float32, minus infinity beyond the lengths.
    """
    n = text_lengths.double()[:, None, None]
    total = frame_lengths.double()[:, None, None]
    t = torch.arange(1, int(frame_lengths.max()) + 1, device=n.device, dtype=torch.float64)[None, :, None]
    k = torch.arange(int(text_lengths.max()), device=n.device, dtype=torch.float64)[None, None, :]
    valid = (t <= total) & (k < n)
    alpha, beta = scale * t, scale * (total - t + 1).clamp(min=1)
    left = (n - k).clamp(min=0)
    log_choose = torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(left + 1)
    log_ratio = _log_beta(k + alpha, left + beta) - _log_beta(alpha, beta)
    return torch.where(valid, log_choose + log_ratio, -torch.inf).float()


def forward_sum_loss(
    log_probability: Tensor, text_lengths: Tensor, frame_lengths: Tensor, blank: float = -1.0
) -> Tensor:
    """Negative log-likelihood of all monotonic alignments together, per token, by CTC in one batch.

    Args:
        log_probability: (B, F, N) of tokens at frames; what lies beyond the lengths is not looked at.
        text_lengths: (B,) tokens of each item.
        frame_lengths: (B,) frames of each item.
        blank: score of "no token" before the rows are normalised again.

    Returns:
        Mean over the items; 0 for an item with fewer frames than tokens.
    """
    items, _, tokens = log_probability.shape
    valid = length_mask(text_lengths, tokens)[:, None, :]  # (B, 1, N)
    scores = log_probability.masked_fill(~valid, -1e9).clamp(min=-1e9)  # finite, or CTC's gradient is NaN
    rows = F.pad(scores, (1, 0), value=blank).log_softmax(-1).transpose(0, 1)  # (F, B, N + 1)
    targets = torch.arange(1, tokens + 1, device=rows.device).expand(items, tokens)
    return F.ctc_loss(rows, targets, frame_lengths, text_lengths, reduction="mean", zero_infinity=True)


def binarisation_loss(log_probability: Tensor, durations: Tensor, frame_lengths: Tensor) -> Tensor:
    """How far the soft alignment is from the hard one: mean negative log-probability along the path.

    Args:
        log_probability: (B, F, N) of tokens at frames.
        durations: (B, N) of the hard path, int64.
        frame_lengths: (B,) frames of each item.

    Returns:
        Mean over frames, then over items.
    """
    frames = log_probability.shape[1]
    place = torch.arange(frames, device=durations.device).expand(len(durations), frames).contiguous()
    tokens = torch.searchsorted(durations.cumsum(1), place, right=True).clamp(max=durations.shape[1] - 1)  # (B, F)
    chosen = log_probability.gather(2, tokens[..., None]).squeeze(2)  # (B, F)
    chosen = chosen.masked_fill(~length_mask(frame_lengths, frames), 0.0)
    return -(chosen.sum(1) / frame_lengths).mean()


def _log_beta(a: Tensor, b: Tensor) -> Tensor:
    return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)


def _check_lengths(shape: tuple[int, ...], tokens: NDArray[np.integer], frames: NDArray[np.integer]) -> None:
    if len(shape) != 3 or tokens.shape != (shape[0],) or frames.shape != (shape[0],):
        raise ValueError(f"scores (B, F, N) and lengths (B,) expected, got {shape}, {tokens.shape}, {frames.shape}")
    for item, (n, f) in enumerate(zip(tokens.tolist(), frames.tolist(), strict=True)):
        if not 1 <= n <= f:
            raise ValueError(
                f"item {item}: {n} tokens need at least as many frames, and at least one; it has {f} frames"
            )
        if n > shape[2] or f > shape[1]:
            raise ValueError(
                f"item {item}: lengths {n} tokens, {f} frames go beyond the table of {shape[2]}, {shape[1]}"
            )


def _forward(
    scores: NDArray[np.float32], lengths: tuple[list[int], list[int]], dtype: type, moved: np.ufunc
) -> NDArray[np.bool_]:
    """Whether the best path to a cell came from the token before: (F, B * (N + 1) + 1), the last of an item unused."""
    items, frames, tokens = scores.shape
    width = tokens + 1
    # Row i of the block becomes the sums of a frame; row 0 holds those of the frame before. A separator of minus
    # infinity stands before each item and at the end. The views are made once, since making one costs as much as a sum.
    block = np.full((_CHUNK + 1, items * width + 1), -np.inf, dtype)
    block[0, 1:-1:width] = scores[:, 0, 0]
    given = block[1:, 1:].reshape(_CHUNK, items, width)[:, :, :-1]
    steps = [(before[:-1], before[1:], row[1:]) for before, row in pairwise(block)]
    best = np.empty(items * width, dtype)
    # A row of decisions is as long as one of the block, so that a chunk is compared as one flat piece: four times as
    # fast as row by row.
    moves = np.empty((frames, items * width + 1), np.bool_)
    flat, decided, row_length = block.ravel(), moves.ravel(), moves.shape[1]
    by_frame = scores.transpose(1, 0, 2)
    maximum, add = np.maximum, np.add
    padded = [(i, n, f) for i, (n, f) in enumerate(zip(*lengths, strict=True)) if n < tokens or f < frames]
    for start in range(1, frames, _CHUNK):
        count = min(_CHUNK, frames - start)
        given[:count] = by_frame[start : start + count]
        for item, text, total in padded:  # NaN in the padding of one item must not cross into the next
            given[:count, item, text:] = -np.inf
            given[max(0, total - start) : count, item] = 0
        for move, stay, row in steps[:count]:
            maximum(move, stay, out=best)
            add(best, row, row)
        cells = count * row_length
        moved(flat[:cells], flat[1 : cells + 1], out=decided[start * row_length : start * row_length + cells])
        block[0] = block[count]
    table = moves[:, :-1].reshape(frames, items, width)
    corner = np.arange(1, min(frames, tokens))
    table[corner, :, corner] = True  # on the diagonal there is no other way, whatever the scores
    return moves


def _backward(table: bytes, row_length: int, offset: int, tokens: int, frames: int) -> list[int]:
    """Durations along the decisions of one item, whose columns begin at an offset of each row, from its last cell."""
    durations = [0] * tokens
    token, end, row = tokens - 1, frames, frames - 1
    place, span = row * row_length + offset + token, _RUN * row_length
    while token:
        # The column above this cell, nearest first: how far up is the frame that came from the token before?
        above = table[place : place - span if place >= span else None : -row_length].find(1)
        if above < 0:
            row, place = row - _RUN, place - span
            continue
        start = row - above
        durations[token] = end - start
        token, end, row = token - 1, start, start - 1
        place = row * row_length + offset + token
    durations[0] = end
    return durations
