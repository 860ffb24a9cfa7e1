import pytest
import torch

from amphion_core.config import ConfigError
from amphion_core.features.stft import stft
from amphion_core.recipe import load_recipe, recipe_names
from amphion_core.testing import check_resume, check_task
from amphion_core.training.run import train_recipe, train_task
from amphion_core.training.task import Progress
from amphion_vocoders import GanVocoderRecipe, GanVocoderTask, HiFiGAN

MEL = {"sample_rate": 8000, "n_fft": 128, "win_length": 128, "hop_length": 32, "n_mels": 12, "f_max": 4000}
GENERATORS = {
    "hifigan": {
        "channels": 8,
        "rates": [4, 4, 2],
        "kernel_sizes": [8, 8, 4],
        "block_kernel_sizes": [3],
        "block_dilations": [[1, 3]],
    },
    "vocos": {"dim": 8, "intermediate_dim": 16, "num_layers": 1},
    "bigvgan": {
        "channels": 8,
        "rates": [4, 4, 2],
        "kernel_sizes": [8, 8, 4],
        "block_kernel_sizes": [3],
        "block_dilations": [[1, 3]],
    },
    "nsf-hifigan": {
        "channels": 8,
        "rates": [4, 4, 2],
        "kernel_sizes": [8, 8, 4],
        "block_kernel_sizes": [3],
        "block_dilations": [[1, 3]],
        "overtones": 2,
    },
}


LONG = {**MEL, "n_fft": 4096, "win_length": 4096}
SILENT = {"amplitude": 0, "phase": 0, "consistency": 0, "parts": 0}
SCALE = {"strides": [2, 1], "groups": [1, 1]}


def values(shards, vocoder="hifigan", **trainer):
    optimizer = {"lr": 1e-3, "schedule": {"name": "exponential_epoch", "decay": 0.9}}
    return {
        "task": "gan-vocoder",
        "name": "tiny",
        "vocoder": vocoder,
        "model": {"mel": MEL, **GENERATORS[vocoder]},
        "discriminators": [
            {"name": "period", "periods": [2, 3], "channels": [2, 4], "strides": [3, 1]},
            {"name": "scale", "scales": 2, "channels": [2, 4], "kernel_sizes": [5, 5]} | SCALE,
        ],
        "loss": {"mel": 10, "feature": [2, 1]},
        "data": {
            "train": [{"path": str(shards / "train")}],
            "valid": [{"path": str(shards / "valid")}],
            "batch": {"size": 4, "buckets": 1},
            "valid_batch": {"size": 2, "buckets": 1, "shuffle": False},
        },
        "segment": 1024,
        "optimizers": {"discriminator": optimizer, "generator": optimizer},
        "trainer": {"steps": 4, "validate_every": 2, "save_every": 2, "log_every": 1, "device": "cpu", **trainer},
    }


def task_of(shards, **changes):
    torch.manual_seed(0)
    return GanVocoderTask(GanVocoderRecipe.parse(values(shards) | changes))


@pytest.mark.parametrize("vocoder", GENERATORS)
def test_contract_is_kept(shards, vocoder):
    check_task(GanVocoderTask, GanVocoderRecipe.parse(values(shards, vocoder)))


@pytest.mark.parametrize("kind", ["least_squares", "hinge"])
def test_a_few_steps_lower_the_spectral_loss(shards, kind):
    task = task_of(shards, segment=1280, loss={"kind": kind, "mel": 10, "stft": 1})
    batch = next(iter(task.loader("train", 0, 1)))
    optimizers = {n: torch.optim.Adam([p for m in ms for p in m.parameters()], 5e-3) for n, ms in task.phases().items()}
    losses = []
    for _ in range(12):
        for name, terms in task.step(batch):
            optimizers[name].zero_grad()
            sum(terms.values()).backward()
            optimizers[name].step()
        losses.append(terms["mel"].item())
    assert losses[-1] < 0.9 * losses[0]


def test_discriminator_is_trained_first_and_on_a_detached_estimate(shards):
    task = task_of(shards)
    batch = next(iter(task.loader("train", 0, 1)))
    name, terms = next(task.step(batch))
    terms["real_fake"].backward()
    assert name == "discriminator"
    assert all(p.grad is None for p in task.generator.parameters())
    assert all(p.grad is not None for p in task.discriminators.parameters())


def test_discriminators_join_at_their_step(shards):
    task = task_of(shards, loss={"start": 3})
    batch = next(iter(task.loader("train", 0, 1)))
    task.progress = Progress(2)
    assert [name for name, _ in task.step(batch)] == ["generator"]
    task.progress = Progress(3)
    assert [name for name, _ in task.step(batch)] == ["discriminator", "generator"]


@pytest.mark.parametrize(("short", "silent"), [("pad", True), ("wrap", False)])
def test_clips_shorter_than_a_segment_are_wrapped_or_padded(shards, short, silent):
    task = task_of(shards, short=short, segment=2048)
    segments = torch.cat([batch.wav for batch, _ in zip(task.loader("train", 0, 1), range(3), strict=False)])
    assert segments.shape == (12, 2048)
    # Four of the twelve clips have 0.1 s, 800 samples.
    assert int((segments[:, 1024:].abs().amax(1) == 0).sum()) == (4 if silent else 0)


def test_without_discriminators_only_the_generator_is_trained(shards):
    recipe = values(shards, "vocos") | {"discriminators": [], "loss": {"mel": 0, "magnitude": 1}}
    recipe["optimizers"] = {"generator": recipe["optimizers"]["generator"]}
    check_task(GanVocoderTask, GanVocoderRecipe.parse(recipe))


def test_magnitude_loss_is_zero_where_the_spectrum_is_that_of_the_recording(shards, monkeypatch):
    recipe = values(shards, "vocos") | {"loss": {"mel": 0, "magnitude": 1}}
    task = GanVocoderTask(GanVocoderRecipe.parse(recipe))
    wav = torch.randn(2, 1024) * 0.1
    exact = stft(wav, 128, 32, 128).abs().log()
    monkeypatch.setattr(task.generator, "spectrum", lambda mel: (exact, exact))
    assert task._magnitude_distance(task.mel(wav), wav) < 1e-6


def test_magnitudes_are_not_asked_of_a_generator_that_has_none(shards):
    with pytest.raises(ValueError, match="'hifigan' makes no spectrum"):
        task_of(shards, loss={"magnitude": 1})


def test_f0_comes_with_the_segments_of_a_vocoder_that_needs_it(shards):
    batch = next(
        iter(task_of(shards, vocoder="nsf-hifigan", model=values(shards, "nsf-hifigan")["model"]).loader("train", 0, 1))
    )
    assert batch.f0.shape == (4, 1024 // 32)
    assert next(iter(task_of(shards).loader("train", 0, 1))).f0 is None


def test_segments_differ_from_epoch_to_epoch_but_not_from_run_to_run(shards):
    def epochs():
        loader = task_of(shards).loader("train", 0, 1)
        return [batch.wav for batch, _ in zip(loader, range(6), strict=False)]

    first, second = epochs(), epochs()
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(torch.cat(first[:3]).sort(0)[0], torch.cat(first[3:]).sort(0)[0])


def test_validation_hears_whole_clips_alone(shards):
    task = task_of(shards).eval()
    batch = next(iter(task.loader("valid", 0, 1)))
    assert batch.lengths.tolist() == [800, 3600]
    longer = type(batch)(torch.nn.functional.pad(batch.wav, (0, 999), value=0.5), batch.lengths, batch.names)
    with torch.no_grad():
        torch.testing.assert_close(task.validate(longer), task.validate(batch))


def test_samples_are_copies_and_recordings_with_pictures(shards):
    task = task_of(shards, samples=1).eval()
    with torch.no_grad():
        samples = list(task.sample(next(iter(task.loader("valid", 0, 1)))))
    assert [sample.name for sample in samples] == ["valid-0-copy", "valid-0-recording"]
    assert samples[0].wav.shape == samples[1].wav.shape
    assert samples[0].picture.shape[0] == 12


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"segment": 1000}, "no multiple of the hop, 32"),
        ({"segment": 96}, "needs more than 127 samples"),
        ({"loss": {"stft": 1}}, "needs more than 1024 samples"),
        ({"discriminators": [{"name": "spectrogram", "n_ffts": [4096]}], "loss": {}}, "needs more than 2048 samples"),
        ({"vocoder": "hifign"}, "no vocoders named 'hifign'"),
        ({"model": {"mel": MEL, "chanels": 8}}, "did you mean 'channels'"),
        ({"loss": {"feature": [1, 2, 3]}}, "3 weights for 2 discriminators"),
        ({"loss": {"mel": 0}, "discriminators": []}, "at least one of mel"),
        ({"loss": {"mel": 0, "spectra": SILENT}, "discriminators": []}, "at least one of mel"),
        ({"loss": {"feature": [2, -1]}}, r"loss\.feature\.1: .* greater than or equal to 0, got -1"),
        ({"loss": {"spectra": {"phase": -1}}}, r"loss\.spectra\.phase: .* greater than or equal to 0, got -1"),
        ({"loss": {"mel_config": {**MEL, "sample_rate": 16000}}}, "is 16000, model.mel.sample_rate 8000"),
        ({"loss": {"mel_config": LONG}}, "needs more than 2048 samples"),
        ({"loss": {"mel_config": {**LONG, "padding": "none"}}}, "needs more than 4095 samples"),
        ({"loss": {"mel": 0, "start": 5}}, "at least one of mel"),
        ({"model": {"mel": {**MEL, "padding": "center"}, **GENERATORS["hifigan"]}}, "training needs 'same'"),
    ],
)
def test_faults_of_a_recipe_are_told(shards, changes, words):
    with pytest.raises(ConfigError, match=words):
        GanVocoderRecipe.parse(values(shards) | changes)


def test_the_mel_of_a_loss_that_is_left_out_bounds_no_segment(shards):
    GanVocoderRecipe.parse(values(shards) | {"loss": {"mel": 0, "mel_config": LONG}})


def test_the_longest_mel_of_the_loss_fits_into_the_segment_allowed(shards):
    task = task_of(shards, segment=2080, loss={"mel_config": LONG})
    wav = torch.randn(1, 2080)
    assert task.mel_loss(wav, wav) == 0


def test_a_vocoder_without_weights_is_not_trained(shards):
    recipe = values(shards) | {"vocoder": "griffin-lim", "model": {"mel": MEL}}
    with pytest.raises(ValueError, match="nothing to train"):
        GanVocoderTask(GanVocoderRecipe.parse(recipe))


@pytest.mark.parametrize("name", [name for name in recipe_names() if name.startswith("vocoders/")])
def test_recipes_of_the_package_are_valid_and_whole(name):
    recipe = load_recipe(name)
    assert recipe.name == name.removeprefix("vocoders/")
    assert recipe.description
    assert type(recipe).parse(recipe.to_dict()) == recipe


def test_small_recipe_takes_the_mel_of_the_acoustic_models():
    from amphion_core.features import MelConfig

    assert not load_recipe("vocoders/vocos-22k-small").model.mel.differences(MelConfig())


@pytest.mark.slow
def test_a_trained_run_is_a_vocoder(shards, tmp_path):
    import yaml

    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(values(shards, ema=0.9)))
    run = train_recipe(file, out=tmp_path / "run")
    vocoder = HiFiGAN.from_pretrained(run)
    assert vocoder.synthesize(torch.randn(1, 12, 5) - 4).shape == (1, 160)
    assert list((run / "samples").rglob("*-copy.wav"))


@pytest.mark.slow
@pytest.mark.parametrize("vocoder", GENERATORS)
def test_half_precision_trains_validates_and_samples(shards, tmp_path, vocoder):
    recipe = GanVocoderRecipe.parse(values(shards, vocoder, precision="bf16", steps=2))
    run = train_task(GanVocoderTask, recipe, tmp_path / "run")
    assert '"refused": 0' in (run / "log.jsonl").read_text()
    assert list((run / "samples").rglob("*-copy.wav"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("vocoder", "workers"), [("hifigan", 0), ("hifigan", 2), ("vocos", 0), ("bigvgan", 0), ("nsf-hifigan", 2)]
)
def test_a_killed_and_resumed_training_ends_bit_for_bit_like_an_undisturbed_one(shards, tmp_path, vocoder, workers):
    recipe = values(shards, vocoder, workers=workers, ema=0.9, sample_every=0)
    check_resume(recipe, tmp_path, steps=24, save_every=4, kill_after=6)
