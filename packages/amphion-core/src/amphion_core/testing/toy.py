"""A task small enough to test what surrounds a training: two phases, noise, running statistics, real loaders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from amphion_core.config import Config
from amphion_core.data.batching import Batches
from amphion_core.data.config import BatchConfig
from amphion_core.data.loader import Loader
from amphion_core.hub import PretrainedModule
from amphion_core.recipe import Recipe
from amphion_core.training.task import Sample, Task

__all__ = ["ToyBatch", "ToyConfig", "ToyModel", "ToyRecipe", "ToyTask", "toy_recipe"]


class ToyConfig(Config):
    """Size of the network, and the share of its units that dropout leaves out."""

    dim: int = 8
    dropout: float = 0.1


class ToyModel(PretrainedModule[ToyConfig]):
    """Four numbers to four numbers, with running statistics and dropout."""

    config_class = ToyConfig
    name = "toy"

    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self.layers = nn.Sequential(
            nn.Linear(4, config.dim),
            nn.BatchNorm1d(config.dim),
            nn.Tanh(),
            nn.Dropout(config.dropout),
            nn.Linear(config.dim, 4),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, 4) to (B, 4)."""
        y: Tensor = self.layers(x)
        return y


class ToyRecipe(Recipe):
    """A recipe with the data in it.

    Attributes:
        model: the network.
        adversarial: train a judge in a second phase.
        rows: of the training set.
        valid_rows: of the validation set; 0 is an empty one.
        batch: rows of a batch.
        noise: added to the inputs.
    """

    model: ToyConfig = ToyConfig()
    adversarial: bool = True
    rows: int = 40
    valid_rows: int = 6
    batch: int = 4
    noise: float = 0.01


@dataclass(frozen=True)
class ToyBatch:
    """Inputs and targets, (B, 4) each."""

    x: Tensor
    target: Tensor


class ToyTask(Task[ToyRecipe, ToyBatch]):
    """Regression, with a judge of the residual where the recipe is adversarial."""

    recipe_class = ToyRecipe

    def __init__(self, recipe: ToyRecipe) -> None:
        super().__init__(recipe)
        self.generator = ToyModel(recipe.model)
        self.judge = nn.Sequential(nn.Linear(4, 8), nn.LeakyReLU(), nn.Linear(8, 1)) if recipe.adversarial else None

    def phases(self) -> Mapping[str, list[nn.Module]]:
        """The judge first, as in a GAN."""
        generator: dict[str, list[nn.Module]] = {"generator": [self.generator]}
        return generator if self.judge is None else {"judge": [self.judge], **generator}

    def model(self) -> ToyModel:
        """The generator."""
        return self.generator

    def loader(self, split: str, rank: int, world_size: int) -> Loader[ToyBatch] | None:
        """Rows made from their number."""
        rows = self.recipe.rows if split == "train" else self.recipe.valid_rows
        if not rows:
            return None
        config = BatchConfig(size=self.recipe.batch, shuffle=split == "train", buckets=1)
        epochs = None if split == "train" else 1
        seed = self.recipe.seed
        plan = Batches([np.ones(rows)], config, seed=seed, rank=rank, world_size=world_size, epochs=epochs)
        workers = self.recipe.trainer.workers if split == "train" else 0
        return Loader(self.load_row, plan, self.join, workers=workers)

    def load_row(self, number: int, index: int, random: np.random.Generator) -> np.ndarray:
        """(4,) inputs of a row, with noise."""
        clean = np.random.default_rng(1000 * number + index).standard_normal(4)
        return clean + 0.01 * random.standard_normal(4)

    def join(self, rows: list[np.ndarray]) -> ToyBatch:
        """A batch of rows."""
        x = torch.from_numpy(np.stack(rows)).float()
        return ToyBatch(x, x.flip(1).cumsum(1))

    def step(self, batch: ToyBatch) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Judge, then generator."""
        estimate = self.generator(batch.x + self.recipe.noise * torch.randn_like(batch.x))
        if self.judge is not None:
            real, fake = self.judge(batch.target), self.judge(estimate.detach())
            yield "judge", {"real": (1 - real).square().mean(), "fake": fake.square().mean()}
        terms = {"distance": (estimate - batch.target).square().mean()}
        if self.judge is not None:
            terms["adversarial"] = 0.1 * (1 - self.judge(estimate)).square().mean()
        yield "generator", terms

    def validate(self, batch: ToyBatch) -> dict[str, Tensor]:
        """Distance and largest error."""
        error = self.generator(batch.x) - batch.target
        return {"distance": error.square().mean(), "largest": error.abs().max()}

    def sample(self, batch: ToyBatch) -> Iterator[Sample]:
        """A sound and a picture."""
        estimate = self.generator(batch.x).cpu().numpy()
        yield Sample(name="toy", wav=np.tanh(np.tile(estimate.reshape(-1), 50)), sample_rate=8000, picture=estimate)


def toy_recipe(**changes: Any) -> ToyRecipe:
    """A recipe of 8 steps in two phases; nested fields as `trainer__steps=4`."""
    schedule = {"name": "exponential_epoch", "decay": 0.9}
    values: dict[str, Any] = {
        "task": "toy",
        "name": "toy",
        "trainer": {"steps": 8, "save_every": 4, "validate_every": 4, "sample_every": 8, "log_every": 2, "ema": 0.9},
        "optimizers": {
            "judge": {"lr": 1e-3, "schedule": schedule},
            "generator": {"lr": 1e-2, "clip_norm": 1.0, "schedule": schedule},
        },
    }
    for key, value in changes.items():
        *path, last = key.split("__")
        place = values
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    if values.get("adversarial") is False:
        values["optimizers"].pop("judge", None)
    return ToyRecipe.parse(values)
