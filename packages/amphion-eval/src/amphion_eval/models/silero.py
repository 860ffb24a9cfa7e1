"""Where somebody speaks, by Silero VAD; package and weights in one, so it works offline.

Source: Silero team, "Silero VAD", 2021 to 2025, silero-vad 6 on the package index, MIT.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from amphion_core.extras import require
from amphion_eval.model import Batch
from amphion_eval.models.clips import usable

__all__ = ["load", "segments_of"]

RATE = 16000


def load(device: str) -> Batch:
    """The detector: clips at 16 kHz to the mapping `speech_share`, `speech_seconds` and `segments`.

    Args:
        device: not used: the network is small and goes sample by sample, so it runs on the CPU.

    Raises:
        MissingExtraError: silero-vad is not installed.
    """
    library = require("silero_vad", "amphion-eval[vad]")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit.load of the package's own file is deprecated
        model = library.load_silero_vad()

    def share(clip: NDArray[np.float32]) -> dict[str, float]:
        found = segments_of(clip, model)
        speech = sum(end - start for start, end in found)
        return {
            "speech_share": speech / clip.size,
            "speech_seconds": speech / RATE,
            "segments": float(len(found)),
        }

    def batch(clips: list[NDArray[np.float32]]) -> list[dict[str, float]]:
        return [share(clip) for clip in clips]

    # silence is no fault here: there is no speech in it
    return lambda clips: [
        share(clip) if clip.size and not np.ptp(clip) else usable(batch, RATE, 0.032)([clip])[0]
        for clip in (np.asarray(c, np.float32) for c in clips)
    ]


def segments_of(clip: NDArray[np.float32], model: object) -> list[tuple[int, int]]:
    """Spans of speech, first and behind the last sample at 16 kHz.

    Args:
        clip: (T,) at 16 kHz.
        model: as `silero_vad.load_silero_vad` gives it.
    """
    import torch

    library = require("silero_vad", "amphion-eval[vad]")
    found = library.get_speech_timestamps(torch.from_numpy(np.ascontiguousarray(clip)), model, sampling_rate=RATE)
    return [(int(span["start"]), int(span["end"])) for span in found]
