"""Resampling of tensors, batched and on their device; the one module of core that uses torchaudio.

Files are resampled by soxr (`amphion_core.audio.resample`), which is faster on the CPU.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn

from amphion_core.extras import require

__all__ = ["resample", "resampled_lengths"]

# A Kaiser window this wide loses 0.02 dB at 0.9 of the new Nyquist frequency and lets -146 dB of a tone at 1.1 of it
# through; torchaudio's default loses 2.4 dB and lets -14 dB through. Roll-off and beta are those published for
# resampy's best quality.
_WIDTH, _ROLLOFF, _BETA = 64, 0.9475937167399596, 14.769656459379492


def resample(wav: Tensor, from_rate: int, to_rate: int) -> Tensor:
    """Change the sampling rate; the ends are extended by zeros, so padding in a batch changes no clip.

    Args:
        wav: (..., T) floating point samples; half precision is computed in float32. Gradients flow.
        from_rate: Hz of `wav`.
        to_rate: Hz wanted.

    Returns:
        (..., ceil(T * to_rate / from_rate)).

    Raises:
        ValueError: a rate is not positive, or the samples are integers.
        MissingExtraError: torchaudio is not installed.
    """
    if from_rate <= 0 or to_rate <= 0:
        raise ValueError(f"sampling rates must be above 0 Hz, got {from_rate} and {to_rate}")
    if not wav.is_floating_point():
        raise ValueError(f"wav must be floating point in [-1, 1], got {wav.dtype}; divide 16-bit samples by 32768")
    if from_rate == to_rate or wav.shape[-1] == 0:
        return wav
    dtype = torch.float64 if wav.dtype == torch.float64 else torch.float32
    with torch.autocast(wav.device.type, enabled=False):  # half precision would add noise at -50 dB
        result: Tensor = _resampler(from_rate, to_rate, wav.device, dtype)(wav.to(dtype))
    return result.to(wav.dtype)


def resampled_lengths(lengths: Tensor, from_rate: int, to_rate: int) -> Tensor:
    """Samples of clips after `resample`, (B,) int64."""
    return (lengths * to_rate + from_rate - 1) // from_rate


@lru_cache(maxsize=32)
def _resampler(from_rate: int, to_rate: int, device: torch.device, dtype: torch.dtype) -> nn.Module:
    transforms = require("torchaudio.transforms", "amphion-core[torch]")
    with torch.inference_mode(False):  # a kernel of inference mode could not be used in training later
        module: nn.Module = transforms.Resample(
            from_rate,
            to_rate,
            resampling_method="sinc_interp_kaiser",
            lowpass_filter_width=_WIDTH,
            rolloff=_ROLLOFF,
            beta=_BETA,
            dtype=torch.float64,  # the kernel; rounded once
        )
        return module.to(device=device, dtype=dtype)
