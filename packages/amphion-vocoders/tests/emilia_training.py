"""What the processes of the tests of training on Emilia run."""

import os
from pathlib import Path

import torch

from amphion_core.data import remote
from amphion_core.training.run import train_recipe

IMPATIENT = 0.5  # s without a byte, where the server stalls


def train_as(rank, count, port, recipe, out, cache):
    """One of several processes of a training; tars from the network go to `cache`."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true"}
    os.environ["AMPHION_CACHE"] = cache
    remote._TIMEOUT = IMPATIENT
    torch.set_num_threads(1)
    train_recipe(recipe, out=Path(out))
