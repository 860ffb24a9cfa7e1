import json
import re
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

from amphion_core.config import ConfigError
from amphion_core.discriminators import ConstantQConfig, Discriminators, PeriodConfig, ScaleConfig
from amphion_core.testing.golden import Case
from amphion_core.training.run import train_task
from amphion_vocoders import GanVocoderRecipe, GanVocoderTask, HiFiGAN
from amphion_vocoders.initialization import DiscriminatorSource, start_discriminators, start_generator

MEL = {"sample_rate": 8000, "n_fft": 128, "win_length": 128, "hop_length": 32, "n_mels": 12, "f_max": 4000}
MODEL = {"mel": MEL, "channels": 8, "rates": [4, 4, 2], "kernel_sizes": [8, 8, 4], "block_kernel_sizes": [3]}
PERIOD = {"name": "period", "periods": [2, 3], "channels": [2, 4], "strides": [3, 1]}
STFT = {"name": "stft", "n_ffts": [128], "hops": [32], "channels": 2}
GOLDEN = Path(__file__).parent / "golden"


def recipe(shards, **changes):
    optimizer = {"lr": 1e-3}
    return GanVocoderRecipe.parse(
        {
            "task": "gan-vocoder",
            "name": "tiny",
            "vocoder": "hifigan",
            "model": {**MODEL, "block_dilations": [[1, 3]]},
            "discriminators": [PERIOD, STFT],
            "data": {"train": [{"path": str(shards / "train")}], "batch": {"size": 4, "buckets": 1}},
            "segment": 1024,
            "optimizers": {"discriminator": optimizer, "generator": optimizer},
            "trainer": {"steps": 1, "save_every": 0, "device": "cpu"},
            **changes,
        }
    )


@pytest.fixture(scope="module")
def run(shards, tmp_path_factory):
    """A trained run of one step."""
    return train_task(GanVocoderTask, recipe(shards), tmp_path_factory.mktemp("run"))


def tensors(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_generator_and_discriminators_start_from_a_run(shards, run):
    given = HiFiGAN.from_pretrained(run)
    task = GanVocoderTask(recipe(shards, init={"generator": str(run), "discriminators": str(run)}))
    fresh = tensors(task.discriminators)
    notes = task.start()
    assert equal(tensors(task.generator), tensors(given))
    weights = safetensors.torch.load_file(next(run.glob("step-*")) / "trainer" / "weights.safetensors")
    stored = {n.removeprefix("discriminators."): t for n, t in weights.items() if n.startswith("discriminators.")}
    assert equal(tensors(task.discriminators), stored)
    assert not equal(fresh, stored)
    assert len(notes) == 3


def test_discriminators_may_start_anew_beside_a_trained_generator(shards, run):
    task = GanVocoderTask(recipe(shards, init={"generator": str(run), "discriminators": [None, None]}))
    fresh = tensors(task.discriminators)
    assert "discriminator 1 (stft) starts anew" in task.start()
    assert equal(tensors(task.discriminators), fresh)


@pytest.mark.slow
def test_a_resumed_run_goes_on_from_its_own_weights(shards, run, tmp_path):
    init = {"generator": str(run), "discriminators": str(run)}
    out = train_task(GanVocoderTask, recipe(shards, init=init), tmp_path / "fine")
    assert "the generator starts from" in (out / "log.jsonl").read_text()
    longer = recipe(shards, init={"generator": str(tmp_path / "gone")}, trainer={"steps": 2, "device": "cpu"})
    train_task(GanVocoderTask, longer, out)  # what init names is not looked at again
    assert (out / "step-00000002").is_dir()


def test_a_generator_of_another_size_is_told_by_its_keys(shards, run):
    wider = recipe(shards, model={**MODEL, "channels": 16, "block_dilations": [[1, 3]]}, init={"generator": str(run)})
    with pytest.raises(ValueError, match=r"init\.generator .* does not fit HiFiGAN: shapes differ .* input\."):
        GanVocoderTask(wider).start()


def test_another_mel_is_noted(run):
    generator = HiFiGAN(HiFiGAN.from_pretrained(run).config.updated(mel={**MEL, "f_max": 3000}))
    assert "the config differs from its: mel.f_max 4000.0 -> 3000.0" in start_generator(generator, str(run))


def test_an_accelerate_folder_gives_the_discriminators_in_their_order(tmp_path):
    for number, name in enumerate(("mpd", "msd"), 1):
        case = Case(GOLDEN / name)
        safetensors.torch.save_file(case.weights, tmp_path / f"model_{number}.safetensors")
    safetensors.torch.save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    args = Case(GOLDEN / "mpd").config
    (tmp_path / "args.json").write_text(json.dumps(args))
    from amphion_vocoders.released import period_config

    configs = (period_config(args),)
    judge = Discriminators(configs)
    notes = start_discriminators(list(judge.members), configs, str(tmp_path))
    assert notes == [f"discriminator 0 (period) starts from {tmp_path}, model 1"]
    expected = Case(GOLDEN / "mpd").weights["discriminators.0.convs.0.bias"]
    assert torch.equal(judge.members[0].discriminators[0].convs[0].bias, expected)


@pytest.mark.parametrize(("name", "family"), [("msstftd", "a discriminator"), ("melgan", "melgan")])
def test_weights_of_another_network_are_told_by_what_they_are(tmp_path, name, family):
    for file in ("model.safetensors", "model_1.safetensors"):
        safetensors.torch.save_file(Case(GOLDEN / name).weights, tmp_path / file)
    configs = (PeriodConfig(),)
    words = (
        rf"{re.escape(str(tmp_path))}, model 1 is no period: \d+ keys of another model.*its keys are those of {family};"
    )
    with pytest.raises(ValueError, match=words):
        start_discriminators(
            list(Discriminators(configs).members), configs, [DiscriminatorSource(path=str(tmp_path), index=1)]
        )


def test_settings_of_the_run_must_be_those_of_the_recipe(shards, run):
    other = recipe(shards, discriminators=[{**PERIOD, "periods": [7, 11]}, STFT], init={"discriminators": str(run)})
    words = r"discriminator 0 \(period\) of .*step-.* other settings: periods: \[2, 3\] there, \[7, 11\] here"
    with pytest.raises(ValueError, match=words):
        GanVocoderTask(other).start()


def test_weights_without_their_recipe_are_taken_with_a_note(shards, run, tmp_path):
    shutil.copytree(next(run.glob("step-*")), tmp_path / "bare", ignore=shutil.ignore_patterns("recipe.yaml"))
    task = GanVocoderTask(recipe(shards, init={"discriminators": str(tmp_path / "bare")}))
    assert f"no recipe beside {tmp_path / 'bare'} says how its discriminators are set" in task.start()[0]


@pytest.mark.parametrize("rate", [8000, 16000])
def test_a_discriminator_without_a_rate_was_trained_at_that_of_its_generator(tmp_path, rate):
    config = ConstantQConfig(sample_rate=8000, octaves=(3,), hops=(16,), bins_per_octave=(4,), channels=2)
    judge = Discriminators((config,))
    (tmp_path / "trainer").mkdir()
    stored = {f"discriminators.{name}": tensor for name, tensor in tensors(judge).items()}
    safetensors.torch.save_file(stored, tmp_path / "trainer" / "weights.safetensors")
    (tmp_path / "config.json").write_text("{}")
    entry = {**config.to_dict(), "sample_rate": None}
    model = {"mel": {"sample_rate": rate}}
    (tmp_path / "recipe.yaml").write_text(json.dumps({"model": model, "discriminators": [entry]}))
    if rate == 8000:
        assert len(start_discriminators(list(judge.members), (config,), str(tmp_path))) == 1
    else:
        with pytest.raises(ValueError, match="sample_rate: 16000 there, 8000 here"):
            start_discriminators(list(judge.members), (config,), str(tmp_path))


def test_settings_beside_the_weights_must_be_those_of_the_recipe(tmp_path):
    safetensors.torch.save_file(Case(GOLDEN / "mpd").weights, tmp_path / "model_1.safetensors")
    safetensors.torch.save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    (tmp_path / "args.json").write_text(json.dumps(Case(GOLDEN / "mpd").config))
    from amphion_vocoders.released import period_config

    config = period_config(Case(GOLDEN / "mpd").config).updated(strides=(3, 3, 3, 3, 1))
    judge = Discriminators((config,))
    with pytest.raises(ValueError, match=r"'period' beside .* has other settings: strides"):
        start_discriminators(list(judge.members), (config,), str(tmp_path))


def test_one_file_of_several_discriminators_is_read_by_their_names(tmp_path):
    config = PeriodConfig(periods=(2,), channels=(2, 4), strides=(3, 1))
    torch.manual_seed(0)
    given = Discriminators((config,)).members[0]
    foreign = {
        name.replace("output.", "conv_post.")
        .replace("parametrizations.weight.original0", "weight_g")
        .replace("parametrizations.weight.original1", "weight_v"): tensor
        for name, tensor in given.state_dict().items()
    }
    torch.save({"mpd": foreign, "steps": 3}, tmp_path / "do_1")
    judge = Discriminators((config,))
    start_discriminators(list(judge.members), (config,), str(tmp_path / "do_1"))
    assert equal(tensors(judge.members[0]), tensors(given))


@pytest.mark.parametrize(
    ("configs", "source", "words"),
    [
        ((ScaleConfig(channels=(4,), kernel_sizes=(5,), strides=(1,), groups=(1,)),), "RUN", "holds 2 discriminators"),
        ((PeriodConfig(channels=(2,), strides=(3,)),), ("a", "b"), "2 entries for 1 discriminators"),
        (
            (ConstantQConfig(sample_rate=8000, octaves=(3,), hops=(16,), bins_per_octave=(4,), channels=2),),
            "FILE",
            "give a list of {path, nest}",
        ),
    ],
)
def test_what_does_not_fit_is_told(run, tmp_path, configs, source, words):
    (tmp_path / "file").write_bytes(b"")
    source = {"RUN": str(run), "FILE": str(tmp_path / "file")}.get(source, source)
    with pytest.raises(ValueError, match=words):
        start_discriminators(list(Discriminators(configs).members), configs, source)


def test_vocoders_that_train_without_discriminators_start_from_published_weights_too(tmp_path):
    from amphion_core import registry
    from amphion_core.recipe import load_recipe

    recipe = load_recipe("vocoders/diffwave-22k-small", [f"init.generator={tmp_path}", "model.channels=4"])
    make = registry.find("tasks", recipe.task)
    torch.manual_seed(0)
    make(recipe).generator.save_pretrained(tmp_path)
    task = make(recipe)
    notes = task.start()
    assert notes == [f"the generator starts from {tmp_path}"]
    stored = safetensors.torch.load_file(tmp_path / "model.safetensors")
    assert equal(tensors(task.generator), stored)
    with pytest.raises(ConfigError, match="the recipe has no discriminators"):
        load_recipe("vocoders/diffwave-22k-small", ["init.discriminators=a"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"init": {}}, "names neither a generator nor discriminators"),
        ({"init": {"generator": "a"}, "init_from": "b"}, "give one of them"),
        ({"init": {"discriminators": "a"}, "discriminators": []}, "the recipe has no discriminators"),
        ({"loss": {"feature_logits": [True]}}, "1 values for 2 discriminators"),
    ],
)
def test_faults_of_a_recipe_are_told(shards, changes, words):
    with pytest.raises(ConfigError, match=words):
        recipe(shards, **changes)
