import importlib.util
import json
import os
import random
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch

from amphion_core.atomic import TEMPORARY, remove_temporaries
from amphion_core.testing.kill import run_killed_after, run_killed_at
from amphion_core.training.checkpoint import (
    damaged_checkpoints,
    read_checkpoint,
    rotate,
    whole_checkpoints,
    write_checkpoint,
)

TOY = Path(__file__).with_name("toy_training.py")


def toy():
    spec = importlib.util.spec_from_file_location("toy_training", TOY)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


content = toy().content


def steps(folders):
    return [int(folder.name.removeprefix("step-")) for folder in folders]


def assert_whole_or_absent(out):
    """Every checkpoint in the folder is complete and holds its own step."""
    assert damaged_checkpoints(out) == []
    for folder in whole_checkpoints(out):
        saved = read_checkpoint(folder)
        step = saved.state["step"]
        assert folder.name == f"step-{step:08d}"
        assert saved.tensors("weights")["step"].tolist() == [step] * 100
        assert (folder / "model.safetensors").read_bytes() == bytes([step]) * 1000
        assert saved.ranks == [{"rank": 0}]


def test_a_checkpoint_comes_back_as_it_was_written(tmp_path):
    saved = read_checkpoint(write_checkpoint(tmp_path, content(7, figure=0.5)))
    assert (saved.state["step"], saved.state["figure"], saved.ranks) == (7, 0.5, [{"rank": 0}])
    assert torch.equal(saved.tensors("weights")["step"], torch.full((100,), 7.0))


def test_the_newest_checkpoint_comes_first_also_beyond_eight_digits(tmp_path):
    for step in (9, 100, 123456789):
        write_checkpoint(tmp_path, content(step))
    assert steps(whole_checkpoints(tmp_path)) == [123456789, 100, 9]


@pytest.mark.parametrize(
    "loss", ["trainer/weights.safetensors", "trainer/files.json", "model.safetensors", "config.json"]
)
def test_a_checkpoint_that_lacks_a_file_is_not_whole(tmp_path, loss):
    folder = write_checkpoint(tmp_path, content(1))
    (folder / loss).unlink()
    assert (whole_checkpoints(tmp_path), damaged_checkpoints(tmp_path)) == ([], [folder])


def test_a_checkpoint_with_a_cut_file_is_not_whole(tmp_path):
    folder = write_checkpoint(tmp_path, content(1))
    weights = folder / "trainer" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert whole_checkpoints(tmp_path) == []


def test_an_edited_model_card_leaves_a_checkpoint_whole(tmp_path):
    folder = write_checkpoint(tmp_path, content(1))
    (folder / "README.md").write_text("now with a licence")
    assert whole_checkpoints(tmp_path) == [folder]


def test_the_newest_and_the_best_stay(tmp_path):
    for step, figure in enumerate([5.0, 1.0, 2.0, None, 4.0, 3.0], 1):
        write_checkpoint(tmp_path, content(step, figure))
    removed = rotate(tmp_path, keep_last=2, keep_best=1)
    assert steps(whole_checkpoints(tmp_path)) == [6, 5, 2]
    assert sorted(steps(removed)) == [1, 3, 4]


def test_without_keep_best_only_the_newest_stay(tmp_path):
    for step in (1, 2, 3):
        write_checkpoint(tmp_path, content(step, figure=-float(step)))
    rotate(tmp_path, keep_last=1, keep_best=0)
    assert steps(whole_checkpoints(tmp_path)) == [3]


def test_a_checkpoint_of_a_later_format_is_refused(tmp_path):
    folder = write_checkpoint(tmp_path, content(1))
    state = folder / "trainer" / "state.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), "format": 99}))
    with pytest.raises(ValueError, match=r"format 99, this version reads 1"):
        read_checkpoint(folder)


def test_a_checkpoint_holds_no_pickle(tmp_path):
    folder = write_checkpoint(tmp_path, content(1))
    for path in folder.rglob("*"):
        if path.is_file() and path.parent.name == "trainer":
            assert path.suffix in (".json", ".safetensors")
    assert safetensors.torch.load_file(folder / "trainer" / "weights.safetensors")


@pytest.mark.skipif(os.name == "nt", reason="kills and forks are those of POSIX systems")
@pytest.mark.slow
def test_killed_before_each_of_its_file_operations_a_replacement_leaves_whole_checkpoints_only(tmp_path):
    operations = 0
    while True:
        out = tmp_path / str(operations)
        write_checkpoint(out, content(1))
        killed = run_killed_at(operations + 1, out, f"{TOY}:replace_checkpoint", str(out), 2)
        assert_whole_or_absent(out)
        assert steps(whole_checkpoints(out)) in ([1], [2, 1], [2])
        remove_temporaries(out)
        assert not [p.name for p in out.iterdir() if TEMPORARY in p.name]
        if not killed:
            break
        write_checkpoint(out, content(3))
        assert steps(whole_checkpoints(out))[0] == 3
        operations += 1
    assert operations >= 20


@pytest.mark.skipif(os.name == "nt", reason="kills and forks are those of POSIX systems")
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_killed_at_a_random_time_a_write_leaves_whole_checkpoints_only(tmp_path, seed):
    begun = time.monotonic()
    delay = random.Random(seed).uniform(0.0, 0.15)
    killed = run_killed_after(
        delay, f"{TOY}:write_checkpoints", str(tmp_path), 1, 250, ready=lambda: any(tmp_path.iterdir())
    )
    assert killed, f"250 checkpoints were written in {time.monotonic() - begun} s"
    assert_whole_or_absent(tmp_path)
    found = steps(whole_checkpoints(tmp_path))
    assert found == list(range(len(found), 0, -1))
