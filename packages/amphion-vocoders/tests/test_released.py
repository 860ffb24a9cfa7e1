"""Checkpoints of other code bases as they lie on disk: nested, prefixed, with each style of weight norm."""

import json
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

from amphion_core.config import ConfigError
from amphion_core.hub import load_pretrained
from amphion_core.testing.golden import Case
from amphion_vocoders import HiFiGAN, HiFiGANConfig, NsfHiFiGAN, Vocos, released
from amphion_vocoders.checkpoints import convert_checkpoint

ORIGINAL = {
    "num_mels": 10,
    "n_fft": 64,
    "hop_size": 16,
    "win_size": 64,
    "sampling_rate": 22050,
    "fmin": 0,
    "fmax": 8000,
    "resblock": "1",
    "upsample_rates": [4, 2, 2],
    "upsample_kernel_sizes": [8, 4, 4],
    "upsample_initial_channel": 8,
    "resblock_kernel_sizes": [3, 5],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5]],
}
TOOLKIT = {
    "model": {"generator": "hifigan", "hifigan": {k: v for k, v in ORIGINAL.items() if "sample" in k or "block" in k}},
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

MELGAN = {"ratios": 4, "ngf": 4, "n_residual_layers": 3}
KINDS = ("apnet", "bigvgan", "diffwave", "hifigan", "melgan", "nsf-hifigan", "vocos", "waveglow", "wavenet", "wavernn")
NSF = {**TOOLKIT["model"]["hifigan"], "harmonic_num": 2}


def old_style(config, block=None):
    """A random generator under the keys of the original, weight norm as pairs."""
    torch.manual_seed(0)
    shapes = {"conv_pre": (8, 10, 7), "conv_post": (1, 1, 7)}
    for i, kernel in enumerate(config["upsample_kernel_sizes"]):
        shapes[f"ups.{i}"] = (8 // 2**i, 4 // 2**i, kernel)
        for j, width in enumerate(config["resblock_kernel_sizes"]):
            kinds = ("convs1", "convs2") if config["resblock"] == "1" else ("convs",)
            for kind in kinds:
                for n in range(len(kinds) + 1):
                    shapes[f"resblocks.{i * 2 + j}.{kind}.{n}"] = (4 // 2**i, 4 // 2**i, width)
    weights = {}
    for name, shape in shapes.items():
        weights[f"{name}.weight_g"] = torch.rand(shape[0], 1, 1) + 0.5
        weights[f"{name}.weight_v"] = torch.randn(shape)
        weights[f"{name}.bias"] = torch.randn(shape[1] if name.startswith("ups") else shape[0]) * 0.1
    return weights


def new_style(weights):
    names = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
    parts = {name: name.rpartition(".") for name in weights}
    return {f"{stem}.{names.get(kind, kind)}": weights[name] for name, (stem, _, kind) in parts.items()}


def folded(weights):
    result = {name: tensor for name, tensor in weights.items() if name.endswith("bias")}
    for name, v in weights.items():
        if name.endswith("weight_v"):
            stem = name.removesuffix("_v")
            result[stem] = v * weights[f"{stem}_g"] / v.flatten(1).norm(dim=1).reshape(-1, 1, 1)
    return result


@pytest.mark.parametrize("style", [dict, new_style, folded])
def test_all_styles_of_weight_norm_give_the_same_samples(tmp_path, style):
    mel = torch.randn(1, 10, 6)
    expected = None
    for kind in (dict, style):
        torch.save({"generator": kind(old_style(ORIGINAL))}, tmp_path / "g_02500000")
        wav = HiFiGAN.from_released(tmp_path / "g_02500000", ORIGINAL).synthesize(mel)
        expected = wav if expected is None else expected
    torch.testing.assert_close(wav, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("resblock", ["1", "2"])
def test_both_kinds_of_residual_block_are_read(tmp_path, resblock):
    config = {**ORIGINAL, "resblock": resblock}
    torch.save({"generator": old_style(config)}, tmp_path / "generator_v3")
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = HiFiGAN.from_released(tmp_path / "generator_v3")
    assert model.config.block == int(resblock)
    assert len(model.config.block_dilations[0]) == (3 if resblock == "1" else 2)


def test_experiment_folder_of_the_toolkit_gives_its_newest_checkpoint(tmp_path):
    (tmp_path / "args.json").write_text(json.dumps(TOOLKIT))
    for step, scale in ((100, 1.0), (2000, 2.0)):
        folder = tmp_path / "checkpoint" / f"epoch-0001_step-{step:07d}_loss-1.000000"
        folder.mkdir(parents=True)
        weights = old_style(ORIGINAL)
        weights["conv_post.bias"] = torch.tensor([scale])
        safetensors.torch.save_file(weights, folder / "model.safetensors")
    assert HiFiGAN.from_released(tmp_path).output.bias.item() == 2.0


def test_old_single_file_with_a_prefix_is_read(tmp_path):
    weights = {f"module.{name}": tensor for name, tensor in old_style(ORIGINAL).items()}
    torch.save({"generator_state_dict": weights, "step": 3}, tmp_path / "400000.pt")
    (tmp_path / "args.json").write_text(json.dumps(TOOLKIT))
    HiFiGAN.from_released(tmp_path / "400000.pt")


def test_converted_folder_is_loaded_by_its_name(tmp_path):
    torch.save({"generator": old_style(ORIGINAL)}, tmp_path / "g")
    model = HiFiGAN.from_released(tmp_path / "g", ORIGINAL)
    model.save_pretrained(tmp_path / "ours")
    mel = torch.randn(1, 10, 4)
    assert torch.equal(load_pretrained(tmp_path / "ours", group="vocoders").synthesize(mel), model.synthesize(mel))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda w: w.pop("ups.1.weight_g"), "ups|stages.1.upsample"),
        (lambda w: w.update({"encoder.weight": torch.zeros(1)}), "encoder.weight"),
        (lambda w: w.update({"conv_pre.weight_v": torch.zeros(8, 20, 7)}), r"\(8, 20, 7\)"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_key(tmp_path, spoil, words):
    weights = old_style(ORIGINAL)
    spoil(weights)
    torch.save({"generator": weights}, tmp_path / "g")
    with pytest.raises(ValueError, match=words):
        HiFiGAN.from_released(tmp_path / "g", ORIGINAL)


@pytest.mark.parametrize(
    ("case", "family"),
    [
        ("bigvgan", "bigvgan"),
        ("nsfhifigan", "nsf-hifigan"),
        ("melgan", "melgan"),
        ("vocos", "vocos"),
        ("apnet", "apnet"),
        ("diffwave", "diffwave"),
        ("waveglow", "waveglow"),
        ("wavenet", "wavenet"),
        ("wavernn", "wavernn"),
        ("mpd", "a discriminator"),
    ],
)
def test_weights_of_another_family_are_told_by_its_name(tmp_path, case, family):
    shutil.copy(Path(__file__).parent / "golden" / case / "weights.safetensors", tmp_path / "g.safetensors")
    words = (
        rf"g\.safetensors does not fit HiFiGAN: \d+ keys of another model.*those of {family}, not of hifigan: load it"
    )
    with pytest.raises(ValueError, match=words):
        HiFiGAN.from_released(tmp_path / "g.safetensors", ORIGINAL)


def test_weights_of_another_size_ask_for_their_configuration(tmp_path):
    torch.save({"generator": old_style(ORIGINAL)}, tmp_path / "g")
    config = {**ORIGINAL, "upsample_initial_channel": 16}
    with pytest.raises(
        ValueError, match=r"shapes differ.*give the configuration that was published with these weights"
    ):
        HiFiGAN.from_released(tmp_path / "g", config)
    with pytest.raises(ValueError, match="keys are those of hifigan, not of nsf-hifigan"):
        NsfHiFiGAN.from_released(tmp_path / "g", {"model": {"nsfhifigan": NSF}, "preprocess": TOOLKIT["preprocess"]})


def test_args_of_another_generator_are_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match="'bigvgan'"):
        released.hifigan_config({"model": {"generator": "bigvgan", "bigvgan": {}}, "preprocess": {}})


@pytest.mark.parametrize(
    ("read", "config", "words"),
    [
        ("vocos", {"model": None}, "model is None; it takes an object"),
        ("vocos", {"model": [1]}, r"model is \[1\]; it takes an object"),
        ("vocos", {"model": "x"}, "model is 'x'; it takes an object"),
        ("vocos", {"model": {"generator": "vocos", "vocos": None}}, r"model\.vocos is None; it takes an object"),
        ("hifigan", {**ORIGINAL, "resblock_dilation_sizes": [1, 3, 5]}, "it takes a list of lists of numbers"),
        ("bigvgan", {**ORIGINAL, "upsample_rates": 8}, "upsample_rates is 8; it takes a list of numbers"),
        ("nsf_hifigan", {**ORIGINAL, "resblock": None}, "resblock is None; it takes 1 or 2"),
        ("hifigan", {**TOOLKIT, "preprocess": None}, "preprocess is None; it takes an object"),
        ("hifigan", {"model": {"hifigan": None}}, r"model\.hifigan is None; it takes an object"),
        ("melgan", {"model": 5}, "model is 5; it takes an object"),
        (
            "melgan",
            {"model": {"melgan": MELGAN}, "preprocess": TOOLKIT["preprocess"]},
            "ratios is 4; it takes a list",
        ),
        ("diffwave", {"model": {"diffwave": [1]}}, r"model\.diffwave is \[1\]; it takes an object"),
        ("waveglow", {"VOCODER": [1]}, r"VOCODER is \[1\]; it takes an object"),
        ("wavenet", {"VOCODER": None}, "VOCODER is None; it takes an object"),
        ("wavernn", {"VOCODER": "x"}, "VOCODER is 'x'; it takes an object"),
        ("period", {"model": {"mpd": None}}, r"model\.mpd is None; it takes an object"),
        ("resolution", {"resolutions": [1, 2, 3]}, "it takes a list of lists of numbers"),
        ("stft", {"n_ffts": 1024}, "n_ffts is 1024; it takes a list of numbers"),
    ],
)
def test_a_field_of_another_form_is_told_with_the_form_wanted(read, config, words):
    with pytest.raises(ConfigError, match=words):
        getattr(released, f"{read}_config")(config)


@pytest.mark.parametrize(
    ("case", "read"),
    [
        *((name, name) for name in ("apnet", "bigvgan", "melgan", "diffwave", "waveglow", "wavenet", "wavernn")),
        *(("nsfhifigan", "nsf_hifigan"), ("vocos", "vocos"), ("mpd", "period"), ("mrd", "resolution")),
        *(("msstftd", "stft"), ("mssbcqtd", "constant_q")),
    ],
)
@pytest.mark.parametrize("value", [None, [], [1], [None], {"a": 1}, -1, float("inf"), "x"])
def test_no_value_of_a_configuration_ends_in_another_error(case, read, value):
    def spoilt(values):
        """The configuration once for each of its fields, with another value there."""
        for name, held in values.items():
            yield {**values, name: value}
            if isinstance(held, dict):
                yield from ({**values, name: inner} for inner in spoilt(held))

    faults = 0
    for config in spoilt(Case(Path(__file__).parent / "golden" / case).config):
        try:
            getattr(released, f"{read}_config")(config)
        except ConfigError:
            faults += 1
    assert faults


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_in_our_layout_is_no_released_checkpoint_of_any_kind(tmp_path, kind):
    (tmp_path / "config.json").write_text(json.dumps({"model": "vocoders/hifigan", **HiFiGANConfig().to_dict()}))
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ConfigError, match=r"is a vocoders/hifigan in our own layout already; use it as it is"):
        convert_checkpoint(tmp_path / "model.safetensors", tmp_path / "out", kind=kind)


def test_rates_that_do_not_make_the_hop_are_refused():
    with pytest.raises(ValueError, match=r"product of rates 16 is not mel\.hop_length 256"):
        released.hifigan_config({**ORIGINAL, "hop_size": 256, "n_fft": 1024, "win_size": 1024})


def test_original_mel_loss_reaches_half_the_rate_and_the_input_does_not():
    assert released.hifigan_config(ORIGINAL).mel.upper_edge == 8000


def vocos_weights(window):
    torch.manual_seed(0)
    shapes = {"backbone.embed.weight": (8, 6, 7), "backbone.embed.bias": (8,)}
    shapes |= {f"backbone.{n}.{k}": (8,) for n in ("norm", "final_layer_norm") for k in ("weight", "bias")}
    block = {"gamma": (8,), "dwconv.weight": (8, 1, 7), "dwconv.bias": (8,), "norm.weight": (8,), "norm.bias": (8,)}
    block |= {"pwconv1.weight": (12, 8), "pwconv1.bias": (12,), "pwconv2.weight": (8, 12), "pwconv2.bias": (8,)}
    shapes |= {f"backbone.convnext.0.{name}": shape for name, shape in block.items()}
    shapes |= {"head.out.weight": (34, 8), "head.out.bias": (34,)}
    return {name: torch.randn(shape) * 0.1 for name, shape in shapes.items()} | {"head.istft.window": window}


VOCOS = {"model": {"input_channels": 6, "dim": 8, "intermediate_dim": 12, "num_layers": 1, "n_fft": 32, "hop_size": 8}}


def test_accelerate_folder_of_vocos_is_read(tmp_path):
    safetensors.torch.save_file(vocos_weights(torch.hann_window(32)), tmp_path / "model.safetensors")
    model = Vocos.from_released(tmp_path, VOCOS)
    assert model.synthesize(torch.randn(1, 6, 5)).shape == (1, 40)


def test_another_window_is_refused(tmp_path):
    safetensors.torch.save_file(vocos_weights(torch.ones(32)), tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="not the periodic Hann window of 32"):
        Vocos.from_released(tmp_path, VOCOS)


def test_normalisation_of_the_released_mel_is_kept():
    full = {**VOCOS, "preprocess": {"sample_rate": 24000, "n_fft": 32, "win_size": 32, "hop_size": 8, "num_mels": 6}}
    full["preprocess"] |= {"fmin": 0, "fmax": 12000, "mel_mean": -4.92, "mel_var": 8.14}
    mel = released.vocos_config(full).mel
    assert (mel.mean, mel.std) == (-4.92, pytest.approx(8.14**0.5))


def test_discriminators_of_the_toolkit_keep_its_stride():
    assert released.period_config({"model": {"mpd": {}}}).strides == (3, 3, 3, 3, 3)
