import pytest
import torch

from amphion_core.config import ConfigError
from amphion_core.features import MelConfig
from amphion_vocoders import HiFiGAN, HiFiGANConfig

MEL = MelConfig(n_fft=64, win_length=64, hop_length=16, n_mels=10, f_max=None)
TINY = HiFiGANConfig(
    mel=MEL,
    channels=8,
    rates=(4, 2, 2),
    kernel_sizes=(8, 4, 4),
    block_kernel_sizes=(3, 5),
    block_dilations=((1, 3), (1, 2)),
)


@pytest.mark.parametrize("frames", [1, 7])
@pytest.mark.parametrize("block", [1, 2])
def test_hop_samples_for_each_frame(frames, block):
    wav = HiFiGAN(TINY.updated(block=block))(torch.randn(2, 10, frames))
    assert wav.shape == (2, frames * 16)
    assert wav.abs().max() <= 1


def test_odd_widths_are_halved_as_released_code_does():
    model = HiFiGAN(TINY.updated(channels=30))
    assert [stage.upsample.out_channels for stage in model.stages] == [15, 7, 3]
    assert model(torch.randn(1, 10, 3)).shape == (1, 48)
    with pytest.raises(ValueError, match="channels 7 can't be halved 3 times"):
        TINY.updated(channels=7)


@pytest.mark.parametrize(("channels", "block", "millions"), [(512, 1, 13.9), (128, 1, 0.92), (256, 2, 1.46)])
def test_versions_have_the_sizes_of_the_paper(channels, block, millions):
    values = {"channels": channels, "block": block}
    if block == 2:  # V3
        values |= {"rates": (8, 8, 4), "kernel_sizes": (16, 16, 8), "block_kernel_sizes": (3, 5, 7)}
        values |= {"block_dilations": ((1, 2), (2, 6), (3, 12))}
    model = HiFiGAN(HiFiGANConfig(**values))
    count = sum(p.numel() for p in model.parameters())
    assert count / 1e6 == pytest.approx(millions, rel=0.01)


def test_saved_and_loaded_gives_the_same_samples(tmp_path):
    model = HiFiGAN(TINY).eval()
    mel = torch.randn(1, 10, 9)
    model.save_pretrained(tmp_path)
    loaded = HiFiGAN.from_pretrained(tmp_path)
    assert not loaded.training
    assert torch.equal(loaded.synthesize(mel), model.synthesize(mel))


def test_a_folded_network_can_be_saved(tmp_path):
    model = HiFiGAN(TINY).eval().fold()
    model.save_pretrained(tmp_path)
    mel = torch.randn(1, 10, 5)
    assert torch.equal(HiFiGAN.from_pretrained(tmp_path).synthesize(mel), model.synthesize(mel))


def test_weights_of_another_size_are_refused_with_the_first_keys(tmp_path):
    HiFiGAN(TINY).save_pretrained(tmp_path / "a")
    HiFiGAN(TINY.updated(channels=16)).save_pretrained(tmp_path / "b")
    (tmp_path / "a" / "model.safetensors").replace(tmp_path / "b" / "model.safetensors")
    with pytest.raises(ValueError, match="shapes differ"):
        HiFiGAN.from_pretrained(tmp_path / "b")


def test_a_folder_of_another_vocoder_is_refused_by_name(tmp_path):
    from amphion_vocoders import Vocos, VocosConfig

    Vocos(VocosConfig(mel=MEL, dim=8, intermediate_dim=8, num_layers=1)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="holds the model 'vocoders/vocos', not 'vocoders/hifigan'"):
        HiFiGAN.from_pretrained(tmp_path)


def test_a_few_steps_lower_the_distance():
    torch.manual_seed(0)
    model = HiFiGAN(TINY)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    mel, wav = torch.randn(1, 10, 8), torch.sin(torch.arange(128) * 0.3)[None] * 0.5
    losses = []
    for _ in range(50):
        losses.append((model(mel) - wav).square().mean())
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]


def test_all_faults_of_a_config_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        HiFiGANConfig.parse({"rates": [8, 8], "kernel_sizes": [16, 15], "block_kernel_sizes": [3, 4, 5]})
    for words in ("the product of rates 64 is not mel.hop_length 256", "by even numbers", "must be odd"):
        assert words in str(caught.value)
