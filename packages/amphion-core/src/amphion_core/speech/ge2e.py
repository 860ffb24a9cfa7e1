"""Speaker embedding of a three-layer LSTM, with the weights of Resemblyzer.

Source: Wan et al., "Generalized End-to-End Loss for Speaker Verification", 2018, arXiv:1710.10467; front end and
weights of the package resemblyzer 0.1.4: mel powers without a logarithm.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from amphion_core.features.filterbank import filterbank
from amphion_core.features.mel_config import MelConfig
from amphion_core.features.spectrum import stft_magnitude
from amphion_core.hub import load_weights
from amphion_core.released import read_checkpoint

__all__ = ["FRAMES", "RATE", "SpeakerEncoder", "embed", "load_encoder", "mel_powers", "partials"]

RATE = 16000
FRAMES = 160
"""Frames of one partial utterance, 1.6 s."""

_MEL = MelConfig(sample_rate=RATE, n_fft=400, win_length=400, hop_length=160, n_mels=40, power=2, log="none")
_STEP = 77  # frames between two partials, 1.3 a second
_COVERAGE = 0.75  # of the last partial that must be filled
_BATCH = 256


class SpeakerEncoder(nn.Module):
    """Mel powers to an embedding of length 1 without negative numbers."""

    def __init__(self, n_mels: int = 40, dim: int = 256, num_layers: int = 3) -> None:
        super().__init__()
        self.lstm = nn.LSTM(n_mels, dim, num_layers, batch_first=True)
        self.linear = nn.Linear(dim, dim)

    def forward(self, mel: Tensor) -> Tensor:
        """Embed partial utterances.

        Args:
            mel: (B, F, n_mels) powers.

        Returns:
            (B, D).
        """
        _, (hidden, _) = self.lstm(mel)
        raw = torch.relu(self.linear(hidden[-1]))  # (B, D)
        embedding: Tensor = raw / raw.norm(dim=1, keepdim=True)
        return embedding


def load_encoder(weights: Path, device: str = "cpu") -> SpeakerEncoder:
    """The encoder of a checkpoint, ready to embed.

    Args:
        weights: `pretrained.pt` of resemblyzer.
        device: where it runs.

    Raises:
        ValueError: the file holds another network.
    """
    tensors = read_checkpoint(weights, nest="model_state")
    model = SpeakerEncoder()
    # the scale and offset of the loss are of no use after training
    kept = {name: tensor for name, tensor in tensors.items() if name not in ("similarity_weight", "similarity_bias")}
    load_weights(model, kept, str(weights))
    return model.to(device).eval()


@torch.inference_mode()
def embed(model: SpeakerEncoder, clips: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32] | None]:
    """Embeddings of stretches of speech: the mean over partial utterances, of length 1.

    Args:
        model: the encoder.
        clips: (T,) at 16 kHz each, speech only.

    Returns:
        (256,) each; None where there is no sample.
    """
    device = next(model.parameters()).device
    pieces = [partials(clip) for clip in clips]
    counts = [len(piece) for piece in pieces]
    if not sum(counts):
        return [None] * len(clips)
    stacked = torch.from_numpy(np.concatenate(pieces)).to(device)
    rows = torch.cat([model(part) for part in torch.split(stacked, _BATCH)]).cpu().numpy()
    outputs: list[NDArray[np.float32] | None] = []
    for part in np.split(rows, np.cumsum(counts)[:-1]):
        mean = part.mean(axis=0) if len(part) else None
        outputs.append(None if mean is None else mean / np.linalg.norm(mean))
    return outputs


def partials(wav: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mel powers of partial utterances of 1.6 s that overlap by half; the last is left out where it is mostly empty.

    Args:
        wav: (T,) at 16 kHz, speech only.

    Returns:
        (P, 160, 40); P = 0 where there is no sample.
    """
    if not wav.size:
        return np.zeros((0, FRAMES, _MEL.n_mels), np.float32)
    frames = -(-(wav.size + 1) // _MEL.hop_length)
    starts = list(range(0, max(1, frames - FRAMES + _STEP + 1), _STEP))
    covered = (wav.size - starts[-1] * _MEL.hop_length) / (FRAMES * _MEL.hop_length)
    if covered < _COVERAGE and len(starts) > 1:
        starts.pop()
    end = (starts[-1] + FRAMES) * _MEL.hop_length
    mel = mel_powers(np.pad(wav, (0, max(0, end - wav.size))))
    return np.stack([mel[start : start + FRAMES] for start in starts])


def mel_powers(wav: NDArray[np.float32]) -> NDArray[np.float32]:
    """(F, 40) mel powers, frames of 25 ms every 10 ms, centred, zeros beyond the ends.

    Args:
        wav: (T,) at 16 kHz.
    """
    power = stft_magnitude(wav, _MEL.n_fft, _MEL.hop_length, _MEL.win_length) ** 2
    return (power.T @ filterbank(_MEL).T).astype(np.float32)
