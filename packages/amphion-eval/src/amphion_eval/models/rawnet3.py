"""Speaker embedding from the waveform itself: a filterbank of learnt band-pass filters and a residual network.

Source: Jung et al., "Pushing the limits of raw waveform speaker recognition", 2022, arXiv:2203.08488; filters after
Ravanelli and Bengio, "Speaker Recognition from Raw Waveform with SincNet", 2018, arXiv:1808.00158, with a sine beside
each cosine; weights: jungjee/RawNet3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.hub import load_weights
from amphion_core.released import read_checkpoint
from amphion_eval.model import Batch
from amphion_eval.models.clips import trimmed, usable

__all__ = ["RawNet3", "load", "windows"]

RATE = 16000
SHORTEST = 1.0  # s; what is left after trimming
_WINDOW = 48000  # samples, 3 s
_WINDOWS = 10


class RawNet3(nn.Module):
    """Waveform to an embedding."""

    def __init__(self, channels: int = 1024, dim: int = 256, taps: int = 251, merged: int = 1536) -> None:
        super().__init__()
        self.preprocess = nn.Sequential(PreEmphasis(), nn.InstanceNorm1d(1, eps=1e-4, affine=True))
        self.conv1 = SincEncoder(channels // 4, taps)
        self.bn1 = nn.BatchNorm1d(channels // 4)
        self.layer1 = Bottleneck(channels // 4, channels, 2, 5)
        self.layer2 = Bottleneck(channels, channels, 3, 3)
        self.layer3 = Bottleneck(channels, channels, 4, 1)
        self.layer4 = nn.Conv1d(3 * channels, merged, 1)
        self.attention = nn.Sequential(
            nn.Conv1d(3 * merged, 128, 1), nn.ReLU(), nn.BatchNorm1d(128), nn.Conv1d(128, merged, 1), nn.Softmax(dim=2)
        )
        self.bn5 = nn.BatchNorm1d(2 * merged)
        self.fc6 = nn.Linear(2 * merged, dim)
        self.bn6 = nn.BatchNorm1d(dim)  # in the release, but not used there

    def forward(self, wav: Tensor) -> Tensor:
        """Embed windows of one length.

        Args:
            wav: (B, T) at 16 kHz.

        Returns:
            (B, D).
        """
        x = (self.conv1(self.preprocess(wav[:, None])).abs() + 1e-6).log()  # (B, C / 4, F)
        first = self.layer1(x - x.mean(dim=2, keepdim=True))  # (B, C, F / 5)
        pooled = F.max_pool1d(first, 3)  # (B, C, F / 15)
        second = self.layer2(first)
        third = self.layer3(pooled + second)
        x = torch.relu(self.layer4(torch.cat([pooled, second, third], dim=1)))
        deviation = x.var(dim=2, keepdim=True).clamp(1e-4, 1e4).sqrt()
        plain = [part.expand_as(x) for part in (x.mean(dim=2, keepdim=True), deviation)]
        weights = self.attention(torch.cat([x, *plain], dim=1))
        mean = (x * weights).sum(dim=2)
        variance = (x**2 * weights).sum(dim=2) - mean**2
        statistics = torch.cat([mean, variance.clamp(1e-4, 1e4).sqrt()], dim=1)
        embedding: Tensor = self.fc6(self.bn5(statistics))
        return embedding


class PreEmphasis(nn.Module):
    """First difference of the samples, weighted by 0.97."""

    flipped_filter: Tensor

    def __init__(self, weight: float = 0.97) -> None:
        super().__init__()
        self.register_buffer("flipped_filter", torch.tensor([[[-weight, 1.0]]]))

    def forward(self, wav: Tensor) -> Tensor:
        """(B, 1, T) to the same shape."""
        return F.conv1d(F.pad(wav, (1, 0), mode="reflect"), self.flipped_filter)


class SincEncoder(nn.Module):
    """The filterbank under the name of the release."""

    def __init__(self, filters: int, taps: int) -> None:
        super().__init__()
        self.filterbank = SincFilters(filters, taps)

    def forward(self, wav: Tensor) -> Tensor:
        """(B, 1, T) to (B, filters, F), F = (T - taps) // 10 + 1."""
        return F.conv1d(wav, self.filterbank(), stride=10)


class SincFilters(nn.Module):
    """Band-pass filters given by their edges: half of them even, half odd."""

    n_: Tensor
    window_: Tensor

    def __init__(self, filters: int, taps: int) -> None:
        super().__init__()
        if taps % 2 == 0 or filters % 2:
            raise ValueError(f"the number of taps must be odd and that of filters even; got {taps} and {filters}")
        mel = torch.linspace(_mel(30.0), _mel(RATE / 2 - 100), filters // 2 + 1)
        edges = 700 * (10 ** (mel / 2595) - 1)
        self.low_hz_ = nn.Parameter(edges[:-1, None].clone())
        self.band_hz_ = nn.Parameter(edges.diff()[:, None].clone())
        half = taps // 2
        steps = torch.arange(half) * (taps / 2 - 1) / max(1, half - 1)
        self.register_buffer("window_", 0.54 - 0.46 * torch.cos(2 * math.pi * steps / taps))
        self.register_buffer("n_", 2 * math.pi * torch.arange(-half, 0).float()[None] / RATE)

    def forward(self) -> Tensor:
        """(filters, 1, taps) impulse responses, peaks of about one."""
        low = 50 + self.low_hz_.abs()
        high = (low + 50 + self.band_hz_.abs()).clamp(50, RATE / 2)
        band = high - low  # (filters / 2, 1)
        left_even = (torch.sin(high * self.n_) - torch.sin(low * self.n_)) / (self.n_ / 2) * self.window_
        left_odd = (torch.cos(low * self.n_) - torch.cos(high * self.n_)) / (self.n_ / 2) * self.window_
        even = torch.cat([left_even, 2 * band, left_even.flip(1)], dim=1)
        odd = torch.cat([left_odd, torch.zeros_like(band), -left_odd.flip(1)], dim=1)
        return torch.cat([even / (2 * band), odd / (2 * band)])[:, None]


class Bottleneck(nn.Module):
    """Two pointwise layers around sliced convolutions; pooled, and each channel scaled by what all are on average."""

    def __init__(self, inputs: int, outputs: int, dilation: int, pool: int, scale: int = 8) -> None:
        super().__init__()
        width = outputs // scale
        self.width, self.pool = width, pool
        self.conv1 = nn.Conv1d(inputs, width * scale, 1)
        self.bn1 = nn.BatchNorm1d(width * scale)
        self.convs = nn.ModuleList(
            nn.Conv1d(width, width, 3, dilation=dilation, padding=dilation) for _ in range(scale - 1)
        )
        self.bns = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(scale - 1))
        self.conv3 = nn.Conv1d(width * scale, outputs, 1)
        self.bn3 = nn.BatchNorm1d(outputs)
        self.afms = ChannelScale(outputs)
        self.residual = nn.Sequential()
        if inputs != outputs:
            self.residual = nn.Sequential(nn.Conv1d(inputs, outputs, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, F) to (B, C', F / pool)."""
        out = self.bn1(torch.relu(self.conv1(x)))
        *parts, last = torch.split(out, self.width, dim=1)
        outputs: list[Tensor] = []
        for number, (part, conv, norm) in enumerate(zip(parts, self.convs, self.bns, strict=True)):
            outputs.append(norm(torch.relu(conv(part if number == 0 else part + outputs[-1]))))
        out = self.bn3(torch.relu(self.conv3(torch.cat([*outputs, last], dim=1)))) + self.residual(x)
        scaled: Tensor = self.afms(F.max_pool1d(out, self.pool) if self.pool > 1 else out)
        return scaled


class ChannelScale(nn.Module):
    """A constant is added to each channel, then it is scaled."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(channels, 1))
        self.fc = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, F) to the same shape."""
        scale = torch.sigmoid(self.fc(x.mean(dim=2)))[:, :, None]
        return (x + self.alpha) * scale


def load(weights: Path, device: str) -> Batch:
    """The network of a checkpoint, clips at 16 kHz to (256,) embeddings of length 1.

    Args:
        weights: `model.pt` of the release.
        device: where it runs.

    Raises:
        ValueError: the file holds another network.
    """
    model = RawNet3()
    load_weights(model, read_checkpoint(weights), str(weights))
    return batched(model, device)


def batched(model: RawNet3, device: str) -> Batch:
    """A network as a function of clips."""
    model.to(device).eval()

    @torch.inference_mode()
    def infer(clips: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        outputs = [model(torch.from_numpy(windows(clip)).to(device)).mean(dim=0) for clip in clips]
        return list(F.normalize(torch.stack(outputs)).cpu().numpy())

    return usable(infer, RATE, SHORTEST, trimmed)


def windows(clip: NDArray[np.float32]) -> NDArray[np.float32]:
    """Ten windows of 3 s with evenly spaced beginnings; a shorter clip is repeated from its start.

    Args:
        clip: (T,) at 16 kHz.

    Returns:
        (10, 48000).
    """
    long = np.pad(clip, (0, max(0, _WINDOW - clip.size)), mode="wrap")
    starts = np.linspace(0, long.size - _WINDOW, _WINDOWS).astype(np.int64)
    return np.stack([long[start : start + _WINDOW] for start in starts])


def _mel(frequency: float) -> float:
    return 2595 * math.log10(1 + frequency / 700)
