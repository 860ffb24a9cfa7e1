"""Optimisers and learning-rate schedules by name, as a recipe states them.

A schedule is a function of the step and the epoch, so there is nothing to restore; only `plateau` remembers.
Source: `noam` as in Vaswani et al., "Attention is all you need", 2017, arXiv:1706.03762, equation 3, scaled so that
its peak is the given learning rate; `cosine` as in Loshchilov and Hutter, "SGDR", 2017, arXiv:1608.03983, one cycle.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from amphion_core.training.config import OptimizerConfig, ScheduleConfig

__all__ = ["Schedule", "build_optimizer"]


def build_optimizer(config: OptimizerConfig, parameters: Sequence[nn.Parameter]) -> Optimizer:
    """An optimiser by its name; the fused form of torch where the parameters allow it.

    Args:
        config: name and settings.
        parameters: what it updates, each once.

    Raises:
        ValueError: there are no parameters to train.
    """
    if not parameters:
        raise ValueError("an optimiser without parameters; the networks of its phase have none that require a gradient")
    fused = all(p.is_floating_point() and p.device.type in ("cpu", "cuda", "mps") for p in parameters)
    common: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay, "fused": fused}
    if config.name == "sgd":
        return SGD(parameters, momentum=config.betas[0], **common)
    adam = Adam if config.name == "adam" else AdamW
    return adam(parameters, betas=config.betas, eps=config.eps, **common)


class Schedule:
    """The factor of the learning rate over time.

    Args:
        config: name and settings.
    """

    def __init__(self, config: ScheduleConfig) -> None:
        self.config = config
        self._reductions = 0
        self._best = math.inf
        self._waited = 0

    def factor(self, step: int, epoch: int) -> float:
        """Factor of the learning rate for one step.

        Args:
            step: the step to come, from 1.
            epoch: the pass over the data that it belongs to, from 0.
        """
        c = self.config
        if c.name == "noam":
            return min(math.sqrt(c.warmup / step), step / c.warmup)
        rise = min(1.0, step / c.warmup) if c.warmup else 1.0
        if step <= c.warmup:
            return rise * self._plateau()
        if c.name == "inverse_sqrt":
            return math.sqrt(c.warmup / step)
        if c.name == "cosine":
            done = min(1.0, (step - c.warmup) / (c.total - c.warmup))
            return c.final + (1.0 - c.final) * 0.5 * (1.0 + math.cos(math.pi * done))
        if c.name == "exponential_step":
            return float(c.decay ** (step - c.warmup - 1))
        if c.name == "exponential_epoch":
            return float(c.decay**epoch)
        return self._plateau()

    def observe(self, figure: float) -> None:
        """Take the watched validation figure, lower is better; only `plateau` listens."""
        if self.config.name != "plateau":
            return
        if figure < self._best:
            self._best, self._waited = figure, 0
            return
        self._waited += 1
        if self._waited > self.config.patience:
            self._reductions, self._waited = self._reductions + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """What `plateau` remembers, as JSON values."""
        best = None if math.isinf(self._best) else self._best
        return {"reductions": self._reductions, "best": best, "waited": self._waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self._reductions, self._waited = int(state["reductions"]), int(state["waited"])
        self._best = math.inf if state["best"] is None else float(state["best"])

    def _plateau(self) -> float:
        if self.config.name != "plateau":
            return 1.0
        return max(self.config.final, float(self.config.decay**self._reductions))


def set_learning_rate(optimizer: Optimizer, value: float) -> None:
    """Give every group of an optimiser the same learning rate."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(value)
        else:
            group["lr"] = value
