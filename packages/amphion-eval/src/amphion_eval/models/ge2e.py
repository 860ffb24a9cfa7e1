"""Speaker embedding of a three-layer LSTM, with the weights of Resemblyzer and WebRTC's voice activity before it.

Source: Wan et al., "Generalized End-to-End Loss for Speaker Verification", 2018, arXiv:1710.10467; front end and
weights of the package resemblyzer 0.1.4.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amphion_core.extras import require
from amphion_core.speech.ge2e import RATE, SpeakerEncoder, load_encoder, partials
from amphion_core.speech.ge2e import embed as embed_speech
from amphion_eval.model import Batch
from amphion_eval.models.clips import usable
from amphion_eval.values import Undefined

__all__ = ["SpeakerEncoder", "embed", "load", "partials", "speech_only"]

SHORTEST = 1.0  # s; the release takes less, and embeds mostly zeros then
_LEVEL = -30.0  # dBFS up to which quiet clips are raised
_WINDOW = 480  # samples of one voice decision, 30 ms
_SMOOTHING = 8  # decisions
_PAUSE = 6  # decisions of silence that are kept


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
    model = load_encoder(weights, device)
    return usable(lambda clips: embed(model, clips), RATE, SHORTEST)


def embed(model: SpeakerEncoder, clips: list[NDArray[np.float32]]) -> list[NDArray[np.float32] | Undefined]:
    """Embeddings of whole utterances: the mean over partial ones, of length 1.

    Args:
        model: the encoder.
        clips: (T,) at 16 kHz each.

    Returns:
        (256,) each; undefined where no speech is found.
    """
    none = Undefined("no speech is found in the clip")
    vectors = embed_speech(model, [speech_only(clip) for clip in clips])
    return [none if vector is None else vector for vector in vectors]


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
