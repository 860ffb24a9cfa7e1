"""Joins items of unequal length into one padded array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["pad_stack"]


def pad_stack(items: Sequence[Any], axis: int = -1, value: float = 0.0) -> tuple[Any, Any]:
    """Stack arrays that differ in one axis, filled up to the longest.

    Args:
        items: arrays or tensors, such as (T_i,) or (n_mels, F_i), of one dtype.
        axis: the axis of an item that may differ.
        value: what fills the rest.

    Returns:
        The stack (B, ..., longest, ...), and the lengths (B,), int64; tensors where the items are tensors.

    Raises:
        ValueError: nothing to stack, or the items differ in another axis, in their number of axes or in dtype.
    """
    if not items:
        raise ValueError("no item to stack; a batch needs at least one")
    first = items[0]
    axis = range(first.ndim)[axis] if first.ndim else -1
    for number, item in enumerate(items):
        if axis < 0 or _frame(item, axis) != _frame(first, axis):
            raise ValueError(
                f"item {number} has shape {tuple(item.shape)} and dtype {item.dtype}, item 0 {tuple(first.shape)} and "
                f"{first.dtype}; they may differ in axis {axis} only"
            )
    lengths = [int(item.shape[axis]) for item in items]
    shape = (len(items), *first.shape[:axis], max(lengths), *first.shape[axis + 1 :])
    tensors = hasattr(first, "new_full")
    stacked = first.new_full(shape, value) if tensors else np.full(shape, value, first.dtype)
    inner = (slice(None),) * axis
    for row, item, length in zip(stacked, items, lengths, strict=True):
        row[(*inner, slice(length))] = item
    if tensors:
        import torch

        return stacked, torch.tensor(lengths, dtype=torch.int64, device=first.device)
    return stacked, np.array(lengths, np.int64)


def _frame(item: Any, axis: int) -> tuple[Any, ...]:
    """What must be equal in all items."""
    return (item.ndim, *item.shape[:axis], *item.shape[axis + 1 :], item.dtype)
