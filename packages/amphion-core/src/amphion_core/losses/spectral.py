"""Distances of waveforms in the time-frequency plane.

Source: Kong et al., "HiFi-GAN", 2020, arXiv:2010.05646 (mel loss); Kumar et al., "High-Fidelity Audio Compression with
Improved RVQGAN", 2023, arXiv:2306.06546 (mels of several resolutions); Yamamoto et al., "Parallel WaveGAN", 2019,
arXiv:1910.11480 (spectral convergence and log magnitude).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.features.mel import MelSpectrogram
from amphion_core.features.mel_config import MelConfig

__all__ = ["MelLoss", "MultiResolutionMelLoss", "MultiResolutionStftLoss", "a_weighting"]


class MelLoss(nn.Module):
    """Mean absolute difference of two waveforms' log-mels.

    Args:
        config: the spectrogram; its `f_max` may differ from the one that the generator takes.
    """

    def __init__(self, config: MelConfig) -> None:
        super().__init__()
        self.mel = MelSpectrogram(config)

    def forward(self, estimate: Tensor, target: Tensor) -> Tensor:
        """The loss of waveforms (B, T) each."""
        with torch.no_grad():
            goal = self.mel(target)
        return F.l1_loss(self.mel(estimate), goal)


class MultiResolutionMelLoss(nn.Module):
    """The sum of log10-mel losses over resolutions.

    Args:
        sample_rate: Hz.
        windows: samples of each Hann window; the hop is a quarter of it.
        n_mels: bands of each resolution.
        f_max: upper edge of the filters, Hz; None is half the sampling rate.
    """

    def __init__(
        self,
        sample_rate: int,
        windows: Sequence[int] = (32, 64, 128, 256, 512, 1024, 2048),
        n_mels: Sequence[int] = (5, 10, 20, 40, 80, 160, 320),
        f_max: float | None = None,
    ) -> None:
        super().__init__()
        self.losses = nn.ModuleList(
            MelLoss(
                MelConfig(
                    sample_rate=sample_rate,
                    n_fft=window,
                    win_length=window,
                    hop_length=window // 4,
                    n_mels=bands,
                    f_max=f_max,
                    padding="center",
                    root_epsilon=0.0,
                    log="log10",
                )
            )
            for window, bands in zip(windows, n_mels, strict=True)
        )

    def forward(self, estimate: Tensor, target: Tensor) -> Tensor:
        """The loss of waveforms (B, T) each; T is at least half the longest window."""
        return torch.stack([loss(estimate, target) for loss in self.losses]).sum()


class MultiResolutionStftLoss(nn.Module):
    """Spectral convergence and log magnitude, averaged over resolutions.

    Args:
        sample_rate: Hz, for the weighting of frequencies.
        n_ffts: samples of each transform.
        hops: samples between its frames.
        windows: samples of its Hann window.
        weighting: scale each bin by the A-weighting curve.
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        n_ffts: Sequence[int] = (1024, 2048, 512),
        hops: Sequence[int] = (120, 240, 50),
        windows: Sequence[int] = (600, 1200, 240),
        weighting: bool = False,
    ) -> None:
        super().__init__()
        self.shapes = tuple(zip(n_ffts, hops, windows, strict=True))
        for number, (n_fft, _, window) in enumerate(self.shapes):
            frequencies = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64)
            gain = 10 ** (a_weighting(frequencies) / 20) if weighting else torch.ones_like(frequencies)
            self.register_buffer(f"gain_{number}", gain.float()[:, None], persistent=False)
            self.register_buffer(f"window_{number}", torch.hann_window(window), persistent=False)

    def forward(self, estimate: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Spectral convergence and log magnitude loss of waveforms (B, T) each."""
        convergence, logarithmic = [], []
        for number in range(len(self.shapes)):
            with torch.no_grad():
                goal = self._magnitude(target, number)
            magnitude = self._magnitude(estimate, number)
            convergence.append(torch.linalg.vector_norm(goal - magnitude) / torch.linalg.vector_norm(goal))
            logarithmic.append(F.l1_loss(magnitude.log(), goal.log()))
        return torch.stack(convergence).mean(), torch.stack(logarithmic).mean()

    def _magnitude(self, wav: Tensor, number: int) -> Tensor:
        n_fft, hop, length = self.shapes[number]
        window = self.get_buffer(f"window_{number}")
        spectrum = torch.stft(wav, n_fft, hop, length, window, center=True, pad_mode="reflect", return_complex=True)
        power = spectrum.real.square() + spectrum.imag.square()
        return power.clamp(1e-7, 1e3).sqrt() * self.get_buffer(f"gain_{number}")  # (B, bins, F)


def a_weighting(frequencies: Tensor) -> Tensor:
    """The A-weighting curve in dB, not below -80 dB; 0 Hz counts as 10 Hz.

    Source: IEC 61672-1:2013.
    """
    squared = torch.where(frequencies == 0, 10.0, frequencies).square()
    poles = [frequency**2 for frequency in (12194.217, 20.598997, 107.65265, 737.86223)]
    ratio = (
        2 * math.log10(poles[0] ** 0.5)
        + 2 * squared.log10()
        - (squared + poles[0]).log10()
        - (squared + poles[1]).log10()
        - 0.5 * (squared + poles[2]).log10()
        - 0.5 * (squared + poles[3]).log10()
    )
    return (2.0 + 20 * ratio).clamp(min=-80.0)
