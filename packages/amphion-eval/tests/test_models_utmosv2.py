"""UTMOSv2: the layout of its release, crops, pictures and each layer against plain loops, clips without a rating."""

import numpy as np
import pytest

pytestmark = pytest.mark.extra("embedding")
RATE = 16000


def tiny_stages():
    from amphion_eval.models.efficientnet import Stage

    return (Stage("plain", 2, 4), Stage("fused", 2, 4, 2, 2), Stage("squeezed", 2, 8, 2, 2))


def shuffled(model):
    """Weights that do something in every layer, and variances above zero."""
    import torch

    torch.manual_seed(0)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            size = max(1, int(np.prod(tensor.shape[1:])))
            tensor.copy_(torch.rand_like(tensor) + 0.5 if "var" in name else torch.randn_like(tensor) / size**0.5)
    return model.eval()


def tiny():
    from transformers import Wav2Vec2Config

    from amphion_eval.models.utmosv2 import Utmosv2

    config = Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, conv_dim=(8,) * 7,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    return shuffled(Utmosv2(config, tiny_stages(), stem=4, head=8))


def numbers(module):
    return {name: tensor.double().numpy() for name, tensor in module.state_dict().items()}


# The released file


def test_every_weight_has_one_place(keys):
    import torch
    from transformers import Wav2Vec2Config

    from amphion_eval.models.utmosv2 import Utmosv2

    with torch.device("meta"):
        own = Utmosv2(Wav2Vec2Config()).state_dict()
    assert {name: list(tensor.shape) for name, tensor in own.items()} == keys("utmosv2")


@pytest.mark.slow
def test_file_of_another_network_is_refused(tmp_path):
    import torch

    from amphion_eval.models.utmosv2 import load

    torch.save(tiny().state_dict(), tmp_path / "small.pth")
    with pytest.raises(ValueError, match=r"(?s)small\.pth does not fit Utmosv2: missing keys .*shapes differ"):
        load(tmp_path / "small.pth", "cpu")


# Crops and pictures


@pytest.mark.parametrize(
    ("length", "starts"),
    [(9, [0, 2, 5]), (5, [0, 0, 1]), (4, [0, 2, 4]), (3, [0, 1, 2]), (1, [0, 0, 1])],
)
def test_crops_reach_from_the_beginning_to_the_end_and_short_clips_are_repeated(length, starts):
    from amphion_eval.models.utmosv2 import crops

    clip = np.arange(length, dtype=np.float32)
    assert crops(clip, 4, 3).tolist() == [[(start + n) % length for n in range(4)] for start in starts]


def plain_level(wav, window, frame, band):
    """dB of one band of one frame."""
    from amphion_core.features.filterbank import hz_to_mel, mel_to_hz

    low, peak, high = mel_to_hz(np.linspace(0, hz_to_mel(8000.0), 514))[band : band + 3]
    padded = np.concatenate([np.zeros(2048), wav, np.zeros(2048)])
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    piece = padded[32 * frame + 2048 - window // 2 :][:window] * hann  # in the middle of 4096
    total = 1e-300
    for k in range(int(low / RATE * 4096), int(high / RATE * 4096) + 2):
        hertz = k * RATE / 4096
        rise = min((hertz - low) / (peak - low), (high - hertz) / (high - peak))
        wave = np.exp(-2j * np.pi * k * np.arange(window) / 4096)
        total += max(0.0, rise) * 2 / (high - low) * abs(np.dot(piece, wave)) ** 2
    return 10 * np.log10(total)


@pytest.mark.parametrize(("number", "window"), [(0, 4096), (1, 2048), (2, 1024), (3, 512)])
def test_pictures_are_those_of_a_plain_transform(number, window, noise):
    import torch

    from amphion_eval.models.utmosv2 import pictures

    wav = noise(1.4).astype(np.float64)
    own = 80 * pictures(torch.tensor(wav[None], dtype=torch.float32))[0, number].double().numpy()
    assert own.shape == (512, 512)
    scale = 701 / 512  # frames to columns; a column is a mean of frames under a triangle
    plain = {}
    for column in (0, 255, 511):
        for band in (120, 300, 511):
            weights = {f: 1 - abs(f + 0.5 - (column + 0.5) * scale) / scale for f in range(701)}
            weights = {frame: weight for frame, weight in weights.items() if weight > 0}
            level = sum(weight * plain_level(wav, window, frame, band) for frame, weight in weights.items())
            plain[band, column] = level / sum(weights.values())
    offset = own[300, 255] - plain[300, 255]  # the loudest of the picture is 80
    for place, level in plain.items():
        assert own[place] == pytest.approx(level + offset, abs=1e-3)  # float32


def test_pictures_reach_from_1_down_to_0_at_any_gain(tone):
    import torch

    from amphion_eval.models.utmosv2 import pictures

    wav = torch.tensor(tone(seconds=1.4), dtype=torch.float32)[None]
    wav[:, 15000:] = 0
    seen = pictures(wav)
    assert seen.shape == (1, 4, 512, 512) and seen.max() <= 1 + 1e-6 and seen.min() == 0
    assert seen.amax(dim=(2, 3)).min() > 0.97  # columns are means of frames
    assert torch.allclose(pictures(0.25 * wav), seen, atol=1e-5)
    assert torch.allclose(pictures(0 * wav), torch.ones(1, 4, 512, 512))  # as the release shows silence


# The layers, by plain loops


def convolved(x, weight, stride=1, groups=1, bias=None):
    """Rows and columns rounded up; an odd zero goes below and to the right."""
    kernel = weight.shape[2]
    out = [-(-size // stride) for size in x.shape[1:]]
    zeros = [max((n - 1) * stride + kernel - size, 0) for n, size in zip(out, x.shape[1:], strict=True)]
    x = np.pad(x, ((0, 0), *((total // 2, total - total // 2) for total in zeros)))
    result = np.zeros((len(weight), *out))
    inputs, outputs = len(x) // groups, len(weight) // groups
    for c in range(len(weight)):
        source = x[c // outputs * inputs :][:inputs]
        for i in range(out[0]):
            for j in range(out[1]):
                piece = source[:, stride * i :, stride * j :][:, :kernel, :kernel]
                result[c, i, j] = (piece * weight[c]).sum() + (0 if bias is None else bias[c])
    return result


def normed(x, w, name):
    mean, var, gain, offset = (
        w[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / np.sqrt(var + 1e-3) * gain + offset


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def silu(x):
    return x * sigmoid(x)


def inside(w, prefix):
    return {name.removeprefix(prefix): value for name, value in w.items() if name.startswith(prefix)}


def plain_block(x, w, stride):
    if "conv.weight" in w:
        out = silu(normed(convolved(x, w["conv.weight"], stride), w, "bn1"))
    elif "conv_exp.weight" in w:
        out = silu(normed(convolved(x, w["conv_exp.weight"], stride), w, "bn1"))
        out = normed(convolved(out, w["conv_pwl.weight"]), w, "bn2")
    else:
        out = silu(normed(convolved(x, w["conv_pw.weight"]), w, "bn1"))
        out = silu(normed(convolved(out, w["conv_dw.weight"], stride, groups=len(out)), w, "bn2"))
        mean = out.mean(axis=(1, 2), keepdims=True)
        inner = silu(convolved(mean, w["se.conv_reduce.weight"], bias=w["se.conv_reduce.bias"]))
        out = out * sigmoid(convolved(inner, w["se.conv_expand.weight"], bias=w["se.conv_expand.bias"]))
        out = normed(convolved(out, w["conv_pwl.weight"]), w, "bn3")
    return out + x if out.shape == x.shape else out


def test_efficientnet_is_that_of_plain_loops():
    import torch

    from amphion_eval.models.efficientnet import EfficientNet

    model = shuffled(EfficientNet(tiny_stages(), stem=4, head=5))
    picture = np.random.default_rng(0).standard_normal((3, 19, 14))  # an odd size, and one that is odd after halving
    own = model(torch.tensor(picture, dtype=torch.float32)[None])[0].detach().numpy()
    w = numbers(model)
    x = silu(normed(convolved(picture, w["conv_stem.weight"], 2), w, "bn1"))
    for number, stage in enumerate(tiny_stages()):
        for layer in range(stage.layers):
            x = plain_block(x, inside(w, f"blocks.{number}.{layer}."), stage.stride if layer == 0 else 1)
    plain = silu(normed(convolved(x, w["conv_head.weight"]), w, "bn2"))
    assert own.shape == (5, 3, 2) and own == pytest.approx(plain, abs=1e-5)


@pytest.mark.slow
def test_random_weights_give_what_timm_gives(keys):
    import torch

    from amphion_eval.models.efficientnet import EfficientNet

    generator, weights = torch.Generator().manual_seed(0), {}
    for name, shape in sorted(keys("utmosv2").items()):
        if name.startswith("spec_long.backbones.0."):
            tensor = torch.randn(shape, generator=generator) / max(1, int(np.prod(shape[1:]))) ** 0.5
            tensor = tensor.abs() + 0.5 if name.endswith("running_var") else tensor
            tensor = torch.tensor(1) if name.endswith("tracked") else tensor
            weights[name.removeprefix("spec_long.backbones.0.")] = tensor
    model = EfficientNet()
    model.load_state_dict(weights)
    picture = torch.tensor(np.random.default_rng(0).random((1, 3, 65, 96)), dtype=torch.float32)
    with torch.inference_mode():
        maps = model.eval()(picture)
    # tf_efficientnetv2_s of timm 1.0.31 with these weights; the largest value is 47
    assert maps.shape == (1, 1280, 3, 3)
    assert (float(maps.mean()), float(maps.std())) == pytest.approx((1.933918, 4.130847), abs=1e-4)
    some = maps[0, [0, 300, 700, 1279], [0, 1, 2, 2], [0, 1, 2, 1]].tolist()
    assert some == pytest.approx([6.6163, -0.0004, 3.8229, -0.1150], abs=1e-3)


def plain_pooled(x, w, heads=8):
    """The mean of self-attention over x (N, D), beside the maximum of x."""
    parts = np.split(x @ w["in_proj_weight"].T + w["in_proj_bias"], 3, axis=1)
    query, key, value = (part.reshape(len(x), heads, -1) for part in parts)
    out = []
    for head in range(heads):
        scores = query[:, head] @ key[:, head].T / np.sqrt(query.shape[2])
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        out.append(powers / powers.sum(axis=1, keepdims=True) @ value[:, head])
    attended = np.concatenate(out, axis=1) @ w["out_proj.weight"].T + w["out_proj.bias"]
    return np.concatenate([attended.mean(axis=0), x.max(axis=0)])


def test_speech_branch_sums_the_layers_of_an_even_waveform(noise):
    import torch

    branch = tiny().ssl
    wav = noise(0.2)
    own = branch(torch.tensor(3 * wav + 1)[None])[0].detach().numpy()
    even = (wav - wav.mean()) / wav.std()
    states = branch.encoder["model"](torch.tensor(even)[None], output_hidden_states=True).hidden_states
    w = numbers(branch)
    mixed = sum(weight * state[0].double().detach().numpy() for weight, state in zip(w["weights"], states, strict=True))
    assert own == pytest.approx(plain_pooled(mixed, inside(w, "attn.0.")), abs=1e-4)


def test_picture_branch_sets_crops_side_by_side_and_attends_over_rows():
    import torch

    branch = tiny().spec_long
    seen = torch.rand(2, 2, 4, 64, 48)
    own = branch(seen).detach().numpy()
    w = numbers(branch)
    for clip in range(2):
        crops = []
        for crop in range(2):
            maps = [
                weight * backbone(seen[clip, crop, number].expand(1, 3, -1, -1))[0].double().detach().numpy()
                for number, (weight, backbone) in enumerate(zip(w["weights"], branch.backbones, strict=True))
            ]
            crops.append(sum(maps))
        wide = np.concatenate(crops, axis=2)  # (8, 8, 12)
        rows = np.concatenate([wide.mean(axis=2), wide.max(axis=2)]).T
        assert own[clip] == pytest.approx(plain_pooled(rows, inside(w, "attn.")), abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("dataset", "place"), [("bvcc", 0), ("sarulab", 1), ("somos", 9)])
def test_score_is_the_one_of_listeners_of_one_test(dataset, place, noise):
    import torch

    from amphion_eval.models.utmosv2 import batched

    model = tiny()
    with torch.no_grad():
        model.fc.weight.zero_()
        model.fc.weight[0, -10:] = torch.arange(10)
        model.fc.bias.fill_(0.25)
    assert batched(model, "cpu", dataset)([noise(0.5)])[0]["utmosv2"] == pytest.approx(place + 0.25, abs=1e-6)


# Clips


@pytest.mark.slow
def test_scores_are_the_same_alone_and_in_a_batch_in_any_order(noise):
    from amphion_eval.models.utmosv2 import batched

    batch = batched(tiny(), "cpu")
    clips = [noise(0.5, seed=1), noise(3.2, seed=2), noise(0.5, seed=3)]
    scores = batch(clips)
    assert scores == batch(clips[::-1])[::-1] == [batch([clip])[0] for clip in clips]  # clip by clip: to the bit
    assert len({score["utmosv2"] for score in scores}) == 3


def test_clips_without_a_rating_say_why(noise):
    from amphion_eval.models.utmosv2 import batched

    outputs = batched(tiny(), "cpu")([np.zeros(0), np.zeros(RATE), noise(0.05)])
    assert [output.reason for output in outputs] == [
        "there is no sample",
        "the clip is silent: its samples are all the same",
        "0.050 s are shorter than the 0.1 s that the network needs",
    ]
