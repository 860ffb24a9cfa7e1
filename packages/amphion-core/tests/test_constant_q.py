import numpy as np
import pytest
import torch

from amphion_core.features.constant_q import ConstantQ, constant_q_frequencies

RATE = 16000


def tone(frequency, seconds=1.0, rate=RATE):
    return torch.sin(2 * torch.pi * frequency * torch.arange(int(seconds * rate)) / rate)[None]


@pytest.mark.parametrize("octave", range(5))
def test_a_tone_peaks_at_its_bin_in_every_octave(octave):
    transform = ConstantQ(RATE, 128, 5, 12, 110.0)
    number = 12 * octave + 7
    spectrum = transform(tone(constant_q_frequencies(5, 12, 110.0)[number])).abs()[0]
    middle = spectrum[:, spectrum.shape[1] // 2]
    assert int(middle.argmax()) == number


def test_a_tone_of_amplitude_one_has_half_the_root_of_the_filter_length():
    transform = ConstantQ(RATE, 128, 5, 12, 110.0)
    quality = 1 / (2 ** (1 / 12) - 1)
    for number in (2, 30, 57):
        frequency = constant_q_frequencies(5, 12, 110.0)[number]
        peak = float(transform(tone(frequency)).abs()[0, number].median())
        # The filters have an absolute sum of one; half the tone lies at negative frequencies. The low-pass and whole
        # numbers of taps leave a few percent.
        assert peak == pytest.approx(0.5 * np.sqrt(np.ceil(quality * RATE / frequency)), rel=0.05)


def test_bins_are_equal_steps_of_pitch():
    frequencies = constant_q_frequencies(3, 24)
    np.testing.assert_allclose(frequencies[1:] / frequencies[:-1], 2 ** (1 / 24))
    assert frequencies[24] == pytest.approx(2 * 32.70)


def test_transform_is_linear():
    transform = ConstantQ(RATE, 64, 4, 6, 220.0)
    one, two = torch.randn(2, 1, 4000)
    torch.testing.assert_close(transform(one + 3 * two), transform(one) + 3 * transform(two), atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("samples", [8, 999, 1024, 4097])
def test_frames_are_whole_hops_and_one(samples):
    assert ConstantQ(RATE, 64, 4, 6, 220.0)(torch.randn(2, samples)).shape == (2, 24, samples // 64 + 1)


def test_low_spectra_of_a_high_rate_are_computed_at_a_lower_one():
    transform = ConstantQ(48000, 512, 5, 7)
    assert transform.decimation == 8
    spectrum = transform(tone(65.4, rate=48000)).abs()[0]
    assert int(spectrum[:, spectrum.shape[1] // 2].argmax()) == 7  # an octave above 32.7 Hz


def test_filters_leave_no_trace_in_a_state_dict():
    assert not ConstantQ(RATE, 64, 4, 6).state_dict()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((8000, 512, 9), "above half the sampling rate 4000"), ((48000, 100, 5), "can't be halved 4 times")],
)
def test_impossible_settings_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        ConstantQ(*arguments)


@pytest.mark.parametrize(
    ("shape", "words"), [((1000,), r"wav must be \(B, T\)"), ((1, 7), "too few to halve its rate 3 times")]
)
def test_what_is_no_batch_of_waveforms_is_refused(shape, words):
    with pytest.raises(ValueError, match=words):
        ConstantQ(RATE, 64, 4, 6)(torch.zeros(shape))
