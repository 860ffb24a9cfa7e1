import numpy as np
import pytest

from amphion_eval.duration import duration_difference, duration_error, duration_ratio


def test_shorter_estimate_has_a_negative_difference():
    assert duration_difference(np.ones(16000), np.ones(12000), 16000) == -0.25


def test_error_is_the_size_of_the_difference():
    assert duration_error(np.ones(16000), np.ones(12000), 16000) == 0.25


def test_ratio_is_above_one_for_a_longer_estimate():
    assert duration_ratio(np.ones(1000), np.ones(1500), 16000) == pytest.approx(1.5)


def test_ratio_to_nothing_is_undefined():
    assert "no sample" in duration_ratio(np.ones(0), np.ones(5), 16000).reason
