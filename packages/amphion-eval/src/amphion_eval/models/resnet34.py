"""Speaker embedding of a residual network over a spectrogram, in the layout of WeSpeaker's VoxCeleb release.

Source: Wang et al., "Wespeaker", 2023, arXiv:2210.17016 (ResNet34 after Zeinali et al., "BUT System Description to
VoxCeleb", 2019, arXiv:1910.12592); weights: Wespeaker/wespeaker-voxceleb-resnet34-LM.
"""

from __future__ import annotations

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
from amphion_eval.models.clips import in_groups, trimmed, usable
from amphion_eval.models.kaldi import log_mel

__all__ = ["ResNet34", "load"]

RATE = 16000
SHORTEST = 1.0  # s; what is left after trimming
_BANDS = 80


class ResNet34(nn.Module):
    """Log-mel spectrogram to an embedding."""

    def __init__(
        self, bands: int = _BANDS, channels: int = 32, dim: int = 256, depths: tuple[int, ...] = (3, 4, 6, 3)
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.layer1 = _stage(channels, channels, depths[0], 1)
        self.layer2 = _stage(channels, 2 * channels, depths[1], 2)
        self.layer3 = _stage(2 * channels, 4 * channels, depths[2], 2)
        self.layer4 = _stage(4 * channels, 8 * channels, depths[3], 2)
        self.seg_1 = nn.Linear(2 * (bands // 8) * 8 * channels, dim)

    def forward(self, mel: Tensor) -> Tensor:
        """Embed clips of one length.

        Args:
            mel: (B, bands, F), its mean over the frames taken off.

        Returns:
            (B, D).
        """
        x = torch.relu(self.bn1(self.conv1(mel[:, None])))  # (B, C, bands, F)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        deviation = (x.var(dim=-1) + 1e-7).sqrt()
        pooled = torch.cat([x.mean(dim=-1).flatten(1), deviation.flatten(1)], dim=1)
        embedding: Tensor = self.seg_1(pooled)
        return embedding


class ResidualBlock(nn.Module):
    """Two convolutions and the way around them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, F) to (B, C', H / stride, F / stride)."""
        out = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(out + self.shortcut(x))


def load(weights: Path, device: str) -> Batch:
    """The network of a checkpoint, clips at 16 kHz to (256,) embeddings of length 1.

    Args:
        weights: `avg_model.pt` of the release.
        device: where it runs.

    Raises:
        ValueError: the file holds another network.
    """
    tensors = read_checkpoint(weights)
    model = ResNet34()
    # the rows of the loss, one a speaker of the training set, are of no use after it
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("projection.")}
    load_weights(model, kept, str(weights))
    return batched(model, device)


def batched(model: ResNet34, device: str) -> Batch:
    """A network as a function of clips."""
    model.to(device).eval()

    @torch.inference_mode()
    def infer(clips: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        mel = np.stack([log_mel(clip * 32768, _BANDS, RATE) for clip in clips])  # (B, F, bands)
        centred = torch.from_numpy(mel - mel.mean(axis=1, keepdims=True)).to(device)
        return list(F.normalize(model(centred.transpose(1, 2))).cpu().numpy())

    return usable(lambda clips: in_groups(infer, clips), RATE, SHORTEST, trimmed)


def _stage(inputs: int, outputs: int, depth: int, stride: int) -> nn.Sequential:
    first = ResidualBlock(inputs, outputs, stride)
    return nn.Sequential(first, *(ResidualBlock(outputs, outputs, 1) for _ in range(depth - 1)))
