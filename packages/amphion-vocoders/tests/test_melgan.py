import json
import re

import numpy as np
import pytest
import torch

from amphion_core.config import ConfigError
from amphion_core.features import MelConfig
from amphion_core.released import fold_weight_norm
from amphion_core.testing import check_resume
from amphion_vocoders import MelGAN, MelGANConfig, released
from amphion_vocoders.melgan import _reflected

MEL = MelConfig(n_fft=64, win_length=64, hop_length=16, n_mels=10, f_max=None)
TINY = MelGANConfig(mel=MEL, channels=2, rates=(4, 2, 2), blocks=2)
ARGS = {
    "model": {"generator": "melgan", "melgan": {"ratios": [4, 2, 2], "ngf": 2, "n_residual_layers": 2, "ndf": 16}},
    "preprocess": {
        "n_mel": 10,
        "sample_rate": 22050,
        "n_fft": 64,
        "win_size": 64,
        "hop_size": 16,
        "fmin": 0,
        "fmax": 8000,
    },
}


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_hop_samples_for_each_frame(frames):
    wav = MelGAN(TINY)(torch.randn(2, 10, frames))
    assert wav.shape == (2, frames * 16)
    assert wav.abs().max() <= 1


@pytest.mark.parametrize("rates", [(5, 3), (3, 2, 7), (2,)])
def test_odd_rates_keep_the_length_too(rates):
    hop = int(np.prod(rates))
    model = MelGAN(TINY.updated(rates=rates, mel=MEL.updated(hop_length=hop).to_dict()))
    assert model(torch.randn(1, 10, 4)).shape == (1, 4 * hop)


@pytest.mark.parametrize(("length", "count"), [(9, 3), (3, 3), (2, 9), (1, 4)])
def test_short_signals_are_reflected_back_and_forth(length, count):
    x = torch.randn(2, 3, length)
    expected = np.pad(x.numpy(), ((0, 0), (0, 0), (count, count)), mode="reflect")
    assert torch.equal(_reflected(x, count), torch.from_numpy(expected))


def test_has_the_size_of_the_paper():
    count = sum(p.numel() for p in MelGAN(MelGANConfig()).parameters() if p.dim() != 3 or p.shape[1:] != (1, 1))
    assert count / 1e6 == pytest.approx(4.26, rel=0.01)  # table 1 of the paper


def test_saved_and_loaded_gives_the_same_samples(tmp_path):
    model = MelGAN(TINY).eval()
    mel = torch.randn(1, 10, 9)
    model.save_pretrained(tmp_path)
    assert torch.equal(MelGAN.from_pretrained(tmp_path).synthesize(mel), model.synthesize(mel))


def test_a_few_steps_lower_the_distance():
    torch.manual_seed(0)
    model = MelGAN(TINY.updated(channels=4))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    mel, wav = torch.randn(1, 10, 8), torch.sin(torch.arange(128) * 0.3)[None] * 0.5
    losses = []
    for _ in range(60):
        losses.append((model(mel) - wav).square().mean())
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]


def foreign(config):
    """A random generator under the keys of the toolkit."""
    torch.manual_seed(0)
    shapes, place, width = {"model.1": (16, 10, 7)}, 2, 16
    for rate in config["model"]["melgan"]["ratios"]:
        shapes[f"model.{place + 1}"] = (width, width // 2, 2 * rate)
        width, place = width // 2, place + 2
        for _ in range(2):
            for name, kernel in (("block.2", 3), ("block.4", 1), ("shortcut", 1)):
                shapes[f"model.{place}.{name}"] = (width, width, kernel)
            place += 1
    shapes[f"model.{place + 2}"] = (1, width, 7)
    weights = {}
    for name, shape in shapes.items():
        transposed = (
            shape[0] != shape[1] and len(name.split(".")) == 2 and name not in ("model.1", f"model.{place + 2}")
        )
        weights[f"{name}.weight_g"] = torch.rand(shape[0], 1, 1) + 0.5
        weights[f"{name}.weight_v"] = torch.randn(shape)
        weights[f"{name}.bias"] = torch.randn(shape[1] if transposed else shape[0]) * 0.1
    return weights


def test_a_single_file_of_the_toolkit_is_loaded(tmp_path):
    weights = {f"module.{name}": tensor for name, tensor in foreign(ARGS).items()}
    torch.save({"generator_state_dict": weights}, tmp_path / "400000.pt")
    (tmp_path / "args.json").write_text(json.dumps(ARGS))
    model = MelGAN.from_released(tmp_path / "400000.pt")
    assert model.config == TINY.updated(mel=MEL.updated(f_max=8000).to_dict())
    assert model.synthesize(torch.randn(1, 10, 5)).shape == (1, 80)


@pytest.mark.parametrize("folded", [False, True])
def test_weight_norm_under_other_names_is_read(tmp_path, folded):
    old = foreign(ARGS)
    names = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
    new = {re.sub("weight_[gv]$", lambda match: names[match[0]], name): tensor for name, tensor in old.items()}
    made = []
    for weights in (old, fold_weight_norm(old) if folded else new):
        torch.save({"generator": weights}, tmp_path / "g")
        made.append(MelGAN.from_released(tmp_path / "g", ARGS).synthesize(torch.linspace(-5, 0, 70).view(1, 10, 7)))
    torch.testing.assert_close(made[1], made[0], atol=1e-6, rtol=1e-5)


def test_weights_of_another_depth_are_refused_by_key(tmp_path):
    torch.save({"generator": foreign(ARGS)}, tmp_path / "g")
    deeper = {**ARGS, "model": {"melgan": {"ratios": [4, 2, 2], "ngf": 2, "n_residual_layers": 3}}}
    with pytest.raises(ValueError, match="does not fit MelGAN"):
        MelGAN.from_released(tmp_path / "g", deeper)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"model": {"generator": "bigvgan", "bigvgan": {}}}, "'bigvgan', not of melgan"),
        ({"model": {"melgan": {"ngf": 2}}}, "ratios, n_residual_layers missing"),
    ],
)
def test_args_that_are_none_of_a_melgan_are_refused(args, words):
    with pytest.raises(ValueError, match=words):
        released.melgan_config(args)


def test_rates_that_do_not_make_the_hop_are_refused():
    with pytest.raises(ConfigError, match="the product of rates 64 is not"):
        MelGANConfig.parse({"rates": [8, 8]})


@pytest.mark.slow
def test_a_killed_and_resumed_training_by_hinge_and_features_ends_bit_for_bit_the_same(shards, tmp_path):
    optimizer = {"lr": 1e-3, "schedule": {"name": "exponential_epoch", "decay": 0.9}}
    mel = {"sample_rate": 8000, "n_fft": 128, "win_length": 128, "hop_length": 32, "n_mels": 12, "f_max": 4000}
    recipe = {
        "task": "gan-vocoder",
        "name": "tiny",
        "vocoder": "melgan",
        "model": {"mel": mel, "channels": 2, "rates": [4, 4, 2], "blocks": 2},
        "discriminators": [{"name": "period", "periods": [2, 3], "channels": [2, 4], "strides": [3, 1]}],
        "loss": {"kind": "hinge", "feature": [10], "mel": 0},
        "data": {"train": [{"path": str(shards / "train")}], "batch": {"size": 4, "buckets": 1}},
        "segment": 1024,
        "optimizers": {"discriminator": optimizer, "generator": optimizer},
        "trainer": {"device": "cpu", "ema": 0.9, "sample_every": 0, "validate_every": 0},
    }
    check_resume(recipe, tmp_path, steps=24, save_every=4, kill_after=6)
