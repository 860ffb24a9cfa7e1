"""What a training is about: networks, data and losses. The Trainer does everything else."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeAlias, TypeVar

import numpy as np
from torch import Tensor, nn

from ..hub import PretrainedModule

if TYPE_CHECKING:
    from ..data.loader import Loader
    from ..recipe import Recipe

__all__ = ["Judge", "Progress", "Sample", "Task"]

RecipeT = TypeVar("RecipeT", bound="Recipe")
BatchT = TypeVar("BatchT")


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training stands, for losses that depend on it.

    Attributes:
        step: optimiser steps done before the one at hand, 0 at the start.
        epoch: passes over the data done, 0 at the start.
        steps: the bound `trainer.steps`, or None.
    """

    step: int = 0
    epoch: int = 0
    steps: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Something to hear or see in the log.

    Attributes:
        name: file name without extension, such as `LJ001-0001`. What a task makes from a recording is `NAME-KIND`
            beside `NAME-recording`; metrics find the two by these names.
        wav: (T,) float32, or None.
        sample_rate: Hz of `wav`.
        picture: (height, width) values, drawn with low frequencies (row 0) at the bottom, or None.
    """

    name: str
    wav: np.ndarray | None = None
    sample_rate: int = 0
    picture: np.ndarray | None = None


Judge: TypeAlias = Callable[[Sequence[Sample]], Mapping[str, float]]
"""Figures of the samples, by name, for the log; it runs on the main process each time samples are made."""


class Task(nn.Module, abc.ABC, Generic[RecipeT, BatchT]):
    """One kind of training. It is an `nn.Module`, so its networks are its attributes.

    Subclasses set `recipe_class` and build their networks from the recipe in the constructor. All that has to
    survive a resume is in parameters and buffers, or in `state` and `load_state`.

    Attributes:
        recipe: the typed recipe.
        progress: set by the trainer before each step and each validation.
    """

    recipe_class: ClassVar[type[Recipe]]

    def __init__(self, recipe: RecipeT) -> None:
        super().__init__()
        self.recipe = recipe
        self.progress = Progress()

    @abc.abstractmethod
    def phases(self) -> Mapping[str, list[nn.Module]]:
        """Names of the phases in the order in which `step` yields them, each with the networks that it trains.

        The names are those of `recipe.optimizers`.
        """

    @abc.abstractmethod
    def model(self) -> PretrainedModule[Any]:
        """The network that is exported, kept as average (EMA) and published."""

    @abc.abstractmethod
    def loader(self, split: str, rank: int, world_size: int) -> Loader[BatchT] | None:
        """Batches of `train` or `valid` for one process; None where the recipe has no such data.

        Those of `train` go on from epoch to epoch; those of `valid` end after one. Tensors of a batch (in a
        dataclass, named tuple, list or mapping) are put on the device by the trainer.
        """

    @abc.abstractmethod
    def step(self, batch: BatchT) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Yield each phase with its weighted loss terms; between two yields the trainer updates the phase.

        Gradients are taken for the networks of the phase only, so nothing has to be frozen. The names of a
        phase's terms stay the same; one may join later, none may leave (yield a zero instead).
        """

    @abc.abstractmethod
    def validate(self, batch: BatchT) -> dict[str, Tensor]:
        """Figures of one validation batch by name, scalars, without gradient; the trainer averages them."""

    def sample(self, batch: BatchT) -> Iterator[Sample]:
        """Audio and pictures for the log, from the first validation batch; in float32 whatever the precision."""
        return iter(())

    def start(self) -> list[str]:
        """Called before the first step of a new run, not of a resumed one; returns notes for the log.

        Here a task loads weights that it starts from, where `init_from` of the recipe does not suffice.
        """
        return []

    def state(self) -> dict[str, Any]:
        """What else has to survive a resume, as JSON values."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave."""
