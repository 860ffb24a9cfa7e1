"""Sounds for tests: voices with a known pitch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["glide", "tone"]


def tone(frequency: float, sample_rate: int, duration: float = 0.5) -> NDArray[np.float64]:
    """Steady harmonic tone, ten harmonics of falling strength."""
    return glide(frequency, frequency, sample_rate, duration)


def glide(start: float, end: float, sample_rate: int, duration: float = 0.5) -> NDArray[np.float64]:
    """Harmonic tone whose pitch moves from start to end in Hz, evenly in octaves."""
    time = np.arange(int(duration * sample_rate)) / sample_rate
    phase = 2 * np.pi * np.cumsum(start * (end / start) ** (time / duration)) / sample_rate
    return np.asarray(0.2 * np.sum([np.sin(k * phase) / k for k in range(1, 11)], axis=0))
