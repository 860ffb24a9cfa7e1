import numpy as np
import pytest

from amphion_eval.spectral import Resolution, magnitude_stft, mstft, mstft_log_magnitude, mstft_spectral_convergence


def test_identical_signals_have_no_distance(voice):
    assert mstft(voice, voice) == 0


def test_halving_the_amplitude_costs_a_half_and_the_log_of_two():
    wav = np.random.default_rng(0).normal(size=4096)  # noise: every bin lies far above the floor
    assert mstft_spectral_convergence(wav, wav / 2) == pytest.approx(0.5, abs=1e-6)
    assert mstft_log_magnitude(wav, wav / 2) == pytest.approx(np.log(2), abs=1e-4)


def test_total_is_the_sum_of_its_parts(voice):
    noisy = voice + 0.01 * np.random.default_rng(0).normal(size=voice.size)
    parts = mstft_spectral_convergence(voice, noisy) + mstft_log_magnitude(voice, noisy)
    assert mstft(voice, noisy) == pytest.approx(parts)


def test_silent_reference_is_undefined(voice):
    assert "silent" in mstft(np.zeros_like(voice), voice).reason


def test_signal_shorter_than_the_reflection_is_undefined():
    assert "1024" in mstft(np.ones(1024), np.ones(1024)).reason
    assert not np.isnan(mstft(np.ones(1025), np.ones(1025)))


def test_signals_of_other_length_are_refused():
    with pytest.raises(ValueError, match="cut"):
        mstft(np.ones(3000), np.ones(3001))


def test_sine_stands_in_its_bin_with_the_sum_of_the_window():
    wav = np.sin(2 * np.pi * 32 * np.arange(4096) / 512)
    spectrum = magnitude_stft(wav, Resolution(512, 128, 512))
    assert spectrum[10].argmax() == 32
    assert spectrum[10, 32] == pytest.approx(128, rel=1e-6)  # amplitude 1, half of the window's sum of 256
