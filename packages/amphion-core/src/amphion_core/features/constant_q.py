"""Constant-Q transform on tensors: bins at equal steps of pitch, by one set of filters and halvings of the rate.

Source: Brown, "Calculation of a constant Q spectral transform", 1991; Schörkhuber and Klapuri, "Constant-Q Transform
Toolbox for Music Processing", 2010, for the octaves: the filters of the highest one serve all, on a signal whose rate
is halved for each. Filters, low-pass and scale are those of nnAudio, with which the released discriminators were
trained; a test compares the numbers.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.signal
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["ConstantQ", "constant_q_frequencies"]

_TAPS = 256
_WINDOW_BANDWIDTH = 1.5  # of a Hann window, in bins


class ConstantQ(nn.Module):
    """Complex constant-Q spectrogram; without weights, its filters are buffers that no checkpoint holds.

    Args:
        sample_rate: Hz.
        hop_length: samples between frames, a multiple of 2 to the number of octaves less one.
        octaves: how many.
        bins_per_octave: how many in each.
        f_min: of the lowest bin, Hz; the default is the note C1.

    Raises:
        ValueError: the highest bin lies above half the sampling rate, or the hop can't be halved that often.
    """

    def __init__(
        self,
        sample_rate: int,
        hop_length: int = 512,
        octaves: int = 9,
        bins_per_octave: int = 24,
        f_min: float = 32.70,
    ) -> None:
        super().__init__()
        self.octaves, self.bins_per_octave = octaves, bins_per_octave
        frequencies = constant_q_frequencies(octaves, bins_per_octave, f_min)
        if frequencies[-1] > sample_rate / 2:
            raise ValueError(
                f"{octaves} octaves from {f_min} Hz reach {frequencies[-1]:.0f} Hz, above half the sampling rate "
                f"{sample_rate / 2:.0f} Hz; take fewer octaves"
            )
        quality = _quality(bins_per_octave)
        self.decimation = _early_decimation(sample_rate, hop_length, octaves, float(frequencies[-1]), quality)
        rate, self.hop_length = sample_rate / self.decimation, hop_length // self.decimation
        if self.hop_length % 2 ** (octaves - 1):
            raise ValueError(f"hop_length {hop_length} can't be halved {octaves - 1} times for {octaves} octaves")
        kernels = _kernels(frequencies[-bins_per_octave:], quality, rate)
        # Of the imaginary part the negative: a correlation takes the conjugate.
        stacked = np.concatenate([kernels.real, -kernels.imag])[:, None]
        # The decimated rate counts, and the factor with it: so it is in the numbers that checkpoints learnt from.
        scale = self.decimation * np.sqrt(np.ceil(quality * rate / frequencies))
        self.register_buffer("kernels", torch.tensor(stacked, dtype=torch.float32), persistent=False)
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32)[:, None], persistent=False)
        self.register_buffer("lowpass", _lowpass(0.5, 0.001), persistent=False)
        self.early = self.decimation > 1
        if self.early:
            self.register_buffer("early_lowpass", _lowpass(1 / self.decimation, 0.03), persistent=False)

    def forward(self, wav: Tensor) -> Tensor:
        """Complex spectrogram of waveforms, computed in float32.

        Args:
            wav: (B, T) samples; zeros are assumed beyond the ends.

        Returns:
            (B, octaves * bins_per_octave, T // hop_length + 1), lowest bin first.

        Raises:
            ValueError: the clip is too short for its lowest octave.
        """
        if wav.ndim != 2:
            raise ValueError(f"wav must be (B, T), got shape {tuple(wav.shape)}")
        if wav.shape[-1] < 2 ** (self.octaves - 1) * self.decimation:
            raise ValueError(f"wav has {wav.shape[-1]} samples, too few to halve its rate {self.octaves - 1} times")
        with torch.autocast(wav.device.type, enabled=False):
            x = wav.float().unsqueeze(1)  # (B, 1, T)
            if self.early:
                x = _decimate(x, self.get_buffer("early_lowpass"), self.decimation)
            levels = [self._octave(x, self.hop_length)]
            for octave in range(1, self.octaves):
                x = _decimate(x, self.get_buffer("lowpass"), 2)
                levels.append(self._octave(x, self.hop_length >> octave))
            spectrum = torch.cat(levels[::-1], dim=1)  # (B, bins, F)
            return spectrum * self.get_buffer("scale")

    def _octave(self, x: Tensor, hop_length: int) -> Tensor:
        kernels = self.get_buffer("kernels")
        parts = F.conv1d(x, kernels, stride=hop_length, padding=kernels.shape[-1] // 2)
        real, imaginary = parts.chunk(2, dim=1)  # (B, bins_per_octave, F)
        return torch.complex(real, imaginary)


def constant_q_frequencies(octaves: int, bins_per_octave: int, f_min: float = 32.70) -> NDArray[np.float64]:
    """Centres of the bins in Hz, (octaves * bins_per_octave,)."""
    steps: NDArray[np.float64] = np.arange(octaves * bins_per_octave) / bins_per_octave
    return f_min * 2.0**steps


def _quality(bins_per_octave: int) -> float:
    """Centre frequency over bandwidth, the same for all bins."""
    return float(1 / (2 ** (1 / bins_per_octave) - 1))


def _early_decimation(rate: int, hop_length: int, octaves: int, f_top: float, quality: float) -> int:
    """Factor by which the signal may be decimated at once, because its highest bin lies far below half the rate."""
    top = f_top * (1 + 0.5 * _WINDOW_BANDWIDTH / quality)
    by_rate = max(0, math.ceil(math.log2(0.85 * (rate // 2) / top)) - 2)
    zeros = (hop_length & -hop_length).bit_length() - 1  # how often the hop can be halved
    return 1 << min(by_rate, max(0, zeros - octaves + 1))


def _kernels(frequencies: NDArray[np.float64], quality: float, rate: float) -> NDArray[np.complex128]:
    """Windowed complex tones of the highest octave, (bins, taps), each of absolute sum 1, centred."""
    lengths = [math.ceil(quality * rate / frequency) for frequency in frequencies]
    taps = 1 << (lengths[0] - 1).bit_length()
    kernels = np.zeros((len(lengths), taps), np.complex128)
    for row, frequency, length in zip(kernels, frequencies, lengths, strict=True):
        time = np.arange(-length // 2, -length // 2 + length)
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
        tone = window * np.exp(2j * np.pi * frequency / rate * time)
        start = math.ceil(taps / 2 - length / 2) - length % 2
        row[start : start + length] = tone / np.abs(tone).sum()
    return kernels


def _lowpass(cutoff: float, transition: float) -> Tensor:
    """Linear-phase low-pass (1, 1, 256) by frequency sampling; `cutoff` is relative to half the rate."""
    taps = scipy.signal.firwin2(_TAPS, [0.0, cutoff / (1 + transition), cutoff * (1 + transition), 1.0], [1, 1, 0, 0])
    return torch.tensor(np.asarray(taps), dtype=torch.float32).view(1, 1, -1)


def _decimate(x: Tensor, lowpass: Tensor, factor: int) -> Tensor:
    return F.conv1d(x, lowpass, stride=factor, padding=(_TAPS - 1) // 2)
