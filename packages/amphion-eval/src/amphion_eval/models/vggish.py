"""VGGish: a VGG-type network that gives 128 numbers for each 0.96 s of sound.

Source: Hershey et al., "CNN Architectures for Large-Scale Audio Classification", 2017, arXiv:1609.09430; the public
release's front end and its weights under the keys of the widespread PyTorch conversion.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from amphion_core.hub import load_weights
from amphion_core.released import read_checkpoint
from amphion_eval.values import Undefined

__all__ = ["SAMPLE_RATE", "SHORTEST", "VGGish", "load_vggish", "log_mel"]

SAMPLE_RATE = 16000
WINDOW, HOP, N_FFT = 400, 160, 512
BANDS, F_MIN, F_MAX, OFFSET = 64, 125.0, 7500.0, 0.01
PATCH = 96
"""Frames of a patch, 0.96 s; patches do not overlap."""
SHORTEST = (PATCH - 1) * HOP + WINDOW
"""Samples of the first patch."""
WIDTHS = (64, 128, 256, 256, 512, 512)
POOLED = (0, 1, 3, 5)
"""Convolutions that a pooling by 2 follows."""
AT_ONCE = 64
"""Patches in a pass of the network."""


class VGGish(nn.Module):
    """The network: log-mel patches (N, 96, 64) to embeddings (N, 128).

    Args:
        activation: end with the ReLU of the last layer; the toolkit's FAD takes the values before it.
    """

    def __init__(self, *, activation: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for number, width in enumerate(WIDTHS):
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] if number in POOLED else []
            before = width
        self.features = nn.Sequential(*layers)
        flat = before * (PATCH // 16) * (BANDS // 16)
        self.embeddings = nn.Sequential(
            nn.Linear(flat, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 128)
        )
        self.activation = activation

    def forward(self, patches: Tensor) -> Tensor:
        """Embeddings (N, 128) of patches (N, 96, 64)."""
        maps: Tensor = self.features(patches[:, None])  # (N, 512, 6, 4)
        # The original keeps channels last, so they are the fastest axis of the flat vector.
        embeddings: Tensor = self.embeddings(maps.permute(0, 2, 3, 1).flatten(1))
        return embeddings.relu() if self.activation else embeddings


@lru_cache(maxsize=1)
def _bands() -> Tensor:
    """(257, 64) triangles that are straight in mels, not in Hz; the constant part is left out."""

    def mel(hz: Any) -> Any:
        return 1127.0 * np.log1p(np.asarray(hz) / 700.0)

    bins = mel(np.arange(N_FFT // 2 + 1) * (SAMPLE_RATE / N_FFT))[:, None]
    edges = np.linspace(mel(F_MIN), mel(F_MAX), BANDS + 2)
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    weights = np.maximum(0.0, np.minimum(rising, falling))
    weights[0] = 0.0
    bands: Tensor = torch.from_numpy(weights).float()
    return bands


def log_mel(wav: Tensor) -> Tensor:
    """Patches of the public front end.

    Args:
        wav: (T,) samples at 16 kHz in [-1, 1].

    Returns:
        (N, 96, 64) natural logarithm of mel magnitudes + 0.01; the rest after the last whole patch is dropped. N is 0
        below 0.975 s.
    """
    if wav.shape[-1] < SHORTEST:
        return wav.new_zeros(0, PATCH, BANDS)
    window = torch.hann_window(WINDOW, device=wav.device)
    frames = wav.unfold(-1, WINDOW, HOP) * window  # (F, 400)
    magnitude = torch.fft.rfft(frames, N_FFT).abs()
    values = (magnitude @ _bands().to(wav.device) + OFFSET).log()
    count = values.shape[0] // PATCH
    patches: Tensor = values[: count * PATCH].reshape(count, PATCH, BANDS)
    return patches


class _Loaded:
    """The network with its weights: clips to embeddings (P, 128) each."""

    def __init__(self, network: VGGish, device: str, pca: tuple[Tensor, Tensor] | None) -> None:
        self.network, self.device = network.to(device).eval(), device
        self.pca = None if pca is None else tuple(part.to(device) for part in pca)

    @torch.inference_mode()
    def __call__(self, clips: Sequence[NDArray[np.float32]]) -> list[Any]:
        patches = [log_mel(torch.from_numpy(np.ascontiguousarray(clip)).float().to(self.device)) for clip in clips]
        counts = [len(part) for part in patches]
        if not sum(counts):
            made = torch.zeros(0, 128)
        else:
            made = torch.cat([self._embed(part) for part in torch.split(torch.cat(patches), AT_ONCE)]).cpu()
        pieces = torch.split(made, counts)
        return [
            piece.numpy() if len(piece) else Undefined(f"{len(clip) / SAMPLE_RATE:.3f} s are shorter than 0.975 s")
            for piece, clip in zip(pieces, clips, strict=True)
        ]

    def _embed(self, patches: Tensor) -> Tensor:
        embeddings: Tensor = self.network(patches)
        if self.pca is None:
            return embeddings
        directions, means = self.pca  # (128, 128), (128, 1)
        whitened = (directions @ (embeddings.T - means)).T.clamp(-2.0, 2.0)
        # The release stores them as bytes: 256 steps from -2 to 2.
        return torch.round((whitened + 2.0) * (255.0 / 4.0))


def load_vggish(
    device: str, path: Path | None, *, activation: bool = False, pca: Path | None = None, network: VGGish | None = None
) -> _Loaded:
    """VGGish with the released weights.

    Args:
        device: where it runs.
        path: their file.
        activation: end with the ReLU.
        pca: file of the directions and means with which to whiten and quantise, as the release of AudioSet's embeddings
            did; None doesn't.
        network: an own one instead of the released, such as a small random one for tests.

    Raises:
        ValueError: a file holds the weights of another network.
    """
    if network is None:
        if path is None:
            raise ValueError("give the file of the weights, or a network")
        network = VGGish(activation=activation)
        weights = {k: v for k, v in read_checkpoint(path).items() if not k.startswith("pproc.")}
        load_weights(network, weights, where=str(path))
    parts = None
    if pca is not None:
        held = read_checkpoint(pca)
        if set(held) != {"pca_eigen_vectors", "pca_means"}:
            raise ValueError(f"{pca} holds {', '.join(held)}; pca_eigen_vectors and pca_means are needed")
        parts = held["pca_eigen_vectors"], held["pca_means"].reshape(-1, 1)
    return _Loaded(network, device, parts)
