"""Exponential moving average of the weights of the exported network."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

__all__ = ["Average"]


class Average:
    """average = decay * average + (1 - decay) * weights, after each step.

    Args:
        model: its floating-point parameters are averaged; buffers and the rest are those of the model.
        decay: of the average, in (0, 1).
        start: before this step the average is the weights themselves.
    """

    def __init__(self, model: nn.Module, decay: float, start: int = 0) -> None:
        self._names = [name for name, p in model.named_parameters() if p.is_floating_point()]
        self._weights = [p.detach() for p in model.parameters() if p.is_floating_point()]
        self._average = [p.clone() for p in self._weights]
        self.decay = decay
        self.start = start

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after a step.

        Args:
            step: number of the step just made, from 1.
        """
        if step <= self.start:
            torch._foreach_copy_(self._average, self._weights)
        else:
            torch._foreach_lerp_(self._average, self._weights, 1.0 - self.decay)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Put the average into the model; the weights come back, bit for bit, at the end of the block."""
        kept = [p.clone() for p in self._weights]
        with torch.no_grad():
            torch._foreach_copy_(self._weights, self._average)
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(self._weights, kept)

    @torch.no_grad()
    def reset(self) -> None:
        """Begin anew from the weights."""
        torch._foreach_copy_(self._average, self._weights)

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Take the average from an exported state dict of the model."""
        with torch.no_grad():
            for name, average in zip(self._names, self._average, strict=True):
                average.copy_(weights[name])

    def memory(self) -> int:
        """Bytes that the average holds."""
        return sum(t.numel() * t.element_size() for t in self._average)
