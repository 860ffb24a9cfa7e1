"""Speaker embedding of a three-layer LSTM, with the weights of Resemblyzer.

Source: Wan et al., "Generalized End-to-End Loss for Speaker Verification", 2018, arXiv:1710.10467; front end and
weights of the package resemblyzer 0.1.4: voice activity by WebRTC's detector, mel powers without a logarithm.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from amphion_core.extras import require
from amphion_core.features.filterbank import filterbank
from amphion_core.features.mel_config import MelConfig
from amphion_core.hub import load_weights
from amphion_core.released import read_checkpoint
from amphion_eval.model import Batch
from amphion_eval.models.clips import usable
from amphion_eval.spectral import Resolution, magnitude_stft
from amphion_eval.values import Undefined

__all__ = ["SpeakerEncoder", "embed", "load", "mel_powers", "partials", "speech_only"]

RATE = 16000
SHORTEST = 1.0  # s; the release takes less, and embeds mostly zeros then
_MEL = MelConfig(sample_rate=RATE, n_fft=400, win_length=400, hop_length=160, n_mels=40, power=2, log="none")
_FRAMES = 160  # of one partial utterance, 1.6 s
_STEP = 77  # frames between two, 1.3 a second
_COVERAGE = 0.75  # of the last partial that must be filled
_LEVEL = -30.0  # dBFS up to which quiet clips are raised
_WINDOW = 480  # samples of one voice decision, 30 ms
_SMOOTHING = 8  # decisions
_PAUSE = 6  # decisions of silence that are kept


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


def load(weights: Path, device: str) -> Batch:
    """The encoder of a checkpoint, clips at 16 kHz to (256,) embeddings.

    Args:
        weights: `pretrained.pt` of resemblyzer.
        device: where it runs.

    Raises:
        MissingExtraError: webrtcvad is not installed.
        ValueError: the file holds another network.
    """
    require("webrtcvad", "amphion-eval[speaker]")
    tensors = read_checkpoint(weights, nest="model_state")
    model = SpeakerEncoder()
    # the scale and offset of the loss are of no use after training
    kept = {name: tensor for name, tensor in tensors.items() if name not in ("similarity_weight", "similarity_bias")}
    load_weights(model, kept, str(weights))
    model.to(device).eval()
    return usable(lambda clips: embed(model, clips), RATE, SHORTEST)


@torch.inference_mode()
def embed(model: SpeakerEncoder, clips: list[NDArray[np.float32]]) -> list[NDArray[np.float32] | Undefined]:
    """Embeddings of whole utterances: the mean over partial ones, of length 1.

    Args:
        model: the encoder.
        clips: (T,) at 16 kHz each.

    Returns:
        (256,) each; undefined where no speech is found.
    """
    device = next(model.parameters()).device
    pieces = [partials(speech_only(clip)) for clip in clips]
    counts = [len(piece) for piece in pieces]
    stacked = torch.from_numpy(np.concatenate(pieces)).to(device)
    vectors = [model(part) for part in torch.split(stacked, 256)] if len(stacked) else []
    rows = torch.cat(vectors).cpu().numpy() if vectors else np.zeros((0, 0), np.float32)
    outputs: list[NDArray[np.float32] | Undefined] = []
    for part in np.split(rows, np.cumsum(counts)[:-1]):
        mean = part.mean(axis=0) if len(part) else part
        outputs.append(mean / np.linalg.norm(mean) if len(part) else Undefined("no speech is found in the clip"))
    return outputs


def speech_only(wav: NDArray[np.float32]) -> NDArray[np.float32]:
    """Raise a quiet clip to -30 dBFS and take out its long pauses.

    Args:
        wav: (T,) at 16 kHz.

    Returns:
        (U,) with U at most T.
    """
    level = 20 * np.log10(np.sqrt(np.mean(wav.astype(np.float64) ** 2)))
    if level < _LEVEL:
        wav = wav * np.float32(10 ** ((_LEVEL - level) / 20))
    wav = wav[: wav.size - wav.size % _WINDOW]
    detector = require("webrtcvad", "amphion-eval[speaker]").Vad(3)
    samples = np.clip(np.round(wav * 32767), -32768, 32767).astype("<i2")
    voiced = np.array([detector.is_speech(part.tobytes(), RATE) for part in samples.reshape(-1, _WINDOW)], np.float64)
    before = (_SMOOTHING - 1) // 2
    padded = np.concatenate([np.zeros(before), voiced, np.zeros(_SMOOTHING - 1 - before)])
    if not voiced.size:
        return wav
    smooth = np.round(np.convolve(padded, np.full(_SMOOTHING, 1 / _SMOOTHING), "valid"))
    widened = np.convolve(smooth, np.ones(_PAUSE + 1))[_PAUSE // 2 : _PAUSE // 2 + len(smooth)]
    return wav[np.repeat(widened > 0.5, _WINDOW)]


def partials(wav: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mel powers of partial utterances of 1.6 s that overlap by half; the last is left out where it is mostly empty.

    Args:
        wav: (T,) at 16 kHz, speech only.

    Returns:
        (P, 160, 40); P = 0 where there is no sample.
    """
    if not wav.size:
        return np.zeros((0, _FRAMES, _MEL.n_mels), np.float32)
    frames = -(-(wav.size + 1) // _MEL.hop_length)
    starts = list(range(0, max(1, frames - _FRAMES + _STEP + 1), _STEP))
    covered = (wav.size - starts[-1] * _MEL.hop_length) / (_FRAMES * _MEL.hop_length)
    if covered < _COVERAGE and len(starts) > 1:
        starts.pop()
    end = (starts[-1] + _FRAMES) * _MEL.hop_length
    mel = mel_powers(np.pad(wav, (0, max(0, end - wav.size))))
    return np.stack([mel[start : start + _FRAMES] for start in starts])


def mel_powers(wav: NDArray[np.float32]) -> NDArray[np.float32]:
    """(F, 40) mel powers, frames of 25 ms every 10 ms, centred, zeros beyond the ends.

    Args:
        wav: (T,) at 16 kHz.
    """
    resolution = Resolution(_MEL.n_fft, _MEL.hop_length, _MEL.win_length)
    power = magnitude_stft(wav, resolution, padding="constant") ** 2
    return (power @ filterbank(_MEL).T).astype(np.float32)
