"""Naturalness of synthetic speech without a reference: UTMOSv2, which hears the waveform and looks at spectrograms.

Source: Baba et al., "The T05 System for the VoiceMOS Challenge 2024", 2024, arXiv:2409.09305; weights: fold 0 of
sarulab-speech/UTMOSv2, configuration `fusion_stage3`. Deviation: the release draws its crops by chance and mixes each
picture with that of another crop; here they are spread evenly over the clip and stay unmixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.extras import require
from amphion_core.features.mel import mel_spectrogram
from amphion_core.features.mel_config import MelConfig
from amphion_core.hub import load_weights
from amphion_core.released import read_checkpoint
from amphion_eval.model import Batch
from amphion_eval.models.clips import usable
from amphion_eval.models.efficientnet import V2_S, EfficientNet, Stage

__all__ = ["DATASETS", "PictureBranch", "SpeechBranch", "Utmosv2", "batched", "crops", "load", "pictures"]

EXTRA = "amphion-eval[embedding]"
RATE = 16000
SHORTEST = 0.1  # s
HEARD = 48000  # samples of a crop for the speech branch
SEEN = 22400  # samples of a crop for the pictures
FRAMES = 2  # crops that are looked at together
REPETITIONS = 5  # predictions whose mean is the score, as in the paper
WINDOWS = (4096, 2048, 1024, 512)
SIZE = 512  # rows and columns of a picture
RANGE = 80.0  # dB below the loudest of a picture
DATASETS = (
    "bvcc", "sarulab", "blizzard2008", "blizzard2009", "blizzard2010-EH1", "blizzard2010-EH2", "blizzard2010-ES1",
    "blizzard2010-ES3", "blizzard2011", "somos",
)  # fmt: skip
"""The listening tests that it was trained on; a score is the one that listeners of one of them would give."""


class Utmosv2(nn.Module):
    """Crops of a clip and their pictures to a mean opinion score."""

    def __init__(self, config: Any, stages: Sequence[Stage] = V2_S, stem: int = 24, head: int = 1280) -> None:
        super().__init__()
        self.ssl = SpeechBranch(config)
        self.spec_long = PictureBranch(stages, stem, head)
        self.fc = nn.Linear(2 * config.hidden_size + 4 * head + 3 * len(DATASETS), 1)

    def forward(self, wav: Tensor, seen: Tensor, dataset: int) -> Tensor:
        """Score crops.

        Args:
            wav: (B, T) at 16 kHz.
            seen: (B, crops, windows, H, W) pictures.
            dataset: which of `DATASETS` the listeners are of.

        Returns:
            (B,) about 1 to 5.
        """
        listeners = wav.new_zeros(len(wav), len(DATASETS))
        # both branches once had a place of their own for the test, which stays empty when they are joined
        parts = [self.ssl(wav), listeners, self.spec_long(seen), listeners, listeners.clone()]
        parts[-1][:, dataset] = 1
        score: Tensor = self.fc(torch.cat(parts, dim=1))[:, 0]
        return score


class SpeechBranch(nn.Module):
    """wav2vec 2.0: a learnt sum of its layers, attention over time, mean and maximum."""

    def __init__(self, config: Any, heads: int = 8) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.full((config.num_hidden_layers + 1,), 1 / (config.num_hidden_layers + 1)))
        self.encoder = nn.ModuleDict({"model": require("transformers", EXTRA).Wav2Vec2Model(config)})
        self.attn = nn.ModuleList([nn.MultiheadAttention(config.hidden_size, heads, batch_first=True)])

    def forward(self, wav: Tensor) -> Tensor:
        """(B, T) to (B, 2 D)."""
        even = F.layer_norm(wav, wav.shape[1:], eps=1e-7)  # mean 0, variance 1
        states = self.encoder["model"](even, output_hidden_states=True).hidden_states
        frames = torch.einsum("l,lbfd->bfd", self.weights, torch.stack(states))
        return _pooled(self.attn[0], frames)


class PictureBranch(nn.Module):
    """A network for the spectrograms of each window length, their learnt sum, attention over rows of all crops."""

    def __init__(self, stages: Sequence[Stage] = V2_S, stem: int = 24, head: int = 1280, heads: int = 8) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.full((len(WINDOWS),), 1 / len(WINDOWS)))
        self.backbones = nn.ModuleList(EfficientNet(stages, stem, head) for _ in WINDOWS)
        self.attn = nn.MultiheadAttention(2 * head, heads, batch_first=True)

    def forward(self, seen: Tensor) -> Tensor:
        """(B, crops, windows, H, W) to (B, 4 head)."""
        maps = []
        for number, (weight, backbone) in enumerate(zip(self.weights, self.backbones, strict=True)):
            rows = seen[:, :, number].flatten(0, 1)[:, None].expand(-1, 3, -1, -1)
            # one by one they stay in the cache of a CPU, which takes a third off the time
            parts = torch.split(rows, 1 if rows.device.type == "cpu" else len(rows))
            maps.append(weight * torch.cat([backbone(part) for part in parts]))
        total = torch.stack(maps).sum(dim=0)
        total = total.view(*seen.shape[:2], *total.shape[1:])  # (B, crops, head, rows, columns)
        columns = total.permute(0, 3, 2, 1, 4).flatten(3)  # (B, rows, head, crops * columns): crops side by side
        return _pooled(self.attn, torch.cat([columns.mean(dim=3), columns.amax(dim=3)], dim=2))


def _pooled(attention: nn.Module, x: Tensor) -> Tensor:
    """(B, N, D) to (B, 2 D): the mean after attention beside the maximum before it."""
    return torch.cat([attention(x, x, x, need_weights=False)[0].mean(dim=1), x.amax(dim=1)], dim=1)


def load(weights: Path, device: str, dataset: str = "sarulab") -> Batch:
    """The network of a checkpoint, clips at 16 kHz to the mapping `utmosv2`.

    Args:
        weights: `fold0_s42_best_model.pth`.
        device: where it runs.
        dataset: of `DATASETS`.

    Raises:
        MissingExtraError: transformers is not installed.
        ValueError: the file holds another network.
    """
    tensors = read_checkpoint(weights)
    model = Utmosv2(require("transformers", EXTRA).Wav2Vec2Config())
    load_weights(model, tensors, str(weights))
    return batched(model, device, dataset)


def batched(model: Utmosv2, device: str, dataset: str = "sarulab") -> Batch:
    """A network as a function of clips."""
    model.to(device).eval()
    listeners = DATASETS.index(dataset)

    @torch.inference_mode()
    def infer(clips: Sequence[NDArray[np.float32]]) -> list[dict[str, float]]:
        scores = []
        for clip in clips:  # all crops of one clip are a batch, so that none depends on the other clips
            heard = torch.from_numpy(crops(clip, HEARD, REPETITIONS)).to(device)
            frames = torch.from_numpy(crops(clip, SEEN, FRAMES * REPETITIONS)).to(device)
            seen = pictures(frames).view(FRAMES, REPETITIONS, len(WINDOWS), SIZE, SIZE).transpose(0, 1)
            scores.append({"utmosv2": float(model(heard, seen, listeners).mean())})
        return scores

    return usable(infer, RATE, SHORTEST)


def crops(clip: NDArray[np.float32], size: int, count: int) -> NDArray[np.float32]:
    """Crops that begin evenly spaced over a clip, the first at its beginning, the last where it ends with the clip.

    Args:
        clip: (T,); repeated until it is longer than a crop.
        size: samples of a crop.
        count: of crops, at least 2.

    Returns:
        (count, size).
    """
    whole = np.tile(clip, 1 if clip.size > size else size // clip.size + 1)
    starts = [(whole.size - size) * number // (count - 1) for number in range(count)]
    return np.stack([whole[start : start + size] for start in starts])


def pictures(wav: Tensor) -> Tensor:
    """Mel spectrograms of four window lengths as square pictures.

    Args:
        wav: (B, T) at 16 kHz.

    Returns:
        (B, windows, 512, 512), 1 for the loudest of a picture, 0 for what lies 80 dB below it.
    """
    made = []
    for window in WINDOWS:
        power = mel_spectrogram(wav, _mel(window)).clamp(min=1e-10)  # (B, n_mels, F)
        levels = 10 * torch.log10(power / power.amax(dim=(1, 2), keepdim=True))
        shown = 1 + levels.clamp(min=-RANGE) / RANGE
        made.append(F.interpolate(shown[:, None], (SIZE, SIZE), mode="bilinear", antialias=True))
    return torch.cat(made, dim=1)


def _mel(window: int) -> MelConfig:
    return MelConfig(
        sample_rate=RATE,
        n_fft=WINDOWS[0],
        win_length=window,
        hop_length=32,
        n_mels=SIZE,
        f_max=None,
        padding="center_zero",
        power=2,
        log="none",
    )
