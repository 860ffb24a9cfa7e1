"""Energies of arrays and tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from amphion_core.features.energy import energy_from_mel, energy_from_wav, energy_tacotron
from amphion_core.features.spectrum import stft_magnitude


@pytest.fixture
def wav() -> np.ndarray:
    return 0.3 * np.random.default_rng(0).standard_normal(6001)


def test_arrays_and_tensors_agree() -> None:
    mel = np.random.default_rng(0).standard_normal((2, 80, 7))
    np.testing.assert_allclose(energy_from_mel(mel), energy_from_mel(torch.from_numpy(mel)).numpy())


def test_energy_of_one_band_is_its_linear_value() -> None:
    assert energy_from_mel(np.log(np.array([[2.0, 3.0]]))) == pytest.approx([2, 3])


def test_energy_scales_with_the_gain(wav: np.ndarray) -> None:
    np.testing.assert_allclose(energy_from_wav(wav / 2), energy_from_wav(wav) / 2)


def test_energy_is_the_norm_of_the_magnitudes(wav: np.ndarray) -> None:
    np.testing.assert_allclose(energy_from_wav(wav), np.linalg.norm(stft_magnitude(wav), axis=0))


def test_magnitudes_equal_those_of_librosa(wav: np.ndarray) -> None:
    librosa = pytest.importorskip("librosa")
    expected = np.abs(librosa.stft(wav, n_fft=1024, hop_length=256, win_length=800, pad_mode="constant"))
    np.testing.assert_allclose(stft_magnitude(wav, 1024, 256, 800), expected, atol=1e-9)


def test_centred_energy_has_a_frame_more_than_the_hops(wav: np.ndarray) -> None:
    assert energy_from_wav(wav, hop_length=256).shape == (6001 // 256 + 1,)


def test_tacotron_energy_clips_first(wav: np.ndarray) -> None:
    np.testing.assert_allclose(energy_tacotron(10 * wav), energy_tacotron(np.clip(10 * wav, -1, 1)))


def test_silence_has_no_energy() -> None:
    assert not energy_from_wav(np.zeros(3000)).any()


def test_unknown_padding_is_named(wav: np.ndarray) -> None:
    with pytest.raises(ValueError, match="pad_mode must be center_zero"):
        stft_magnitude(wav, pad_mode="mirror")


def test_clip_too_short_to_reflect_is_refused() -> None:
    with pytest.raises(ValueError, match="512 at each end needs 513"):
        stft_magnitude(np.zeros(512), pad_mode="center")
