"""Training of DiffWave by the noise it tells, and of WaveGlow by likelihood."""

import math

import pytest
import torch

from amphion_core.testing import check_resume, check_task
from amphion_core.training.run import train_task
from amphion_vocoders import (
    DiffusionVocoderRecipe,
    DiffusionVocoderTask,
    FlowVocoderRecipe,
    FlowVocoderTask,
    GanVocoderRecipe,
    GanVocoderTask,
)

MEL = {"sample_rate": 8000, "n_fft": 128, "win_length": 128, "hop_length": 32, "n_mels": 12, "f_max": 4000}
MODELS = {
    "diffwave": {"channels": 6, "layers": 3, "cycle": 3, "rates": [8, 4], "steps": "fast"},
    "waveglow": {"flows": 3, "early_every": 2, "layers": 2, "channels": 6, "upsample_kernel_size": 64},
    "melgan": {"channels": 2, "rates": [4, 4, 2], "blocks": 1},
}
TASKS = {
    "diffwave": ("diffusion-vocoder", DiffusionVocoderRecipe, DiffusionVocoderTask),
    "waveglow": ("flow-vocoder", FlowVocoderRecipe, FlowVocoderTask),
}


def values(shards, vocoder, **trainer):
    return {
        "task": TASKS[vocoder][0],
        "name": "tiny",
        "vocoder": vocoder,
        "model": {"mel": MEL, **MODELS[vocoder]},
        "data": {
            "train": [{"path": str(shards / "train")}],
            "valid": [{"path": str(shards / "valid")}],
            "batch": {"size": 4, "buckets": 1},
            "valid_batch": {"size": 2, "buckets": 1, "shuffle": False},
        },
        "segment": 1024,
        "optimizers": {"generator": {"lr": 1e-3, "schedule": {"name": "exponential_epoch", "decay": 0.9}}},
        "trainer": {"steps": 4, "validate_every": 2, "save_every": 2, "log_every": 1, "device": "cpu", **trainer},
    }


def recipe_of(shards, vocoder, **changes):
    return TASKS[vocoder][1].parse(values(shards, vocoder) | changes)


def task_of(shards, vocoder, **changes):
    torch.manual_seed(0)
    return TASKS[vocoder][2](recipe_of(shards, vocoder, **changes))


def batch_of(task, split):
    return next(iter(task.loader(split, 0, 1)))


@pytest.mark.parametrize("vocoder", TASKS)
def test_contract_is_kept(shards, vocoder):
    check_task(TASKS[vocoder][2], recipe_of(shards, vocoder))


@pytest.mark.parametrize(("vocoder", "figure"), [("diffwave", "epsilon"), ("waveglow", "nll")])
def test_a_few_steps_lower_the_figure(shards, vocoder, figure):
    task = task_of(shards, vocoder, copies=False)
    held_out = batch_of(task, "valid")
    optimizer = torch.optim.Adam(task.generator.parameters(), 5e-3)
    with torch.no_grad():
        before = task.validate(held_out)[figure]
    for batch, _ in zip(task.loader("train", 0, 1), range(30), strict=False):
        for _, terms in task.step(batch):
            optimizer.zero_grad()
            sum(terms.values()).backward()
            optimizer.step()
    with torch.no_grad():
        assert task.validate(held_out)[figure] < before - 0.1


@pytest.mark.parametrize("vocoder", TASKS)
def test_validation_gives_the_same_figures_each_time_and_disturbs_no_random_state(shards, vocoder):
    task = task_of(shards, vocoder, **({"dither": 1e-3} if vocoder == "waveglow" else {})).eval()
    batch = batch_of(task, "valid")
    with torch.no_grad():
        first, state = task.validate(batch), torch.get_rng_state()
        assert task.validate(batch) == first
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("vocoder", "figures"), [("diffwave", {"epsilon"}), ("waveglow", {"nll"})])
def test_copies_can_be_left_out_of_validation(shards, vocoder, figures):
    task = task_of(shards, vocoder, copies=False).eval()
    assert set(task.validate(batch_of(task, "valid"))) == figures


def test_an_untrained_diffwave_takes_everything_for_signal(shards):
    task = task_of(shards, "diffwave", copies=False).eval()
    with torch.no_grad():
        task.generator.output.bias.zero_()
        distance = task.validate(batch_of(task, "valid"))["epsilon"]
    assert distance.item() == pytest.approx(math.sqrt(2 / math.pi), abs=0.02)  # the mean size of normal numbers


def test_more_noise_is_told_at_higher_steps(shards):
    task = task_of(shards, "diffwave")
    wav = 0.5 * torch.randn(1, 32_000).sign()
    correlations = [
        torch.corrcoef(torch.cat([task.generator.noisy(wav, torch.tensor([time]), noise), noise]))[0, 1]
        for time in (0, 20, 49)
        for noise in [torch.randn(1, 32_000)]
    ]
    assert correlations[0] < correlations[1] < correlations[2]


def test_likelihood_of_silence_is_bounded_by_dither(shards):
    task = task_of(shards, "waveglow", dither=0.1)
    batch = batch_of(task, "train")
    silent = type(batch)(torch.zeros_like(batch.wav), batch.lengths, batch.names)
    [(_, terms)] = list(task.step(silent))
    assert terms["likelihood"] > 0  # the energy of noise, not of zeros


@pytest.mark.parametrize("vocoder", TASKS)
def test_a_vocoder_of_another_task_is_refused(shards, vocoder):
    gan = values(shards, vocoder) | {"task": "gan-vocoder"}
    with pytest.raises(ValueError, match=f"{vocoder!r} is trained by the task {TASKS[vocoder][0]!r}"):
        GanVocoderTask(GanVocoderRecipe.parse(gan))
    other = values(shards, vocoder) | {"vocoder": "melgan", "model": {"mel": MEL, **MODELS["melgan"]}}
    with pytest.raises(ValueError, match=r"'melgan' (predicts no noise|is no flow)"):
        TASKS[vocoder][2](TASKS[vocoder][1].parse(other))


@pytest.mark.slow
@pytest.mark.parametrize("vocoder", TASKS)
def test_half_precision_trains_validates_and_samples(shards, tmp_path, vocoder):
    recipe = TASKS[vocoder][1].parse(values(shards, vocoder, precision="bf16", steps=2))
    run = train_task(TASKS[vocoder][2], recipe, tmp_path / "run")
    assert '"refused": 0' in (run / "log.jsonl").read_text()
    assert list((run / "samples").rglob("*-copy.wav"))


@pytest.mark.slow
@pytest.mark.parametrize(("vocoder", "workers"), [("diffwave", 0), ("diffwave", 2), ("waveglow", 0)])
def test_a_killed_and_resumed_training_ends_bit_for_bit_the_same(shards, tmp_path, vocoder, workers):
    recipe = values(shards, vocoder, workers=workers, ema=0.9, sample_every=0, validate_every=0)
    recipe |= {"dither": 1e-3} if vocoder == "waveglow" else {}
    check_resume(recipe, tmp_path, steps=24, save_every=4, kill_after=6)
