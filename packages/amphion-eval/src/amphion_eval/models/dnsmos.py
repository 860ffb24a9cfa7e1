"""Quality of speech without a reference: DNSMOS P.835, its personalised variant, and P.808, through ONNX Runtime.

Source: Reddy et al., "DNSMOS P.835", 2022, arXiv:2110.01763, and "DNSMOS", 2021, arXiv:2010.15258; networks of the
package speechmos, front end by the description of the release.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amphion_core.extras import require
from amphion_core.features.filterbank import filterbank
from amphion_core.features.mel_config import MelConfig
from amphion_eval.model import Batch
from amphion_eval.models.clips import usable
from amphion_eval.spectral import Resolution, magnitude_stft

__all__ = ["load", "load_p808", "mel_levels", "windows"]

RATE = 16000
SHORTEST = 0.1  # s; the release repeats whatever it gets
_SECONDS = 9.01
_WINDOW = 144160  # samples of them
_MEL = MelConfig(sample_rate=RATE, n_fft=321, win_length=321, hop_length=160, n_mels=120, power=2, log="none")

# Polynomials that the release fits to the ratings of people; highest power first: signal, background, overall.
_PLAIN = (
    (-0.08397278, 1.22083953, 0.0052439),
    (-0.13166888, 1.60915514, -0.39604546),
    (-0.06766283, 1.11546468, 0.04602535),
)
_PERSONALIZED = (
    (-0.01019296, 0.02751166, 1.19576786, -0.24348726),
    (-0.04976499, 0.44276479, -0.1644611, 0.96883132),
    (-0.00533021, 0.005101, 1.18058466, -0.11236046),
)


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
    run = _session(weights, device)
    curves = _PERSONALIZED if personalized else _PLAIN

    def rate(clip: NDArray[np.float32]) -> dict[str, float]:
        raw = np.mean([_polynomials(curves, run(window[None])[0]) for window in windows(clip)], axis=0)
        return dict(zip(("sig", "bak", "ovrl"), map(float, raw), strict=True))

    return usable(lambda clips: [rate(clip) for clip in clips], RATE, SHORTEST)


def load_p808(weights: Path, device: str) -> Batch:
    """P.808: clips at 16 kHz to the one rating `p808`, 1 to 5.

    Args:
        weights: the network of one rating.
        device: `cpu`, or `cuda:0` where ONNX Runtime can.

    Raises:
        MissingExtraError: onnxruntime is not installed.
        ValueError: the file is no such network.
    """
    run = _session(weights, device)

    def rate(clip: NDArray[np.float32]) -> dict[str, float]:
        return {"p808": float(np.mean([run(mel_levels(window)[None])[0, 0] for window in windows(clip)]))}

    return usable(lambda clips: [rate(clip) for clip in clips], RATE, SHORTEST)


def windows(clip: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Windows of 9.01 s, one a second; a shorter clip is repeated until it fills one.

    Args:
        clip: (T,) at 16 kHz.
    """
    times = 1
    while times * clip.size < _WINDOW:  # the release doubles what it has
        times *= 2
    long = np.tile(clip, times)
    for number in range(int(long.size // RATE - _SECONDS) + 1):
        # the release computes ends in seconds; where that loses a sample (number 7 is the first) it drops the window
        if int((number + _SECONDS) * RATE) - number * RATE == _WINDOW:
            yield long[number * RATE : number * RATE + _WINDOW]


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


def _polynomials(curves: tuple[tuple[float, ...], ...], raw: NDArray[np.float32]) -> list[float]:
    return [float(np.polyval(curve, value)) for curve, value in zip(curves, raw, strict=True)]


def _session(weights: Path, device: str) -> Any:
    library = require("onnxruntime", "amphion-eval[mos]")
    options = library.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # the same sums on every machine
    wanted = ["CUDAExecutionProvider"] if device.startswith("cuda") else []
    providers = [name for name in (*wanted, "CPUExecutionProvider") if name in library.get_available_providers()]
    try:
        session = library.InferenceSession(str(weights), options, providers=providers)
    except Exception as error:  # the library's own errors have no common class
        raise ValueError(f"{weights} is no network that ONNX Runtime reads: {error}") from None
    name = session.get_inputs()[0].name

    def run(array: NDArray[np.float32]) -> Any:
        return session.run(None, {name: array})[0]

    return run
