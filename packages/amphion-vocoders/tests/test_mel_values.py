import warnings

import pytest
import torch

from amphion_core.features import MelConfig
from amphion_core.features.mel import mel_spectrogram
from amphion_core.testing.sounds import glide
from amphion_vocoders import Vocos, VocosConfig
from amphion_vocoders.mel_values import DoubtfulMelWarning, doubt
from amphion_vocoders.synthesis import check_mel

MEL = MelConfig(sample_rate=8000, n_fft=128, win_length=128, hop_length=32, n_mels=12, f_max=4000)


@pytest.fixture
def vocoder():
    return Vocos(VocosConfig(mel=MEL, dim=8, intermediate_dim=16, num_layers=1)).eval()


def mel_of(config=MEL, seconds=1.0):
    return mel_spectrogram(torch.from_numpy(glide(100, 200, 8000, seconds)).float(), config)


def test_linear_magnitudes_are_refused(vocoder):
    for mel in (mel_of(MEL.updated(log="none")) * 100, mel_of(seconds=0.1).exp() * 100):
        with pytest.raises(ValueError, match=r"a mel without its logarithm.*take the logarithm"):
            vocoder.synthesize(mel[None])
        with pytest.raises(ValueError, match="a mel without its logarithm"):
            list(vocoder.stream(mel.split(20, dim=1)))


@pytest.mark.parametrize(
    "scaled", [lambda mel: mel.exp(), lambda mel: (mel + 11.6) / 14, lambda mel: mel.exp().log1p()]
)
@pytest.mark.parametrize("frames", [9, 200])
def test_quiet_magnitudes_and_scaled_mels_are_warned_of(vocoder, scaled, frames):
    mel = scaled(mel_of()[:, -frames:].clamp(max=-1))
    with pytest.warns(DoubtfulMelWarning, match="as magnitudes without a logarithm or values scaled to 0..1 do"):
        vocoder.synthesize(mel[None])


def test_silence_and_zeros_are_not_doubted():
    assert doubt(torch.zeros(12, 60), MEL) is None
    assert doubt(torch.full((12, 60), MEL.log_floor).log(), MEL) is None


def test_logarithms_for_a_vocoder_of_magnitudes_are_refused():
    with pytest.raises(ValueError, match="take the exponential"):
        check_mel(mel_of()[None], MEL.updated(log="none"))


def test_noise_as_loud_as_can_be_is_a_logarithm_above_zero():
    config = MEL.updated(mel_norm="none")
    mel = mel_spectrogram(2 * torch.rand(16000, generator=torch.Generator().manual_seed(0)) - 1, config)
    assert mel.min() > -1.5 and mel.max() > 1
    check_mel(mel[None], config)
    check_mel(mel[None].clamp(min=0.3), config)


@pytest.mark.parametrize("lengths", [None, torch.tensor([200])])
def test_what_looks_like_log10_is_warned_of(vocoder, lengths):
    mel = mel_of(MEL.updated(log="log10")).clamp(min=-4)[None]  # a quiet room
    with pytest.warns(DoubtfulMelWarning, match=r"multiply them by 2\.3026"):
        vocoder.synthesize(mel, lengths=lengths)


def test_a_real_mel_is_not_doubted(vocoder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vocoder.synthesize(mel_of()[None])
    assert doubt(mel_of(), MEL) is None
