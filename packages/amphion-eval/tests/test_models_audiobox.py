"""Audiobox Aesthetics: the layouts of its release, its sums against plain ones, windows, clips without a rating."""

import json

import numpy as np
import pytest

pytestmark = [
    pytest.mark.extra("embedding"),
    pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask"),  # of WavLM inside transformers
]
RATE = 16000
SCALES = {
    "CE": {"mean": 5.0, "std": 1.5},
    "CU": {"mean": 5.5, "std": 1.0},
    "PC": {"mean": 3.0, "std": 2.0},
    "PQ": {"mean": 7.0, "std": 0.5},
}
SETTINGS = {
    "nth_layer": 3, "proj_num_layer": 3, "proj_ln": True, "proj_act_fn": "gelu", "proj_dropout": 0,
    "use_weighted_layer_sum": True, "normalize_embed": True, "output_dim": 1, "precision": "bf16",
}  # fmt: skip


def tiny_wavlm():
    from transformers import WavLMConfig

    return WavLMConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, conv_dim=(16,) * 7,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4,
    )  # fmt: skip


def write(folder, weights, *, whole=False, **changes):
    """A release: its hub folder, or the folder of its one file."""
    import safetensors.torch
    import torch

    settings = {**SETTINGS, **changes}
    if whole:
        content = {"state_dict": weights, "model_cfg": settings, "target_transform": SCALES}
        torch.save(content, folder / "checkpoint.pt")
    else:
        safetensors.torch.save_file(weights, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps({"target_transform": SCALES, **settings}))
    return folder


@pytest.fixture
def tiny(random_weights, tmp_path):
    """A network of random weights as a function of clips."""
    from amphion_eval.models.audiobox import load

    return load(write(tmp_path, random_weights("audiobox-tiny")), "cpu", tiny_wavlm())


@pytest.fixture
def model(random_weights):
    """The network itself."""
    from amphion_core.hub import load_weights
    from amphion_eval.models.audiobox import Aesthetics, AestheticsConfig, own_keys

    config = AestheticsConfig.of_release({**SETTINGS, "target_transform": SCALES}, "settings")
    made = Aesthetics(tiny_wavlm(), config).eval()
    load_weights(made, own_keys(random_weights("audiobox-tiny")))
    return made


# The release


def test_every_weight_has_one_place(keys):
    import torch
    from transformers import WavLMConfig

    from amphion_eval.models.audiobox import Aesthetics, AestheticsConfig, own_keys

    config = AestheticsConfig(target_transform=SCALES, proj_num_layer=5, proj_ln=True)
    released = {name: torch.empty(shape, device="meta") for name, shape in keys("audiobox-aesthetics").items()}
    with torch.device("meta"):
        own = Aesthetics(WavLMConfig(), config).state_dict()
    renamed = own_keys(released)
    assert {n: tuple(t.shape) for n, t in renamed.items()} == {n: tuple(t.shape) for n, t in own.items()}


@pytest.mark.parametrize("whole", [False, True])
def test_random_weights_give_what_the_original_package_gives(whole, random_weights, tmp_path, noise):
    from amphion_eval.models.audiobox import load

    # audiobox_aesthetics 0.0.4 with these weights: two windows, and one that is not full
    expected = [
        {"CE": 5.935091, "CU": 4.746199, "PC": 7.204880, "PQ": 7.335093},
        {"CE": 5.941834, "CU": 4.746696, "PC": 7.200754, "PQ": 7.335055},
    ]
    batch = load(write(tmp_path, random_weights("audiobox-tiny"), whole=whole), "cpu", tiny_wavlm())
    clip = noise(10.5)
    for row, values in zip(batch([clip, clip[:40000]]), expected, strict=True):
        assert row == pytest.approx(values, abs=1e-4)  # float32 through 9 layers


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"proj_num_layer": 2}, "unknown keys"),
        ({"proj_ln": False}, "unknown keys|shapes differ"),
        ({"proj_dropout": 0.1}, "missing keys"),
        ({"proj_act_fn": "relu"}, "proj_act_fn"),
        ({"use_weighted_layer_sum": False}, "use_weighted_layer_sum"),
        ({"output_dim": 2}, "output_dim"),
        ({"nth_layer": 2}, "nth_layer is 2, this network mixes all 3 of WavLM"),
        ({"target_transform": {"CE": {"mean": 0, "std": 1}}}, "target_transform has no CU, PC, PQ"),
    ],
)
def test_release_of_another_network_is_refused(changes, message, random_weights, tmp_path):
    from amphion_eval.models.audiobox import load

    with pytest.raises(ValueError, match=message):
        load(write(tmp_path, random_weights("audiobox-tiny"), **changes), "cpu", tiny_wavlm())


def test_folder_without_the_files_is_refused(random_weights, tmp_path):
    import torch

    from amphion_eval.models.audiobox import load

    with pytest.raises(FileNotFoundError, match=r"neither config\.json with model\.safetensors, nor checkpoint\.pt"):
        load(tmp_path, "cpu")
    torch.save(random_weights("audiobox-tiny"), tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match="no checkpoint of Audiobox Aesthetics: no model_cfg"):
        load(tmp_path, "cpu")


def test_dropout_of_the_training_moves_the_names_behind_it():
    from amphion_eval.models.audiobox import AestheticsConfig, head

    plain = AestheticsConfig(target_transform=SCALES, proj_num_layer=3, proj_ln=True)
    dropped = plain.updated(proj_dropout=0.1)
    last = [list(head(4, config).state_dict())[-1] for config in (plain, dropped)]
    assert last == ["6.bias", "8.bias"]
    assert list(head(4, AestheticsConfig(target_transform=SCALES)).state_dict()) == ["0.weight", "0.bias"]


# The network, by plain sums


@pytest.mark.parametrize("samples", [32000, 9000, 1])
def test_ratings_are_those_of_plain_sums_over_the_layers(samples, model, noise):
    import math

    import torch

    wav = torch.zeros(1, 32000)
    wav[0, :samples] = torch.from_numpy(noise(2.0)[:samples])
    frames = min(99, -(-samples // 320))
    mask = torch.zeros(1, 32000, dtype=torch.long)
    mask[0, : 400 + 320 * (frames - 1)] = 1
    with torch.no_grad():
        own = model(wav, torch.tensor([samples]))[0].tolist()
        states = model.wavlm(wav, attention_mask=mask, output_hidden_states=True).hidden_states
    states = [state[0].double().numpy() for state in states]
    for axis, rating in zip(("CE", "CU", "PC", "PQ"), own, strict=True):
        weights = np.exp(model.layer_weights[axis].detach().double().numpy())
        x = np.zeros(32)
        for weight, state in zip(weights / weights.sum(), states, strict=True):
            for frame in range(frames):
                x += weight * state[frame] / frames
        x = x / math.sqrt((x**2).sum())
        w = {name: tensor.double().numpy() for name, tensor in model.proj_layer[axis].state_dict().items()}
        for first in (0, 3):
            x = w[f"{first}.weight"] @ x + w[f"{first}.bias"]
            x = (x - x.mean()) / math.sqrt(x.var() + 1e-5) * w[f"{first + 1}.weight"] + w[f"{first + 1}.bias"]
            x = np.array([0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in x])
        last = float((w["6.weight"] @ x + w["6.bias"])[0])
        assert rating == pytest.approx(last * SCALES[axis]["std"] + SCALES[axis]["mean"], abs=1e-4)


def test_heads_that_give_nothing_give_the_mean_of_their_axis(model, noise):
    import torch

    from amphion_eval.models.audiobox import batched

    with torch.no_grad():
        for own in model.proj_layer.values():
            own[-1].weight.zero_()
            own[-1].bias.zero_()
    assert batched(model, "cpu")([noise(0.5)])[0] == {axis: scale["mean"] for axis, scale in SCALES.items()}


def test_what_is_in_the_filling_does_not_count(model, noise):
    # but for the normalisation over time in its first layer, which is as in the release
    import torch

    wav = torch.from_numpy(noise(1.0))[None].repeat(2, 1)
    with torch.no_grad():
        half, other = model(wav, torch.tensor([8000, 8000 - 319])), model(wav, torch.tensor([8000 - 320, 16000]))
    assert half[0].tolist() == pytest.approx(half[1].tolist(), abs=1e-5)  # the same frames
    assert half[0].tolist() != pytest.approx(other[0].tolist(), abs=1e-4)
    assert half[0].tolist() != pytest.approx(other[1].tolist(), abs=1e-4)


# Clips


@pytest.mark.parametrize(("samples", "sizes"), [(1, [1]), (160000, [160000]), (160001, [160000, 1])])
def test_windows_are_of_ten_seconds_and_the_rest(samples, sizes):
    from amphion_eval.models.audiobox import windows

    assert [window.size for window in windows(np.zeros(samples, np.float32))] == sizes


def test_windows_count_as_long_as_they_are(tiny, noise):
    clip = noise(15.0)
    first, second = tiny([clip[:160000], clip[160000:]])
    whole = tiny([clip])[0]
    for axis, value in whole.items():
        assert value == pytest.approx((2 * first[axis] + second[axis]) / 3, abs=1e-5)


def test_ratings_are_the_same_alone_and_in_a_batch_in_any_order(tiny, noise):
    clips = [noise(seconds, seed=seed) for seed, seconds in enumerate((0.5, 10.5, 0.1, 0.5))]
    rows = tiny(clips)
    for row, turned, clip in zip(rows, tiny(clips[::-1])[::-1], clips, strict=True):
        assert row == pytest.approx(tiny([clip])[0], abs=1e-4)  # other sizes of matrices sum in another order
        assert row == pytest.approx(turned, abs=1e-4)
    assert len({row["CE"] for row in rows}) == 4


def test_clips_without_a_rating_say_why(tiny, noise):
    outputs = tiny([np.zeros(0), np.zeros(RATE), noise(0.1)[:-1], noise(0.1)])
    assert [getattr(output, "reason", None) for output in outputs] == [
        "there is no sample",
        "the clip is silent: its samples are all the same",
        "0.100 s are shorter than the 0.1 s that the network needs",
        None,
    ]
