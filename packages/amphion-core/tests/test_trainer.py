import contextlib
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from amphion_core import audio, registry
from amphion_core.config import ConfigError, read_mapping
from amphion_core.hub import read_weights, resolve, state_tensors
from amphion_core.testing.resume import differing, train_losses
from amphion_core.testing.toy import ToyModel, ToyRecipe, ToyTask, toy_recipe
from amphion_core.training import Trainer, train_task
from amphion_core.training.checkpoint import read_checkpoint, whole_checkpoints


def lines(out, kind):
    found = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line for line in found if line["kind"] == kind]


def notes(out):
    return [line["text"] for line in lines(out, "note")]


def fit(out, task_class=ToyTask, **changes):
    """Train; returns the finish and the task."""
    recipe = toy_recipe(**changes)
    torch.manual_seed(recipe.seed)
    task = task_class(recipe)
    return Trainer(task, out, recipe).fit(), task


def plain(**changes):
    """A recipe without noise, dropout and judge, whose runs can be compared number by number."""
    settings = {"adversarial": False, "noise": 0.0, "model": {"dropout": 0.0}, "trainer__ema": None}
    return {**settings, **changes}


@pytest.mark.parametrize("adversarial", [True, False])
def test_training_lowers_the_loss(tmp_path, adversarial):
    fit(tmp_path, adversarial=adversarial, trainer__steps=80, trainer__save_every=0, trainer__validate_every=40)
    first, second = (line["losses"]["distance"] for line in lines(tmp_path, "valid"))
    losses = train_losses(tmp_path)
    assert losses[80]["generator/distance"] < 0.8 * losses[2]["generator/distance"]
    assert second < first


def test_a_run_stops_at_its_steps_with_a_checkpoint_of_the_last(tmp_path):
    finish, _ = fit(tmp_path, trainer__steps=5, trainer__save_every=2)
    assert (finish.step, finish.reason, finish.checkpoint.name) == (5, "steps", "step-00000005")
    assert finish.checkpoint == whole_checkpoints(tmp_path)[0]


def test_a_run_stops_after_its_epochs(tmp_path):
    finish, _ = fit(tmp_path, trainer__steps=None, trainer__epochs=2, rows=18)
    assert (finish.step, finish.reason) == (10, "epochs")  # 18 rows are 5 batches of at most 4


def test_a_run_stops_after_its_hours(tmp_path):
    finish, _ = fit(tmp_path, trainer__steps=None, trainer__hours=1e-9)
    assert (finish.step, finish.reason) == (1, "hours")


def test_a_finished_run_started_again_does_nothing_and_says_so(tmp_path):
    fit(tmp_path, trainer__steps=4)
    before = (tmp_path / "step-00000004" / "model.safetensors").stat().st_mtime_ns
    finish, _ = fit(tmp_path, trainer__steps=4)
    assert (finish.step, finish.reason) == (4, "steps")
    assert (tmp_path / "step-00000004" / "model.safetensors").stat().st_mtime_ns == before


def test_the_same_seed_gives_the_same_run_and_another_one_another(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        fit(tmp_path / name, seed=seed)
    assert differing(tmp_path / "a", tmp_path / "b") == []
    assert differing(tmp_path / "a", tmp_path / "c") != []


def test_a_run_in_two_parts_equals_one_in_a_piece(tmp_path):
    fit(tmp_path / "whole", trainer__steps=10, trainer__save_every=5)
    fit(tmp_path / "parts", trainer__steps=5, trainer__save_every=5)
    fit(tmp_path / "parts", trainer__steps=10, trainer__save_every=5)
    assert differing(tmp_path / "whole", tmp_path / "parts") == []


def test_how_often_is_validated_does_not_change_the_training(tmp_path):
    fit(tmp_path / "a", trainer__validate_every=1, trainer__sample_every=1)
    fit(tmp_path / "b", trainer__validate_every=0, trainer__sample_every=0)
    weights = [read_checkpoint(tmp_path / name / "step-00000008").tensors("weights") for name in ("a", "b")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_accumulated_batches_make_the_step_of_one_large_batch(tmp_path):
    class Fixed(ToyTask):
        """Every batch is the same, so two of them are one of twice the weight."""

        def load_row(self, number, index, random):
            return np.random.default_rng(index).standard_normal(4)

    # Not Adam, which would blow up the rounding errors of gradients that are zero.
    settings = plain(batch=40, trainer__steps=3, optimizers__generator__name="sgd")
    settings["optimizers__generator__schedule"] = {"name": "constant"}  # the other one follows the epochs
    _, single = fit(tmp_path / "a", Fixed, **settings)
    _, twice = fit(tmp_path / "b", Fixed, **settings, trainer__accumulate=2)
    for a, b in zip(single.generator.parameters(), twice.generator.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)  # halves are added, which rounds
    assert train_losses(tmp_path / "a")[2] == pytest.approx(train_losses(tmp_path / "b")[2], rel=1e-5)


def test_gradients_are_clipped_to_the_norm_of_their_phase(tmp_path):
    settings = plain(trainer__steps=1, optimizers__generator__name="sgd", optimizers__generator__weight_decay=0.0)
    settings |= {"optimizers__generator__lr": 1.0, "optimizers__generator__betas": [0.0, 0.0]}
    recipe = toy_recipe(**settings, optimizers__generator__clip_norm=0.01)
    task = ToyTask(recipe)
    before = state_tensors(task.generator)
    Trainer(task, tmp_path, recipe).fit()
    moved = [(p - before[name]).flatten() for name, p in task.generator.named_parameters()]
    assert torch.cat(moved).norm().item() == pytest.approx(0.01, rel=1e-4)


def test_each_phase_moves_its_own_networks_only(tmp_path):
    class JudgeOnly(ToyTask):
        def step(self, batch):
            yield next(super().step(batch))

    recipe = toy_recipe()
    task = JudgeOnly(recipe)
    before = state_tensors(task)
    Trainer(task, tmp_path, recipe).fit()
    after = task.state_dict()
    moved = {name for name, p in task.named_parameters() if not torch.equal(after[name], before[name])}
    assert moved == {name for name, _ in task.named_parameters() if name.startswith("judge")}


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_low_precision_lowers_the_loss_and_keeps_float32_weights(tmp_path, precision):
    seen = set()

    class Watching(ToyTask):
        def step(self, batch):
            for phase, terms in super().step(batch):
                seen.add(self.generator.layers[0](batch.x).dtype)
                yield phase, terms

    seldom = {"trainer__save_every": 0, "trainer__validate_every": 30, "trainer__sample_every": 0}
    _, task = fit(tmp_path, Watching, trainer__precision=precision, trainer__steps=60, **seldom)
    losses = train_losses(tmp_path)
    assert seen == {torch.bfloat16 if precision == "bf16" else torch.float16}
    assert losses[60]["generator/distance"] < losses[2]["generator/distance"]
    assert {p.dtype for p in task.parameters()} == {torch.float32}


def test_an_fp16_run_in_two_parts_keeps_its_loss_scale(tmp_path):
    fit(tmp_path / "whole", trainer__steps=8, trainer__precision="fp16")
    fit(tmp_path / "parts", trainer__steps=4, trainer__precision="fp16")
    fit(tmp_path / "parts", trainer__steps=8, trainer__precision="fp16")
    assert differing(tmp_path / "whole", tmp_path / "parts") == []
    state = read_checkpoint(tmp_path / "parts" / "step-00000008").state
    assert state["phases"]["generator"]["scaler"]["_growth_tracker"] >= 6  # a first step may overflow


def test_phases_without_an_optimizer_are_refused_by_name(tmp_path):
    recipe = toy_recipe(adversarial=True)
    recipe = ToyRecipe.parse({**recipe.to_dict(), "optimizers": {"generator": {}, "juge": {}}})
    with pytest.raises(ConfigError, match=r"phases judge, generator, the recipe has optimizers for generator, juge"):
        Trainer(ToyTask(recipe), tmp_path, recipe)


def test_accumulation_over_several_phases_is_refused(tmp_path):
    recipe = toy_recipe(trainer__accumulate=2)
    with pytest.raises(ConfigError, match="has 2 phases"):
        Trainer(ToyTask(recipe), tmp_path, recipe)


@pytest.mark.slow
def test_compiled_networks_give_the_same_run(tmp_path):
    # The eager backend needs no C++ compiler; what is tested is that compiling keeps names, modes and gradients.
    fit(tmp_path / "a", **plain())
    fit(tmp_path / "b", **plain(), trainer__compile=True, trainer__compile_backend="eager")
    names = [read_checkpoint(tmp_path / name / "step-00000008").tensors("weights") for name in ("a", "b")]
    assert names[0].keys() == names[1].keys()
    for key in names[0]:
        torch.testing.assert_close(names[0][key], names[1][key], atol=1e-6, rtol=1e-5)


def test_validation_is_the_mean_over_its_batches(tmp_path):
    class Counting(ToyTask):
        def validate(self, batch):
            return {"rows": torch.tensor(float(len(batch.x)))}

    fit(tmp_path, Counting, valid_rows=6, trainer__watch="rows", trainer__steps=2)
    (line,) = lines(tmp_path, "valid")
    assert line["losses"] == {"rows": 3.0, "total": 3.0}  # batches of 4 and 2


def test_an_unknown_watched_figure_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(ValueError, match=r"watch is 'mel'; the validation figures are distance, largest, total"):
        fit(tmp_path, trainer__watch="mel")


def test_networks_are_in_evaluation_mode_only_while_validating(tmp_path):
    modes = []

    class Watching(ToyTask):
        def step(self, batch):
            modes.append(("step", self.generator.training, torch.is_grad_enabled()))
            yield from super().step(batch)

        def validate(self, batch):
            modes.append(("validate", self.generator.training, torch.is_grad_enabled()))
            return super().validate(batch)

    fit(tmp_path, Watching, trainer__validate_every=1, trainer__steps=3)
    assert set(modes) == {("step", True, True), ("validate", False, False)}


def test_samples_are_sounds_and_pictures_in_the_run_folder(tmp_path):
    fit(tmp_path, trainer__steps=4, trainer__sample_every=2)
    folder = tmp_path / "samples" / "step-00000002"
    wav, sample_rate = audio.load(folder / "toy.wav")
    assert (wav.shape, sample_rate) == ((800,), 8000)
    assert (folder / "toy.png").read_bytes()[:4] == b"\x89PNG"


def test_names_of_samples_stay_inside_their_folder(tmp_path):
    class Escaping(ToyTask):
        def sample(self, batch):
            for sample in super().sample(batch):
                yield replace(sample, name="../../out side")

    fit(tmp_path / "run", Escaping, trainer__steps=2)
    assert [p.name for p in (tmp_path / "run" / "samples" / "step-00000002").iterdir()] != []
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_sample_that_is_not_finite_is_noted_and_left_out(tmp_path):
    class Broken(ToyTask):
        def sample(self, batch):
            for sample in super().sample(batch):
                yield replace(sample, wav=sample.wav * math.nan)

    fit(tmp_path, Broken, trainer__steps=2)
    assert any("sample not written: toy" in note for note in notes(tmp_path))


def test_the_average_is_exported_and_the_raw_weights_are_kept_for_resuming(tmp_path):
    finish, task = fit(tmp_path, trainer__ema=0.5, trainer__steps=4)
    exported = read_weights(finish.checkpoint / "model.safetensors")
    raw = read_checkpoint(finish.checkpoint).tensors("weights")
    assert not torch.equal(exported["layers.0.weight"], raw["generator.layers.0.weight"])
    assert torch.equal(raw["generator.layers.0.weight"], task.generator.layers[0].weight)


def test_a_checkpoint_is_what_from_pretrained_reads(tmp_path):
    finish, task = fit(tmp_path, trainer__ema=None)
    model = ToyModel.from_pretrained(tmp_path)
    x = torch.randn(3, 4)
    task.eval()
    assert resolve(tmp_path) == finish.checkpoint
    assert torch.equal(model(x), task.generator(x))


def test_a_checkpoint_says_how_it_was_made(tmp_path):
    finish, _ = fit(tmp_path, trainer__steps=4)
    assert ToyRecipe.parse(read_mapping(finish.checkpoint / "recipe.yaml")) == toy_recipe(trainer__steps=4)
    versions = json.loads((finish.checkpoint / "versions.json").read_text())
    assert {"amphion-core", "torch", "numpy"} <= set(versions["packages"])
    card = (finish.checkpoint / "README.md").read_text()
    assert "distance" in card
    assert "models/toy" in card


def test_the_best_checkpoint_stays_beside_the_newest(tmp_path):
    class Valley(ToyTask):
        def validate(self, batch):
            return {"distance": torch.tensor(abs(self.progress.step - 4.0))}

    settings = {"trainer__save_every": 2, "trainer__validate_every": 2, "trainer__keep_last": 1}
    fit(tmp_path, Valley, trainer__steps=10, **settings)
    assert [folder.name for folder in whole_checkpoints(tmp_path)] == ["step-00000010", "step-00000004"]


def test_a_plateau_lowers_the_learning_rate(tmp_path):
    class Flat(ToyTask):
        def validate(self, batch):
            return {"distance": torch.tensor(1.0)}

    schedule = {"name": "plateau", "decay": 0.1, "patience": 0}
    settings = plain(optimizers__generator__schedule=schedule, optimizers__generator__lr=1.0)
    fit(tmp_path, Flat, **settings, trainer__validate_every=2, trainer__log_every=1, trainer__steps=6)
    rates = [line["learning_rate"]["generator"] for line in lines(tmp_path, "train")]
    assert rates == pytest.approx([1.0, 1.0, 1.0, 1.0, 0.1, 0.1])


def test_a_fine_tune_starts_from_the_published_network(tmp_path):
    finish, _ = fit(tmp_path / "first", trainer__ema=0.5)
    published = read_weights(finish.checkpoint / "model.safetensors")
    seen = []

    class Watching(ToyTask):
        def step(self, batch):
            seen.append((state_tensors(self.generator), state_tensors(self.judge)))
            yield from super().step(batch)

    fit(tmp_path / "second", Watching, init_from=str(tmp_path / "first"), trainer__steps=1, seed=9)
    generator, judge = seen[0]
    assert all(torch.equal(generator[name], published[name]) for name in published if "running" not in name)
    first = read_checkpoint(finish.checkpoint).tensors("weights")
    assert not torch.equal(judge["0.weight"], first["judge.0.weight"])


def test_a_fine_tune_can_take_the_other_networks_too(tmp_path):
    finish, _ = fit(tmp_path / "first")
    first = read_checkpoint(finish.checkpoint).tensors("weights")
    seen = []

    class Watching(ToyTask):
        def step(self, batch):
            seen.append(state_tensors(self))
            yield from super().step(batch)

    settings = {"init_from": str(finish.checkpoint), "trainer__init_weights": "all"}
    fit(tmp_path / "second", Watching, **settings, trainer__steps=1, seed=9)
    assert all(torch.equal(seen[0][name], first[name]) for name in first)


def test_a_fine_tune_from_another_architecture_names_the_shapes(tmp_path):
    fit(tmp_path / "first", trainer__steps=1)
    with pytest.raises(ValueError, match=r"layers.0.weight: file \(8, 4\), model \(5, 4\)"):
        fit(tmp_path / "second", init_from=str(tmp_path / "first"), model={"dim": 5})


def test_all_networks_from_a_published_folder_are_refused(tmp_path):
    ToyModel(toy_recipe().model).save_pretrained(tmp_path / "model")
    with pytest.raises(FileNotFoundError, match="init_weights='all'"):
        fit(tmp_path / "run", init_from=str(tmp_path / "model"), trainer__init_weights="all")


def test_a_resumed_run_lists_what_changed_in_its_recipe(tmp_path):
    fit(tmp_path, trainer__steps=4)
    fit(tmp_path, trainer__steps=6, optimizers__generator__lr=0.5)
    assert "recipe changed: optimizers.generator.lr 0.01 -> 0.5" in notes(tmp_path)
    assert lines(tmp_path, "train")[-1]["learning_rate"]["generator"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 5}, "seed: 1234 in the run, 5 now"),
        ({"model": {"dim": 9}}, "model.dim: 8 in the run, 9 now"),
        ({"optimizers__judge__name": "sgd"}, "optimizers.judge.name: 'adamw' in the run, 'sgd' now"),
    ],
)
def test_a_resumed_run_refuses_what_would_not_fit(tmp_path, changes, words):
    fit(tmp_path, trainer__steps=1)
    with pytest.raises(ValueError, match=words):
        fit(tmp_path, trainer__steps=2, **changes)


def test_a_task_keeps_its_own_state(tmp_path):
    class Counting(ToyTask):
        count = 0

        def step(self, batch):
            self.count += 1
            yield from super().step(batch)

        def state(self):
            return {"count": self.count}

        def load_state(self, state):
            self.count = state["count"]

    fit(tmp_path, Counting, trainer__steps=3)
    _, task = fit(tmp_path, Counting, trainer__steps=5)
    assert task.count == 5


def test_a_loss_term_may_join_and_is_noted(tmp_path):
    class Late(ToyTask):
        def step(self, batch):
            for phase, terms in super().step(batch):
                late = {"late": terms["distance"] * 0.1} if self.progress.step >= 3 else {}
                yield phase, {**terms, **late}

    fit(tmp_path, Late, **plain(trainer__steps=6))
    assert "loss term generator/late joins after step 3" in notes(tmp_path)


def test_a_phase_may_be_left_out_of_a_step(tmp_path):
    class Seldom(ToyTask):
        def step(self, batch):
            for phase, terms in super().step(batch):
                if phase == "generator" or self.progress.step % 2:
                    yield phase, terms

    finish, _ = fit(tmp_path, Seldom, trainer__steps=6)
    assert finish.step == 6


def test_the_start_of_a_log_counts_parameters_and_memory(tmp_path):
    class WithFrozen(ToyTask):
        def __init__(self, recipe):
            super().__init__(recipe)
            self.features = torch.nn.Linear(2, 3).requires_grad_(False)
            self.forgotten = torch.nn.Linear(1, 1)

    fit(tmp_path, WithFrozen, trainer__steps=1)
    summary = lines(tmp_path, "note")[0]["summary"]
    assert summary["networks"]["features"] == {"parameters": 9, "trained": 0, "bytes": 36}
    assert summary["networks"]["generator"]["trained"] == 4 * 8 + 8 + 2 * 8 + 8 * 4 + 4
    assert summary["untrained"] == ["forgotten.weight", "forgotten.bias"]


@pytest.mark.slow
def test_profiled_steps_leave_a_trace(tmp_path):
    fit(tmp_path, trainer__steps=16, trainer__profile_steps=2)
    trace = json.loads((tmp_path / "profile" / "trace.json").read_text())
    assert any("addmm" in event.get("name", "") for event in trace["traceEvents"])


def test_an_empty_data_loader_is_an_error(tmp_path):
    class Empty(ToyTask):
        def loader(self, split, rank, world_size):
            loader = super().loader("valid", rank, world_size)
            with contextlib.suppress(StopIteration):
                loader.batches.seek(10)
            return loader

    with pytest.raises(ValueError, match="gave no batch"):
        fit(tmp_path, Empty)


def test_judge_sees_the_samples_and_its_figures_stand_in_the_log(tmp_path):
    seen = []

    def judge(samples):
        seen.append([sample.name for sample in samples])
        torch.rand(7)  # must not disturb the training
        return {"loudness": -20.5, "undefined": math.nan}

    figures = []
    for name, own in (("with", judge), ("without", None)):
        recipe = toy_recipe(trainer__steps=8, trainer__sample_every=4)
        torch.manual_seed(recipe.seed)
        Trainer(ToyTask(recipe), tmp_path / name, recipe, judge=own).fit()
        figures.append(train_losses(tmp_path / name))
    assert seen == [["toy"], ["toy"]] and figures[0] == figures[1]
    judged = [(line["step"], line["figures"]) for line in lines(tmp_path / "with", "judged")]
    assert judged == [(step, {"loudness": -20.5, "undefined": None}) for step in (4, 8)]


def test_judge_that_fails_is_noted_and_ends_nothing(tmp_path):
    def judge(samples):
        raise ValueError("no recording beside the samples")

    recipe = toy_recipe(trainer__steps=4, trainer__sample_every=2)
    Trainer(ToyTask(recipe), tmp_path, recipe, judge=judge).fit()
    assert notes(tmp_path).count("samples not judged: no recording beside the samples") == 2


def test_metrics_of_a_recipe_are_those_of_the_installed_judge(tmp_path, monkeypatch):
    asked = []

    class Point:
        dist = None

        def load(self):
            return lambda metrics: asked.append(metrics) or (lambda samples: {"n": float(len(samples))})

    monkeypatch.setattr(registry, "entries", lambda group: {"metrics": Point()} if group == "judges" else {})
    train_task(ToyTask, toy_recipe(trainer__steps=2, trainer__metrics=["mcd"]), tmp_path)
    assert asked == [("mcd",)] and lines(tmp_path, "judged")[0]["figures"] == {"n": 1.0}


def test_metrics_of_a_recipe_without_a_judge_name_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "entries", lambda group: {})
    with pytest.raises(ConfigError, match="pip install amphion-eval"):
        train_task(ToyTask, toy_recipe(trainer__metrics=["mcd"]), tmp_path)
