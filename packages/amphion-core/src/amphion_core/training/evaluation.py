"""Validation and samples: figures averaged over batches and processes, sounds and pictures into the run folder."""

from __future__ import annotations

import contextlib
import logging
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from amphion_core import audio
from amphion_core.atomic import atomic_writer
from amphion_core.data.mixing import EmptySetError
from amphion_core.pictures import png
from amphion_core.training.batch import move
from amphion_core.training.processes import Processes
from amphion_core.training.task import Sample, Task

__all__ = ["Evaluation", "evaluating", "save_samples"]

log = logging.getLogger(__name__)


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """A block in evaluation mode and without gradients; each part then gets back the mode that it had."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, mode in modes:
            part.training = mode


class Evaluation:
    """The validation set of a task and what is made of it.

    Args:
        task: what is trained.
        processes: those that share the batches.

    Attributes:
        empty: why there is nothing to validate, where there is nothing.
    """

    def __init__(self, task: Task[Any, Any], processes: Processes) -> None:
        self._task = task
        self._processes = processes
        self._loader, self.empty = None, "the recipe has no validation data"
        try:
            self._loader = task.loader("valid", processes.rank, processes.count)
        except EmptySetError as error:
            self.empty = str(error)
        self._start = None if self._loader is None else self._loader.state_dict()

    def close(self) -> None:
        """End the processes that load, where there are any."""
        if self._loader is not None:
            self._loader.close()

    def figures(self, autocast: Callable[[], contextlib.AbstractContextManager[Any]]) -> dict[str, float]:
        """Mean of each figure over all batches; empty where there is no validation data.

        Args:
            autocast: makes the context that sets the precision of the forward passes.

        Returns:
            Figures by name; `total` is their sum unless the task gives one.
        """
        sums: dict[str, list[float]] = {}
        for batch in self._batches():
            with autocast():
                values = self._task.validate(batch)
            for name, value in zip(values, torch.stack([v.float() for v in values.values()]).tolist(), strict=True):
                total = sums.setdefault(name, [0.0, 0])
                total[0] += value
                total[1] += 1
        means: dict[str, float] = {}
        parts = self._processes.gather({name: [repr(value), count] for name, (value, count) in sums.items()})
        for name in dict.fromkeys(name for part in parts for name in part):
            held = [part[name] for part in parts if name in part]
            means[name] = math.fsum(float(value) for value, _ in held) / sum(count for _, count in held)
        if means and "total" not in means:
            means["total"] = sum(means.values())
        return means

    def samples(self) -> list[Sample]:
        """What the task makes of the first validation batch, in float32; empty where there is none."""
        batch = next(self._batches(), None)
        if batch is None:
            return []
        return list(self._task.sample(batch))

    def _batches(self) -> Iterator[Any]:
        if self._loader is None:
            return
        self._loader.load_state_dict(self._start or {})
        for batch in self._loader:
            yield move(batch, self._processes.device)


def save_samples(folder: Path, samples: list[Sample]) -> list[str]:
    """Write sounds and pictures; returns what could not be written, and why.

    Args:
        folder: made if absent; files of the same names are replaced.
        samples: their names become file names; characters other than letters, digits, `-`, `_` and `.` become `_`.
    """
    faults = []
    for sample in samples:
        name = re.sub(r"[^\w.-]", "_", sample.name).lstrip(".")[:100] or "sample"
        if sample.wav is not None:
            if sample.wav.size == 0 or not np.isfinite(sample.wav).all():
                faults.append(f"{name}: a waveform of shape {sample.wav.shape} that is empty or not finite")
            else:
                audio.save(folder / f"{name}.wav", np.asarray(sample.wav, np.float32), sample.sample_rate)
        if sample.picture is not None:
            with atomic_writer(folder / f"{name}.png") as file:
                file.write(png(sample.picture))
    return faults
