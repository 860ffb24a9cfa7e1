import pytest
import torch

from amphion_core.config import ConfigError
from amphion_core.features import MelConfig
from amphion_vocoders import DiffWave, DiffWaveConfig, HiFiGAN, HiFiGANConfig, Vocos, VocosConfig, WaveGlow
from amphion_vocoders.adjusting import adjust
from amphion_vocoders.waveglow import WaveGlowConfig

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
    vocoder = WaveGlow(WaveGlowConfig(mel=MEL, flows=1, layers=1, channels=2, upsample_kernel_size=16))
    adjust(vocoder, ["sigma=0.9", "seed=7"])
    assert (vocoder.config.sigma, vocoder.config.seed) == (0.9, 7)


def test_what_weights_depend_on_is_not_set():
    with pytest.raises(ValueError, match="'layers' is no setting of the vocoder 'diffwave': what can be set is steps"):
        adjust(diffwave(), ["layers=2"])


def test_a_vocoder_without_settings_says_so():
    with pytest.raises(ValueError, match="nothing of it can be set"):
        adjust(HiFiGAN(HiFiGANConfig(channels=16)), ["seed=1"])


def test_settings_of_vocos_have_an_effect():
    vocoder, mel = Vocos(VocosConfig(mel=MEL, dim=4, intermediate_dim=4, num_layers=1)).eval(), torch.randn(1, 10, 9)
    before = vocoder.synthesize(mel)
    adjust(vocoder, ["phase_steps=3"])
    assert not torch.equal(vocoder.synthesize(mel), before)
