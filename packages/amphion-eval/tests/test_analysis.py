import numpy as np
import pytest

from amphion_eval.analysis import Analysis, PairAnalysis
from amphion_eval.pitch import f0_median_offset, f0_rmse_cents, vuv_f1
from amphion_eval.settings import Settings
from amphion_eval.values import Undefined

RATE = 16000


def pair(ref, est, **settings):
    return PairAnalysis(*(Analysis(wav, RATE, Settings(**settings)) for wav in (ref, est)))


@pytest.mark.parametrize("tracker", ["pyin", "dio", "harvest"])
def test_tone_has_its_pitch_by_every_tracker(tracker, tone):
    f0 = Analysis(tone(150.0), RATE, Settings(f0=tracker)).f0
    assert np.median(f0[f0 > 0]) == pytest.approx(150, rel=0.05)  # the tone glides by a tenth


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 12345])
@pytest.mark.parametrize("tracker", ["pyin", "dio"])
def test_pitch_is_found_at_every_rate(tone, rate, tracker):
    side = Analysis(tone(150.0, 0.3, rate), rate, Settings(f0=tracker))
    assert np.median(side.f0[side.f0 > 0]) == pytest.approx(150, rel=0.1)  # the tone glides by a tenth
    assert len(side.f0) * side.f0_period == pytest.approx(0.3, abs=0.015)


@pytest.mark.parametrize("tracker", ["pyin", "dio"])
def test_transposed_tone_is_off_by_the_transposition(tracker, tone):
    contours = pair(tone(150.0), tone(150.0 * 2 ** (2 / 12)), f0=tracker).f0()
    assert f0_median_offset(*contours) == pytest.approx(200, abs=10)  # pitch bins of a tenth of a semitone


def test_everything_is_computed_once(voice):
    side = Analysis(voice, RATE)
    assert side.f0 is side.f0 and side.cepstra is side.cepstra and side.energy is side.energy


@pytest.mark.slow
def test_path_of_a_slower_copy_brings_its_pitch_back(tone):
    # The same glide, once at half the speed: cut compares other times, dtw the same ones.
    quick = np.concatenate([tone(120.0, 0.5), tone(200.0, 0.5)])
    slow = np.concatenate([tone(120.0, 0.75), tone(200.0, 0.75)])
    by_cut = pair(quick, slow, f0="dio").f0()
    by_path = pair(quick, slow, f0="dio", align="dtw").f0()
    assert f0_rmse_cents(*by_path) < 0.5 * f0_rmse_cents(*by_cut)


@pytest.mark.parametrize("align", ["none", "cut", "dtw"])
def test_clip_against_itself_has_no_error_in_any_alignment(voice, align):
    both = pair(voice, voice, align=align, f0="dio")
    assert f0_rmse_cents(*both.f0()) == 0 and vuv_f1(*both.f0()) == 1
    for contours in (both.energy(), both.cepstra(), both.wavs()):
        assert np.array_equal(*contours)


def test_silence_has_no_envelope_and_says_so(voice):
    both = pair(voice, np.zeros_like(voice), align="dtw")
    assert "estimate" in both.cepstra().reason and "silent" in both.energy().reason


def test_ten_milliseconds_have_no_envelope_and_say_so(tone):
    short = tone(150.0, 0.01)
    assert "shorter" in pair(short, short).cepstra().reason


@pytest.mark.parametrize("tracker", ["pyin", "dio", "harvest"])
@pytest.mark.parametrize("samples", [1, 2, 160, 400])
def test_tiny_clips_get_a_contour_from_every_tracker(tracker, samples):
    f0 = Analysis(0.1 * np.ones(samples), RATE, Settings(f0=tracker)).f0
    assert f0.ndim == 1 and np.isfinite(f0).all()


def test_no_alignment_refuses_other_lengths(voice):
    both = pair(voice, voice[:-2000], align="none")
    assert isinstance(both.wavs(), Undefined) and isinstance(both.energy(), Undefined)


def test_delay_is_taken_out_when_asked_for(voice):
    late = np.concatenate([np.zeros(500), voice])
    both = pair(voice, late, max_delay=0.1)
    assert both.delay == 500 and np.array_equal(*both.wavs())
    assert not np.array_equal(*pair(voice, late).wavs())


@pytest.mark.slow
def test_mask_leaves_out_quiet_frames(voice):
    quiet = np.concatenate([voice, 1e-4 * np.random.default_rng(0).normal(size=8000)])
    all_frames = pair(quiet, quiet).cepstra()[0]
    loud_frames = pair(quiet, quiet, mcd_mask=20.0).cepstra()[0]
    assert len(loud_frames) < 0.7 * len(all_frames)


def test_other_rates_are_refused(voice):
    with pytest.raises(ValueError, match=r"16000 Hz.*24000 Hz"):
        PairAnalysis(Analysis(voice, 16000), Analysis(voice, 24000))
