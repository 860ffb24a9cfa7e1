"""From a file or a record to samples that can be compared; a clip that pairs share is read and analysed once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from amphion_eval.analysis import Analysis
from amphion_eval.pairing import Clip, Stamp, stamp
from amphion_eval.report import ClipRecord
from amphion_eval.settings import Settings

__all__ = ["OnError", "Sound", "analyse", "read"]

OnError = Literal["fail", "record"]
"""What a file that can't be read does: end the run, or leave its items undefined."""

_EMPTY = {"empty_audio": "has no sample", "not_finite": "has samples that are NaN or infinite"}
"""Files that can be read but not compared, by the reason of the reader."""

_KEPT = 4  # clips: pairs that share a recording mostly stand side by side


@dataclass(frozen=True, eq=False)
class Sound:
    """One clip, mono, at its own rate.

    Attributes:
        wav: (T,) samples; none where there is a fault.
        sample_rate: Hz.
        record: what was read.
        notes: what was done to it.
        fault: why it can't be compared; empty where it can.
    """

    wav: NDArray[np.float64]
    sample_rate: int
    record: ClipRecord
    notes: tuple[str, ...] = ()
    fault: str = ""


def read(clip: Clip, on_error: OnError = "fail") -> Sound:
    """Decode a clip and mix it to mono.

    Args:
        clip: where it is.
        on_error: what a file that can't be read does.

    Raises:
        ValueError: it can't be read, and `on_error` is `fail`.
    """
    if not clip.path:
        return Sound(np.zeros(0), 0, ClipRecord(""), fault="has no audio, only text")
    return _read(clip, stamp(clip.path), on_error)


def analyse(clip: Clip, rate: int, settings: Settings) -> Analysis:
    """The analysis of a clip at a rate.

    Args:
        clip: where it is.
        rate: Hz, at most its own.
        settings: parameters of the analyses.

    Raises:
        ValueError: it can't be read.
    """
    return _analysed(clip, stamp(clip.path), rate, settings)


@lru_cache(maxsize=_KEPT)
def _read(clip: Clip, _: Stamp, on_error: OnError) -> Sound:
    try:
        samples, rate = clip.load()
    except ValueError as error:
        empty = _EMPTY.get(getattr(error, "reason", ""))
        if empty is None and on_error == "fail":
            raise
        return Sound(np.zeros(0), 0, ClipRecord(clip.path, clip.key), fault=empty or f"can't be read: {error}")
    channels = 1 if samples.ndim == 1 else samples.shape[0]
    wav = np.asarray(samples if samples.ndim == 1 else samples.mean(axis=0, dtype=np.float64), np.float64)
    fault = "" if np.isfinite(wav).all() else _EMPTY["not_finite"]
    return Sound(
        wav,
        rate,
        ClipRecord(clip.path, clip.key, rate, channels, wav.size / rate),
        (f"{channels} channels mixed to one by their mean",) if channels > 1 else (),
        fault if wav.size else _EMPTY["empty_audio"],
    )


@lru_cache(maxsize=_KEPT)
def _analysed(clip: Clip, mark: Stamp, rate: int, settings: Settings) -> Analysis:
    from amphion_core import audio

    sound = _read(clip, mark, "fail")
    wav = sound.wav
    if rate != sound.sample_rate:
        resampled = audio.resample(wav.astype(np.float32), sound.sample_rate, rate, quality="VHQ")
        wav = np.asarray(resampled, np.float64)
    return Analysis(wav, rate, settings)
