"""pYIN: its contour is librosa's; memory-saving search gives the same path."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from amphion_core.features.pyin import pyin
from amphion_core.testing.sounds import glide, tone

pyin_module = importlib.import_module("amphion_core.features.pyin")
GOLDEN = Path(__file__).parent / "golden" / "features"


def voice(sample_rate: int) -> np.ndarray:
    """Glide, pause, noise and a low tone under noise: every branch of the tracker."""
    rng = np.random.default_rng(0)
    pause = np.zeros(sample_rate // 5)
    noise = 0.05 * rng.standard_normal(sample_rate // 4)
    low = tone(70, sample_rate, 0.4)
    low += 0.02 * rng.standard_normal(len(low))
    return np.concatenate([pause, glide(120, 480, sample_rate, 0.6), pause, noise, low, pause])


def check_against_librosa(wav: np.ndarray, sample_rate: int, **settings: object) -> None:
    librosa = pytest.importorskip("librosa")
    ours = pyin(wav, sample_rate, f_min=50, f_max=1100, **settings)
    f0, voiced, probability = librosa.pyin(wav.astype(np.float64), sr=sample_rate, fmin=50, fmax=1100, **settings)
    np.testing.assert_array_equal(ours.voiced, voiced)
    np.testing.assert_allclose(ours.f0, np.nan_to_num(f0), rtol=1e-9)
    # a height on the edge of two thresholds may fall to either side by rounding: at most 1 % of the frames
    assert np.mean(np.abs(ours.probability - probability) > 1e-6) <= 0.01


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sample_rate", "hop_length", "frame_length"),
    [(16000, 160, 1024), (24000, 240, 2048), (22050, 256, 2048), (8000, 80, 512)],
)
def test_contour_equals_that_of_librosa(sample_rate: int, hop_length: int, frame_length: int) -> None:
    check_against_librosa(voice(sample_rate), sample_rate, hop_length=hop_length, frame_length=frame_length)


@pytest.mark.slow
@pytest.mark.parametrize("clip", ["slt_16k", "sing_f3_24k"])
def test_contour_of_speech_and_singing_equals_that_of_librosa(clip: str) -> None:
    wav = load_file(GOLDEN / f"{clip}.safetensors")["svc_24k.audio"]
    check_against_librosa(wav, 24000, hop_length=240, frame_length=2048)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"n_thresholds": 50},
        {"beta_parameters": (2, 8)},
        {"boltzmann_parameter": 1.0},
        {"resolution": 0.25},
        {"max_transition_rate": 20.0},
        {"center": False},
    ],
    ids=lambda s: next(iter(s)),
)
def test_every_setting_means_what_it_means_in_librosa(settings: dict[str, object]) -> None:
    check_against_librosa(voice(16000), 16000, hop_length=320, frame_length=1024, **settings)


@pytest.mark.parametrize("frequency", [60.0, 220.0, 880.0])
def test_tone_is_found_within_a_bin(frequency: float) -> None:
    contour = pyin(tone(frequency, 16000), 16000, hop_length=160)
    inner = contour.f0[5:-5]
    assert contour.voiced[5:-5].all()
    # bins are a tenth of a semitone wide; at 880 Hz a period of 18 samples is not resolved finer than two of them
    assert np.abs(12 * np.log2(inner / frequency)).max() < 0.2


def test_silence_is_unvoiced() -> None:
    contour = pyin(np.zeros(8000), 16000, hop_length=160)
    assert not contour.voiced.any()
    assert not contour.f0.any()
    assert len(contour.f0) == 51


def test_search_in_blocks_gives_the_same_path(monkeypatch: pytest.MonkeyPatch) -> None:
    wav = voice(16000)
    whole = pyin(wav, 16000, hop_length=160)
    monkeypatch.setattr(pyin_module, "_BLOCK", 7)
    blocks = pyin(wav, 16000, hop_length=160)
    np.testing.assert_array_equal(blocks.f0, whole.f0)
    np.testing.assert_array_equal(blocks.probability, whole.probability)


def test_gain_does_not_change_the_contour() -> None:
    wav = voice(16000)
    np.testing.assert_array_equal(pyin(wav, 16000, hop_length=160).f0, pyin(wav / 8, 16000, hop_length=160).f0)


@pytest.mark.parametrize("samples", [1, 100, 1601])
def test_short_clips_have_the_frames_of_their_grid(samples: int) -> None:
    assert len(pyin(np.full(samples, 0.1), 16000, hop_length=160).f0) == samples // 160 + 1


def test_frame_that_holds_no_period_is_refused() -> None:
    with pytest.raises(ValueError, match=r"256 samples holds no period of 50"):
        pyin(np.zeros(4000), 16000, hop_length=160, frame_length=256)


def test_range_above_half_the_rate_is_refused() -> None:
    with pytest.raises(ValueError, match=r"f_max 9000.* between 0 and 8000"):
        pyin(np.zeros(4000), 16000, hop_length=160, f_max=9000.0)
