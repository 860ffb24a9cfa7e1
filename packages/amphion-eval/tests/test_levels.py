"""Loudness of clips."""

import numpy as np
import pytest

from amphion_eval import loudness, loudness_difference
from amphion_eval.values import Undefined

RATE = 48000


@pytest.fixture
def sine():
    """Three seconds at 997 Hz, full scale."""
    return np.sin(2 * np.pi * 997 * np.arange(3 * RATE) / RATE)


def test_full_scale_sine_of_one_channel_has_the_value_of_the_standard(sine):
    assert loudness(sine, RATE) == pytest.approx(-3.01, abs=0.05)  # the standard's own tolerance is 0.1 LU


@pytest.mark.parametrize("gain", [-20.0, -6.0, 3.0])
def test_gain_is_the_difference(gain, sine):
    assert loudness_difference(sine, sine * 10 ** (gain / 20), RATE) == pytest.approx(gain, abs=1e-6)


def test_silence_is_infinitely_quiet_and_differs_from_nothing(sine):
    assert loudness(np.zeros(RATE), RATE) == -np.inf
    assert loudness_difference(sine, np.zeros(RATE), RATE).reason == "the estimate is silent"


def test_less_than_a_block_is_undefined(sine):
    assert isinstance(loudness(sine[: RATE // 4], RATE), Undefined)
    assert "the reference: 0.250 s" in loudness_difference(sine[: RATE // 4], sine, RATE).reason
