"""From a recipe to a trained model: what `amphion train` does."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from amphion_core import recipe as recipes
from amphion_core import registry
from amphion_core.config import ConfigError
from amphion_core.training.randomness import seed_everything
from amphion_core.training.task import Judge, Task
from amphion_core.training.trainer import Trainer

__all__ = ["TrainingInterruptedError", "train_recipe", "train_task"]

log = logging.getLogger(__name__)


class TrainingInterruptedError(RuntimeError):
    """A signal ended the training after a checkpoint; start it again to continue.

    Attributes:
        code: exit status of a command: 130 after Ctrl-C, 143 after SIGTERM.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def train_recipe(source: str | Path, overrides: Iterable[str] = (), out: str | Path | None = None) -> Path:
    """Train a model from a recipe; continues where the run folder has a checkpoint.

    Args:
        source: file or name of a recipe.
        overrides: `key.sub=value` items.
        out: run folder; None is `runs/NAME` of the recipe.

    Returns:
        The run folder.

    Raises:
        ConfigError: the recipe has faults.
        LookupError: no such recipe or task.
        TrainingInterruptedError: a signal ended it; the last step is in a checkpoint.
    """
    recipe = recipes.load_recipe(source, overrides)
    return train_task(registry.find("tasks", recipe.task), recipe, out)


def _judge(metrics: Sequence[str]) -> Judge | None:
    """What computes these metrics; None where there are none.

    Raises:
        ConfigError: no installed package computes metrics.
        LookupError: a metric is unknown.
    """
    if not metrics:
        return None
    if "metrics" not in registry.names("judges"):
        raise ConfigError(f"trainer.metrics asks for {', '.join(metrics)}; pip install amphion-eval")
    judge: Judge = registry.find("judges", "metrics")(metrics)
    return judge


def train_task(task_class: type[Task[Any, Any]], recipe: recipes.Recipe, out: str | Path | None = None) -> Path:
    """Train a task that need not be declared by a package; see `train_recipe`."""
    seed_everything(recipe.seed)  # weights: the same in every process
    folder = Path("runs") / recipe.name if out is None else Path(out)
    trainer = Trainer(task_class(recipe), folder, recipe, judge=_judge(recipe.trainer.metrics))
    try:
        finish = trainer.fit()
    finally:
        trainer.processes.close()
    if finish.interrupted:
        number = signal.Signals[finish.reason]
        raise TrainingInterruptedError(
            f"stopped by {finish.reason} after step {finish.step}, saved in {finish.checkpoint}; "
            "run the same command to continue",
            128 + number,
        )
    log.info("done: %d steps, stopped by %s, newest checkpoint %s", finish.step, finish.reason, finish.checkpoint)
    return folder
