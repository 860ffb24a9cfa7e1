"""F0 by one function, and what is made of contours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from amphion_core.features.pitch import (
    cents,
    coarse_f0,
    f0,
    fit_frames,
    interpolate_f0,
    log_f0,
    semitones,
    unvoiced_flags,
    voiced,
)
from amphion_core.testing.sounds import glide, tone

METHODS = ["dio", "harvest", "pyin"]


@pytest.mark.parametrize("method", METHODS)
def test_tone_has_its_pitch(method: str) -> None:
    contour = f0(tone(150, 16000), 16000, hop_length=160, method=method)
    inner = contour[10:-10]
    assert voiced(inner).all()
    assert np.abs(cents(inner, 150)).max() < 15  # pYIN's bins are 10 cents


@pytest.mark.parametrize("method", METHODS)
def test_frame_lies_at_its_multiple_of_the_hop(method: str) -> None:
    contour = f0(glide(100, 200, 16000, 1.0), 16000, hop_length=160, method=method)
    assert len(contour) == 101
    assert contour[50] == pytest.approx(100 * 2**0.5, rel=0.01)


@pytest.mark.parametrize("method", METHODS)
def test_contour_is_cut_or_extended_to_the_frames_asked_for(method: str) -> None:
    wav = tone(150, 16000)
    natural = f0(wav, 16000, hop_length=160, method=method)
    assert len(f0(wav, 16000, hop_length=160, method=method, frames=50)) == 50
    longer = f0(wav, 16000, hop_length=160, method=method, frames=53)
    np.testing.assert_array_equal(longer, np.r_[natural, natural[-1], natural[-1]])


def test_frame_period_is_the_hop_in_milliseconds() -> None:
    wav = tone(150, 16000)
    np.testing.assert_array_equal(f0(wav, 16000, frame_period=5.0), f0(wav, 16000, hop_length=80))


def test_frames_of_another_hop_are_refused() -> None:
    with pytest.raises(ValueError, match="200 frames were asked for, but the clip has 51"):
        f0(tone(150, 16000), 16000, hop_length=160, frames=200)


def test_hop_must_be_given_once() -> None:
    with pytest.raises(ValueError, match="give hop_length or frame_period"):
        f0(tone(150, 16000), 16000)


def test_unknown_method_is_answered_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="'swipe'; choose one of dio, harvest"):
        f0(tone(150, 16000), 16000, hop_length=160, method="swipe")


@pytest.mark.parametrize(
    ("wav", "words"),
    [
        (np.zeros((2, 100)), r"\(2, 100\); mix the channels down"),
        (np.zeros(0), "no samples"),
        (np.array([0.0, np.nan, np.inf]), "2 samples that are NaN"),
        (np.zeros(100, np.int16), "int16; divide 16-bit samples by 32768"),
    ],
)
def test_bad_samples_are_named(wav: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        f0(wav, 16000, hop_length=160)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("samples", [1, 160, 1000])
def test_shortest_clips_have_a_finite_contour(method: str, samples: int) -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(samples)
    contour = f0(noise, 16000, hop_length=160, method=method)
    assert contour.shape == (samples // 160 + 1,)
    assert np.isfinite(contour).all()


@pytest.mark.parametrize("method", METHODS)
def test_silence_and_constants_have_a_finite_contour(method: str) -> None:
    assert not f0(np.zeros(8000), 16000, hop_length=160, method=method).any()
    assert np.isfinite(f0(np.full(8000, 0.5), 16000, hop_length=160, method=method)).all()


def test_features_on_arrays_need_no_torch() -> None:
    code = (
        "import sys, numpy as np;"
        "from amphion_core.features import MEL_PRESETS, f0, energy_from_wav, stft_magnitude, world_analysis;"
        "from amphion_core.features.filterbank import filterbank;"
        "wav = 0.1 * np.random.default_rng(0).standard_normal(4000);"
        "[f0(wav, 16000, hop_length=160, method=m) for m in ('dio', 'harvest', 'pyin')];"
        "energy_from_wav(wav), world_analysis(wav, 16000), filterbank(MEL_PRESETS['mel_24k']);"
        "sys.exit(' '.join(m for m in ('torch', 'librosa', 'numba', 'transformers') if m in sys.modules) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_no_public_name_is_hidden_by_a_module_of_the_same_name() -> None:
    import amphion_core.features as features

    folder = Path(features.__file__).parent
    assert not {path.stem for path in folder.glob("*.py")} & set(features.__all__)


def test_gaps_are_filled_by_lines_and_ends_are_held() -> None:
    np.testing.assert_allclose(interpolate_f0([0, 100, 0, 0, 130, 0]), [100, 100, 110, 120, 130, 130])


def test_contour_without_voice_stays_zero() -> None:
    assert not interpolate_f0(np.zeros(5)).any()


def test_unvoiced_flag_needs_unvoiced_neighbours() -> None:
    assert unvoiced_flags([0, 0, 0, 100, 0, 100, 0, 0, 0]).tolist() == [0, 1, 0, 0, 0, 0, 0, 1, 0]


def test_octave_is_twelve_semitones_and_unvoiced_is_nan() -> None:
    values = semitones([440, 880, 0])
    assert values[:2] == pytest.approx([0, 12])
    assert np.isnan(values[2])


def test_unvoiced_is_zero_in_log_f0() -> None:
    assert log_f0([0.0, np.e]) == pytest.approx([0, 1])


def test_bins_run_from_one_to_the_last() -> None:
    assert coarse_f0([0, 20, 50, 1100, 4000]).tolist() == [1, 1, 1, 255, 255]


def test_roundings_differ_only_at_halves() -> None:
    def mel(hz: float) -> float:
        return 1127 * np.log1p(hz / 700)

    step = (mel(1100) - mel(50)) / 254
    between = 700 * np.expm1((mel(50) + (np.arange(1, 200) - 0.5 + 1e-6) * step) / 1127)
    np.testing.assert_array_equal(coarse_f0(between), coarse_f0(between, rounding="even"))


def test_empty_contour_becomes_zeros() -> None:
    assert fit_frames([], 3).tolist() == [0, 0, 0]
