"""From a file or a record to samples that can be compared; what was read and analysed once is kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from amphion_eval.analysis import Analysis
from amphion_eval.cache import Store, digest
from amphion_eval.identity import libraries
from amphion_eval.pairing import Clip, stamp
from amphion_eval.report import ClipRecord
from amphion_eval.settings import Settings

__all__ = ["OnError", "Reader", "Sound"]

OnError = Literal["fail", "record"]
"""What a file that can't be read does: end the run, or leave its items undefined."""

_EMPTY = {"empty_audio": "has no sample", "not_finite": "has samples that are NaN or infinite"}
"""Files that can be read but not compared, by the reason of the reader."""

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Sound:
    """One clip, mono, at its own rate; decoded when its samples are asked for.

    Attributes:
        clip: where it is.
        sample_rate: Hz; 0 where there is a fault.
        record: what was read.
        content: what its samples are known by; empty where nothing is kept between runs.
        fault: why it can't be compared; empty where it can.
    """

    clip: Clip
    sample_rate: int
    record: ClipRecord
    content: str = ""
    fault: str = ""

    @cached_property
    def wav(self) -> NDArray[np.float64]:
        """(T,) samples; none where there is a fault."""
        return np.zeros(0) if self.fault else _mono(self.clip.load()[0])

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done to it."""
        channels = self.record.channels or 1
        return (f"{channels} channels mixed to one by their mean",) if channels > 1 else ()

    def at(self, rate: int) -> NDArray[np.float64]:
        """(T,) samples at a rate in Hz, resampled (soxr VHQ) where it is another than its own."""
        if rate == self.sample_rate:
            return self.wav
        from amphion_core import audio

        wav = audio.resample(self.wav.astype(np.float32), self.sample_rate, rate, quality="VHQ")
        return np.asarray(wav, np.float64)


class Reader:
    """Reads and analyses clips, each once: the last ones are kept in memory, numbers in a store if there is one."""

    def __init__(
        self, settings: Settings, *, on_error: OnError = "fail", store: Store | None = None, memory: int = 6
    ) -> None:
        """Make one.

        Args:
            settings: of the analyses.
            on_error: what a file that can't be read does.
            store: where analyses are kept, for other processes and runs.
            memory: clips that are kept decoded.
        """
        self.settings, self.on_error, self.store = settings, on_error, store
        self._sounds: OrderedDict[Hashable, Sound] = OrderedDict()
        self._analyses: OrderedDict[Hashable, Analysis] = OrderedDict()
        self._memory = memory

    def sound(self, clip: Clip) -> Sound:
        """What a clip is.

        Raises:
            ValueError: it can't be read, and `on_error` is `fail`.
        """
        if not clip.path:
            return Sound(clip, 0, ClipRecord(""), fault="has no audio, only text")
        return _recent(self._sounds, (clip, stamp(clip.path)), self._memory, lambda: self.look(clip))

    def analysis(self, clip: Clip, rate: int) -> Analysis:
        """The analysis of a clip at a rate in Hz, at most its own.

        Raises:
            ValueError: it can't be read.
        """

        def made() -> Analysis:
            sound = self.sound(clip)
            return Analysis(lambda: sound.at(rate), rate, self.settings, keep=self._keeper(sound, rate))

        return _recent(self._analyses, (clip, stamp(clip.path), rate), self._memory, made)

    def _keeper(self, sound: Sound, rate: int) -> Callable[[Any, Callable[[], Any]], Any] | None:
        if self.store is None or not sound.content:
            return None
        store, known = self.store, (sound.content, sound.sample_rate, rate)

        def keep(kind: Any, compute: Callable[[], Any]) -> Any:
            key = digest("analysis", libraries(("parselmouth", "torchcrepe", "torch")), *known, kind)
            value = store.get(key)
            if value is None:
                value = compute()
                store.put(key, value)
            return value

        return keep

    def look(self, clip: Clip) -> Sound:
        """As `sound`, but nothing is kept in memory; several threads may call it.

        Raises:
            ValueError: it can't be read, and `on_error` is `fail`.
        """
        content, known = "", None
        if self.store is not None:
            try:
                content = digest("clip", clip.content())
            except (OSError, LookupError):
                content = ""  # the decoder says what is wrong with it
            known = self.store.get(digest("sound", libraries(), content)) if content else None
        if known is not None:
            rate, channels, frames, fault = (known[name] for name in ("rate", "channels", "frames", "fault"))
            return Sound(clip, rate, self._record(clip, rate, channels, frames), content, fault)
        try:
            samples, rate = clip.load()
        except (ValueError, LookupError) as error:
            empty = _EMPTY.get(getattr(error, "reason", ""))
            if empty is None and self.on_error == "fail":
                raise ValueError(str(error)) from error
            return Sound(clip, 0, ClipRecord(clip.path, clip.key), fault=empty or f"can't be read: {error}")
        channels = 1 if samples.ndim == 1 else samples.shape[0]
        wav = _mono(samples)
        fault = "" if np.isfinite(wav).all() else _EMPTY["not_finite"]
        fault = fault if wav.size else _EMPTY["empty_audio"]
        sound = Sound(clip, rate, self._record(clip, rate, channels, wav.size), content, fault)
        if not fault:
            sound.__dict__["wav"] = wav  # it is decoded already
        if self.store is not None and content:
            values = {"rate": rate, "channels": channels, "frames": wav.size, "fault": fault}
            self.store.put(digest("sound", libraries(), content), values)
        return sound

    @staticmethod
    def _record(clip: Clip, rate: int, channels: int, frames: int) -> ClipRecord:
        return ClipRecord(clip.path, clip.key, rate, channels, frames / rate)


def _mono(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(samples if samples.ndim == 1 else samples.mean(axis=0, dtype=np.float64), np.float64)


def _recent(kept: OrderedDict[Hashable, _T], key: Hashable, limit: int, make: Callable[[], _T]) -> _T:
    if key in kept:
        kept.move_to_end(key)
        return kept[key]
    value = kept[key] = make()
    while len(kept) > limit:
        kept.popitem(last=False)
    return value
