"""What is said in a clip, by Whisper on CTranslate2 (package faster-whisper); it needs no torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amphion_core.extras import require
from amphion_eval.model import Batch
from amphion_eval.models.clips import usable

__all__ = ["load"]

RATE = 16000
SHORTEST = 0.1  # s


def load(folder: Path, device: str, *, language: str | None, beam: int, prompt: str | None) -> Batch:
    """Whisper by CTranslate2, clips at 16 kHz to texts.

    Args:
        folder: model.bin and its companions.
        device: where it runs.
        language: two letters; None lets it find it.
        beam: hypotheses kept.
        prompt: what stands before the text.

    Raises:
        MissingExtraError: faster-whisper is not installed.
        ValueError: the folder holds no such model.
    """
    library = require("faster_whisper", "amphion-eval[faster-whisper]")
    kind, _, number = device.partition(":")
    try:
        model = library.WhisperModel(
            str(folder), device=kind, device_index=int(number or 0), compute_type="float32", local_files_only=True
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(f"{folder} holds no model of faster-whisper: {error}") from error

    def text_of(clip: NDArray[np.float32]) -> str:
        segments, _ = model.transcribe(
            clip,
            language=language,
            beam_size=beam,
            temperature=0.0,
            initial_prompt=prompt,
            condition_on_previous_text=False,
        )
        return "".join(segment.text for segment in segments).strip()

    return usable(lambda clips: [text_of(clip) for clip in clips], RATE, SHORTEST)
