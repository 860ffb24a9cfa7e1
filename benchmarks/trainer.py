"""What the Trainer adds to a bare loop: the same model, batches, loader and optimiser, in one process, in turns.

Method: one thread, one process. Each side runs a block of steps, then the other, and so on. A step is timed from its
begin to the begin of the next, so start and end of a run stay out (summary, checkpoint). A figure is the median of the
steps of a block, and of the blocks the least disturbed one counts. Neither side validates or saves between the counted
steps; both clip the gradient and read the losses, as any loop does that watches its training. The Trainer also guards
against numbers that are not finite, and keeps the log and the progress.
"""

import argparse
import logging
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from amphion_core.config import Config
from amphion_core.data.batching import Batches
from amphion_core.data.config import BatchConfig
from amphion_core.data.loader import Loader
from amphion_core.hub import PretrainedModule
from amphion_core.recipe import Recipe
from amphion_core.training import Task, Trainer
from amphion_core.training.optim import build_optimizer

WARMUP = 5


class NetworkConfig(Config):
    """Channels of the stack."""

    dim: int = 96
    layers: int = 8


class Network(PretrainedModule[NetworkConfig]):
    """Residual convolutions over 80 bands, of the size of a small acoustic model."""

    config_class = NetworkConfig
    name = "benchmark"

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config)
        self.first = nn.Conv1d(80, config.dim, 7, padding=3)
        self.blocks = nn.ModuleList(nn.Conv1d(config.dim, config.dim, 5, padding=2) for _ in range(config.layers))
        self.last = nn.Conv1d(config.dim, 80, 1)

    def forward(self, mel: Tensor) -> Tensor:
        """(B, 80, F) to (B, 80, F)."""
        x = self.first(mel)
        for block in self.blocks:
            x = x + torch.relu(block(x))
        return self.last(x)


class BenchmarkTask(Task[Recipe, Tensor]):
    """A network that learns to invert the order of the bands, with a judge or without."""

    recipe_class = Recipe

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.network = Network(NetworkConfig())
        self.judge = nn.Sequential(nn.Conv1d(80, 64, 5, stride=2), nn.LeakyReLU(), nn.Conv1d(64, 1, 5))
        self.marks: list[tuple[float, float]] = []

    def phases(self) -> Mapping[str, list[nn.Module]]:
        """One or two."""
        phases: dict[str, list[nn.Module]] = {"generator": [self.network]}
        return phases if "judge" not in self.recipe.optimizers else {"judge": [self.judge], **phases}

    def model(self) -> Network:
        """What is exported."""
        return self.network

    def loader(self, split: str, rank: int, world_size: int) -> Loader[Tensor] | None:
        """Noise, ready in memory."""
        if split != "train":
            return None
        clips = np.random.default_rng(0).standard_normal((64, 80, 128)).astype(np.float32)
        return Loader(
            lambda _, index, __: torch.from_numpy(clips[index]),
            Batches([np.ones(64)], BatchConfig(size=8)),
            torch.stack,
        )

    def step(self, batch: Tensor) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """One step, its begin noted."""
        self.marks.append((time.process_time(), time.perf_counter()))
        estimate = self.network(batch)
        adversarial = {}
        if "judge" in self.recipe.optimizers:
            real, fake = self.judge(batch), self.judge(estimate.detach())
            yield "judge", {"real": (1 - real).square().mean(), "fake": fake.square().mean()}
            adversarial = {"adversarial": 0.1 * (1 - self.judge(estimate)).square().mean()}
        yield "generator", {"distance": (estimate - batch.flip(1)).abs().mean(), **adversarial}

    def validate(self, batch: Tensor) -> dict[str, Tensor]:
        """Nothing."""
        return {}


def recipe(steps: int, adversarial: bool) -> Recipe:
    optimizer = {"lr": 1e-4, "clip_norm": 1.0}
    return Recipe.parse(
        {
            "task": "benchmark",
            "name": "benchmark",
            "trainer": {"steps": steps, "save_every": 0, "validate_every": 0, "sample_every": 0, "log_every": 10},
            "optimizers": {name: optimizer for name in ("judge", "generator")[0 if adversarial else 1 :]},
        }
    )


def bare(task: BenchmarkTask, steps: int) -> None:
    """The loop as one writes it by hand."""
    phases = {
        name: [p for network in networks for p in network.parameters()] for name, networks in task.phases().items()
    }
    optimizers = {name: build_optimizer(task.recipe.optimizers[name], found) for name, found in phases.items()}
    batches = iter(task.loader("train", 0, 1))
    for _ in range(steps):
        for name, terms in task.step(next(batches)):
            total = sum(terms.values())
            torch.autograd.backward(total, inputs=phases[name])
            nn.utils.clip_grad_norm_(phases[name], 1.0)
            optimizers[name].step()
            optimizers[name].zero_grad()
            total.item()


def block(side: str, steps: int, adversarial: bool) -> tuple[float, float]:
    """CPU and wall milliseconds of a step."""
    torch.manual_seed(0)
    task = BenchmarkTask(recipe(steps, adversarial))
    if side == "bare":
        bare(task, steps)
    else:
        with tempfile.TemporaryDirectory() as folder:
            Trainer(task, Path(folder), task.recipe).fit()
    marks = task.marks[WARMUP:]
    cpu, wall = (np.median(np.diff([mark[clock] for mark in marks])) * 1000 for clock in (0, 1))
    return float(cpu), float(wall)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40, help="of a block")
    parser.add_argument("--blocks", type=int, default=7, help="of each side")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("amphion_core").setLevel(logging.ERROR)
    print(f"{'task':12} {'side':8} {'CPU ms/step':>12} {'wall ms/step':>13}")
    for adversarial in (False, True):
        found: dict[str, list[tuple[float, float]]] = {"bare": [], "trainer": []}
        for _ in range(arguments.blocks):
            for side, times in found.items():
                times.append(block(side, arguments.steps, adversarial))
        cpu, wall = ({s: min(t[clock] for t in times) for s, times in found.items()} for clock in (0, 1))
        name = "two phases" if adversarial else "one phase"
        for side in found:
            print(f"{name:12} {side:8} {cpu[side]:12.2f} {wall[side]:13.2f}")
        ratios = " ".join(f"{c['trainer'] / c['bare']:.3f}" for c in (cpu, wall))
        print(f"{name:12} trainer / bare: {ratios} (CPU, wall; aim below 1.03)")


if __name__ == "__main__":
    main()
