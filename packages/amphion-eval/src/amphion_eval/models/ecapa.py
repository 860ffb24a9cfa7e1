"""Speaker embedding of a time-delay network with channel attention, in the layout of SpeechBrain's VoxCeleb release.

Source: Desplanques et al., "ECAPA-TDNN", 2020, arXiv:2005.07143; weights: speechbrain/spkrec-ecapa-voxceleb. The
front end is the release's: levels of 80 mel powers in dB, at most 80 below the loudest, their mean over time taken off.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.hub import load_weights
from amphion_core.released import read_checkpoint
from amphion_eval.model import Batch
from amphion_eval.models.clips import in_groups, trimmed, usable

__all__ = ["EcapaTdnn", "load", "mel_levels"]

RATE = 16000
SHORTEST = 1.0  # s; what is left after trimming
_N_FFT, _HOP_LENGTH, _BANDS = 400, 160, 80


class EcapaTdnn(nn.Module):
    """Mel levels to an embedding."""

    def __init__(self, bands: int = _BANDS, channels: int = 1024, dim: int = 192, attention: int = 128) -> None:
        super().__init__()
        merged = 3 * channels
        self.blocks = nn.ModuleList([TimeDelayBlock(bands, channels, 5)])
        self.blocks.extend(Res2Block(channels, dilation, attention) for dilation in (2, 3, 4))
        self.mfa = TimeDelayBlock(merged, merged, 1)
        self.asp = AttentivePooling(merged, attention)
        self.asp_bn = Norm(2 * merged)
        self.fc = SameConv(2 * merged, dim, 1)

    def forward(self, levels: Tensor) -> Tensor:
        """Embed clips of one length.

        Args:
            levels: (B, bands, F), their mean over the frames taken off.

        Returns:
            (B, D).
        """
        outputs = [levels]
        for block in self.blocks:
            outputs.append(block(outputs[-1]))
        merged: Tensor = self.mfa(torch.cat(outputs[2:], dim=1))  # (B, 3 C, F)
        pooled = self.asp_bn(self.asp(merged))  # (B, 6 C, 1)
        embedding: Tensor = self.fc(pooled)
        return embedding[:, :, 0]


class SameConv(nn.Module):
    """Convolution that keeps the number of frames; what lies beyond the ends is reflected."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel_size, dilation=dilation)
        self.padding = dilation * (kernel_size - 1) // 2

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, F) to (B, C', F)."""
        out: Tensor = self.conv(F.pad(x, (self.padding, self.padding), mode="reflect") if self.padding else x)
        return out


class Norm(nn.Module):
    """Batch normalisation under the name of the release."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, F) to the same shape."""
        out: Tensor = self.norm(x)
        return out


class TimeDelayBlock(nn.Module):
    """Convolution, rectifier, normalisation."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv = SameConv(inputs, outputs, kernel_size, dilation)
        self.norm = Norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, F) to (B, C', F)."""
        out: Tensor = self.norm(torch.relu(self.conv(x)))
        return out


class Res2Convs(nn.Module):
    """Eight slices of the channels; each but the first is convolved together with the one before."""

    def __init__(self, channels: int, dilation: int, scale: int = 8) -> None:
        super().__init__()
        width = channels // scale
        self.blocks = nn.ModuleList(TimeDelayBlock(width, width, 3, dilation) for _ in range(scale - 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, F) to the same shape."""
        first, *rest = x.chunk(len(self.blocks) + 1, dim=1)
        outputs = [first]
        for number, (block, part) in enumerate(zip(self.blocks, rest, strict=True)):
            outputs.append(block(part if number == 0 else part + outputs[-1]))
        return torch.cat(outputs, dim=1)


class Excitation(nn.Module):
    """Each channel is scaled by what all channels are on average."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.conv1 = SameConv(channels, inner, 1)
        self.conv2 = SameConv(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, F) to the same shape."""
        return x * torch.sigmoid(self.conv2(torch.relu(self.conv1(x.mean(dim=2, keepdim=True)))))


class Res2Block(nn.Module):
    """Two pointwise layers around sliced convolutions, excitation, and the way around all of it."""

    def __init__(self, channels: int, dilation: int, inner: int) -> None:
        super().__init__()
        self.tdnn1 = TimeDelayBlock(channels, channels, 1)
        self.res2net_block = Res2Convs(channels, dilation)
        self.tdnn2 = TimeDelayBlock(channels, channels, 1)
        self.se_block = Excitation(channels, inner)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, F) to the same shape."""
        excited: Tensor = self.se_block(self.tdnn2(self.res2net_block(self.tdnn1(x))))
        return x + excited


class AttentivePooling(nn.Module):
    """Weighted mean and deviation over the frames; the weights know the plain ones."""

    def __init__(self, channels: int, attention: int) -> None:
        super().__init__()
        self.tdnn = TimeDelayBlock(3 * channels, attention, 1)
        self.conv = SameConv(attention, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, F) to (B, 2 C, 1)."""
        plain = _statistics(x, x.new_full((1, 1, x.shape[2]), 1 / x.shape[2]))
        context = torch.cat([x, *(part.expand_as(x) for part in plain)], dim=1)  # (B, 3 C, F)
        weights = torch.softmax(self.conv(torch.tanh(self.tdnn(context))), dim=2)
        return torch.cat(_statistics(x, weights), dim=1)


def load(weights: Path, device: str) -> Batch:
    """The network of a checkpoint, clips at 16 kHz to (192,) embeddings of length 1.

    Args:
        weights: `embedding_model.ckpt` of the release.
        device: where it runs.

    Raises:
        ValueError: the file holds another network.
    """
    model = EcapaTdnn()
    load_weights(model, read_checkpoint(weights), str(weights))
    return batched(model, device)


def batched(model: EcapaTdnn, device: str) -> Batch:
    """A network as a function of clips."""
    model.to(device).eval()

    @torch.inference_mode()
    def infer(clips: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        levels = torch.from_numpy(np.stack([mel_levels(clip) for clip in clips])).to(device)
        return list(F.normalize(model(levels - levels.mean(dim=2, keepdim=True))).cpu().numpy())

    return usable(lambda clips: in_groups(infer, clips), RATE, SHORTEST, trimmed)


def mel_levels(wav: NDArray[np.float32]) -> NDArray[np.float32]:
    """Levels of mel powers, Hamming windows of 25 ms every 10 ms, centred, zeros beyond the ends.

    Args:
        wav: (T,) at 16 kHz.

    Returns:
        (80, F) dB, at most 80 below the loudest.
    """
    padded = np.pad(np.asarray(wav, np.float64), _N_FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _N_FFT)[::_HOP_LENGTH]
    window = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(_N_FFT) / _N_FFT)
    power = np.abs(np.fft.rfft(frames * window)) ** 2
    levels = 10 * np.log10(np.maximum(_filters() @ power.T, 1e-10))
    return np.asarray(np.maximum(levels, levels.max() - 80), np.float32)


@lru_cache(maxsize=1)
def _filters() -> NDArray[np.float64]:
    """(80, 201) triangles; both sides of each are as wide as the left one, as the release has them."""
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, _BANDS + 2) / 2595) - 1)
    widths, centres = np.diff(edges)[:-1], edges[1:-1]
    slope = (np.linspace(0, RATE / 2, _N_FFT // 2 + 1) - centres[:, None]) / widths[:, None]
    return np.asarray(np.maximum(0, 1 - np.abs(slope)))


def _statistics(x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    mean = (weights * x).sum(dim=2, keepdim=True)
    variance = (weights * (x - mean) ** 2).sum(dim=2, keepdim=True)
    return mean, variance.clamp(min=1e-12).sqrt()
