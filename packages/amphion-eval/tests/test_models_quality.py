"""Networks that rate a clip: layouts, batches, windows, clips without an output."""

import numpy as np
import pytest

from amphion_eval import quality
from amphion_eval.metric import find
from amphion_eval.models import dnsmos, quality_catalogue
from amphion_eval.models.clips import at_rate, in_groups, usable

RATE = 16000


def test_every_rating_is_one_of_its_networks_output():
    output = {"sig": 3.0, "bak": 4.0, "ovrl": 2.5, "p808": 3.1, "utmos": 4.2, "stoi": 0.9, "pesq": 2.0, "si_sdr": 11.0,
              "utmosv2": 4.1, "singmos": 3.9, "mos": 3.3, "noisiness": 3.4, "discontinuity": 3.5, "coloration": 3.6,
              "loudness": 3.7, "CE": 5.1, "CU": 5.2, "PC": 5.3, "PQ": 5.4, "speech_share": 0.6}  # fmt: skip
    values = {name: getattr(quality, name)(output) for name in quality.__all__}
    assert values["dnsmos_bak"] == 4.0 and values["squim_si_sdr"] == 11.0 and values["speech_share"] == 0.6
    assert values["nisqa_mos"] == 3.3 and values["nisqa_coloration"] == 3.6
    assert values["audiobox_ce"] == 5.1 and values["audiobox_pq"] == 5.4
    assert all(find(name).models is not None for name in quality.__all__)


# What the networks share


def test_last_sample_that_is_only_begun_is_kept():
    assert [at_rate(np.ones(n), 24000, 16000).size for n in (3, 4, 5, 6)] == [2, 3, 4, 4]


def test_clips_of_one_length_share_a_batch_and_come_back_in_order():
    seen = []

    def infer(batch):
        seen.append(batch.shape)
        return list(batch[:, 0])

    clips = [np.full(size, number, np.float32) for number, size in enumerate((5, 3, 5, 3, 4))]
    assert in_groups(infer, clips) == [0, 1, 2, 3, 4]
    assert sorted(seen) == [(1, 4), (2, 3), (2, 5)]


def test_clips_without_output_never_reach_the_network(noise):
    batch = usable(lambda clips: [clip.size for clip in clips], RATE, 0.1)
    outputs = batch([np.zeros(0), noise(0.01), np.zeros(RATE), noise(1.0)])
    assert [getattr(output, "reason", output) for output in outputs] == [
        "there is no sample",
        "0.010 s are shorter than the 0.1 s that the network needs",
        "the clip is silent: its samples are all the same",
        RATE,
    ]
    assert batch([]) == []


# DNSMOS


@pytest.mark.parametrize(("seconds", "count"), [(0.5, 7), (2.0, 7), (9.01, 1), (9.5, 1), (11.0, 2), (20.0, 7)])
def test_windows_are_of_nine_seconds_one_a_second(seconds, count, noise):
    found = list(dnsmos.windows(noise(seconds)))
    assert [window.size for window in found] == [144160] * count


def test_short_clip_is_repeated_until_it_fills_a_window(noise):
    clip = noise(3.0)
    window = next(dnsmos.windows(clip))
    assert np.array_equal(window[:96000], np.tile(clip, 2))


def test_mel_levels_lie_within_80_db(noise):
    levels = dnsmos.mel_levels(noise(9.01))
    assert levels.shape == (900, 120) and levels.max() == pytest.approx(1.0) and levels.min() >= -1.0


@pytest.mark.extra("mos")
@pytest.mark.slow
def test_dnsmos_of_a_clip_is_the_same_in_a_batch_and_falls_with_noise(tone, noise):
    clean = tone(seconds=9.2, gain=0.3).astype(np.float32)
    noisy = clean + noise(9.2, gain=0.5)
    load = quality_catalogue.QUALITY["dnsmos-p835"].load("cpu")
    both = load([clean, noisy, np.zeros(RATE, np.float32)])
    assert both[0] == load([clean])[0] and both[1] == load([noisy])[0]
    assert both[0]["bak"] > both[1]["bak"] + 0.3 and "silent" in both[2].reason


@pytest.mark.extra("mos")
def test_file_that_is_no_network_is_refused(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"no network")
    with pytest.raises(ValueError, match=r"x\.onnx is no network that ONNX Runtime reads"):
        dnsmos.load(tmp_path / "x.onnx", "cpu")


# UTMOS and SQUIM


def tiny_utmos():
    import torch
    from transformers import Wav2Vec2Config

    from amphion_eval.models.utmos import UtmosStrong

    torch.manual_seed(0)
    config = Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, conv_dim=(8,) * 7,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    return UtmosStrong(config, emb=4, hidden=8, inner=16)


@pytest.mark.extra("embedding")
def test_every_weight_of_utmos_has_one_place(keys):
    import torch
    from transformers import Wav2Vec2Config

    from amphion_eval.models.utmos import UtmosStrong, own_keys

    released = {name: torch.empty(shape, device="meta") for name, shape in keys("utmos22-strong").items()}
    with torch.device("meta"):
        own = UtmosStrong(Wav2Vec2Config()).state_dict()
    renamed = own_keys(released)
    assert {n: tuple(t.shape) for n, t in renamed.items()} == {n: tuple(t.shape) for n, t in own.items()}


@pytest.mark.extra("embedding")
def test_utmos_is_three_and_twice_the_mean_of_the_frames(noise):
    import torch

    from amphion_eval.models.utmos import batched

    model = tiny_utmos()
    with torch.no_grad():
        model.projection[2].weight.zero_()
        model.projection[2].bias.fill_(0.4)
    assert batched(model, "cpu")([noise(0.5)])[0]["utmos"] == pytest.approx(3.8, abs=1e-5)


@pytest.mark.extra("embedding")
@pytest.mark.slow
def test_scores_are_the_same_alone_and_in_a_batch(noise):
    import torch
    import torchaudio

    from amphion_eval.models import squim, utmos

    torch.manual_seed(0)
    networks = [utmos.batched(tiny_utmos(), "cpu"), squim.objective(torchaudio.models.squim_objective_base(), "cpu")]
    clips = [noise(0.5, seed=1), noise(0.3, seed=2), noise(0.5, seed=3)]
    for network in networks:
        for row, clip in zip(network(clips), clips, strict=True):
            assert row == pytest.approx(network([clip])[0], abs=1e-4)  # other sizes of matrices sum in another order


@pytest.mark.extra("embedding")
@pytest.mark.slow
def test_squim_objective_loads_from_its_public_layout(random_weights, tmp_path, noise):
    import torch

    from amphion_eval.models import squim

    torch.save(random_weights("squim-objective"), tmp_path / "weights.pth")
    output = squim.load_objective(tmp_path / "weights.pth", "cpu")([noise(0.5), noise(0.01)])
    assert set(output[0]) == {"stoi", "pesq", "si_sdr"} and "0.25 s" in output[1].reason


@pytest.mark.extra("embedding")
@pytest.mark.slow
def test_squim_subjective_takes_pairs_of_any_lengths(keys, noise):
    import torch
    import torchaudio

    from amphion_eval.models import squim

    torch.manual_seed(0)
    model = torchaudio.models.squim_subjective_base()
    assert {n: list(t.shape) for n, t in model.state_dict().items()} == keys("squim-subjective")
    batch = squim.subjective(model, "cpu")
    first, silent = batch([(noise(0.5), noise(0.7, seed=1)), (np.zeros(RATE, np.float32), noise(0.5))])
    assert 0 < first["mos"] < 6 and silent.reason.startswith("the reference: the clip is silent")


# Silero


@pytest.mark.extra("vad")
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torch.jit.load, inside the package
def test_noise_and_silence_hold_no_speech(noise):
    batch = quality_catalogue.VOICE_ACTIVITY.load("cpu")
    outputs = batch([noise(1.0), np.zeros(RATE, np.float32), np.zeros(0, np.float32)])
    assert [output["speech_share"] for output in outputs[:2]] == [0.0, 0.0]
    assert outputs[2].reason == "there is no sample"
