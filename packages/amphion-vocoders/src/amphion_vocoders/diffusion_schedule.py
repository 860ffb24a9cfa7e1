"""Noise schedules of diffusion: how much is added at each step, and where a shorter schedule stands in a longer one.

Source: Ho et al., "Denoising Diffusion Probabilistic Models", 2020, arXiv:2006.11239; the alignment is that of Kong et
al., "DiffWave", 2021, arXiv:2009.09761, appendix on fast sampling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["ReverseStep", "aligned_steps", "linear_betas", "noise_levels", "reverse_steps"]


@dataclass(frozen=True, slots=True)
class ReverseStep:
    """One step from noise to signal: x becomes (x - `estimate` * predicted noise) * `scale` + `noise` * new noise.

    Attributes:
        time: step of the training schedule at which the network is asked, with a fraction.
        estimate: weight of the predicted noise.
        scale: factor of the difference.
        noise: standard deviation of what is added; 0 at the last step.
    """

    time: float
    estimate: float
    scale: float
    noise: float


def linear_betas(first: float, last: float, count: int) -> tuple[float, ...]:
    """Variances from `first` to `last`, evenly spaced."""
    return tuple(float(beta) for beta in np.linspace(first, last, count))


def noise_levels(betas: Sequence[float]) -> tuple[float, ...]:
    """Share of the signal's power that is left after each step: the running product of 1 - beta."""
    return tuple(float(level) for level in np.cumprod(1 - np.asarray(betas, np.float64)))


def aligned_steps(betas: Sequence[float], training_betas: Sequence[float]) -> tuple[float, ...]:
    """The training step, with a fraction, that has as much noise as each step of another schedule.

    Raises:
        ValueError: a step has less noise than the first training step or more than the last.
    """
    levels, trained = noise_levels(betas), noise_levels(training_betas)
    slack = 1e-9  # equal schedules differ by rounding
    roots, places = np.sqrt(trained), np.arange(len(trained), dtype=np.float64)
    for number, level in enumerate(levels):
        if not trained[-1] - slack <= level <= trained[0] + slack:
            raise ValueError(
                f"step {number} of the schedule {tuple(betas)} leaves {level:.6f} of the signal's power, outside of "
                f"what training knows, {trained[-1]:.6f} to {trained[0]:.6f}; begin with a beta of "
                f"{training_betas[0]:g} or more, and let the betas sum to no more than those of training"
            )
    # The roots fall from step to step, and np.interp wants them to rise.
    return tuple(float(time) for time in np.interp(-np.sqrt(levels), -roots, places))


def reverse_steps(betas: Sequence[float], training_betas: Sequence[float]) -> tuple[ReverseStep, ...]:
    """The steps of sampling in the order of their schedule; they are taken from the last to the first.

    Raises:
        ValueError: as `aligned_steps`.
    """
    levels, times = noise_levels(betas), aligned_steps(betas, training_betas)
    steps = []
    for number, (beta, level, time) in enumerate(zip(betas, levels, times, strict=True)):
        before = levels[number - 1] if number else 1.0
        variance = (1 - before) / (1 - level) * beta
        estimate, scale = beta / float(np.sqrt(1 - level)), 1 / float(np.sqrt(1 - beta))
        steps.append(ReverseStep(time, estimate, scale, float(np.sqrt(variance))))
    return tuple(steps)
