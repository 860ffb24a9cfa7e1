"""What a training refuses: numbers that are not finite, loss terms that vanish, batches that don't fit in memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

__all__ = ["BadSteps", "BufferGuard", "TermGuard", "is_out_of_memory"]


class BadSteps:
    """Counts refused steps and ends the run after too many in a row.

    Args:
        limit: consecutive refused steps at which the run stops.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.total = 0
        self.consecutive = 0

    def good(self) -> None:
        """A step was made."""
        self.consecutive = 0

    def bad(self, step: int, why: str) -> None:
        """A step was refused.

        Raises:
            FloatingPointError: it was the last that is allowed.
        """
        self.total += 1
        self.consecutive += 1
        if self.consecutive >= self.limit:
            raise FloatingPointError(
                f"step {step}: {why}; that is {self.consecutive} refused steps in a row (trainer.max_bad_steps). "
                "The weights are those of the last good step. Lower the learning rate, set clip_norm, use fp32 or "
                "bf16, or look for broken data; then run again from the newest checkpoint"
            )


class BufferGuard:
    """Keeps the buffers of a task as they were before a step, so that a refused one leaves no trace in them.

    Running statistics are written by the forward pass, long before a step can be judged.

    Args:
        module: its persistent buffers are kept.
    """

    def __init__(self, module: nn.Module) -> None:
        # Walking through a large network takes a while, so it is done once; the tensors are looked up each time.
        self._places = [
            (part, name)
            for part in module.modules()
            for name in part._buffers
            if name not in part._non_persistent_buffers_set
        ]
        self._kept: list[Tensor] = []

    def tensors(self) -> list[Tensor]:
        """The buffers, each once, in a fixed order."""
        found = {id(b): b.detach() for part, name in self._places if (b := part._buffers[name]) is not None}
        return list(found.values())

    def remember(self) -> None:
        """Keep a copy of all persistent buffers."""
        buffers = self.tensors()
        if [(b.shape, b.dtype, b.device) for b in buffers] != [(k.shape, k.dtype, k.device) for k in self._kept]:
            self._kept = [torch.empty_like(b) for b in buffers]
        if buffers:
            with torch.no_grad():
                torch._foreach_copy_(self._kept, buffers)

    def restore(self) -> None:
        """Put the copies back."""
        with torch.no_grad():
            for buffer, kept in zip(self.tensors(), self._kept, strict=True):
                buffer.copy_(kept)


class TermGuard:
    """Holds the loss terms of each phase against those of earlier steps; a term may join, none may vanish."""

    def __init__(self) -> None:
        self._known: dict[str, list[str]] = {}

    def state_dict(self) -> dict[str, list[str]]:
        """The known terms of each phase."""
        return dict(self._known)

    def load_state_dict(self, state: Mapping[str, list[str]]) -> None:
        """Take back what `state_dict` gave."""
        self._known = {phase: list(names) for phase, names in state.items()}

    def check(self, phase: str, names: Collection[str]) -> list[str]:
        """Compare; returns names that are new since an earlier step.

        Raises:
            ValueError: a term is gone, or there are none.
        """
        known = self._known.get(phase)
        if known is not None and known == list(names):
            return []
        if not names:
            raise ValueError(f"the phase {phase!r} yielded no loss terms; leave the phase out of a step that has none")
        gone = sorted(set(known or ()) - set(names))
        if gone:
            raise ValueError(
                f"the phase {phase!r} lost its loss terms {', '.join(gone)}; it yielded {', '.join(names)}, before "
                "also those. A term that is switched off must be yielded as zero, or its absence would go unnoticed"
            )
        self._known[phase] = list(names)
        return [] if known is None else sorted(set(names) - set(known))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the device or the host has no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)
