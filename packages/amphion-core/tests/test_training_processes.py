import json
import os
import socket
from pathlib import Path

import pytest
import torch
import yaml

from amphion_core.testing.kill import run, start
from amphion_core.testing.resume import differing, train_losses
from amphion_core.testing.toy import toy_recipe
from amphion_core.training.checkpoint import read_checkpoint, whole_checkpoints

pytestmark = pytest.mark.skipif(os.name == "nt", reason="kills and forks are those of POSIX systems")
TOY = Path(__file__).with_name("toy_training.py")


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def begin(folder, out, count=2, **changes):
    """Start the processes of one training, as a launcher does."""
    path = folder / f"{out}.yaml"
    path.write_text(yaml.safe_dump(toy_recipe(**changes).to_dict()))
    port = free_port()
    return [start(f"{TOY}:train_as", rank, count, port, str(path), str(folder / out)) for rank in range(count)]


def train(folder, out, **changes):
    children = begin(folder, out, **changes)
    statuses = [child.wait() for child in children]
    assert statuses == [0, 0], "\n".join(child.stderr()[-3000:] for child in children)
    return read_checkpoint(whole_checkpoints(folder / out)[0])


@pytest.mark.slow
def test_two_processes_make_the_steps_of_one_that_accumulates_two_batches(tmp_path):
    # Both take the same pairs of batches from the global sequence. SGD, because Adam blows up the rounding of zeros.
    settings = {
        "adversarial": False,
        "noise": 0.0,
        "model": {"dropout": 0.0},
        "trainer__ema": None,
        "trainer__steps": 6,
    }
    settings |= {"optimizers__generator__name": "sgd", "trainer__epochs": 3, "trainer__log_every": 1}
    two = train(tmp_path, "two", **settings)
    path = tmp_path / "one.yaml"
    path.write_text(yaml.safe_dump(toy_recipe(**settings, trainer__accumulate=2).to_dict()))
    run(f"{TOY}:train", str(path), str(tmp_path / "one"))
    one = read_checkpoint(whole_checkpoints(tmp_path / "one")[0])
    ours, theirs = two.tensors("weights"), one.tensors("weights")
    for name in ours:
        if not name.startswith("generator.layers.1."):  # running statistics are those of the first process
            torch.testing.assert_close(ours[name], theirs[name], atol=1e-6, rtol=1e-5)  # sums in another order
    losses = train_losses(tmp_path / "two"), train_losses(tmp_path / "one")
    assert all(losses[0][step] == pytest.approx(losses[1][step], rel=1e-5) for step in losses[0])
    assert two.state["data"]["number"] == one.state["data"]["number"] == 12


@pytest.mark.slow
def test_weights_stay_equal_in_all_processes(tmp_path):
    recipe = toy_recipe(trainer__steps=7, trainer__workers=0)
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe.to_dict()))
    port = free_port()
    children = [
        start(f"{TOY}:train_and_dump", rank, 2, port, str(path), str(tmp_path / "run"), str(tmp_path / f"{rank}.json"))
        for rank in range(2)
    ]
    assert [child.wait() for child in children] == [0, 0], children[0].stderr()[-3000:]
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert first["weights"] == second["weights"]
    assert first["random"] != second["random"]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_two_processes_continue_bit_for_bit(tmp_path, workers):
    train(tmp_path, "whole", trainer__steps=8, trainer__workers=workers)
    train(tmp_path, "parts", trainer__steps=4, trainer__workers=workers)
    train(tmp_path, "parts", trainer__steps=8, trainer__workers=workers)
    assert differing(tmp_path / "whole", tmp_path / "parts") == []


@pytest.mark.slow
def test_one_process_continues_what_two_began_at_the_same_place_of_the_data(tmp_path):
    train(tmp_path, "run", trainer__steps=4)
    path = tmp_path / "one.yaml"
    path.write_text(yaml.safe_dump(toy_recipe(trainer__steps=6).to_dict()))
    run(f"{TOY}:train", str(path), str(tmp_path / "run"))
    saved = read_checkpoint(whole_checkpoints(tmp_path / "run")[0])
    assert saved.state["data"]["number"] == 4 * 2 + 2
    assert "2 processes before, 1 now" in (tmp_path / "run" / "log.jsonl").read_text()


@pytest.mark.slow
def test_a_signal_to_one_process_stops_all_after_the_same_step(tmp_path):
    children = begin(tmp_path, "run", trainer__steps=10**6, trainer__save_every=0, trainer__validate_every=0)
    children[0].wait_until(lambda: len(train_losses(tmp_path / "run")) > 3)
    os.kill(children[1].process.pid, 15)
    assert [child.wait() for child in children] == [143, 143], children[0].stderr()[-3000:]
    assert len(read_checkpoint(whole_checkpoints(tmp_path / "run")[0]).ranks) == 2
