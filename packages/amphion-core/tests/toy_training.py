"""What the processes of the training tests run, each by its name: `toy_training.py:FUNCTION`."""

import json
import os
import signal
import time
from pathlib import Path

import torch

from amphion_core.config import read_mapping
from amphion_core.testing.toy import ToyRecipe, ToyTask
from amphion_core.training.checkpoint import Content, rotate, write_checkpoint
from amphion_core.training.run import TrainingInterruptedError, train_task


def train(recipe, out):
    """A whole training."""
    train_task(ToyTask, ToyRecipe.parse(read_mapping(recipe)), Path(out))


def train_slowly(recipe, out):
    """A training that can be killed in time."""

    class Slow(ToyTask):
        def step(self, batch):
            time.sleep(0.02)
            yield from super().step(batch)

    train_task(Slow, ToyRecipe.parse(read_mapping(recipe)), Path(out))


def train_and_exit(recipe, out):
    """The same, with the exit status of the command after a signal."""
    try:
        train(recipe, out)
    except TrainingInterruptedError as stopped:
        os._exit(stopped.code)


def train_with_dying_worker(recipe, out):
    """A training whose loading process is killed by the system in its third batch."""

    class Dying(ToyTask):
        def load_row(self, number, index, random):
            if index == 7:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().load_row(number, index, random)

    train_task(Dying, ToyRecipe.parse(read_mapping(recipe)), Path(out))


def train_as(rank, count, port, recipe, out):
    """One of several processes."""
    as_rank(rank, count, port)
    train_and_exit(recipe, out)


def as_rank(rank, count, port):
    """Tell this process that it is one of several, as launchers do."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true"}
    torch.set_num_threads(1)


def train_and_dump(rank, count, port, recipe, out, target):
    """The same; then the weights and a random number of this process as JSON."""
    kept = []

    class Kept(ToyTask):
        def __init__(self, recipe):
            super().__init__(recipe)
            if rank:  # another start, which the trainer has to level
                torch.nn.init.ones_(self.generator.layers[0].weight)
            kept.append(self)

    as_rank(rank, count, port)
    train_task(Kept, ToyRecipe.parse(read_mapping(recipe)), Path(out))
    weights = {name: tensor.tolist() for name, tensor in kept[0].state_dict().items()}
    Path(target).write_text(json.dumps({"weights": weights, "random": torch.rand(()).item()}))


def train_on_a_small_disk(recipe, out, size):
    """A training in which no file can grow beyond `size` bytes."""
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    train(recipe, out)


def write_checkpoints(out, first, last):
    """Checkpoints of these steps, whose tensors hold the step."""
    for step in range(first, last + 1):
        write_checkpoint(Path(out), content(step))


def replace_checkpoint(out, step):
    """A new checkpoint, and the older ones removed."""
    write_checkpoint(Path(out), content(step))
    rotate(Path(out), keep_last=1, keep_best=0)


def content(step, figure=None):
    """A small checkpoint."""

    def export(folder):
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(bytes([step % 256]) * 1000)

    tensors = {"weights": {"step": torch.full((100,), float(step))}}
    return Content(step, export, tensors, {"figure": figure}, [{"rank": 0}], {"recipe.yaml": "task: toy\n"})
