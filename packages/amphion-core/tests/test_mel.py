"""Mel spectrograms: against librosa, batches against clips, padding, gradients, errors."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch

from amphion_core.features.filterbank import filterbank, hz_to_mel, mel_to_hz
from amphion_core.features.mel import MelSpectrogram, linear_spectrogram, mel_filterbank, mel_spectrogram, normalize_mel
from amphion_core.features.mel_config import MEL_PRESETS, MelConfig

mel_module = importlib.import_module("amphion_core.features.mel")


@pytest.fixture
def wav() -> torch.Tensor:
    return 0.3 * torch.randn(3, 9001, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", sorted(MEL_PRESETS))
def test_every_preset_gives_the_frames_it_promises(name: str, wav: torch.Tensor) -> None:
    config = MEL_PRESETS[name]
    mel = mel_spectrogram(wav, config)
    assert mel.shape == (3, config.n_mels, config.frames(9001))
    assert mel.dtype == torch.float32
    assert torch.isfinite(mel).all()


@pytest.mark.parametrize("name", sorted(MEL_PRESETS))
def test_batch_item_equals_the_clip_alone(name: str, wav: torch.Tensor) -> None:
    config = MEL_PRESETS[name]
    torch.testing.assert_close(mel_spectrogram(wav, config)[1], mel_spectrogram(wav[1], config), atol=0, rtol=0)


@pytest.mark.parametrize("name", ["mel_22k", "tacotron_22k", "mel_24k_vocos"])
def test_long_clips_in_spans_equal_those_in_one_piece(
    name: str, wav: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = MEL_PRESETS[name]
    whole, linear = mel_spectrogram(wav, config), linear_spectrogram(wav, config)
    monkeypatch.setattr(mel_module, "_SPAN", 7)
    # the matrix product of fewer columns may round differently
    torch.testing.assert_close(mel_spectrogram(wav, config), whole, atol=1e-5, rtol=0)
    torch.testing.assert_close(linear_spectrogram(wav, config), linear, atol=1e-6, rtol=0)


def test_frames_of_a_clip_do_not_depend_on_what_follows_it(wav: torch.Tensor) -> None:
    config = MelConfig(sample_rate=16000)
    alone = mel_spectrogram(wav[0, :6000], config)
    padded = mel_spectrogram(torch.cat([wav[0, :6000], torch.zeros(3000)]), config)
    untouched = config.frames(6000) - 2  # the last two frames reach into the padding
    torch.testing.assert_close(padded[:, :untouched], alone[:, :untouched], atol=1e-6, rtol=0)


@pytest.mark.parametrize("scale", ["slaney", "htk"])
@pytest.mark.parametrize("norm", ["slaney", "none"])
def test_filters_equal_those_of_librosa(scale: str, norm: str) -> None:
    librosa = pytest.importorskip("librosa")
    config = MelConfig(
        sample_rate=24000,
        n_fft=1920,
        win_length=1920,
        n_mels=100,
        f_min=20,
        f_max=11000,
        mel_scale=scale,
        mel_norm=norm,
    )
    expected = librosa.filters.mel(
        sr=24000,
        n_fft=1920,
        n_mels=100,
        fmin=20,
        fmax=11000,
        htk=scale == "htk",
        norm="slaney" if norm == "slaney" else None,
    )
    # librosa holds them in float32
    np.testing.assert_allclose(filterbank(config), expected, atol=1e-7)


def test_power_mel_equals_that_of_librosa(wav: torch.Tensor) -> None:
    librosa = pytest.importorskip("librosa")
    config = MelConfig(padding="center_zero", power=2, log="none", win_length=800)
    expected = librosa.feature.melspectrogram(
        y=wav[0].numpy(), sr=22050, n_fft=1024, hop_length=256, win_length=800, n_mels=80, fmax=8000
    )
    np.testing.assert_allclose(mel_spectrogram(wav[0], config), expected, rtol=1e-4, atol=1e-6)


def test_mel_scale_and_its_inverse_cancel() -> None:
    hz = np.linspace(0, 12000, 50)
    for scale in ("slaney", "htk"):
        np.testing.assert_allclose(mel_to_hz(hz_to_mel(hz, scale), scale), hz, atol=1e-9)


def test_normalised_mel_is_the_plain_one_shifted_and_scaled(wav: torch.Tensor) -> None:
    config = MEL_PRESETS["mel_24k_vocos"]
    plain = mel_spectrogram(wav, MEL_PRESETS["mel_24k_codec"])
    torch.testing.assert_close(mel_spectrogram(wav, config), (plain + 4.92) / 8.14**0.5)


def test_added_floor_differs_from_the_clamped_one_as_the_formula_says(wav: torch.Tensor) -> None:
    linear = mel_spectrogram(wav, MelConfig(log="none"))
    added = mel_spectrogram(wav, MelConfig(floor_mode="add", log_floor=0.01))
    clamped = mel_spectrogram(wav, MelConfig(log="log10", log_floor=0.01))
    torch.testing.assert_close(added, (linear + 0.01).log())
    torch.testing.assert_close(clamped, linear.clamp(min=0.01).log10())


def test_silence_lies_at_the_floor_and_its_gradient_is_finite() -> None:
    for name in MEL_PRESETS:
        wav = torch.zeros(5000, requires_grad=True)
        mel = mel_spectrogram(wav, MEL_PRESETS[name])
        mel.sum().backward()
        assert wav.grad is not None
        assert torch.isfinite(mel).all()
        assert torch.isfinite(wav.grad).all()


def test_gradient_equals_the_numeric_one() -> None:
    config = MelConfig(sample_rate=8000, n_fft=64, win_length=48, hop_length=16, n_mels=6, f_max=None)
    wav = torch.randn(2, 100, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: mel_spectrogram(x, config), (wav,))


def test_double_precision_stays_and_half_precision_is_computed_in_single(wav: torch.Tensor) -> None:
    config = MelConfig()
    assert mel_spectrogram(wav.double(), config).dtype == torch.float64
    half = wav.bfloat16()
    torch.testing.assert_close(mel_spectrogram(half, config), mel_spectrogram(half.float(), config))


def test_autocast_leaves_the_mel_as_it_is(wav: torch.Tensor) -> None:
    plain = mel_spectrogram(wav, MelConfig())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(mel_spectrogram(wav, MelConfig()), plain)


def test_mel_made_in_inference_mode_does_not_spoil_training(wav: torch.Tensor) -> None:
    config = MelConfig(n_mels=33)  # nothing cached for it yet
    with torch.inference_mode():
        mel_spectrogram(wav, config)
    wav.requires_grad_()
    mel_spectrogram(wav, config).sum().backward()
    assert wav.grad is not None


def test_module_has_no_state() -> None:
    assert not MelSpectrogram(MelConfig()).state_dict()


def test_linear_spectrogram_through_the_filters_is_the_mel(wav: torch.Tensor) -> None:
    config = MelConfig(log="none")
    torch.testing.assert_close(mel_filterbank(config) @ linear_spectrogram(wav, config), mel_spectrogram(wav, config))


def test_clipping_limits_the_input(wav: torch.Tensor) -> None:
    loud = 10 * wav
    clipped = mel_spectrogram(loud, MelConfig(clip=True))
    torch.testing.assert_close(clipped, mel_spectrogram(loud.clamp(-1, 1), MelConfig()))


def test_wrong_dimensions_are_named() -> None:
    with pytest.raises(ValueError, match=r"\(1, 1, 4000\)"):
        mel_spectrogram(torch.zeros(1, 1, 4000), MelConfig())


def test_integers_are_refused() -> None:
    with pytest.raises(ValueError, match="int16"):
        mel_spectrogram(torch.zeros(4000, dtype=torch.int16), MelConfig())


def test_clip_too_short_to_reflect_is_refused_with_the_length_it_needs() -> None:
    with pytest.raises(ValueError, match="384 samples, reflecting 384 at each end needs 385"):
        mel_spectrogram(torch.zeros(384), MelConfig())


def test_clip_too_short_for_a_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="too few for one frame of 1024"):
        mel_spectrogram(torch.zeros(1000), MelConfig(padding="none"))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_broken_samples_are_counted(value: float) -> None:
    wav = torch.zeros(4000)
    wav[7:9] = value
    with pytest.raises(ValueError, match="2 samples that are NaN or infinite"):
        mel_spectrogram(wav, MelConfig())


def test_statistics_of_other_bands_are_refused() -> None:
    with pytest.raises(ValueError, match="80 minima"):
        normalize_mel(torch.zeros(80, 3), torch.zeros(100), torch.ones(100))


def test_config_lists_all_its_faults() -> None:
    with pytest.raises(ValueError, match=r"win_length 2048 is longer.*f_max 20000.* is above half"):
        MelConfig(win_length=2048, f_max=20000.0)
