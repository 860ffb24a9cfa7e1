"""Quality of speech without a reference: the network and windows of DNSMOS P.835 and its personalised variant.

Source: Reddy et al., "DNSMOS P.835", 2022, arXiv:2110.01763; networks of the package speechmos, front end by the
description of the release. Needs onnxruntime, no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amphion_core.extras import require

__all__ = ["P835", "RATE", "WINDOW", "network", "windows"]

RATE = 16000
WINDOW = 144160
"""Samples of one window, 9.01 s."""

_SECONDS = 9.01

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


class P835:
    """Clips at 16 kHz to three ratings each, 1 to 5.

    Args:
        weights: the network of three ratings.
        device: `cpu`, or `cuda:0` where ONNX Runtime can.
        personalized: whether it is the variant that takes interfering voices for noise.
        batch: windows in one call, of any clips.
        extra: what brings onnxruntime, for the error.
    """

    def __init__(
        self, weights: Path, device: str = "cpu", *, personalized: bool = False, batch: int = 1, extra: str
    ) -> None:
        """Load the network.

        Raises:
            MissingExtraError: onnxruntime is not installed.
            ValueError: the file is no such network, or the batch is not positive.
        """
        if batch < 1:
            raise ValueError(f"batch must be 1 or more, got {batch}")
        self._run = network(weights, device, extra)
        self._curves = _PERSONALIZED if personalized else _PLAIN
        self._batch = batch

    def __call__(self, clips: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
        """Ratings of clips.

        Args:
            clips: (T,) at 16 kHz each, none empty.

        Returns:
            (B, 3): signal, background, overall; the mean over a clip's windows.

        Raises:
            ValueError: a clip has no sample.
        """
        ratings = np.zeros((len(clips), 3))
        counts = np.zeros(len(clips), np.int64)
        pending: list[tuple[int, NDArray[np.float32]]] = []
        for number, clip in enumerate(clips):
            for window in windows(clip):
                pending.append((number, window))
                if len(pending) == self._batch:
                    self._add(pending, ratings, counts)
        self._add(pending, ratings, counts)
        return ratings / counts[:, None]

    def _add(
        self, pending: list[tuple[int, NDArray[np.float32]]], ratings: NDArray[np.float64], counts: NDArray[np.int64]
    ) -> None:
        if not pending:
            return
        raw = self._run(np.stack([window for _, window in pending]))
        for (number, _), row in zip(pending, raw, strict=True):
            ratings[number] += [np.polyval(curve, value) for curve, value in zip(self._curves, row, strict=True)]
            counts[number] += 1
        pending.clear()


def windows(clip: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Windows of 9.01 s, one a second; a shorter clip is repeated until it fills one.

    Args:
        clip: (T,) at 16 kHz.

    Raises:
        ValueError: there is no sample; it would be repeated for ever.
    """
    if not clip.size:
        raise ValueError("DNSMOS needs samples, the clip has none")
    times = 1
    while times * clip.size < WINDOW:  # the release doubles what it has
        times *= 2
    long = np.tile(clip, times)
    for number in range(int(long.size // RATE - _SECONDS) + 1):
        # the release computes ends in seconds; where that loses a sample (number 7 is the first) it drops the window
        if int((number + _SECONDS) * RATE) - number * RATE == WINDOW:
            yield long[number * RATE : number * RATE + WINDOW]


def network(weights: Path, device: str, extra: str, threads: int = 1) -> Callable[[NDArray[np.float32]], Any]:
    """A network of one input and one output as a function of arrays.

    Args:
        weights: an ONNX file.
        device: `cpu`, or `cuda:0` where ONNX Runtime can.
        extra: what brings onnxruntime, for the error.
        threads: of the CPU; with one, sums are the same on every machine.

    Raises:
        MissingExtraError: onnxruntime is not installed.
        ValueError: the file is no network.
    """
    library = require("onnxruntime", extra)
    options = library.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = threads
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
