import numpy as np
import pytest

from amphion_eval.periodicity import a_weighted_level, a_weighting


@pytest.mark.parametrize(("frequency", "decibels"), [(1000, 0.0), (100, -19.1), (31.62, -39.4), (8000, -1.1)])
def test_a_curve_has_the_values_of_the_standard(frequency, decibels):
    assert a_weighting([frequency])[0] == pytest.approx(decibels, abs=0.1)  # the standard prints one decimal


def test_silence_has_the_lowest_level():
    assert a_weighted_level(np.zeros(1600), 16000, 160).tolist() == [-100.0] * 11


def test_gain_of_twenty_decibels_raises_the_level_by_twenty():
    wav = np.random.default_rng(0).normal(size=8000)
    difference = a_weighted_level(10 * wav, 16000, 160) - a_weighted_level(wav, 16000, 160)
    assert np.allclose(difference, 20, atol=0.1)  # the bin at 0 Hz stays at the floor: 20 dB of 513 bins
