"""Quality of speech without a reference: DNSMOS P.835, its personalised variant, and P.808, through ONNX Runtime.

Source: Reddy et al., "DNSMOS P.835", 2022, arXiv:2110.01763, and "DNSMOS", 2021, arXiv:2010.15258; networks of the
package speechmos, front end by the description of the release.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amphion_core.features.filterbank import filterbank
from amphion_core.features.mel_config import MelConfig
from amphion_core.speech.dnsmos import P835, RATE, network, windows
from amphion_eval.model import Batch
from amphion_eval.models.clips import usable
from amphion_eval.spectral import Resolution, magnitude_stft

__all__ = ["load", "load_p808", "mel_levels", "windows"]

SHORTEST = 0.1  # s; the release repeats whatever it gets
_EXTRA = "amphion-eval[mos]"
_MEL = MelConfig(sample_rate=RATE, n_fft=321, win_length=321, hop_length=160, n_mels=120, power=2, log="none")


def load(weights: Path, device: str, *, personalized: bool = False) -> Batch:
    """P.835: clips at 16 kHz to `sig`, `bak` and `ovrl`, 1 to 5 each.

    Args:
        weights: the network of three ratings.
        device: `cpu`, or `cuda:0` where ONNX Runtime can.
        personalized: whether it is the variant that takes interfering voices for noise.

    Raises:
        MissingExtraError: onnxruntime is not installed.
        ValueError: the file is no such network.
    """
    rate = P835(weights, device, personalized=personalized, extra=_EXTRA)

    def named(clips: list[NDArray[np.float32]]) -> list[dict[str, float]]:
        return [dict(zip(("sig", "bak", "ovrl"), map(float, row), strict=True)) for row in rate(clips)]

    return usable(named, RATE, SHORTEST)


def load_p808(weights: Path, device: str) -> Batch:
    """P.808: clips at 16 kHz to the one rating `p808`, 1 to 5.

    Args:
        weights: the network of one rating.
        device: `cpu`, or `cuda:0` where ONNX Runtime can.

    Raises:
        MissingExtraError: onnxruntime is not installed.
        ValueError: the file is no such network.
    """
    run = network(weights, device, _EXTRA)

    def rate(clip: NDArray[np.float32]) -> dict[str, float]:
        return {"p808": float(np.mean([run(mel_levels(window)[None])[0, 0] for window in windows(clip)]))}

    return usable(lambda clips: [rate(clip) for clip in clips], RATE, SHORTEST)


def mel_levels(window: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the network of P.808 hears: mel levels below the loudest, scaled from 40 dB to 1.

    Args:
        window: (144160,) at 16 kHz.

    Returns:
        (900, 120), -1 to 1.
    """
    resolution = Resolution(_MEL.n_fft, _MEL.hop_length, _MEL.win_length)
    power = magnitude_stft(window[: -_MEL.hop_length], resolution, padding="constant") ** 2 @ filterbank(_MEL).T
    level = 10 * np.log10(np.maximum(power, 1e-10)) - 10 * np.log10(max(float(power.max()), 1e-10))
    return np.asarray((np.maximum(level, level.max() - 80) + 40) / 40, np.float32)
