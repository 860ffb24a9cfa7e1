"""Losses of generators that predict amplitude and phase before they make samples.

Source: Ai and Ling, "APNet", 2023, arXiv:2305.07952.
"""

from __future__ import annotations

from typing import Protocol

from pydantic import Field
from torch import Tensor

from amphion_core.config import Config
from amphion_core.features import MelConfig
from amphion_core.features.stft import amplitude_phase
from amphion_core.losses import amplitude_loss, phase_losses, real_imaginary_loss, spectrum_consistency_loss

__all__ = ["PredictedSpectra", "SpectraLossConfig", "spectra_terms"]


class PredictedSpectra(Protocol):
    """What `generator.spectra(mel)` gives: tensors (B, n_fft // 2 + 1, F) and a waveform (B, F * hop_length)."""

    @property
    def log_amplitude(self) -> Tensor:
        """Natural log of the magnitude."""
        ...

    @property
    def phase(self) -> Tensor:
        """Radians."""
        ...

    @property
    def real(self) -> Tensor:
        """Real part."""
        ...

    @property
    def imaginary(self) -> Tensor:
        """Imaginary part."""
        ...

    @property
    def wav(self) -> Tensor:
        """The waveform of the spectrum."""
        ...


class SpectraLossConfig(Config):
    """Weights; 0 leaves a term out. The defaults are those of the paper.

    Attributes:
        amplitude: of the squared distance of log amplitudes.
        phase: of the phase, its group delay and its difference in time, each minus a cosine.
        consistency: of the distance between the spectrum predicted and that of the waveform made of it.
        parts: of the distance of real and imaginary parts from those of the recording.
    """

    amplitude: float = Field(45.0, ge=0)
    phase: float = Field(100.0, ge=0)
    consistency: float = Field(20.0, ge=0)
    parts: float = Field(45.0, ge=0)

    @property
    def teaches(self) -> bool:
        """Whether any term is left in."""
        return bool(self.amplitude or self.phase or self.consistency or self.parts)


def spectra_terms(
    spectra: PredictedSpectra, wav: Tensor, mel: MelConfig, weights: SpectraLossConfig
) -> dict[str, Tensor]:
    """Weighted losses by name.

    Args:
        spectra: predicted.
        wav: (B, F * hop_length) recordings.
        mel: framing.
        weights: of the terms.
    """
    goal = amplitude_phase(wav, mel)
    terms = {}
    if weights.amplitude:
        terms["amplitude"] = weights.amplitude * amplitude_loss(spectra.log_amplitude, goal.log_amplitude)
    if weights.phase:
        terms["phase"] = weights.phase * sum(phase_losses(spectra.phase, goal.phase), start=wav.new_zeros(()))
    if weights.consistency:
        final = amplitude_phase(spectra.wav, mel)
        distance = spectrum_consistency_loss(spectra.real, spectra.imaginary, final.real, final.imaginary)
        terms["consistency"] = weights.consistency * distance
    if weights.parts:
        distance = real_imaginary_loss(spectra.real, spectra.imaginary, goal.real, goal.imaginary)
        terms["parts"] = weights.parts * distance
    return terms
