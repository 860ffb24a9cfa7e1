import numpy as np
import pytest
import torch

from amphion_core.features import MelConfig
from amphion_core.features.mel import MelSpectrogram
from amphion_core.features.pitch import f0
from amphion_core.losses import MultiResolutionMelLoss
from amphion_core.testing.sounds import glide
from amphion_vocoders import NsfHiFiGAN, NsfHiFiGANConfig, nsf_hifigan
from amphion_vocoders.synthesis import check_f0

MEL = MelConfig(n_fft=64, win_length=64, hop_length=16, n_mels=10, f_max=None)
TINY = NsfHiFiGANConfig(
    mel=MEL,
    channels=8,
    rates=(4, 2, 2),
    kernel_sizes=(8, 4, 4),
    block_kernel_sizes=(3, 5),
    block_dilations=((1, 3), (1, 2)),
    overtones=2,
)


def model(**changes):
    torch.manual_seed(0)
    return NsfHiFiGAN(TINY.updated(**changes)).eval()


def inputs(frames=30, batch=1):
    torch.manual_seed(1)
    f0 = torch.linspace(100, 200, frames).repeat(batch, 1)
    f0[:, frames // 2] = 0
    return torch.randn(batch, 10, frames).clamp(-2, 2) - 4, f0


@pytest.mark.parametrize("frames", [1, 7])
@pytest.mark.parametrize("changes", [{}, {"block": 2}, {"overtones": 0}])
def test_hop_samples_for_each_frame(frames, changes):
    mel, f0 = inputs(frames, 2)
    wav = model(**changes)(mel, f0)
    assert wav.shape == (2, frames * 16)
    assert wav.abs().max() <= 1


def test_odd_rates_give_whole_frames_too():
    mel = MEL.updated(hop_length=15)
    wav = model(mel=mel, rates=(5, 3), kernel_sizes=(9, 7))(*inputs(6))
    assert wav.shape == (1, 90)


def test_f0_is_heard_unless_as_upstream():
    mel, f0 = inputs()
    ours, upstream = model(), model(compat="upstream")
    assert not torch.allclose(ours.synthesize(mel, f0), ours.synthesize(mel, f0 * 1.5), atol=1e-4)
    assert torch.equal(upstream.synthesize(mel, f0), upstream.synthesize(mel))


def test_as_upstream_the_source_is_not_trained():
    network = model(compat="upstream").train()
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    assert not [name for name in trained if "source" in name]
    network(inputs()[0]).square().sum().backward()
    assert all(p.grad is not None for name, p in network.named_parameters() if name in trained)


def test_source_is_trained_by_default():
    network = model().train()
    network(*inputs()).square().sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_long_input_in_pieces_equals_the_whole(monkeypatch):
    network = model()
    mel, f0 = inputs(200, 2)
    whole = network.synthesize(mel, f0, generator=torch.Generator().manual_seed(2))
    monkeypatch.setattr(nsf_hifigan, "SOURCE_FRAMES", 7)
    monkeypatch.setattr("amphion_vocoders.synthesis.MAX_FRAMES", 40)
    pieces = network.synthesize(mel, f0, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(pieces, whole, atol=1e-5, rtol=0)


def test_generator_decides_what_is_drawn():
    mel, f0 = inputs()
    first, again, other = (model().synthesize(mel, f0, generator=torch.Generator().manual_seed(n)) for n in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_nothing_of_f0_beyond_the_lengths_is_heard():
    mel, f0 = inputs(20, 2)
    lengths = torch.tensor([20, 9])
    clean = model().synthesize(mel, f0, lengths)
    f0[1, 9:] = torch.nan
    assert torch.equal(model().synthesize(mel, f0, lengths), clean)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f0: None, "needs f0"),
        (lambda f0: f0[:, :-1], r"f0 has shape \(1, 29\), the mel needs \(1, 30\)"),
        (lambda f0: f0[0], r"f0 has shape \(30,\)"),
        (lambda f0: f0 - 150, "negative"),
        (lambda f0: torch.where(f0 > 150, torch.nan, f0), "NaN"),
        (lambda f0: (f0 + 1).log(), "logarithm"),
        (lambda f0: 69 + 12 * torch.log2((f0 + 1) / 440).clamp(min=-5.75), "semitones"),
        (lambda f0: f0 * 40, "cents"),
        (
            lambda f0: 1200 * torch.log2((f0 + 1) / 55).clamp(min=0) + 1000,
            r"median .* no voice .* 1500 Hz; is it in cents",
        ),
        (lambda f0: f0 > 0, "holds true and false, as a mask"),
    ],
)
def test_what_is_no_f0_in_hertz_is_refused_with_what_to_do(change, words):
    mel, f0 = inputs()
    with pytest.raises(ValueError, match=words):
        model().synthesize(mel, change(f0))


@pytest.mark.parametrize(
    "f0", [[0.0] * 30, [70.0] * 30, [1000.0] * 30, [300.0] * 20 + [2500.0] * 10, [45.0] * 5 + [0.0] * 25]
)
def test_silence_basses_sopranos_whistles_and_creaks_are_let_through(f0):
    check_f0(torch.tensor([f0]), torch.zeros(1, 10, 30), needed=True)


def test_a_stream_without_f0_is_refused():
    with pytest.raises(ValueError, match="needs f0"):
        list(model().stream([inputs()[0][0]]))


def test_saved_and_loaded_gives_the_same_samples(tmp_path):
    network = model()
    network.save_pretrained(tmp_path)
    loaded = NsfHiFiGAN.from_pretrained(tmp_path)
    torch.testing.assert_close(loaded.synthesize(*inputs()), network.synthesize(*inputs()), atol=1e-6, rtol=0)


def test_a_checkpoint_of_the_toolkit_loads_as_it_was_trained_or_with_f0(tmp_path):
    names = {"input": "conv_pre", "output": "conv_post", "source.mix": "m_source.l_linear"}
    args = {
        "preprocess": {"n_mel": 10, "sample_rate": 22050, "n_fft": 64, "win_size": 64, "hop_size": 16}
        | {"fmin": 0, "fmax": None},
        "model": {
            "generator": "nsfhifigan",
            "nsfhifigan": {"resblock": "1", "harmonic_num": 2, "upsample_initial_channel": 8}
            | {"upsample_rates": [4, 2, 2], "upsample_kernel_sizes": [8, 4, 4], "resblock_kernel_sizes": [3, 5]}
            | {"resblock_dilation_sizes": [[1, 3, 5], [1, 2, 3]]},
        },
    }
    network = model(block_dilations=((1, 3, 5), (1, 2, 3)))
    foreign = {}
    for key, tensor in network.state_dict().items():
        place = key.split(".")
        if place[0] == "stages" and place[2] == "blocks":
            kind = {"dilated": "convs1", "plain": "convs2"}[place[4]]
            key = ".".join([f"resblocks.{int(place[1]) * 2 + int(place[3])}.{kind}", *place[5:]])
        elif place[0] == "stages":
            key = ".".join([{"upsample": "ups", "source": "noise_convs"}[place[2]], place[1], *place[3:]])
        else:
            stem = next(name for name in names if key.startswith(name))
            key = names[stem] + key.removeprefix(stem)
        foreign["module." + key] = tensor
    torch.save({"generator_state_dict": foreign}, tmp_path / "1.pt")
    mel, f0 = inputs()
    loaded = NsfHiFiGAN.from_released(tmp_path / "1.pt", args, compat="none")
    torch.testing.assert_close(loaded.synthesize(mel, f0), network.synthesize(mel, f0), atol=1e-6, rtol=0)
    upstream = NsfHiFiGAN.from_released(tmp_path / "1.pt", args)
    assert not upstream.needs_f0
    assert not torch.allclose(upstream.synthesize(mel), network.synthesize(mel, f0), atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("factor", [1.0, 1.5])
def test_output_pitch_follows_a_transposed_f0_after_a_short_training(factor):
    settings = MelConfig(sample_rate=8000, n_fft=256, win_length=256, hop_length=32, n_mels=20, f_max=4000)
    changes = dict(mel=settings, channels=32, rates=(4, 4, 2), kernel_sizes=(8, 8, 4))
    network = model(**changes, block_kernel_sizes=(3,), block_dilations=((1, 3),), overtones=8).train()
    mel_of, loss_of = MelSpectrogram(settings), MultiResolutionMelLoss(8000)

    def voice(first, last):
        wav = glide(first, last, 8000, 0.5).astype("float32")
        contour = f0(wav, 8000, hop_length=32, f_min=60, f_max=500, frames=wav.shape[0] // 32)
        return torch.from_numpy(wav), torch.from_numpy(contour).float()

    random = np.random.default_rng(0)
    voices = [voice(*pair) for pair in random.uniform(90, 300, (12, 2))]
    optimizer = torch.optim.Adam(network.parameters(), 3e-3, betas=(0.8, 0.99))
    for _ in range(60):
        chosen = [voices[i] for i in random.integers(0, 12, 4)]
        wav, contour = torch.stack([w for w, _ in chosen]), torch.stack([c for _, c in chosen])
        loss = loss_of(network(mel_of(wav), contour), wav)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    wav, contour = voice(120, 180)
    made = network.eval().synthesize(mel_of(wav)[None], contour[None] * factor)[0].numpy()
    heard = f0(made, 8000, hop_length=32, f_min=60, f_max=500, frames=contour.shape[0])
    both = (heard > 0) & (contour.numpy() > 0)
    cents = 1200 * np.log2(heard[both] / (factor * contour.numpy()[both]))
    assert both.mean() > 0.5
    assert np.mean(np.abs(cents) < 50) > 0.9
