import numpy as np
import pytest

from amphion_eval.alignment import dtw_path
from amphion_eval.analysis import Analysis, PairAnalysis
from amphion_eval.cepstrum import envelope, mcd, mcd_dtw_sl, mel_cepstrum, warping
from amphion_eval.metric import find
from amphion_eval.settings import Settings


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


def test_dtw_sl_is_the_distortion_after_warping_times_the_ratio_of_the_lengths():
    rng = np.random.default_rng(0)
    ref, est = rng.normal(size=(40, 25)), rng.normal(size=(30, 25))
    path = dtw_path(ref[:, 1:], est[:, 1:])
    warped = mcd(ref[path[:, 0]], est[path[:, 1]])
    assert mcd_dtw_sl(ref, est) == mcd_dtw_sl(est, ref) == pytest.approx(warped * 40 / 30)
    assert mcd_dtw_sl(ref, ref) == 0 == mcd_dtw_sl(ref, np.repeat(ref, 2, axis=0))
    assert "no frame" in mcd_dtw_sl(ref, est[:0]).reason


@pytest.mark.parametrize("align", ["cut", "dtw"])
def test_dtw_sl_warps_whatever_the_alignment_of_the_others(noise, align):
    clips = noise(0.6), noise(0.5, seed=1)
    pair = PairAnalysis(*(Analysis(clip, 16000, Settings(align=align)) for clip in clips))
    warped = find("mcd").of(PairAnalysis(*(Analysis(clip, 16000, Settings(align="dtw")) for clip in clips)))
    frames = len(pair.reference.cepstra), len(pair.estimate.cepstra)
    assert frames == (121, 101)
    assert find("mcd_dtw_sl").of(pair) == pytest.approx(warped * 121 / 101)
