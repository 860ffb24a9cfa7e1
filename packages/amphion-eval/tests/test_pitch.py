import numpy as np
import pytest

from amphion_eval import pitch

ALL = [getattr(pitch, name) for name in pitch.__all__ if name.startswith("f0_")]
VOICED = np.linspace(80, 400, 50)


@pytest.mark.parametrize("semitones", [-12, -1, 7])
def test_constant_shift_is_its_size_in_cents(semitones):
    assert pitch.f0_rmse_cents(VOICED, VOICED * 2 ** (semitones / 12)) == pytest.approx(100 * abs(semitones))


@pytest.mark.parametrize("semitones", [-12, -1, 7])
def test_median_offset_is_the_shift_with_its_sign(semitones):
    assert pitch.f0_median_offset(VOICED, VOICED * 2 ** (semitones / 12)) == pytest.approx(100 * semitones)


def test_transposition_is_nothing_once_the_median_is_removed():
    assert pitch.f0_rmse_cents_median_removed(VOICED, VOICED * 1.5) == pytest.approx(0, abs=1e-9)


def test_constant_difference_is_its_size_in_hertz():
    assert pitch.f0_rmse_hz(VOICED, VOICED + 3) == pytest.approx(3)


def test_transposed_contour_correlates_wholly_in_both_units():
    assert pitch.f0_pearson_hz(VOICED, VOICED * 1.5) == pytest.approx(1)
    assert pitch.f0_pearson_cents(VOICED, VOICED * 1.5) == pytest.approx(1)


def test_frames_unvoiced_in_one_do_not_count():
    ref, est = np.array([100.0, 0, 200]), np.array([100.0, 300, 0])
    assert pitch.f0_rmse_hz(ref, est) == 0


@pytest.mark.parametrize("metric", ALL)
def test_no_common_voiced_frame_is_undefined(metric):
    assert "voiced in both" in metric([100.0, 0], [0, 100.0]).reason


@pytest.mark.parametrize("metric", [pitch.f0_pearson_hz, pitch.f0_pearson_cents])
@pytest.mark.parametrize("est", [[100.0], [100.0, 100.0]])
def test_correlation_of_one_frame_or_of_a_constant_is_undefined(metric, est):
    assert np.isnan(metric(est, est)) and metric(est, est).reason


def test_voicing_f1_is_twice_the_hits_over_hits_and_faults():
    rate = pitch.vuv_f1([1.0, 1, 1, 0, 0], [1.0, 1, 0, 1, 0])
    assert (rate.count, rate.total) == (4, 6)


def test_voicing_f1_without_voice_is_undefined_but_its_error_is_nothing():
    assert np.isnan(pitch.vuv_f1([0.0, 0], [0.0, 0])) and pitch.vuv_error([0.0, 0], [0.0, 0]) == 0


def test_gross_error_begins_above_a_fifth():
    assert pitch.gpe([100.0, 100, 100], [119.9, 120.1, 79.9]) == pytest.approx(2 / 3)


def test_frame_error_adds_voicing_and_gross_errors():
    assert pitch.ffe([100.0, 100, 0, 0], [200.0, 0, 100, 0]) == pytest.approx(3 / 4)


def test_no_frame_at_all_is_undefined():
    for metric in (pitch.vuv_error, pitch.ffe, pitch.vuv_f1, pitch.gpe, pitch.periodicity_rmse):
        assert np.isnan(metric([], []))


@pytest.mark.parametrize("metric", [*ALL, pitch.vuv_f1, pitch.ffe, pitch.gpe, pitch.vuv_error])
def test_contours_of_other_length_are_refused_with_both(metric):
    with pytest.raises(ValueError, match=r"\(2,\).*\(3,\)"):
        metric([1.0, 2], [1.0, 2, 3])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_values_that_are_no_pitch_are_refused(bad):
    with pytest.raises(ValueError, match="estimate"):
        pitch.f0_rmse_cents([100.0, 100], [100.0, bad])


def test_periodicity_difference_is_its_root_mean_square():
    assert pitch.periodicity_rmse([0.0, 0.5], [0.3, 0.9]) == pytest.approx(np.sqrt((0.09 + 0.16) / 2))
