"""From a log-mel back to a magnitude spectrogram, the first step of vocoders without weights.

Source: Lee and Seung, "Algorithms for Non-negative Matrix Factorization", 2000 (multiplicative steps of non-negative
least squares); the filters stay fixed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from amphion_core.features import MelConfig
from amphion_core.features.mel import mel_filterbank

__all__ = ["band_values", "linear_magnitude", "smooth_bins"]


def band_values(mel: Tensor, config: MelConfig) -> Tensor:
    """Filter outputs before logarithm and normalisation, of mels (..., n_mels, F)."""
    values = mel.float() * config.std + config.mean
    if config.log == "none":
        return values.clamp(min=0)
    values = values.exp() if config.log == "ln" else 10**values
    # What a floor has lifted is silence.
    return (values - config.log_floor).clamp(min=0)


def linear_magnitude(mel: Tensor, config: MelConfig, steps: int = 64) -> Tensor:
    """Magnitudes whose mel is the given one, as nearly as non-negative magnitudes can be.

    Each frame is solved by itself; bins that no filter covers are zero.

    Args:
        mel: (B, n_mels, F).
        config: what the mel is.
        steps: multiplicative steps.

    Returns:
        (B, n_fft // 2 + 1, F), also where the mel is of powers.
    """
    filters = mel_filterbank(config).to(mel.device)  # (n_mels, bins)
    bands = band_values(mel, config)
    goal = filters.mT @ bands  # (B, bins, F)
    gram = filters.mT @ filters
    values = goal / gram.sum(1, keepdim=True).clamp(min=1e-10)
    for _ in range(steps):
        values = values * goal / (gram @ values).clamp(min=1e-12)
    return values if config.power == 1 else values.sqrt()


def smooth_bins(values: Tensor, width: Tensor) -> Tensor:
    """Moving average along frequency.

    Args:
        values: (bins, F).
        width: (F,) bins on each side of the centre, fractions allowed.

    Returns:
        (bins, F); at the ends the average is over what is there.
    """
    bins = values.shape[0]
    total = torch.cat([values.new_zeros(1, values.shape[1]), values.cumsum(0)])  # (bins + 1, F)
    centre = torch.arange(bins, device=values.device)[:, None] + 0.5
    low, high = (centre - width - 0.5).clamp(0, bins), (centre + width + 0.5).clamp(0, bins)
    return (_read(total, high) - _read(total, low)) / (high - low)


def _read(table: Tensor, place: Tensor) -> Tensor:
    """Linear interpolation of each column of (N, F) at fractional rows (M, F)."""
    below = place.floor().long().clamp(max=table.shape[0] - 2)
    share = place - below
    return table.gather(0, below) * (1 - share) + table.gather(0, below + 1) * share
