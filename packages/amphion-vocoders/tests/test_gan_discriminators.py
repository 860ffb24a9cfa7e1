"""Any discriminator beside any generator: what it changes, and what it leaves as it is."""

import pytest
import torch

from amphion_core.config import ConfigError
from amphion_core.recipe import find_recipe, load_recipe
from amphion_core.testing import check_task
from amphion_core.training.run import train_task
from amphion_vocoders import GanVocoderRecipe, GanVocoderTask, HiFiGAN

MEL = {"sample_rate": 8000, "n_fft": 128, "win_length": 128, "hop_length": 32, "n_mels": 12, "f_max": 4000}
STAGES = {
    "channels": 8,
    "rates": [4, 8],
    "kernel_sizes": [8, 16],
    "block_kernel_sizes": [3],
    "block_dilations": [[1, 3]],
}
GENERATORS = {
    "hifigan": STAGES,
    "bigvgan": STAGES,
    "vocos": {"dim": 8, "intermediate_dim": 16, "num_layers": 1},
    "melgan": {"channels": 4, "rates": [4, 8], "blocks": 1},
}
CONSTANT_Q = {"name": "constant_q", "hops": [32], "octaves": [4], "bins_per_octave": [6], "f_min": 110, "channels": 2}
KINDS = {
    "period": {"name": "period", "periods": [2], "channels": [2, 4], "strides": [3, 1]},
    "scale": {"name": "scale", "scales": 1, "channels": [2], "kernel_sizes": [5], "strides": [2], "groups": [1]},
    "spectrogram": {"name": "spectrogram", "n_ffts": [64], "channels": 2, "max_channels": 4, "scales": [2]},
    "resolution": {"name": "resolution", "n_ffts": [64], "hops": [16], "windows": [48], "channels": 2},
    "stft": {"name": "stft", "n_ffts": [64], "hops": [16], "channels": 2},
    "constant_q": CONSTANT_Q,
}


def recipe(shards, vocoder="hifigan", **changes):
    optimizer = {"lr": 1e-3}
    return GanVocoderRecipe.parse(
        {
            "task": "gan-vocoder",
            "name": "tiny",
            "vocoder": vocoder,
            "model": {"mel": MEL, **GENERATORS[vocoder]},
            "discriminators": [KINDS["period"]],
            "data": {
                "train": [{"path": str(shards / "train")}],
                "valid": [{"path": str(shards / "valid")}],
                "batch": {"size": 2, "buckets": 1},
                "valid_batch": {"size": 1, "buckets": 1, "shuffle": False},
            },
            "segment": 1024,
            "optimizers": {"discriminator": optimizer, "generator": optimizer},
            "trainer": {"steps": 2, "save_every": 0, "device": "cpu"},
            **changes,
        }
    )


@pytest.mark.parametrize("vocoder", GENERATORS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_discriminator_trains_every_generator(shards, vocoder, kind):
    torch.manual_seed(0)
    task = GanVocoderTask(recipe(shards, vocoder, discriminators=[KINDS[kind]]))
    batch = next(iter(task.loader("train", 0, 1)))
    for name, terms in task.step(batch):
        parameters = [p for network in task.phases()[name] for p in network.parameters()]
        gradients = torch.autograd.grad(sum(terms.values()), parameters, allow_unused=True)
        assert all(g is not None and bool(torch.isfinite(g).all()) for g in gradients)


@pytest.mark.parametrize("kind", KINDS)
def test_every_discriminator_bears_half_precision(shards, kind):
    torch.manual_seed(0)
    task = GanVocoderTask(recipe(shards, discriminators=[KINDS[kind]]))
    batch = next(iter(task.loader("train", 0, 1)))
    with torch.autocast("cpu", torch.bfloat16):
        half = dict(task.step(batch))["discriminator"]["real_fake"]
    full = dict(task.step(batch))["discriminator"]["real_fake"]
    torch.testing.assert_close(half.float(), full, atol=0.05, rtol=0.05)  # eight bits of mantissa, few layers


@pytest.mark.slow
def test_one_line_of_yaml_adds_the_constant_q_discriminator(tmp_path):
    text = find_recipe("vocoders/hifigan-v1-22k").read_text(encoding="utf-8")
    file = tmp_path / "enhanced.yaml"
    file.write_text(text.replace("  - name: scale\n", "  - name: scale\n  - name: constant_q\n"))
    plain, enhanced = load_recipe("vocoders/hifigan-v1-22k"), load_recipe(file)
    assert enhanced.model == plain.model
    assert [config.name for config in enhanced.discriminators] == ["period", "scale", "constant_q"]
    with torch.device("meta"):
        first, second = GanVocoderTask(plain), GanVocoderTask(enhanced)
    assert type(second.model()) is type(first.model()) is HiFiGAN
    assert list(second.model().state_dict()) == list(first.model().state_dict())
    judge = second.discriminators.members[2]
    assert sum(p.numel() for p in judge.parameters()) > 100_000


@pytest.mark.slow
def test_inference_of_an_enhanced_run_is_that_of_the_plain_class(shards, tmp_path):
    enhanced = recipe(shards, discriminators=[KINDS["period"], CONSTANT_Q])
    run = train_task(GanVocoderTask, enhanced, tmp_path / "run")
    vocoder = HiFiGAN.from_pretrained(run)
    plain = HiFiGAN(vocoder.config)
    plain.load_state_dict(vocoder.state_dict())
    mel = torch.randn(2, 12, 9) - 4
    assert torch.equal(plain.eval().synthesize(mel), vocoder.synthesize(mel))


def test_constant_q_discriminator_hears_the_rate_of_the_generator(shards):
    task = GanVocoderTask(recipe(shards, discriminators=[CONSTANT_Q]))
    assert task.recipe.judges()[0].sample_rate == 8000
    with pytest.raises(ValueError, match="is for 16000 Hz"):
        GanVocoderTask(recipe(shards, discriminators=[CONSTANT_Q | {"sample_rate": 16000}]))


def test_logits_are_features_where_the_recipe_says_so(shards):
    pair = [KINDS["period"], KINDS["stft"]]
    task = GanVocoderTask(recipe(shards, discriminators=pair, loss={"feature_logits": [True, False]}))
    assert task.feature_logits == (True, False)
    verdict = [[torch.zeros(2), torch.zeros(2)]]
    other = [[torch.zeros(2), torch.ones(2)]]
    # Only the logits differ, so only the first discriminator's features do, with the weight of 2.
    assert task._feature_distance([verdict, verdict], [other, other]).item() == 2


@pytest.mark.parametrize("kind", ["least_squares", "hinge", "mean_hinge", "least_squares_spread"])
def test_every_kind_of_loss_keeps_the_contract_of_a_task(shards, kind):
    loss = {"kind": kind, "feature_kind": "relative", "mel": 0, "wav_l1": 1, "wav_mse": 1}
    check_task(GanVocoderTask, recipe(shards, loss=loss))


def test_octaves_that_the_generator_does_not_have_are_told(shards):
    with pytest.raises(ConfigError, match=r"9 octaves from 32\.7 Hz reach .* at 8000 Hz; give it fewer octaves"):
        recipe(shards, discriminators=[{"name": "constant_q"}])


def test_a_segment_shorter_than_a_transform_is_told(shards):
    with pytest.raises(ConfigError, match="needs more than 2047 samples"):
        recipe(shards, discriminators=[{"name": "stft"}])
