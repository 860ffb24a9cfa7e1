"""Naturalness of speech without a reference: UTMOS, the strong learner of the VoiceMOS Challenge 2022.

Source: Saeki et al., "UTMOS: UTokyo-SaruLab System for VoiceMOS Challenge 2022", arXiv:2204.02152; weights: release
v1.0.0 of tarepan/SpeechMOS, in which domain and listener are fixed to those of the main track's mean listener.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from amphion_core.extras import require
from amphion_core.hub import load_weights
from amphion_core.released import read_checkpoint
from amphion_eval.model import Batch
from amphion_eval.models.clips import rating
from amphion_eval.models.wavlm_sv import transformers_keys

__all__ = ["UtmosStrong", "load", "own_keys"]

EXTRA = "amphion-eval[embedding]"
RATE = 16000
SHORTEST = 0.1  # s


class UtmosStrong(nn.Module):
    """Waveform to a mean opinion score: wav2vec 2.0, a recurrent layer both ways, a score a frame, their mean."""

    def __init__(self, config: Any, emb: int = 128, hidden: int = 512, inner: int = 2048) -> None:
        super().__init__()
        self.wav2vec2 = require("transformers", EXTRA).Wav2Vec2Model(config)
        self.domain_emb = nn.Parameter(torch.zeros(1, emb), requires_grad=False)
        self.judge_emb = nn.Parameter(torch.zeros(1, emb), requires_grad=False)
        self.blstm = nn.LSTM(config.hidden_size + 2 * emb, hidden, batch_first=True, bidirectional=True)
        self.projection = nn.Sequential(nn.Linear(2 * hidden, inner), nn.ReLU(), nn.Linear(inner, 1))

    def forward(self, wav: Tensor) -> Tensor:
        """Score clips of one length.

        Args:
            wav: (B, T) at 16 kHz.

        Returns:
            (B,) 1 to 5.
        """
        frames = self.wav2vec2(wav).last_hidden_state  # (B, F, D)
        fixed = torch.cat([self.domain_emb, self.judge_emb], dim=1)[:, None].expand(*frames.shape[:2], -1)
        scores = self.projection(self.blstm(torch.cat([frames, fixed], dim=2))[0])  # (B, F, 1)
        mean: Tensor = scores[:, :, 0].mean(dim=1)
        return 2 * mean + 3


def load(weights: Path, device: str) -> Batch:
    """The network of a checkpoint, clips at 16 kHz to the mapping `utmos`.

    Args:
        weights: `utmos22_strong_step7459_v1.pt`.
        device: where it runs.

    Raises:
        MissingExtraError: transformers is not installed.
        ValueError: the file holds another network.
    """
    tensors = read_checkpoint(weights)
    model = UtmosStrong(require("transformers", EXTRA).Wav2Vec2Config())
    load_weights(model, own_keys(tensors), str(weights))
    return batched(model, device)


def batched(model: UtmosStrong, device: str) -> Batch:
    """A network as a function of clips."""
    return rating(model, device, "utmos", RATE, SHORTEST)


def own_keys(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A checkpoint under our names: those inside wav2vec 2.0 become those of transformers.

    Args:
        tensors: under the names of the release.
    """
    prefix = "wav2vec2."
    inner = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    outer = {name: tensor for name, tensor in tensors.items() if not name.startswith(prefix)}
    return outer | {f"{prefix}{name}": tensor for name, tensor in transformers_keys(inner).items()}
