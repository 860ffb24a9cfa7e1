import numpy as np
import pytest

from amphion_core.features.harvest import harvest
from amphion_core.features.world import pyworld


def voice(rate, seconds=0.6, f0=140.0, seed=0):
    """Harmonics of a gliding pitch, with a pause, on a little noise: nothing is digital silence."""
    generator = np.random.default_rng(seed)
    clock = np.arange(int(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(f0 * 2 ** (0.3 * np.sin(5 * clock))) / rate
    sounding = (clock < 0.4 * seconds) | (clock > 0.5 * seconds)
    wav = sounding * 0.1 * sum(np.sin(k * phase) / k for k in range(1, 9))
    return wav + 1e-3 * generator.standard_normal(len(clock))


def by_world(wav, rate, period=5.0, low=71.0, high=800.0):
    return pyworld().harvest(wav, rate, low, high, period)[0]


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 24000, 44100, 48000])
def test_contour_is_that_of_world_at_every_rate(rate):
    wav = voice(rate)
    assert np.allclose(harvest(wav, rate), by_world(wav, rate), rtol=1e-8)  # both round, in another order


@pytest.mark.parametrize(("f0", "seed"), [(85.0, 1), (220.0, 2), (500.0, 3)])
def test_contour_is_that_of_world_for_low_and_high_voices(f0, seed):
    wav = voice(16000, 0.8, f0, seed)
    assert np.allclose(harvest(wav, 16000), by_world(wav, 16000), rtol=1e-8)


def test_noise_without_pitch_has_the_contour_of_world():
    wav = 0.1 * np.random.default_rng(4).standard_normal(8000)
    assert np.allclose(harvest(wav, 16000), by_world(wav, 16000), rtol=1e-8)


@pytest.mark.parametrize(("period", "low", "high"), [(1.0, 71.0, 800.0), (10.0, 50.0, 500.0), (12.5, 100.0, 1100.0)])
def test_frames_and_range_are_those_that_are_asked_for(period, low, high):
    wav = voice(16000)
    assert np.allclose(
        harvest(wav, 16000, f_min=low, f_max=high, frame_period=period),
        by_world(wav, 16000, period, low, high),
        rtol=1e-8,
    )


@pytest.mark.parametrize("samples", [1, 50, 160, 800])
def test_short_clips_have_their_frames(samples):
    wav = 0.1 * np.ones(samples)
    assert len(harvest(wav, 16000)) == len(by_world(wav, 16000)) and not harvest(wav, 16000).any()


def test_silence_has_no_pitch():
    assert not harvest(np.zeros(8000), 16000).any()


def test_samples_that_are_not_numbers_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        harvest([0.0, np.nan], 16000)


def test_a_short_section_is_kept_where_world_keeps_it():
    # In WORLD the mean that decides on a section holds that of the one before: this clip has a section at the border.
    generator, rate = np.random.default_rng(57), 16000
    clock = np.arange(2 * rate) / rate
    f0 = generator.uniform(80, 250) * 2 ** (0.15 * np.sin(2.5 * clock) + 0.05 * np.sin(8 * clock))
    phase = 2 * np.pi * np.cumsum(f0) / rate
    voiced = sum(np.sin(k * phase) / k for k in range(1, 12))
    syllable = clock * generator.uniform(2.5, 5)
    kind = generator.uniform(0, 1, 32)[syllable.astype(int)]
    breath = 0.5 * np.convolve(generator.standard_normal(len(clock)), [1, -0.95], mode="same")
    wav = np.where(kind < 0.2, 0, np.where(kind < 0.5, breath, voiced)) * np.sin(np.pi * (syllable % 1)) ** 0.5
    wav = 0.1 * wav + 4e-3 * generator.standard_normal(len(clock))
    assert np.allclose(harvest(wav, rate), by_world(wav, rate), rtol=1e-8)
