import numpy as np
import pytest

from amphion_eval.cepstrum import envelope, mcd, mel_cepstrum, warping


def test_distance_of_one_coefficient_is_its_closed_form():
    est = np.zeros((7, 25))
    est[:, 3] = 0.5
    assert mcd(np.zeros((7, 25)), est) == pytest.approx(10 * np.sqrt(2) / np.log(10) * 0.5)


def test_level_is_not_counted():
    est = np.zeros((7, 25))
    est[:, 0] = 5
    assert mcd(np.zeros((7, 25)), est) == 0


def test_no_frame_is_undefined():
    assert "no frame" in mcd(np.zeros((0, 25)), np.zeros((0, 25))).reason


def test_frames_that_are_not_aligned_are_refused():
    with pytest.raises(ValueError, match=r"\(7, 25\).*\(8, 25\)"):
        mcd(np.zeros((7, 25)), np.zeros((8, 25)))


def test_warping_by_nothing_keeps_the_first_coefficients():
    assert np.array_equal(warping(64, 0.0, 10), np.eye(11, 64))


def test_warping_moves_a_tone_as_the_all_pass_does():
    # One cosine in the log spectrum, warped, is the same function of the warped frequency.
    alpha, size = 0.42, 513
    cepstrum = np.zeros(size)
    cepstrum[:4] = [0.3, 1.0, -0.5, 0.2]
    warped = warping(size, alpha, 60) @ cepstrum
    omega = np.linspace(0, np.pi, 50)
    bent = omega + 2 * np.arctan(alpha * np.sin(omega) / (1 - alpha * np.cos(omega)))
    expected = np.cos(np.outer(omega, np.arange(4))) @ cepstrum[:4]
    actual = np.cos(np.outer(bent, np.arange(61))) @ warped
    assert np.allclose(actual, expected, atol=1e-9)


def test_gain_changes_only_the_level(voice):
    power = envelope(voice, 16000)
    difference = mel_cepstrum(4 * power, 16000) - mel_cepstrum(power, 16000)
    assert np.allclose(difference[:, 1:], 0, atol=1e-9)
    assert np.allclose(difference[:, 0], np.log(4) / 2)


def test_envelope_has_a_frame_every_five_milliseconds(voice):
    assert envelope(voice, 16000).shape == (101, 513)


def test_signal_too_short_for_an_envelope_is_refused():
    with pytest.raises(ValueError, match=r"0\.05 s"):
        envelope(np.ones(160), 16000)


@pytest.mark.parametrize("floor", [1e-4, 1e-7, 0.0])  # of the pause: of a microphone, of 24 bits, digital silence
def test_envelope_is_steered_by_the_contour_of_world(voice, floor):
    from amphion_core.features.world import pyworld

    noise = np.random.default_rng(0).standard_normal(len(voice))
    wav = voice + 1e-4 * noise
    wav[3000:5000] = floor * noise[3000:5000]
    f0, times = pyworld().harvest(wav, 16000, 71.0, 800.0, 5.0)
    expected = pyworld().cheaptrick(wav, f0, times, 16000)
    assert np.allclose(envelope(wav, 16000), expected, rtol=1e-6)  # rounding of the contour


def test_envelope_steered_by_dio_is_another_one(voice):
    assert not np.allclose(envelope(voice, 16000, "dio"), envelope(voice, 16000), rtol=1e-3)
