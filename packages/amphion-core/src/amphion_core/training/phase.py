"""One phase of a task: its parameters, optimiser, schedule and loss scale, and the update of one step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from amphion_core.training.config import OptimizerConfig
from amphion_core.training.optim import Schedule, build_optimizer, set_learning_rate
from amphion_core.training.processes import Processes

__all__ = ["Outcome", "Phase"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of the update of a phase.

    Attributes:
        losses: the terms and their `total`, averaged over batches and processes.
        norm: of the gradient, before clipping.
        fault: why the update was refused; empty where it was made.
        overflow: it was refused only because the loss scale was too large for fp16; the scale is lower now.
        stop: why a process wishes to stop after this step, `signal` or `hours`; empty where none does.
    """

    losses: Mapping[str, float]
    norm: float
    fault: str = ""
    overflow: bool = False
    stop: str = ""


class Phase:
    """The training of the networks of one phase.

    Args:
        name: of the phase.
        networks: what it trains.
        names: name of each parameter of the task, by its id.
        config: the optimiser.
        processes: those that train together.
        scaled: scale the loss, for fp16.
    """

    def __init__(
        self,
        name: str,
        networks: Sequence[nn.Module],
        names: Mapping[int, str],
        config: OptimizerConfig,
        processes: Processes,
        *,
        scaled: bool = False,
    ) -> None:
        self.name = name
        self.networks = list(networks)
        unique = {id(p): p for network in networks for p in network.parameters() if p.requires_grad}
        self.parameters = list(unique.values())
        if not self.parameters:
            raise ValueError(f"the phase {name!r} has no parameters that require a gradient; see Task.phases")
        self.names = [names[key] for key in unique]
        self.config = config
        self.optimizer = build_optimizer(config, self.parameters)
        self.schedule = Schedule(config.schedule)
        self.learning_rate = config.lr
        self._processes = processes
        self._scaler = torch.amp.GradScaler(processes.device.type) if scaled else None
        self._terms: tuple[str, ...] = ()
        self._values: Tensor | None = None

    def backward(self, terms: Mapping[str, Tensor], share: float = 1.0) -> None:
        """Add the gradients of one batch.

        Args:
            terms: weighted loss terms by name, scalars.
            share: of this batch in the step, 1 / accumulate.

        Raises:
            ValueError: a term is no scalar, or the terms do not depend on the networks of the phase.
        """
        for term, value in terms.items():
            if value.ndim:
                raise ValueError(
                    f"loss term {term!r} of phase {self.name!r} has shape {tuple(value.shape)}, not a scalar"
                )
        stacked = torch.stack([value.float() for value in terms.values()])
        total = stacked.sum() * share
        if not total.requires_grad:
            raise ValueError(
                f"the losses of phase {self.name!r} need no gradient; they were detached or made without one"
            )
        scaled = total if self._scaler is None else self._scaler.scale(total)
        torch.autograd.backward(scaled, inputs=self.parameters)
        values = stacked.detach() * share
        self._terms = tuple(terms)
        self._values = values if self._values is None or len(self._values) != len(values) else self._values + values

    def update(self, step: int, epoch: int, *, stop: str = "") -> Outcome:
        """Average the gradients over the processes, judge them, clip, and step; then clear them.

        The host learns losses, norm and wishes to stop in one transfer from the device, before the step, because a
        step that must not be made can't be taken back.

        Args:
            step: number of the step, from 1.
            epoch: pass over the data, from 0.
            stop: why this process wishes to stop, as in `Outcome`.

        Raises:
            ValueError: no gradient reached the networks of the phase.
        """
        assert self._values is not None, "update without backward"
        count = len(self._values)
        values = self._values
        if self._processes.count > 1:
            wishes = values.new_tensor([float(stop == "signal"), float(stop == "hours")])
            values = self._processes.average_gradients(self.parameters, torch.cat([values, wishes]))
            values, (signal, hours) = values[:count], (values[count:] > 0).tolist()
            stop = "signal" if signal else "hours" if hours else ""
        self._values = None
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        if not gradients:
            raise ValueError(f"no gradient reached the networks of phase {self.name!r}; its losses come from elsewhere")
        if self._scaler is not None:
            self._scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.get_total_norm(gradients)
        *losses, size = torch.cat([values, norm.reshape(1)]).tolist()
        outcome = self._judge(dict(zip(self._terms, losses, strict=True)), size, stop)
        if not outcome.fault:
            self.learning_rate = self.config.lr * self.schedule.factor(step, epoch)
            set_learning_rate(self.optimizer, self.learning_rate)
            if self.config.clip_norm is not None and size > self.config.clip_norm:
                torch.nn.utils.clip_grads_with_norm_(self.parameters, self.config.clip_norm, norm)
            self.optimizer.step()
        if self._scaler is not None:
            self._scaler.update()
        for parameter in self.parameters:
            parameter.grad = None
        return outcome

    def _judge(self, losses: dict[str, float], norm: float, stop: str) -> Outcome:
        bad = [f"{self.name}/{term} is {value}" for term, value in losses.items() if not math.isfinite(value)]
        losses["total"] = losses.get("total", sum(losses.values()))
        if bad:
            return Outcome(losses, norm, fault=", ".join(bad), stop=stop)
        if not math.isfinite(norm):
            overflow = self._scaler is not None and self._scaler.get_scale() > 1.0
            return Outcome(losses, norm, fault=f"gradient of {self.name} is {norm}", overflow=overflow, stop=stop)
        return Outcome(losses, norm, stop=stop)

    def state_dict(self) -> dict[str, Any]:
        """Schedule and loss scale, as JSON values."""
        scaler = None if self._scaler is None else self._scaler.state_dict()
        return {"schedule": self.schedule.state_dict(), "scaler": scaler, "learning_rate": self.learning_rate}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.schedule.load_state_dict(state["schedule"])
        self.learning_rate = float(state["learning_rate"])
        if self._scaler is not None and state["scaler"]:
            self._scaler.load_state_dict(dict(state["scaler"]))

    def tensors(self) -> dict[str, Tensor]:
        """State of the optimiser, `KIND/PARAMETER` to tensor on the CPU."""
        states = self.optimizer.state_dict()["state"]
        return {
            f"{kind}/{self.names[number]}": value.detach().cpu().contiguous().clone()
            for number, kinds in states.items()
            for kind, value in kinds.items()
            if isinstance(value, Tensor)
        }

    def load_tensors(self, tensors: Mapping[str, Tensor], where: str) -> None:
        """Take back what `tensors` gave; the settings stay those of the recipe.

        Raises:
            ValueError: a tensor belongs to no parameter of the phase, or has another shape.
        """
        number = {name: n for n, name in enumerate(self.names)}
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            kind, _, name = key.partition("/")
            if name not in number:
                raise ValueError(f"{where}: the phase {self.name!r} has no parameter {name!r}")
            own = self.parameters[number[name]]
            if value.ndim and value.shape != own.shape:
                raise ValueError(f"{where}: {key} has shape {tuple(value.shape)}, the parameter {tuple(own.shape)}")
            # Laid out as the parameter: the fused optimisers of torch go through memory, whatever the strides.
            placed = torch.empty_like(own, dtype=value.dtype, device=value.device).copy_(value) if value.ndim else value
            state.setdefault(number[name], {})[kind] = placed
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
