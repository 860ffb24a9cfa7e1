"""Averages over phones, outliers, statistics."""

import numpy as np
import pytest

from amphion_tts.prosody import inliers, phone_average, variance_statistics


def test_means_of_phones_weighted_by_their_frames_are_the_mean_of_the_frames():
    generator = np.random.default_rng(0)
    counts = generator.integers(0, 6, 40)
    values = generator.standard_normal(counts.sum())
    means = phone_average(values, counts)
    assert means @ counts / counts.sum() == pytest.approx(values.mean(), abs=1e-6)
    assert (means[counts == 0] == 0).all()


def test_averaging_in_place_is_the_same_where_no_phone_is_empty():
    counts = np.array([1, 3, 2, 4])
    values = np.random.default_rng(1).standard_normal(10)
    np.testing.assert_allclose(phone_average(values, counts, legacy=True), phone_average(values, counts), atol=1e-6)


def test_outliers_do_not_move_mean_and_deviation_but_are_within_the_range():
    voice = np.linspace(90, 110, 200)
    clean, dirty = variance_statistics([voice]), variance_statistics([np.append(voice, 900.0)])
    assert dirty["mean"] == pytest.approx(clean["mean"])
    assert dirty["std"] == pytest.approx(clean["std"])
    assert dirty["max"] == 900
    assert len(inliers(np.append(voice, 900.0))) == 200


def test_a_constant_contour_has_a_deviation_above_zero():
    found = variance_statistics([np.full(10, 100.0)])
    assert found["mean"] == pytest.approx(100)
    assert found["std"] > 0
    assert found["max"] > found["min"]


def test_no_values_are_refused():
    with pytest.raises(ValueError, match="no values to take statistics of"):
        variance_statistics([[], []])
