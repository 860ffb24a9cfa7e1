"""One optimiser step of a task: all its phases, every update judged before it is made."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from amphion_core.training.batch import describe
from amphion_core.training.config import TrainerConfig
from amphion_core.training.ema import Average
from amphion_core.training.guard import BadSteps, BufferGuard, TermGuard, is_out_of_memory
from amphion_core.training.phase import Outcome, Phase
from amphion_core.training.processes import Processes
from amphion_core.training.task import Progress, Task

__all__ = ["Stepper"]

log = logging.getLogger(__name__)


class Stepper:
    """Makes the steps of a training.

    Args:
        task: networks and losses.
        phases: their updates, by name.
        config: accumulation, precision, bounds.
        processes: those that train together.
        ema: the average of the exported network, where one is kept.
        note: writes a line into the log.
    """

    def __init__(
        self,
        task: Task[Any, Any],
        phases: Mapping[str, Phase],
        config: TrainerConfig,
        processes: Processes,
        ema: Average | None,
        note: Callable[[str], None],
    ) -> None:
        self._task, self._phases, self._config, self._processes = task, phases, config, processes
        self._ema, self._note = ema, note
        self.bad = BadSteps(config.max_bad_steps)
        self.buffers = BufferGuard(task)
        self._terms = TermGuard()

    def step(self, group: list[Any], step: int, epoch: int, wish: str) -> list[tuple[str, Outcome]]:
        """Update every phase that the task yields.

        Args:
            group: batches of the step, on the device.
            step: steps done before.
            epoch: pass over the data, from 0.
            wish: why this process wishes to stop, as in `Outcome`.

        Returns:
            Name and outcome of each update, in order.

        Raises:
            RuntimeError: the memory does not suffice; names the batch.
            ValueError: the losses break the contract of `Task`.
        """
        self._task.progress = Progress(step, epoch, self._config.steps)
        self.buffers.remember()
        outcomes: list[tuple[str, Outcome]] = []
        for number, batch in enumerate(group, 1):
            try:
                outcomes += self._updates(batch, step, epoch, wish, last=number == len(group))
            except (RuntimeError, MemoryError) as error:
                if is_out_of_memory(error):
                    raise RuntimeError(self._memory_words(batch, step, error)) from error
                raise
        if not outcomes:
            raise ValueError(f"Task.step yielded no phase in step {step + 1}; it must yield {', '.join(self._phases)}")
        return outcomes

    def judge(self, step: int, outcomes: list[Outcome]) -> None:
        """Count a step as good or refused, and keep the average of the weights.

        Args:
            step: steps done, with this one.
            outcomes: of its updates.

        Raises:
            FloatingPointError: too many were refused in a row.
        """
        faults = "; ".join(outcome.fault for outcome in outcomes if outcome.fault)
        if faults:
            self.buffers.restore()
        if self._processes.count > 1:
            self._processes.copy_from_main(self.buffers.tensors())
        if not faults:
            self.bad.good()
            if self._ema is not None:
                self._ema.update(step)
        elif all(outcome.overflow for outcome in outcomes if outcome.fault):
            self._note(f"fp16 overflow, the loss scale is lower now: {faults}")
        else:
            self._note(f"refused: {faults}")
            log.warning("step %d refused: %s", step, faults)
            self.bad.bad(step, faults)

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """The precision of forward passes."""
        if self._config.precision == "fp32":
            return contextlib.nullcontext()
        dtype = torch.bfloat16 if self._config.precision == "bf16" else torch.float16
        return torch.autocast(self._processes.device.type, dtype)

    def state_dict(self) -> dict[str, Any]:
        """Counters and known loss terms, as JSON values."""
        bad = {"total": self.bad.total, "consecutive": self.bad.consecutive}
        return {"bad": bad, "terms": self._terms.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.bad.total, self.bad.consecutive = state["bad"]["total"], state["bad"]["consecutive"]
        self._terms.load_state_dict(state["terms"])

    def _updates(self, batch: Any, step: int, epoch: int, wish: str, *, last: bool) -> Iterator[tuple[str, Outcome]]:
        running = self._task.step(batch)
        while True:
            with self.autocast():
                item = next(running, None)
            if item is None:
                return
            name, terms = item
            if name not in self._phases:
                raise ValueError(f"Task.step yielded the phase {name!r}; Task.phases has {', '.join(self._phases)}")
            for new in self._terms.check(name, terms.keys()):
                self._note(f"loss term {name}/{new} joins after step {step}")
            self._phases[name].backward(terms, 1.0 / self._config.accumulate)
            if last:
                yield name, self._phases[name].update(step + 1, epoch, stop=wish)

    def _memory_words(self, batch: Any, step: int, error: BaseException) -> str:
        return (
            f"out of memory in step {step + 1} on {self._processes.device}, with a batch of {describe(batch)}. Lower "
            "data.batch.size or max_duration, raise trainer.accumulate instead, or use trainer.precision=bf16 "
            f"({str(error).splitlines()[0]})"
        )
