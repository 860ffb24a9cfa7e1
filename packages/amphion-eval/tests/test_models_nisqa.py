"""NISQA: the layout of its release, its front end, each of its layers against plain loops, clips without a rating."""

import numpy as np
import pytest

pytestmark = pytest.mark.extra("embedding")
RATE = 48000
ARGS = {
    "model": "NISQA_DIM", "cnn_model": "adapt", "td": "self_att", "td_2": "skip", "pool": "att", "cnn_fc_out_h": None,
    "td_sa_pos_enc": False, "ms_sr": None, "ms_fmax": 20000, "ms_n_fft": 4096, "ms_hop_length": 0.01,
    "ms_win_length": 0.02, "ms_n_mels": 48, "ms_seg_length": 15, "ms_seg_hop_length": 4, "ms_max_segments": 1300,
    "cnn_c_out_1": 16, "cnn_c_out_2": 32, "cnn_c_out_3": 64, "cnn_kernel_size": (3, 3), "cnn_pool_1": [24, 7],
    "cnn_pool_2": [12, 5], "cnn_pool_3": [6, 3], "td_sa_d_model": 64, "td_sa_nhead": 1, "td_sa_num_layers": 2,
    "td_sa_h": 64, "pool_att_h": 128, "tr_lr": 0.001, "name": "of a training", "cnn_dropout": 0.2,
}  # fmt: skip
"""As the published recipe of the training states them."""
SMALL = {
    "ms_n_fft": 1024, "ms_n_mels": 12, "ms_seg_length": 7, "ms_seg_hop_length": 3, "ms_max_segments": 40,
    "cnn_c_out_1": 2, "cnn_c_out_2": 3, "cnn_c_out_3": 4, "cnn_pool_1": (7, 5), "cnn_pool_2": (5, 4),
    "cnn_pool_3": (3, 2), "td_sa_d_model": 8, "td_sa_h": 6, "pool_att_h": 5,
}  # fmt: skip


def small():
    import torch

    from amphion_eval.models.nisqa import Nisqa, NisqaConfig

    torch.manual_seed(0)
    model = Nisqa(NisqaConfig(**SMALL)).eval()
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():  # norms that do something, and variances above zero
            tensor.copy_(torch.rand_like(tensor) + 0.5 if "var" in name else 0.5 * torch.randn_like(tensor))
    return model


def write(path, weights, **changes):
    import torch

    torch.save({"args": {**ARGS, **changes}, "model_state_dict": weights, "epoch": 3}, path)
    return path


# The released file


def test_every_weight_has_one_place(keys):
    from amphion_eval.models.nisqa import Nisqa, NisqaConfig

    own = Nisqa(NisqaConfig.of_release(ARGS)).state_dict()
    assert {name: list(tensor.shape) for name, tensor in own.items()} == keys("nisqa")


def test_sizes_are_those_that_the_file_states():
    from amphion_eval.models.nisqa import NisqaConfig

    assert NisqaConfig.of_release(ARGS) == NisqaConfig()
    assert NisqaConfig.of_release({**ARGS, **SMALL}) == NisqaConfig(**SMALL)
    assert NisqaConfig.of_release({**ARGS, "cnn_kernel_size": 3}).cnn_kernel_size == (3, 3)


def test_random_weights_give_what_the_original_package_gives(random_weights, tmp_path, noise):
    from amphion_eval.models.nisqa import load

    # nisqa 2.0.post2 with these weights for this clip, four digits behind the point printed
    expected = {
        "mos": 1.5029, "noisiness": -1.5947, "discontinuity": -2.1497, "coloration": -0.3968, "loudness": 1.8656,
    }  # fmt: skip
    batch = load(write(tmp_path / "nisqa.tar", random_weights("nisqa")), "cpu")
    assert batch([noise(1.0, RATE)])[0] == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "NISQA"}, "model 'NISQA' is not 'NISQA_DIM'"),
        ({"td": "lstm"}, "td 'lstm' is not 'self_att'"),
        ({"ms_sr": 16000}, "ms_sr 16000 is not 48000"),
        ({"td_sa_pos_enc": True}, "td_sa_pos_enc is set"),
        ({"ms_n_mels": 40.5}, "ms_n_mels"),
        ({"pool_att_h": 64}, r"shapes differ .*pool_layers\.0\.model\.linear1\.weight"),
        ({"td_sa_num_layers": 3}, r"missing keys .*layers\.2"),
    ],
)
def test_file_of_another_network_is_refused(changes, message, random_weights, tmp_path):
    from amphion_eval.models.nisqa import load

    with pytest.raises(ValueError, match=f"(?s)nisqa\\.tar.*{message}"):
        load(write(tmp_path / "nisqa.tar", random_weights("nisqa"), **changes), "cpu")


def test_file_without_settings_is_refused(random_weights, tmp_path):
    import torch

    from amphion_eval.models.nisqa import NisqaConfig, load

    torch.save(random_weights("nisqa"), tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"other\.pt is no checkpoint of NISQA: it has no args"):
        load(tmp_path / "other.pt", "cpu")
    with pytest.raises(ValueError, match="ms_seg_hop_length is missing"):
        NisqaConfig.of_release({name: value for name, value in ARGS.items() if name != "ms_seg_hop_length"})


# The front end


def test_levels_are_those_of_a_plain_transform(noise):
    from amphion_core.features.filterbank import hz_to_mel, mel_to_hz
    from amphion_eval.models.nisqa import NisqaConfig, levels

    wav = noise(0.14, RATE).astype(np.float64)
    edges = mel_to_hz(np.linspace(0, hz_to_mel(20000.0), 50))
    padded = np.concatenate([wav[2048:0:-1], wav, wav[-2:-2050:-1]])
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(960) / 960)
    own = levels(wav.astype(np.float32), NisqaConfig())
    assert own.shape == (15, 48)
    for frame in (0, 7, 14):
        piece = padded[480 * frame + 1568 :][:960] * hann  # 20 ms in the middle of 4096
        for band in (0, 20, 47):
            low, peak, high = edges[band : band + 3]
            total = 0.0
            for k in range(int(low / RATE * 4096), int(high / RATE * 4096) + 2):
                hertz = k * RATE / 4096
                rise = min((hertz - low) / (peak - low), (high - hertz) / (high - peak))
                wave = np.exp(-2j * np.pi * k * np.arange(960) / 4096)
                total += max(0.0, rise) * 2 / (high - low) * abs(np.dot(piece, wave))
            assert own[frame, band] == pytest.approx(20 * np.log10(max(total, 1e-4)), abs=1e-3)


def test_levels_end_80_db_below_the_loudest_and_at_1e_4(tone):
    from amphion_eval.models.nisqa import NisqaConfig, levels

    wav = tone(seconds=0.5, rate=RATE).astype(np.float32)
    wav[12000:] = 0
    loud = levels(100 * wav, NisqaConfig())
    assert loud.min() == pytest.approx(loud.max() - 80, abs=1e-4)
    assert levels(1e-4 * wav, NisqaConfig()).min() == pytest.approx(-80, abs=1e-4)


@pytest.mark.parametrize(("frames", "count"), [(14, 0), (15, 1), (18, 1), (19, 2), (22, 2), (23, 3)])
def test_segments_start_every_four_frames_and_are_whole(frames, count):
    from amphion_eval.models.nisqa import NisqaConfig, segments

    config = NisqaConfig()
    assert config.count(480 * (frames - 1)) == config.count(480 * frames - 1) == count
    if count:
        level = np.arange(frames * 48, dtype=np.float32).reshape(frames, 48)
        found = segments(level, config)
        assert found.shape == (count, 48, 15)
        assert all(np.array_equal(part, level[4 * n : 4 * n + 15].T) for n, part in enumerate(found))


# The layers, by plain loops


def convolved(x, weight, bias, padding):
    x = np.pad(x, ((0, 0), (padding[0],) * 2, (padding[1],) * 2))
    height, width = weight.shape[2:]
    rows, columns = x.shape[1] - height + 1, x.shape[2] - width + 1
    return np.array(
        [
            [[(x[:, i : i + height, j : j + width] * w).sum() + b for j in range(columns)] for i in range(rows)]
            for w, b in zip(weight, bias, strict=True)
        ]
    )


def pooled(x, sizes):
    def edges(length, count):
        return [(length * n // count, -(-length * (n + 1) // count)) for n in range(count)]

    rows, columns = (edges(length, count) for length, count in zip(x.shape[1:], sizes, strict=True))
    return np.array([[[c[a:b, d:e].max() for d, e in columns] for a, b in rows] for c in x])


def standardised(x, weights, name):
    centred = x - x.mean(axis=-1, keepdims=True)
    spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
    return centred / spread * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def through(x, weights, name):
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def softmax(x, axis):
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def plain_convolutions(x, w, config):
    pools = {1: config.cnn_pool_1, 2: config.cnn_pool_2, 4: config.cnn_pool_3}
    for n in range(1, 7):
        x = convolved(x, w[f"conv{n}.weight"], w[f"conv{n}.bias"], (1, 0 if n == 6 else 1))
        mean, var, gain, offset = (
            w[f"bn{n}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        x = np.maximum(0, (x - mean) / np.sqrt(var + 1e-5) * gain + offset)
        x = pooled(x, pools[n]) if n in pools else x
    return x.reshape(-1)


def plain_attention(x, w):
    x = standardised(through(x, w, "linear"), w, "norm1")
    for n in range(2):
        layer = {name.removeprefix(f"layers.{n}."): value for name, value in w.items()}
        query, key, value = np.split(x @ layer["self_attn.in_proj_weight"].T + layer["self_attn.in_proj_bias"], 3, 1)
        seen = softmax(query @ key.T / np.sqrt(query.shape[1]), 1) @ value
        x = standardised(x + through(seen, layer, "self_attn.out_proj"), layer, "norm1")
        x = standardised(x + through(np.maximum(0, through(x, layer, "linear1")), layer, "linear2"), layer, "norm2")
    return x


def plain_head(x, w):
    weights = softmax(through(np.maximum(0, through(x, w, "linear1")), w, "linear2"), 0)
    return through((weights * x).sum(axis=0), w, "linear3")


def numbers(module):
    return {name: tensor.double().numpy() for name, tensor in module.state_dict().items()}


def test_convolutions_are_those_of_plain_loops():
    import torch

    model = small()
    part = np.random.default_rng(0).standard_normal((12, 7))
    own = model.cnn["model"](torch.tensor(part, dtype=torch.float32)[None, None])[0].detach().numpy()
    plain = plain_convolutions(part[None], numbers(model.cnn["model"]), model.config)
    assert own == pytest.approx(plain, abs=1e-4 * np.abs(plain).max())  # float32


def test_attention_and_head_are_those_of_plain_sums():
    import torch

    model = small()
    x = np.random.default_rng(0).standard_normal((9, 12))
    own = model.time_dependency["model"](torch.tensor(x, dtype=torch.float32)[None])
    plain = plain_attention(x, numbers(model.time_dependency["model"]))
    assert own[0].detach().numpy() == pytest.approx(plain, abs=1e-5)
    head = model.pool_layers[2]["model"]
    assert head(own)[0].detach().numpy() == pytest.approx(plain_head(plain, numbers(head)), abs=1e-5)


def test_heads_are_named_in_their_order(noise):
    import torch

    from amphion_eval.models.nisqa import RATINGS, batched

    model = small()
    with torch.no_grad():
        for number, head in enumerate(model.pool_layers):
            head["model"].linear3.weight.zero_()
            head["model"].linear3.bias.fill_(number)
    assert batched(model, "cpu")([noise(0.2, RATE)])[0] == dict(zip(RATINGS, range(5), strict=True))


# Clips


def test_ratings_are_the_same_alone_and_in_a_batch_in_any_order(noise):
    from amphion_eval.models.nisqa import batched

    batch = batched(small(), "cpu")
    clips = [noise(seconds, RATE, seed) for seed, seconds in enumerate((0.3, 0.2, 0.3, 0.31))]
    rows = batch(clips)
    for row, turned, clip in zip(rows, batch(clips[::-1])[::-1], clips, strict=True):
        alone = batch([clip])[0]
        assert row == pytest.approx(alone, abs=1e-4)  # other sizes of matrices sum in another order
        assert row == pytest.approx(turned, abs=1e-4)
    assert len({row["mos"] for row in rows}) == 4


def test_clips_without_a_rating_say_why(noise):
    from amphion_eval.models.nisqa import Nisqa, NisqaConfig, batched

    batch = batched(Nisqa(NisqaConfig()), "cpu")
    clips = [np.zeros(0), np.zeros(RATE), noise(0.14, RATE)[:-1], noise(0.14, RATE), noise(52.5, RATE)]
    outputs = batch(clips)
    assert [getattr(output, "reason", None) for output in outputs] == [
        "there is no sample",
        "the clip is silent: its samples are all the same",
        "0.140 s are shorter than the 0.14 s that the network needs",
        None,
        "52.5 s are 1310 segments, the network takes 1300, about 52 s; cut the clip",
    ]
