import json
from pathlib import Path

import pytest
import torch

from amphion_core.config import ConfigError
from amphion_core.features import MelConfig
from amphion_core.recipe import load_recipe
from amphion_vocoders import BigVGAN, BigVGANConfig
from amphion_vocoders.released import bigvgan_config, bigvgan_weights

MEL = MelConfig(n_fft=64, win_length=64, hop_length=16, n_mels=10, f_max=None)
TINY = BigVGANConfig(
    mel=MEL,
    channels=8,
    rates=(4, 2, 2),
    kernel_sizes=(8, 4, 4),
    block_kernel_sizes=(3, 5),
    block_dilations=((1, 3), (1, 2)),
)
RELEASES = json.loads((Path(__file__).parent / "golden/bigvgan_original/full.json").read_text())[
    "configs_of_all_releases"
]


def model(**changes):
    torch.manual_seed(0)
    return BigVGAN(TINY.updated(**changes)).eval()


def foreign_keys(config):
    """Names and shapes of a released generator, as its configuration makes them."""
    beta = config["activation"] == "snakebeta"
    keys = {}

    def convolution(name, shape, width, bias=True):
        keys[f"{name}.weight_g"], keys[f"{name}.weight_v"] = (shape[0], 1, 1), shape
        if bias:
            keys[f"{name}.bias"] = (width,)

    def activation(name, width):
        for parameter in ("alpha", "beta") if beta else ("alpha",):
            keys[f"{name}.act.{parameter}"] = (width,)
        keys[f"{name}.upsample.filter"] = keys[f"{name}.downsample.lowpass.filter"] = (1, 1, 12)

    width = config["upsample_initial_channel"]
    convolution("conv_pre", (width, config["num_mels"], 7), width)
    sizes = config["resblock_kernel_sizes"]
    for stage, kernel in enumerate(config["upsample_kernel_sizes"]):
        convolution(f"ups.{stage}.0", (width, width // 2, kernel), width // 2)
        width //= 2
        for number, (size, dilations) in enumerate(zip(sizes, config["resblock_dilation_sizes"], strict=True)):
            block = f"resblocks.{stage * len(sizes) + number}"
            kinds = ("convs1", "convs2") if config["resblock"] == "1" else ("convs",)
            for kind in kinds:
                for n in range(len(dilations)):
                    convolution(f"{block}.{kind}.{n}", (width, width, size), width)
            for n in range(len(kinds) * len(dilations)):
                activation(f"{block}.activations.{n}", width)
    activation("activation_post", width)
    convolution("conv_post", (1, width, 7), 1, config.get("use_bias_at_final", True))
    return keys


@pytest.mark.parametrize("frames", [1, 7])
@pytest.mark.parametrize("changes", [{}, {"block": 2}, {"final_tanh": False, "final_bias": False}])
def test_hop_samples_for_each_frame(frames, changes):
    wav = model(**changes)(torch.randn(2, 10, frames))
    assert wav.shape == (2, frames * 16)
    assert wav.abs().max() <= 1


@pytest.mark.parametrize("name", RELEASES)
def test_every_key_of_every_release_has_its_place(name):
    config = bigvgan_config(RELEASES[name])
    with torch.device("meta"):
        weights = {key: torch.empty(shape) for key, shape in foreign_keys(RELEASES[name]).items()}
        network = BigVGAN(config)
        mapped = bigvgan_weights(weights, config)
    assert {key: tensor.shape for key, tensor in mapped.items()} == {
        key: tensor.shape for key, tensor in network.state_dict().items()
    }


def test_keys_that_configurations_make_are_those_of_the_published_file():
    released = json.loads((Path(__file__).parent / "golden/bigvgan_original/full.json").read_text())
    assert {key: list(shape) for key, shape in foreign_keys(released["config"]).items()} == released["keys"]


@pytest.mark.parametrize(("name", "millions"), [("bigvgan_base_24khz_100band", 14.0), ("bigvgan_24khz_100band", 112.4)])
def test_sizes_are_those_of_the_paper(name, millions):
    with torch.device("meta"):
        network = BigVGAN(bigvgan_config(RELEASES[name]))
    # Weight norm counts its gains too.
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, rel=0.01)


@pytest.mark.parametrize(
    ("recipe", "name"),
    [
        ("bigvgan-24k", "bigvgan_24khz_100band"),
        ("bigvgan-24k-small", "bigvgan_base_24khz_100band"),
        ("bigvgan-v2-24k", "bigvgan_v2_24khz_100band_256x"),
        ("bigvgan-v2-44k-256x", "bigvgan_v2_44khz_128band_256x"),
        ("bigvgan-v2-44k-512x", "bigvgan_v2_44khz_128band_512x"),
    ],
)
def test_recipes_train_what_was_released(recipe, name):
    ours, released = load_recipe(f"vocoders/{recipe}"), RELEASES[name]
    assert ours.model == bigvgan_config(released)
    assert ours.segment == released["segment_size"]
    assert ours.optimizers["generator"].clip_norm == released.get("clip_grad_norm", 1000)


def test_versions_differ_in_the_end_only():
    first = model()
    second = BigVGAN(TINY.updated(final_tanh=False)).eval()
    second.load_state_dict(first.state_dict())
    mel = torch.randn(1, 10, 5)
    with torch.no_grad():
        torch.testing.assert_close(torch.tanh(second(mel)), first(mel), atol=1e-6, rtol=0)


def test_all_three_styles_of_weight_norm_load(tmp_path):
    source = model()
    args = {"resblock": "1", "upsample_rates": [4, 2, 2], "upsample_kernel_sizes": [8, 4, 4]}
    args |= {"upsample_initial_channel": 8, "resblock_kernel_sizes": [3, 5], "activation": "snakebeta"}
    args |= {"resblock_dilation_sizes": [[1, 3], [1, 2]], "snake_logscale": True, "sampling_rate": 22050}
    args |= {"n_fft": 64, "hop_size": 16, "win_size": 64, "num_mels": 10, "fmin": 0, "fmax": None}
    keys = foreign_keys(args)
    torch.manual_seed(1)
    old = {key: 0.1 * torch.randn(shape) for key, shape in keys.items() if not key.endswith(".filter")}
    new, folded = {}, {}
    for key, tensor in old.items():
        new[
            key.replace("weight_g", "parametrizations.weight.original0").replace(
                "weight_v", "parametrizations.weight.original1"
            )
        ] = tensor
        if key.endswith("weight_v"):
            folded[key.removesuffix("_v")] = torch._weight_norm(tensor, old[key[:-1] + "g"], 0)
        elif not key.endswith("weight_g"):
            folded[key] = tensor
    mel, made = torch.randn(1, 10, 6) - 4, []
    for number, weights in enumerate((old, new, folded)):
        file = tmp_path / f"{number}.pt"
        torch.save({"generator": weights}, file)
        made.append(BigVGAN.from_released(file, args).synthesize(mel))
    assert source.config == bigvgan_config(args)
    for other in made[1:]:
        torch.testing.assert_close(other, made[0], atol=1e-6, rtol=0)


def test_other_filters_than_ours_are_refused():
    weights = {"activation_post.upsample.filter": torch.ones(1, 1, 12) / 12}
    with pytest.raises(ValueError, match="low-pass filter of 12 taps"):
        bigvgan_weights(weights, TINY)


def test_configurations_of_other_models_are_refused_by_name():
    with pytest.raises(ValueError, match="args of 'hifigan', not of bigvgan"):
        bigvgan_config({"model": {"generator": "hifigan", "hifigan": {}}, "preprocess": {}})
    release = {key: value for key, value in RELEASES["bigvgan_24khz_100band"].items() if key != "activation"}
    with pytest.raises(ValueError, match="activation is missing"):
        bigvgan_config(release)


def test_saved_and_loaded_gives_the_same_samples(tmp_path):
    network = model(final_tanh=False, final_bias=False)
    network.save_pretrained(tmp_path)
    mel = torch.randn(1, 10, 9)
    loaded = BigVGAN.from_pretrained(tmp_path)
    torch.testing.assert_close(loaded.synthesize(mel), network.synthesize(mel), atol=1e-6, rtol=0)


def test_gradients_are_those_of_finite_differences():
    network = model(rates=(4, 4), kernel_sizes=(8, 8), block_kernel_sizes=(3,), block_dilations=((1,),)).double()
    mel = torch.randn(1, 10, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda value: network(value)[:, ::7], mel, atol=1e-5)


def test_a_few_steps_lower_the_distance():
    network = model().train()
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    mel, wav = torch.randn(1, 10, 8), torch.sin(torch.arange(128) * 0.3)[None] * 0.5
    losses = []
    for _ in range(40):
        losses.append((network(mel) - wav).square().mean())
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]


def test_faults_of_a_config_are_told():
    with pytest.raises(ConfigError, match=r"the product of rates 64 is not mel\.hop_length 256"):
        BigVGANConfig.parse({"rates": [8, 8], "kernel_sizes": [16, 16]})
