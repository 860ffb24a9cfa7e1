import numpy as np
import pytest

from amphion_eval import energy


def test_gain_of_six_decibels_is_six_decibels(voice):
    contour = energy.frame_energy(voice)
    loud = contour > contour.max() / 100  # above the floor
    assert energy.energy_rmse_db(contour[loud], 0.5 * contour[loud]) == pytest.approx(20 * np.log10(2))


def test_gain_is_nothing_once_the_mean_is_removed(voice):
    contour = energy.frame_energy(voice)
    loud = contour > contour.max() / 100
    assert energy.energy_rmse_db_mean_removed(contour[loud], 0.5 * contour[loud]) == pytest.approx(0, abs=1e-9)


def test_energy_is_that_of_parseval_for_white_noise():
    wav = np.random.default_rng(0).normal(size=8192)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1024) / 1024)
    expected = np.sqrt(513 * np.sum(window**2))  # each bin has the energy of the window on average
    assert np.median(energy.frame_energy(wav)) == pytest.approx(expected, rel=0.05)  # a median of 33 random frames


def test_digital_silence_has_the_floor_and_stays_finite():
    assert energy.decibels(energy.frame_energy(np.zeros(2048))).tolist() == [-100.0] * 9


def test_frames_are_one_more_than_whole_hops():
    assert [len(energy.frame_energy(np.ones(n))) for n in (0, 1, 255, 256, 1000)] == [0, 1, 1, 2, 4]


def test_contour_that_does_not_vary_has_no_correlation():
    assert "vary" in energy.energy_pearson_db(np.ones(5), np.arange(1.0, 6)).reason


def test_scaled_contour_correlates_wholly():
    contour = np.arange(1.0, 9)
    assert energy.energy_pearson_lin(contour, 3 * contour) == pytest.approx(1)
    assert energy.energy_pearson_db(contour, 3 * contour) == pytest.approx(1)


def test_no_frame_is_undefined():
    for name in energy.__all__:
        if name.startswith("energy_"):
            assert np.isnan(getattr(energy, name)([], []))


def test_contours_of_other_length_are_refused():
    with pytest.raises(ValueError, match="align"):
        energy.energy_rmse_lin(np.ones(3), np.ones(4))


def test_energies_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="reference"):
        energy.energy_rmse_lin([np.nan], [1.0])
