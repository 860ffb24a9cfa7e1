"""Long-term average spectra and the singing power ratio."""

import numpy as np
import pytest

from amphion_eval import ltas, ltas_distance, singing_power_ratio, singing_power_ratio_difference
from amphion_eval.values import Undefined

RATE = 16000


def test_white_noise_has_its_variance_spread_over_the_band(noise):
    frequency, density = ltas(noise(10.0, gain=0.1), RATE)
    assert len(frequency) == len(density) == 129 and frequency[-1] == RATE / 2
    # 0.01 over 8 kHz; 1250 averaged segments leave about 3 % of spread a bin, the mean over bins 1 %
    assert density[2:-2].mean() == pytest.approx(0.01 / 8000, rel=0.02)


@pytest.mark.parametrize("gain", [-6.0, 12.0])
def test_gain_is_the_distance(gain, noise):
    wav = noise(2.0)
    assert ltas_distance(wav, wav * 10 ** (gain / 20), RATE) == pytest.approx(abs(gain), abs=1e-4)


def test_order_of_time_does_not_matter(noise):
    wav = noise(2.0) * np.linspace(0, 1, 2 * RATE)
    assert ltas_distance(wav, wav[::-1], RATE) < 0.2


def test_silent_or_short_clips_have_no_spectrum(noise):
    wav = noise(1.0)
    assert ltas_distance(wav, np.zeros(RATE), RATE).reason == "the estimate is silent"
    assert "100 samples" in ltas_distance(wav[:100], wav, RATE).reason
    with pytest.raises(ValueError, match="at least 256"):
        ltas(wav[:100], RATE)


@pytest.mark.parametrize("ratio", [-30.0, -6.0])
@pytest.mark.parametrize("high", [3000.0, 3013.0])
def test_two_tones_have_the_ratio_of_their_levels(ratio, high):
    t = np.arange(RATE) / RATE
    wav = 0.3 * (np.sin(2 * np.pi * 500 * t) + 10 ** (ratio / 20) * np.sin(2 * np.pi * high * t))
    # leakage of the window, peaks between two bins; frames at the ends of the clip hold half of it
    voiced = np.r_[np.zeros(5), np.full(185, 500.0)]
    assert singing_power_ratio(wav, RATE, f0=voiced) == pytest.approx(ratio, abs=0.12)


def test_ringing_voice_has_a_higher_ratio(tone):
    wav = tone()
    ringing = wav + np.convolve(wav, [0.5, -0.5], "same")
    assert singing_power_ratio_difference(wav, ringing, RATE) > 0.5


def test_nothing_voiced_is_undefined(noise):
    assert singing_power_ratio(noise(0.5), RATE, f0=np.zeros(100)).reason == "no frame is voiced"
    assert isinstance(singing_power_ratio(np.zeros(RATE), RATE), Undefined)
    assert isinstance(singing_power_ratio(noise(0.01), RATE), Undefined)
    assert "4 kHz" in singing_power_ratio(noise(0.5), 4000).reason
    assert "the reference:" in singing_power_ratio_difference(np.zeros(RATE), noise(1.0), RATE).reason
