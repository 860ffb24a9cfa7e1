"""What the processes of the training tests run."""

from pathlib import Path

from amphion_core.config import read_mapping
from amphion_core.testing.toy import ToyRecipe, ToyTask
from amphion_core.training.run import train_task


def train(recipe, out):
    train_task(ToyTask, ToyRecipe.parse(read_mapping(recipe)), Path(out))
