"""The processes of one training: which one this is, its device, and what they tell each other.

Set up by accelerate, so `accelerate launch` and `torchrun` both work; a plain start is one process. Gradients are
averaged after the backward pass of a phase, which serves tasks of several phases that wrappers around a module can't.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

__all__ = ["Processes"]

_BUCKET = 16 * 1024 * 1024  # elements that travel at once


class Processes:
    """This process among those of the training.

    Args:
        cpu: stay on the CPU even where there is an accelerator.

    Raises:
        RuntimeError: a launcher started several processes, and they do not find each other.
    """

    def __init__(self, *, cpu: bool = False) -> None:
        from accelerate import PartialState

        # accelerate joins processes without an accelerator only when it is told to stay on the CPU.
        told = os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes")
        cpu = cpu or told or not torch.accelerator.is_available()
        state = PartialState(cpu=cpu)
        self.rank: int = state.process_index
        self.count: int = state.num_processes
        self.device = torch.device("cpu") if cpu else torch.device(state.device)
        launched = int(os.environ.get("WORLD_SIZE", "1"))
        if launched != self.count:
            raise RuntimeError(
                f"the launcher started {launched} processes (WORLD_SIZE), this one sees {self.count}: they would all "
                "train alone. Start them by torchrun or accelerate launch; unset WORLD_SIZE for a single process"
            )

    @property
    def main(self) -> bool:
        """Whether this one writes the log and the checkpoints."""
        return self.rank == 0

    def barrier(self) -> None:
        """Wait for the others."""
        if self.count > 1:
            dist.barrier()

    def average_gradients(self, parameters: Sequence[Tensor], values: Tensor) -> Tensor:
        """Average the gradients in place, and some values with them.

        Args:
            parameters: those of a phase, in the same order everywhere. One that has a gradient in any process
                gets the average over all, with zeros for those without.
            values: (N,) float32, such as losses.

        Returns:
            (N,) averages of `values`.
        """
        if self.count == 1:
            return values
        absent = [p.grad is None for p in parameters]
        for p in parameters:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        present = torch.tensor([0.0 if a else 1.0 for a in absent], device=values.device)
        for bucket in _buckets([p.grad for p in parameters if p.grad is not None]):
            self._average(bucket)
        both = torch.cat([values, present])
        dist.all_reduce(both)
        both /= self.count
        if any(absent):
            for p, share in zip(parameters, both[len(values) :].tolist(), strict=True):
                if share == 0.0:
                    p.grad = None
        return both[: len(values)]

    def copy_from_main(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite tensors by those of the main process."""
        if self.count == 1:
            return
        for bucket in _buckets(tensors):
            flat = torch.cat([t.reshape(-1) for t in bucket])
            dist.broadcast(flat, src=0)
            _spread(flat, bucket)

    def gather(self, value: Any) -> list[Any]:
        """JSON values of all processes, in order of rank, in every process."""
        if self.count == 1:
            return [value]
        data = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8).to(self.device)
        sizes = [torch.zeros(1, dtype=torch.int64, device=self.device) for _ in range(self.count)]
        dist.all_gather(sizes, torch.tensor([len(data)], device=self.device))
        longest = max(int(size) for size in sizes)
        padded = torch.zeros(longest, dtype=torch.uint8, device=self.device)
        padded[: len(data)] = data
        parts = [torch.zeros_like(padded) for _ in range(self.count)]
        dist.all_gather(parts, padded)
        return [json.loads(p[: int(n)].cpu().numpy().tobytes()) for p, n in zip(parts, sizes, strict=True)]

    def close(self) -> None:
        """Leave the group, after which this process can't talk to the others."""
        if self.count > 1 and dist.is_initialized():
            dist.destroy_process_group()

    def _average(self, tensors: Sequence[Tensor]) -> None:
        flat = torch.cat([t.reshape(-1) for t in tensors])
        dist.all_reduce(flat)
        flat /= self.count
        _spread(flat, tensors)


def _spread(flat: Tensor, tensors: Sequence[Tensor]) -> None:
    position = 0
    with torch.no_grad():
        for tensor in tensors:
            tensor.copy_(flat[position : position + tensor.numel()].view_as(tensor))
            position += tensor.numel()


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Groups of one type and bounded size, each tensor in one of them."""
    for dtype in dict.fromkeys(t.dtype for t in tensors):
        bucket: list[Tensor] = []
        held = 0
        for tensor in (t for t in tensors if t.dtype == dtype):
            if bucket and held + tensor.numel() > _BUCKET:
                yield bucket
                bucket, held = [], 0
            bucket.append(tensor)
            held += tensor.numel()
        if bucket:
            yield bucket
