"""Losses of amplitude and phase spectra, and of spectra that no waveform has.

Source: Ai and Ling, "APNet: An All-Frame-Level Neural Vocoder Incorporating Direct Prediction of Amplitude and Phase
Spectra", 2023, arXiv:2305.07952.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = [
    "PhaseLosses",
    "amplitude_loss",
    "group_delay_loss",
    "instantaneous_phase_loss",
    "phase_losses",
    "phase_time_difference_loss",
    "real_imaginary_loss",
    "spectrum_consistency_loss",
]


class PhaseLosses(NamedTuple):
    """The three terms of a phase, scalars between -1 (equal) and 1 (opposite).

    Attributes:
        instantaneous: of the phase itself.
        group_delay: of its differences along frequency.
        time_difference: of its differences along time.
    """

    instantaneous: Tensor
    group_delay: Tensor
    time_difference: Tensor


def phase_losses(estimate: Tensor, target: Tensor) -> PhaseLosses:
    """All three terms of phases in radians, (B, bins, F) each."""
    return PhaseLosses(
        instantaneous_phase_loss(estimate, target),
        group_delay_loss(estimate, target),
        phase_time_difference_loss(estimate, target),
    )


def instantaneous_phase_loss(estimate: Tensor, target: Tensor) -> Tensor:
    """Mean of -cos of the difference of phases (B, bins, F); blind to whole turns, -1 is best."""
    return -torch.cos(estimate - target).mean()


def group_delay_loss(estimate: Tensor, target: Tensor) -> Tensor:
    """Mean of -cos of the error of the phase's differences along frequency, (B, bins, F) each; -1 is best."""
    return -torch.cos(_steps(estimate.mT) - _steps(target.mT)).mean()


def phase_time_difference_loss(estimate: Tensor, target: Tensor) -> Tensor:
    """Mean of -cos of the error of the phase's differences along time, (B, bins, F) each; -1 is best."""
    return -torch.cos(_steps(estimate) - _steps(target)).mean()


def amplitude_loss(estimate: Tensor, target: Tensor) -> Tensor:
    """Mean square difference of two log amplitudes (B, bins, F)."""
    return F.mse_loss(estimate, target)


def spectrum_consistency_loss(real: Tensor, imaginary: Tensor, final_real: Tensor, final_imaginary: Tensor) -> Tensor:
    """How far a predicted spectrum is from that of the waveform it becomes; 0 where a waveform has it.

    Args:
        real: (B, bins, F) predicted.
        imaginary: (B, bins, F) predicted.
        final_real: (B, bins, F) of the spectrum of the waveform made of the prediction.
        final_imaginary: (B, bins, F).

    Returns:
        Mean squared distance in the complex plane.
    """
    return ((real - final_real).square() + (imaginary - final_imaginary).square()).mean()


def real_imaginary_loss(real: Tensor, imaginary: Tensor, target_real: Tensor, target_imaginary: Tensor) -> Tensor:
    """Mean absolute difference of the real parts plus that of the imaginary parts, (B, bins, F) each."""
    return F.l1_loss(real, target_real) + F.l1_loss(imaginary, target_imaginary)


def _steps(phase: Tensor) -> Tensor:
    """Differences along the last axis; the first entry is taken as the step from 0, as in the published code."""
    return F.pad(phase, (1, 0))[..., :-1] - phase
