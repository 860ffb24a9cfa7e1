"""STFT and its inverse: identities, agreement with torch, envelope check, errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from amphion_core.features.mel_config import MelConfig
from amphion_core.features.spectrum import stft_spectrum
from amphion_core.features.stft import amplitude_phase, inverse_stft, stft

SETTINGS = [(1024, 256, 1024), (1024, 120, 480), (1920, 480, 1920), (64, 16, 64), (63, 16, 63)]


@pytest.fixture
def wav() -> torch.Tensor:
    return torch.randn(2, 5003, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(("n_fft", "hop", "win"), SETTINGS)
@pytest.mark.parametrize("padding", ["same", "center"])
def test_inverse_restores_the_waveform(n_fft: int, hop: int, win: int, padding: str, wav: torch.Tensor) -> None:
    spectrum = stft(wav, n_fft, hop, win, padding=padding)
    restored = inverse_stft(spectrum, n_fft, hop, win, padding=padding)
    assert restored.shape[1] == (spectrum.shape[2] - (padding == "center")) * hop
    torch.testing.assert_close(restored, wav[:, : restored.shape[1]], atol=1e-9, rtol=0)


def test_inverse_gives_the_length_asked_for(wav: torch.Tensor) -> None:
    spectrum = stft(wav, 1024, 256, padding="center")
    restored = inverse_stft(spectrum, 1024, 256, padding="center", length=5003)
    torch.testing.assert_close(restored, wav, atol=1e-9, rtol=0)


def test_samples_beyond_the_last_frame_are_zero(wav: torch.Tensor) -> None:
    spectrum = stft(wav, 64, 16, padding="same")
    restored = inverse_stft(spectrum, 64, 16, length=6000)
    assert restored.shape == (2, 6000)
    assert not restored[:, 5100:].any()


@pytest.mark.parametrize(("n_fft", "hop", "win"), SETTINGS[:-1])  # torch gives a sample more for odd transforms
def test_centred_transforms_equal_those_of_torch(n_fft: int, hop: int, win: int, wav: torch.Tensor) -> None:
    window = torch.hann_window(win, dtype=torch.float64)
    expected = torch.stft(wav, n_fft, hop, win, window, center=True, pad_mode="reflect", return_complex=True)
    spectrum = stft(wav, n_fft, hop, win, padding="center")
    torch.testing.assert_close(spectrum, expected, atol=1e-9, rtol=0)
    noise = torch.randn_like(spectrum)
    noise[:, 0] = noise[:, 0].real + 0j  # what has no imaginary part in the spectrum of real samples
    torch.testing.assert_close(
        inverse_stft(noise, n_fft, hop, win, padding="center"),
        torch.istft(noise, n_fft, hop, win, window, center=True),
        atol=1e-9,
        rtol=0,
    )


@pytest.mark.parametrize("padding", ["same", "center", "center_zero", "none"])
def test_arrays_and_tensors_give_one_spectrum(padding: str, wav: torch.Tensor) -> None:
    tensor = stft(wav[0], 512, 128, 400, padding=padding)
    np.testing.assert_allclose(stft_spectrum(wav[0].numpy(), 512, 128, 400, padding), tensor.numpy(), atol=1e-9)


@pytest.mark.parametrize("padding", ["same", "center", "center_zero", "none"])
@pytest.mark.parametrize("samples", [2048, 2049, 5003])
def test_config_foretells_the_frames(padding: str, samples: int) -> None:
    config = MelConfig(padding=padding)
    assert stft(torch.zeros(samples), 1024, 256, padding=padding).shape[1] == config.frames(samples)


def test_windows_that_leave_gaps_have_no_inverse() -> None:
    with pytest.raises(ValueError, match="windows of 64 samples every 80 leave samples uncovered"):
        inverse_stft(torch.zeros(1, 65, 5, dtype=torch.complex64), 128, 80, 64)


def test_gradient_flows_through_the_inverse() -> None:
    spectrum = torch.randn(
        1, 9, 5, dtype=torch.complex128, generator=torch.Generator().manual_seed(0), requires_grad=True
    )
    assert torch.autograd.gradcheck(lambda x: inverse_stft(x, 16, 4), (spectrum,))


def test_phase_and_amplitude_make_up_the_spectrum(wav: torch.Tensor) -> None:
    parts = amplitude_phase(wav, MelConfig())
    rebuilt = torch.polar(parts.log_amplitude.exp() - 1e-5, parts.phase)
    torch.testing.assert_close(rebuilt, torch.complex(parts.real, parts.imaginary), atol=1e-9, rtol=0)


def test_real_spectrum_is_refused() -> None:
    with pytest.raises(ValueError, match=r"torch\.polar"):
        inverse_stft(torch.zeros(1, 513, 5), 1024, 256)


def test_spectrum_of_other_bins_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(1, 100, 5\), expected \(B, 513, F\)"):
        inverse_stft(torch.zeros(1, 100, 5, dtype=torch.complex64), 1024, 256)


def test_window_longer_than_the_transform_is_refused() -> None:
    with pytest.raises(ValueError, match="win_length must lie between 1 and n_fft 512, got 600"):
        stft(torch.zeros(4000), 512, 128, 600)
