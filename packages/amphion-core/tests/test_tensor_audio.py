"""Resampling of tensors: against soxr, level and leak, batches, caching."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
import torch

from amphion_core.tensor_audio import resample, resampled_lengths


def sine(frequency: float, sample_rate: int, samples: int = 24000) -> torch.Tensor:
    return torch.sin(2 * torch.pi * frequency * torch.arange(samples, dtype=torch.float64) / sample_rate).float()


def level_db(wav: torch.Tensor) -> float:
    inner = wav[..., wav.shape[-1] // 4 : -wav.shape[-1] // 4]
    return float(10 * torch.log10(2 * inner.square().mean() + 1e-30))


def test_torch_and_torchaudio_are_of_one_build() -> None:
    import torchaudio

    assert torchaudio.functional.resample(torch.zeros(1, 100), 2, 1).shape == (1, 50)


@pytest.mark.parametrize(("from_rate", "to_rate"), [(24000, 16000), (44100, 16000), (16000, 24000), (48000, 24000)])
def test_tones_keep_their_level_and_do_not_fold_back(from_rate: int, to_rate: int) -> None:
    edge = min(from_rate, to_rate) / 2
    assert level_db(resample(sine(0.9 * edge, from_rate), from_rate, to_rate)) == pytest.approx(0, abs=0.05)
    if to_rate < from_rate:
        assert level_db(resample(sine(1.1 * edge, from_rate), from_rate, to_rate)) < -90  # float32 rounding


def test_result_equals_that_of_soxr() -> None:
    rng = np.random.default_rng(0)
    wav = np.convolve(rng.standard_normal(8000), np.hanning(32), mode="same").astype(np.float32)  # little near the edge
    ours = resample(torch.from_numpy(wav), 24000, 16000).numpy()
    expected = soxr.resample(wav, 24000, 16000, quality="VHQ")
    np.testing.assert_allclose(ours[100:-100], expected[100 : len(ours) - 100], atol=1e-3)


def test_batch_item_equals_the_clip_alone() -> None:
    short, long = torch.randn(700), torch.randn(1000)
    batch = torch.stack([torch.cat([short, torch.zeros(300)]), long])
    lengths = resampled_lengths(torch.tensor([700, 1000]), 24000, 16000)
    result = resample(batch, 24000, 16000)
    alone = resample(short, 24000, 16000)
    assert lengths.tolist() == [len(alone), result.shape[1]]
    torch.testing.assert_close(result[0, : lengths[0]], alone, atol=1e-6, rtol=0)


def test_use_in_inference_mode_does_not_spoil_training() -> None:
    with torch.inference_mode():
        resample(torch.zeros(100), 11025, 16000)
    wav = torch.zeros(100, requires_grad=True)
    resample(wav, 11025, 16000).sum().backward()
    assert wav.grad is not None


def test_same_rate_returns_the_input() -> None:
    wav = torch.randn(5)
    assert resample(wav, 16000, 16000) is wav


def test_empty_clip_stays_empty() -> None:
    assert resample(torch.zeros(2, 0), 24000, 16000).shape == (2, 0)


def test_half_precision_comes_back_in_half_precision() -> None:
    assert resample(torch.zeros(100).bfloat16(), 24000, 16000).dtype == torch.bfloat16


def test_integers_are_refused() -> None:
    with pytest.raises(ValueError, match="int16; divide"):
        resample(torch.zeros(100, dtype=torch.int16), 24000, 16000)


def test_rate_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="got 0 and 16000"):
        resample(torch.zeros(100), 0, 16000)
