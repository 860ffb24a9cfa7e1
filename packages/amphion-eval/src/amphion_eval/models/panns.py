"""PANNs Cnn14: a convolutional classifier of 527 AudioSet classes, with 2048 numbers for a clip.

Source: Kong et al., "PANNs: Large-Scale Pretrained Audio Neural Networks for Audio Pattern Recognition", 2020,
arXiv:1912.10211; weights: Zenodo record 3987831.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.features import MelConfig
from amphion_core.features.filterbank import filterbank
from amphion_core.hub import load_weights
from amphion_core.released import read_checkpoint
from amphion_eval.values import Undefined

__all__ = ["CLASSES", "CNN14_16K", "CNN14_32K", "Cnn14", "Cnn14Config", "load_panns"]

CLASSES = 527
_COPIED = ("spectrogram_extractor.", "logmel_extractor.")
"""Constants of the front end that the released files hold; ours are computed, and compared."""


@dataclass(frozen=True)
class Cnn14Config:
    """Front end and size.

    Attributes:
        sample_rate: Hz.
        n_fft: samples of a window.
        hop_length: samples between frames.
        f_max: upper edge of the last band, Hz.
        f_min: lower edge of the first band, Hz.
        bands: of the log-mel.
        widths: channels of the blocks.
        classes: of the last layer.
    """

    sample_rate: int
    n_fft: int
    hop_length: int
    f_max: float
    f_min: float = 50.0
    bands: int = 64
    widths: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048)
    classes: int = CLASSES

    @property
    def mel(self) -> NDArray[np.float64]:
        """(bands, n_fft // 2 + 1) filters."""
        return filterbank(
            MelConfig(
                sample_rate=self.sample_rate,
                n_fft=self.n_fft,
                win_length=self.n_fft,
                hop_length=self.hop_length,
                n_mels=self.bands,
                f_min=self.f_min,
                f_max=self.f_max,
            )
        )


CNN14_16K = Cnn14Config(16000, 512, 160, 8000.0)
CNN14_32K = Cnn14Config(32000, 1024, 320, 14000.0)


class _Block(nn.Module):
    """Two 3 x 3 convolutions with batch norm."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(x)))


class Cnn14(nn.Module):
    """The network: clips (B, T) of one length to embeddings (B, 2048) and logits (B, 527)."""

    window: Tensor
    bands: Tensor

    def __init__(self, config: Cnn14Config) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("window", torch.hann_window(config.n_fft), persistent=False)
        self.register_buffer("bands", torch.from_numpy(config.mel.T.copy()).float(), persistent=False)
        self.bn0 = nn.BatchNorm2d(config.bands)
        before = 1
        for number, width in enumerate(config.widths, 1):
            self.add_module(f"conv_block{number}", _Block(before, width))
            before = width
        self.fc1 = nn.Linear(before, before)
        self.fc_audioset = nn.Linear(before, config.classes)

    @property
    def shortest(self) -> int:
        """Samples below which a pooling would have nothing left."""
        return self.config.hop_length << (len(self.config.widths) - 1)

    def log_mel(self, wav: Tensor) -> Tensor:
        """Decibels of mel powers (B, F, bands) of clips (B, T); frames are centred, ends reflected."""
        config = self.config
        spectrum = torch.stft(
            wav, config.n_fft, config.hop_length, window=self.window, center=True, return_complex=True
        )
        power = spectrum.abs().square().mT @ self.bands
        return 10.0 * power.clamp(min=1e-10).log10()

    def forward(self, wav: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings (B, D) and logits (B, classes) of clips (B, T)."""
        x = self.log_mel(wav)[:, None]  # (B, 1, F, bands)
        x = self.bn0(x.transpose(1, 3)).transpose(1, 3)
        last = len(self.config.widths)
        for number in range(1, last + 1):
            x = self.get_submodule(f"conv_block{number}")(x)
            x = F.avg_pool2d(x, 2) if number < last else x
        x = x.mean(dim=3)  # (B, D, F / 32)
        x = x.amax(dim=2) + x.mean(dim=2)
        embedding = F.relu(self.fc1(x))
        logits: Tensor = self.fc_audioset(embedding)
        return embedding, logits


class _Loaded:
    """The network with its weights: clips to `{"embedding": (2048,), "logits": (527,)}`."""

    def __init__(self, network: Cnn14, device: str) -> None:
        self.network, self.device = network.to(device).eval(), device

    @torch.inference_mode()
    def __call__(self, clips: Sequence[NDArray[np.float32]]) -> list[Any]:
        results: list[Any] = [None] * len(clips)
        # A pooling over all frames and a batch norm before it leave no padding neutral: only equal lengths go together.
        lengths: dict[int, list[int]] = {}
        for number, clip in enumerate(clips):
            lengths.setdefault(len(clip), []).append(number)
        for length, numbers in lengths.items():
            if length < self.network.shortest:
                seconds = length / self.network.config.sample_rate
                least = self.network.shortest / self.network.config.sample_rate
                for number in numbers:
                    results[number] = Undefined(f"{seconds:.3f} s are shorter than {least:.2f} s")
                continue
            wav = torch.from_numpy(np.stack([clips[number] for number in numbers])).float().to(self.device)
            embeddings, logits = (part.cpu().numpy() for part in self.network(wav))
            for number, embedding, row in zip(numbers, embeddings, logits, strict=True):
                results[number] = {"embedding": embedding, "logits": row}
        return results


def load_panns(
    device: str, path: Path | None, config: Cnn14Config = CNN14_16K, *, network: Cnn14 | None = None
) -> _Loaded:
    """Cnn14 with the released weights.

    Args:
        device: where it runs.
        path: their file.
        config: which release.
        network: an own one instead of the released, such as a small random one for tests.

    Raises:
        ValueError: the file holds the weights of another network or front end.
    """
    if network is None:
        if path is None:
            raise ValueError("give the file of the weights, or a network")
        network = Cnn14(config)
        load_weights(network, _own(read_checkpoint(path, nest="model"), network, str(path)), where=str(path))
    return _Loaded(network, device)


def _own(weights: dict[str, Tensor], network: Cnn14, where: str) -> dict[str, Tensor]:
    """Released weights without the constants of the front end, which must be those that we compute."""
    stored = weights.get("logmel_extractor.melW")
    if stored is not None and (
        stored.shape != network.bands.shape or not torch.allclose(stored.float(), network.bands, atol=1e-5)
    ):
        raise ValueError(f"{where}: its mel filters {tuple(stored.shape)} are not those of {network.config}")
    return {name: value for name, value in weights.items() if not name.startswith(_COPIED)}
