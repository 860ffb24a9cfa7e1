"""PESQ and STOI."""

import sys

import numpy as np
import pytest

from amphion_core.extras import MissingExtraError
from amphion_eval import estoi, pesq_nb, pesq_wb, stoi
from amphion_eval.values import Undefined

pytestmark = pytest.mark.extra("perceptual")
ALL = pytest.mark.parametrize("metric", [pesq_wb, pesq_nb, stoi, estoi])


@pytest.fixture
def speech(tone):
    """Two seconds."""
    return tone(seconds=2.0)


@pytest.mark.parametrize(("metric", "best"), [(pesq_wb, 4.64), (pesq_nb, 4.55), (stoi, 1.0), (estoi, 1.0)])
def test_identical_clips_reach_the_upper_end(metric, best, speech):
    assert metric(speech, speech, 16000) == pytest.approx(best, abs=0.02)


@ALL
def test_more_noise_is_worse(metric, speech, noise):
    added = noise(2.0)
    values = [metric(speech, speech + gain * added, 16000) for gain in (0.02, 0.2, 2.0)]
    assert values == sorted(values, reverse=True) and values[0] > values[2] + 0.1


@ALL
def test_level_of_the_estimate_does_not_matter(metric, speech):
    assert metric(speech, 0.5 * speech, 16000) == pytest.approx(metric(speech, speech, 16000), abs=0.02)


@ALL
@pytest.mark.parametrize("silent", ["reference", "estimate"])
def test_silence_is_undefined_and_says_which(metric, silent, speech):
    sides = {"reference": speech, "estimate": speech} | {silent: np.zeros_like(speech)}
    value = metric(sides["reference"], sides["estimate"], 16000)
    assert isinstance(value, Undefined) and f"the {silent} is silent" in value.reason


@ALL
@pytest.mark.parametrize("samples", [0, 160])
def test_ten_milliseconds_or_none_are_undefined(metric, samples, speech):
    assert isinstance(metric(speech[8000 : 8000 + samples], speech[8000 : 8000 + samples], 16000), Undefined)


@ALL
def test_other_lengths_are_refused_with_both(metric, speech):
    with pytest.raises(ValueError, match=r"\(32000,\).*\(100,\)"):
        metric(speech, speech[:100], 16000)


def test_wide_band_needs_the_band(speech):
    assert "8000 Hz" in pesq_wb(speech, speech, 8000).reason


def test_narrow_band_takes_telephone_speech_as_it_is(speech, noise):
    assert 1.0 < pesq_nb(speech, speech + noise(2.0), 8000) < 4.5


@pytest.mark.parametrize("metric", [stoi, estoi])
def test_same_pair_gives_the_same_number_whatever_was_drawn_before(metric, speech):
    estimate = np.where(np.arange(speech.size) < 20000, speech, 0.0)  # silent bands: the library adds noise to these
    values = []
    for seed in (1, 2):
        np.random.seed(seed)  # noqa: NPY002 (the library's generator)
        values.append(metric(speech, estimate, 16000))
    assert values[0] == values[1]


def test_global_generator_is_left_as_it_was(speech):
    np.random.seed(7)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    stoi(speech, speech, 16000)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize(("metric", "package"), [(pesq_wb, "pesq"), (stoi, "pystoi")])
def test_absent_package_is_named_with_its_extra(metric, package, speech, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'amphion-eval\[perceptual\]'"):
        metric(speech, speech, 16000)
