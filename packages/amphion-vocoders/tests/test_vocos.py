import pytest
import torch

from amphion_core.config import ConfigError
from amphion_core.features import MelConfig
from amphion_core.features.stft import stft
from amphion_vocoders import Vocos, VocosConfig

MEL = MelConfig(n_fft=64, win_length=64, hop_length=16, n_mels=10, f_max=None)
TINY = VocosConfig(mel=MEL, dim=12, intermediate_dim=24, num_layers=2)


@pytest.mark.parametrize("frames", [1, 2, 9])
@pytest.mark.parametrize("padding", ["same", "center"])
def test_hop_samples_for_each_frame(frames, padding):
    assert Vocos(TINY.updated(padding=padding))(torch.randn(2, 10, frames)).shape == (2, frames * 16)


def test_an_odd_transform_is_refused_at_once():
    with pytest.raises(ConfigError, match=r"mel: n_fft must be even.*got 65"):
        VocosConfig.parse({"mel": {**MEL.to_dict(), "n_fft": 65}})


def test_saved_and_loaded_gives_the_same_samples(tmp_path):
    model = Vocos(TINY).eval()
    mel = torch.randn(1, 10, 9)
    model.save_pretrained(tmp_path)
    assert torch.equal(Vocos.from_pretrained(tmp_path).synthesize(mel), model.synthesize(mel))


def test_magnitudes_are_bounded_however_large_the_logarithm():
    model = Vocos(TINY)
    with torch.no_grad():
        model.head.projection.bias[:33] = 200.0
        wav = model(torch.zeros(1, 10, 20))
    # 33 bins of 100, in and out of phase, over a window of 64 samples.
    assert torch.isfinite(wav).all()
    assert wav.abs().max() < 33 * 100 * 2 / 64 * 3


def test_each_condition_has_a_scale_and_shift_of_its_own():
    torch.manual_seed(0)
    model = Vocos(TINY.updated(conditions=3)).eval()
    mel = torch.randn(2, 10, 6)
    torch.testing.assert_close(model(mel, torch.tensor(1)), model(mel))  # all alike before training
    with torch.no_grad():
        model.backbone.norm.shift[2] = 1.0
    both = model(mel, torch.tensor([0, 2]))
    torch.testing.assert_close(both[0], model(mel, torch.tensor(0))[0])
    assert not torch.allclose(both[1], model(mel, torch.tensor(0))[1])


def test_refined_phase_brings_the_samples_nearer_to_the_magnitudes():
    torch.manual_seed(0)
    mel = torch.randn(1, 10, 40)
    plain, refined = Vocos(TINY).eval(), Vocos(TINY.updated(phase_steps=16)).eval()
    refined.load_state_dict(plain.state_dict())
    with torch.no_grad():
        goal = plain.spectrum(mel)[0].exp()
        distances = [(stft(v.infer(mel), 64, 16, 64).abs() - goal).norm() for v in (plain, refined)]
    assert distances[1] < 0.8 * distances[0]


def test_head_stays_in_single_precision_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        assert Vocos(TINY)(torch.randn(1, 10, 5)).dtype == torch.float32


def test_a_few_steps_lower_the_distance():
    torch.manual_seed(0)
    model = Vocos(TINY)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    mel, wav = torch.randn(1, 10, 8), torch.sin(torch.arange(128) * 0.3)[None] * 0.5
    losses = []
    for _ in range(60):
        losses.append((model(mel) - wav).square().mean())
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]


def test_an_even_kernel_is_refused():
    with pytest.raises(ValueError, match="kernel_size must be odd"):
        VocosConfig.parse({"kernel_size": 4})
