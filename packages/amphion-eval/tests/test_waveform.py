import numpy as np
import pytest

from amphion_eval.waveform import delay, si_sdr, si_snr


@pytest.mark.parametrize("metric", [si_sdr, si_snr])
@pytest.mark.parametrize("snr", [0, 20, 60])
def test_noise_of_known_power_has_its_ratio(metric, snr):
    generator = np.random.default_rng(0)
    wav = generator.normal(size=4000)
    wav -= wav.mean()
    noise = generator.normal(size=4000)
    noise -= noise.mean()
    noise -= (noise @ wav) / (wav @ wav) * wav  # at a right angle, or part of it would count as signal
    noise *= np.linalg.norm(wav) / np.linalg.norm(noise) * 10 ** (-snr / 20)
    assert metric(wav, wav + noise) == pytest.approx(snr, abs=1e-9)


@pytest.mark.parametrize("metric", [si_sdr, si_snr])
def test_gain_changes_nothing(metric, voice):
    noisy = voice + 0.01 * np.random.default_rng(0).normal(size=voice.size)
    assert metric(voice, 0.1 * noisy) == pytest.approx(metric(voice, noisy))


@pytest.mark.parametrize("metric", [si_sdr, si_snr])
@pytest.mark.parametrize("level", [1e-300, 1e-170, 1e200])
def test_level_far_from_one_changes_nothing_either(metric, voice, level):
    noisy = np.asarray(voice, np.float64) + 0.01 * np.random.default_rng(0).normal(size=len(voice))
    truth = metric(voice, noisy)
    assert metric(np.multiply(voice, level, dtype=np.float64), noisy * level) == pytest.approx(truth, abs=1e-9)
    assert metric(voice, noisy * level) == pytest.approx(truth, abs=1e-9)


@pytest.mark.parametrize("metric", [si_sdr, si_snr])
def test_identical_signals_are_infinitely_alike(metric, voice):
    assert metric(voice, voice) == np.inf


def test_offset_counts_only_without_the_mean_taken_off(voice):
    assert si_sdr(voice, voice + 0.1) < 20 < si_snr(voice, voice + 0.1)


@pytest.mark.parametrize("metric", [si_sdr, si_snr])
def test_silence_on_either_side_is_undefined(metric, voice):
    silence = np.zeros_like(voice)
    assert "reference" in metric(silence, voice).reason
    assert "estimate" in metric(voice, silence).reason


@pytest.mark.parametrize("metric", [si_sdr, si_snr])
def test_no_sample_is_undefined(metric):
    assert "no sample" in metric([], []).reason


@pytest.mark.parametrize("metric", [si_sdr, si_snr])
def test_other_lengths_and_channels_are_refused(metric):
    for ref, est in ((np.ones(3), np.ones(4)), (np.ones((2, 4)), np.ones((2, 4)))):
        with pytest.raises(ValueError, match="channel"):
            metric(ref, est)


@pytest.mark.parametrize("lag", [-300, 0, 640])
def test_delay_is_found_with_its_sign(voice, lag):
    late = np.concatenate([np.zeros(max(0, lag)), voice[max(0, -lag) :]])
    assert delay(voice, late, 1000) == lag


def test_silence_has_no_delay(voice):
    assert delay(voice, np.zeros(100), 1000) == 0
