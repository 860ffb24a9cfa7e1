import json
import math
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from amphion_core.data import BatchConfig, Batches, Loader
from amphion_core.hub import state_tensors
from amphion_core.locking import file_lock
from amphion_core.testing.kill import run, start
from amphion_core.testing.resume import differing, train_losses
from amphion_core.testing.toy import ToyBatch, ToyTask, toy_recipe
from amphion_core.training import Trainer
from amphion_core.training.checkpoint import damaged_checkpoints, whole_checkpoints

TOY = Path(__file__).with_name("toy_training.py")
posix = pytest.mark.skipif(os.name == "nt", reason="signals and limits are those of POSIX systems")


def trainer(out, task_class=ToyTask, **changes):
    recipe = toy_recipe(**changes)
    torch.manual_seed(recipe.seed)
    return Trainer(task_class(recipe), out, recipe)


def notes(out):
    found = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line["text"] for line in found if line["kind"] == "note"]


def write_recipe(folder, **changes):
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(toy_recipe(**changes).to_dict()))
    return str(path)


def state_of(running):
    """Everything a step could change, cloned."""
    tensors = {f"weights/{name}": tensor for name, tensor in state_tensors(running.task).items()}
    for name, phase in running.phases.items():
        tensors |= {f"{name}/{key}": tensor for key, tensor in phase.tensors().items()}
    with running.ema.applied():
        tensors |= {f"ema/{name}": tensor for name, tensor in state_tensors(running.task.model()).items()}
    return tensors


class BadBatch(ToyTask):
    """Spoils the inputs of the steps in `bad`."""

    bad = range(4, 5)
    value = math.nan

    def step(self, batch):
        if self.progress.step in self.bad:
            batch = ToyBatch(batch.x * self.value, batch.target)
        yield from super().step(batch)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_step_that_is_not_finite_changes_nothing(tmp_path, value):
    class Watching(BadBatch):
        def step(self, batch):
            states.append(state_of(running))
            yield from super().step(batch)

    states = []
    Watching.value = value
    running = trainer(tmp_path, Watching, trainer__steps=6)
    running.fit()
    before, after, later = states[4], states[5], state_of(running)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed <= {name for name in before if name.startswith("judge/")}  # its losses came from clean targets
    assert any(not torch.equal(after[name], later[name]) for name in after)
    assert all(tensor.isfinite().all() for tensor in later.values())


def test_a_refused_step_is_counted_and_logged(tmp_path):
    running = trainer(tmp_path, BadBatch, adversarial=False, trainer__steps=6, trainer__log_every=6)
    running.fit()
    assert running.stepper.bad.total == 1
    assert any(note.startswith("refused: generator/distance is nan") for note in notes(tmp_path))
    (line,) = (json.loads(text) for text in (tmp_path / "log.jsonl").read_text().splitlines() if '"train"' in text)
    assert line["refused"] == 1
    assert math.isfinite(line["losses"]["generator/distance"])


def test_a_gradient_that_is_not_finite_is_refused_though_the_loss_is_finite(tmp_path):
    class Root(ToyTask):
        def step(self, batch):
            estimate = self.generator(batch.x)
            bad = self.progress.step == 2
            yield "generator", {"distance": (estimate * 0).abs().sqrt().mean() if bad else estimate.square().mean()}

    running = trainer(tmp_path, Root, adversarial=False, trainer__steps=4)
    running.fit()
    assert running.stepper.bad.total == 1
    assert any("gradient of generator is nan" in note for note in notes(tmp_path))


def test_too_many_refused_steps_in_a_row_stop_the_run_with_clear_words(tmp_path):
    class Worse(BadBatch):
        bad = range(5, 100)

    running = trainer(tmp_path, Worse, trainer__steps=50, trainer__max_bad_steps=3)
    with pytest.raises(FloatingPointError, match=r"step 8: .*3 refused steps in a row \(trainer.max_bad_steps\)"):
        running.fit()
    assert whole_checkpoints(tmp_path)[0].name == "step-00000004"
    assert notes(tmp_path)[-1].startswith("failed: step 8")


def test_refused_steps_with_good_ones_between_do_not_stop_the_run(tmp_path):
    class Every(BadBatch):
        bad = range(1, 100, 2)

    running = trainer(tmp_path, Every, trainer__steps=10, trainer__max_bad_steps=2)
    assert running.fit().step == 10
    assert running.stepper.bad.total == 5


def test_an_fp16_overflow_lowers_the_scale_and_is_no_bad_step(tmp_path):
    class Large(ToyTask):
        def step(self, batch):
            for phase, terms in super().step(batch):
                yield phase, {name: term * 1e36 for name, term in terms.items()}

    settings = {"trainer__precision": "fp16", "trainer__steps": 2, "trainer__max_bad_steps": 1}
    running = trainer(tmp_path, Large, adversarial=False, **settings)
    running.fit()
    assert running.stepper.bad.total == 0
    assert sum("the loss scale is lower now" in note for note in notes(tmp_path)) == 2


def test_a_loss_term_that_disappears_is_named(tmp_path):
    class Losing(ToyTask):
        def step(self, batch):
            for phase, terms in super().step(batch):
                if self.progress.step == 3:
                    terms.pop("adversarial", None)
                yield phase, terms

    with pytest.raises(ValueError, match=r"the phase 'generator' lost its loss terms adversarial; it yielded distance"):
        trainer(tmp_path, Losing).fit()


def test_a_loss_term_that_disappears_over_a_restart_is_named(tmp_path):
    class Without(ToyTask):
        def step(self, batch):
            for phase, terms in super().step(batch):
                terms.pop("adversarial", None)
                yield phase, terms

    trainer(tmp_path, trainer__steps=2).fit()
    with pytest.raises(ValueError, match="lost its loss terms adversarial"):
        trainer(tmp_path, Without, trainer__steps=4).fit()


def test_a_loss_that_is_no_scalar_is_named(tmp_path):
    class Wide(ToyTask):
        def step(self, batch):
            yield "generator", {"distance": self.generator(batch.x).square().mean(1)}

    with pytest.raises(ValueError, match=r"loss term 'distance' of phase 'generator' has shape \(4,\), not a scalar"):
        trainer(tmp_path, Wide, adversarial=False).fit()


def test_losses_that_do_not_depend_on_the_networks_are_refused(tmp_path):
    class Detached(ToyTask):
        def step(self, batch):
            estimate = self.generator(batch.x).detach().requires_grad_()
            yield "generator", {"distance": estimate.square().mean()}

    with pytest.raises(ValueError, match="no gradient reached the networks of phase 'generator'"):
        trainer(tmp_path, Detached, adversarial=False).fit()


def test_a_phase_that_does_not_exist_is_named(tmp_path):
    class Misspelt(ToyTask):
        def step(self, batch):
            for _, terms in super().step(batch):
                yield "generatr", terms

    with pytest.raises(ValueError, match=r"yielded the phase 'generatr'; Task.phases has generator"):
        trainer(tmp_path, Misspelt, adversarial=False).fit()


def test_out_of_memory_names_the_batch(tmp_path):
    class Huge(ToyTask):
        def step(self, batch):
            torch.empty(2**58)  # more than any machine has
            yield from super().step(batch)

    with pytest.raises(
        RuntimeError, match=r"out of memory in step 1 on cpu, with a batch of x \(4, 4\) float32, target"
    ):
        trainer(tmp_path, Huge).fit()


def test_another_runtime_error_stays_what_it_is(tmp_path):
    class Broken(ToyTask):
        def step(self, batch):
            self.generator(batch.x[:, :3])
            yield from super().step(batch)

    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        trainer(tmp_path, Broken).fit()


def test_a_recipe_without_validation_data_is_noted_and_training_goes_on(tmp_path):
    assert trainer(tmp_path, valid_rows=0).fit().step == 8
    assert "no validation: the recipe has no validation data" in notes(tmp_path)


def test_an_empty_validation_set_is_noted_and_training_goes_on(tmp_path):
    class Filtered(ToyTask):
        def loader(self, split, rank, world_size):
            rows = np.ones(40 if split == "train" else 0)
            return Loader(self.load_row, Batches([rows], BatchConfig(size=4)), self.join)

    assert trainer(tmp_path, Filtered).fit().step == 8
    assert any(note.startswith("no validation: set 0 has no rows") for note in notes(tmp_path))


def test_a_run_folder_with_checkpoints_is_refused_where_resuming_is_switched_off(tmp_path):
    trainer(tmp_path, trainer__steps=2).fit()
    with pytest.raises(FileExistsError, match=r"step-00000002 and trainer.resume is 'never'"):
        trainer(tmp_path, trainer__steps=4, trainer__resume="never").fit()


def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_is_used(tmp_path):
    trainer(tmp_path / "whole", trainer__steps=8).fit()
    trainer(tmp_path / "broken", trainer__steps=8).fit()
    weights = tmp_path / "broken" / "step-00000008" / "trainer" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    trainer(tmp_path / "broken", trainer__steps=8).fit()
    assert (tmp_path / "broken" / "damaged-step-00000008").is_dir()
    assert damaged_checkpoints(tmp_path / "broken") == []
    assert any("step-00000008 lacks files" in note for note in notes(tmp_path / "broken"))
    assert differing(tmp_path / "whole", tmp_path / "broken") == []


@posix
@pytest.mark.slow
def test_a_run_folder_that_another_process_uses_is_refused(tmp_path):
    child = start(f"{TOY}:train", write_recipe(tmp_path, trainer__steps=10**6), str(tmp_path / "run"))
    try:
        child.wait_until(lambda: bool(train_losses(tmp_path / "run")))
        with pytest.raises(RuntimeError, match=rf"in use by another process \(process {child.process.pid} on "):
            trainer(tmp_path / "run").fit()
    finally:
        child.kill()
    with file_lock(tmp_path / "run" / ".lock"):
        pass  # the lock died with its holder


@posix
@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_signal_ends_the_step_and_writes_a_checkpoint_from_which_it_goes_on(tmp_path, number, status, workers):
    settings = {"trainer__save_every": 0, "trainer__validate_every": 0, "trainer__workers": workers}
    endless = write_recipe(tmp_path, trainer__steps=10**6, trainer__log_every=1, **settings)
    child = start(f"{TOY}:train_and_exit", endless, str(tmp_path / "run"))
    child.wait_until(lambda: len(train_losses(tmp_path / "run")) > 5)
    os.kill(child.process.pid, number)
    assert child.wait() == status, child.stderr()
    step = int(whole_checkpoints(tmp_path / "run")[0].name.removeprefix("step-"))
    assert max(train_losses(tmp_path / "run")) == step
    assert notes(tmp_path / "run")[-1] == f"stopped: {number.name}"
    short = write_recipe(tmp_path, trainer__steps=step + 3, trainer__log_every=1, **settings)
    for name in ("run", "undisturbed"):
        run(f"{TOY}:train", short, str(tmp_path / name))
    assert differing(tmp_path / "run", tmp_path / "undisturbed") == []


@posix
@pytest.mark.slow
def test_a_full_disk_leaves_the_earlier_checkpoint_and_is_said(tmp_path):
    settings = {"trainer__steps": 4, "trainer__save_every": 2, "trainer__validate_every": 0}
    run(f"{TOY}:train", write_recipe(tmp_path, **settings), str(tmp_path / "run"))
    earlier = whole_checkpoints(tmp_path / "run")
    larger = max(p.stat().st_size for p in earlier[0].rglob("*"))
    log = (tmp_path / "run" / "log.jsonl").stat().st_size
    more = write_recipe(tmp_path, **{**settings, "trainer__steps": 8})
    child = start(f"{TOY}:train_on_a_small_disk", more, str(tmp_path / "run"), max(larger - 100, log + 4000))
    assert child.wait() == 1
    assert "the newest whole checkpoint is" in child.stderr()
    assert "Make room" in child.stderr()
    assert whole_checkpoints(tmp_path / "run") == earlier
    run(f"{TOY}:train", more, str(tmp_path / "run"))
    assert whole_checkpoints(tmp_path / "run")[0].name == "step-00000008"


@posix
@pytest.mark.slow
def test_a_worker_that_dies_ends_the_run_with_clear_words_and_the_checkpoint_stays(tmp_path):
    recipe = write_recipe(tmp_path, trainer__workers=1, trainer__save_every=1, trainer__steps=30)
    child = start(f"{TOY}:train_with_dying_worker", recipe, str(tmp_path / "run"))
    assert child.wait() == 1
    assert "a process that loads data failed" in child.stderr()
    assert damaged_checkpoints(tmp_path / "run") == []
    run(f"{TOY}:train", recipe, str(tmp_path / "run"))
    assert whole_checkpoints(tmp_path / "run")[0].name == "step-00000030"


def test_leftovers_of_a_killed_run_are_removed(tmp_path):
    trainer(tmp_path, trainer__steps=2).fit()
    leftovers = [tmp_path / ".tmp-step-00000004-1-a", tmp_path / "samples" / "step-00000002" / ".tmp-toy.wav-1-b"]
    leftovers[0].mkdir()
    leftovers[1].write_bytes(b"half")
    trainer(tmp_path, trainer__steps=4).fit()
    assert [path for path in leftovers if path.exists()] == []


class Planted:
    """Touches a file when it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (Path.touch, (self.target,))


def test_a_pickle_in_the_place_of_weights_is_refused_and_never_run(tmp_path):
    finish = trainer(tmp_path / "run", trainer__steps=2).fit()
    weights = finish.checkpoint / "trainer" / "weights.safetensors"
    torch.save(Planted(tmp_path / "touched"), weights)
    sizes = finish.checkpoint / "trainer" / "files.json"
    listed = json.loads(sizes.read_text()) | {"trainer/weights.safetensors": weights.stat().st_size}
    sizes.write_text(json.dumps(listed))
    with pytest.raises(ValueError, match="no whole safetensors file"):
        trainer(tmp_path / "run", trainer__steps=4).fit()
    assert not (tmp_path / "touched").exists()


def test_a_checkpoint_holds_texts_and_safetensors_only(tmp_path):
    finish = trainer(tmp_path, trainer__steps=2).fit()
    kinds = {path.suffix for path in finish.checkpoint.rglob("*") if path.is_file()}
    assert kinds == {".json", ".safetensors", ".yaml", ".md"}
