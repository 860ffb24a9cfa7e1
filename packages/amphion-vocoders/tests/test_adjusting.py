import pytest
import torch

from amphion_core.config import ConfigError
from amphion_core.features import MelConfig
from amphion_vocoders import (
    DiffWave,
    DiffWaveConfig,
    GriffinLim,
    GriffinLimConfig,
    HiFiGAN,
    HiFiGANConfig,
    Vocos,
    VocosConfig,
    WaveRNN,
    WaveRNNConfig,
    World,
    WorldConfig,
)
from amphion_vocoders.adjusting import adjust
from amphion_vocoders.waveglow import WaveGlow, WaveGlowConfig

MEL = MelConfig(n_fft=64, win_length=64, hop_length=16, n_mels=10, f_max=None)


def diffwave():
    return DiffWave(DiffWaveConfig(mel=MEL, channels=2, layers=1, cycle=1, rates=(4, 4)))


@pytest.mark.parametrize(
    ("item", "count"), [("steps=fast", 6), ("steps=[1e-4, 0.1]", 2), ("steps.0=fast", None), ("steps=full", 50)]
)
def test_a_schedule_is_set(item, count):
    vocoder = diffwave()
    if count is None:
        with pytest.raises(ConfigError):
            adjust(vocoder, [item])
    else:
        adjust(vocoder, [item])
        assert len(vocoder.config.sampling_betas) == count


def test_several_settings_are_set_at_once():
    vocoder = GriffinLim(GriffinLimConfig(mel=MEL))
    adjust(vocoder, ["iterations=3", "momentum=0.5"])
    assert (vocoder.config.iterations, vocoder.config.momentum) == (3, 0.5)


@pytest.mark.parametrize(
    "make",
    [
        diffwave,
        lambda: GriffinLim(GriffinLimConfig(mel=MEL)),
        lambda: WaveGlow(WaveGlowConfig(mel=MEL, flows=1, layers=1, channels=2, upsample_kernel_size=16)),
        lambda: WaveRNN(WaveRNNConfig(mel=MEL, rates=(4, 4), channels=4, head_channels=4, frame_blocks=0)),
        lambda: HiFiGAN(HiFiGANConfig(channels=16)),
    ],
)
def test_the_seed_is_no_setting_but_an_argument(make):
    with pytest.raises(ValueError, match=r"'seed' is no setting of .*; the seed of noise is given by --seed"):
        adjust(make(), ["seed=7"])


def test_what_weights_depend_on_is_not_set():
    with pytest.raises(ValueError, match="'layers' is no setting of the vocoder 'diffwave': what can be set is steps"):
        adjust(diffwave(), ["layers=2"])


def test_a_vocoder_without_settings_says_so():
    with pytest.raises(ValueError, match="nothing of it can be set"):
        adjust(HiFiGAN(HiFiGANConfig(channels=16)), ["phase_steps=1"])


def test_settings_of_vocos_have_an_effect():
    vocoder, mel = Vocos(VocosConfig(mel=MEL, dim=4, intermediate_dim=4, num_layers=1)).eval(), torch.randn(1, 10, 9)
    before = vocoder.synthesize(mel)
    adjust(vocoder, ["phase_steps=3"])
    assert not torch.equal(vocoder.synthesize(mel), before)


@pytest.mark.parametrize("item", ["unvoiced_width=60", "breath_frequency=900", "inversion_steps=0"])
def test_settings_of_world_have_an_effect(item):
    mel, f0 = torch.randn(1, 80, 40).clamp(-2, 2) - 4, torch.full((1, 40), 300.0)
    f0[:, 20:] = 0
    vocoder = World(WorldConfig())
    before = vocoder.synthesize(mel, f0=f0)
    adjust(vocoder, [item])
    assert not torch.equal(vocoder.synthesize(mel, f0=f0), before)


@pytest.mark.parametrize(
    "item", ["unvoiced_width=0", "breath_frequency=.inf", "breath_frequency=.nan", "inversion_steps=-1"]
)
def test_settings_of_world_are_validated(item):
    with pytest.raises(ConfigError, match=item.partition("=")[0]):
        adjust(World(WorldConfig(mel=MEL)), [item])
