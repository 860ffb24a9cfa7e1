from dataclasses import dataclass

import numpy as np
import pytest

from amphion_eval.judging import SampleJudge, judge


@dataclass
class Sample:
    name: str
    wav: np.ndarray | None
    sample_rate: int = 16000


def samples(tone, **kinds):
    """Two clips, each with its recording and with what `kinds` make of it, a factor of the pitch."""
    made = []
    for name, f0 in (("a", 120.0), ("b/x-1", 180.0)):
        made.append(Sample(f"{name}-recording", tone(f0)))
        made += [Sample(f"{name}-{kind}", tone(f0 * factor)) for kind, factor in kinds.items()]
    return [*made, Sample("a-picture", None)]


def test_samples_are_scored_against_the_recordings_beside_them(tone):
    figures = SampleJudge(["f0_median_offset", "duration_error"], f0="dio")(samples(tone, copy=2 ** (1 / 12)))
    assert figures == {"f0_median_offset": pytest.approx(100, abs=5), "duration_error": 0.0}


def test_kinds_have_figures_of_their_own(tone):
    figures = SampleJudge(["f0_median_offset"], f0="dio")(samples(tone, up=2 ** (1 / 12), down=2 ** (-1 / 12)))
    assert figures["up/f0_median_offset"] > 95 and figures["down/f0_median_offset"] < -95


def test_samples_keep_what_lies_above_full_scale(tone):
    loud = [Sample("a-recording", 4 * tone(gain=0.5)), Sample("a-copy", 4 * tone(gain=0.5))]
    assert np.abs(loud[0].wav).max() > 1
    assert SampleJudge(["energy_rmse_db"])(loud) == {"energy_rmse_db": 0.0}


def test_undefined_and_infinite_figures_are_left_out(tone):
    silent = [Sample("a-recording", tone()), Sample("a-copy", np.zeros(8000))]
    assert SampleJudge(["f0_rmse_cents", "si_sdr"], f0="dio")(silent) == {}
    assert SampleJudge(["si_sdr"])(samples(tone, copy=1.0)) == {}


def test_samples_without_a_recording_are_an_error(tone):
    with pytest.raises(ValueError, match="x-copy"):
        SampleJudge(["mcd"])([Sample("x-copy", tone())])


def test_unknown_metric_is_refused_before_the_training_begins():
    with pytest.raises(LookupError, match="mdc"):
        judge(["mdc"])
