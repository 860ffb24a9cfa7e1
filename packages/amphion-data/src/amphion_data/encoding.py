"""One row of a corpus into one record of a shard, checked, cut, resampled, encoded; or a drop with its reason."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amphion_core.data import Drop, Record
from amphion_core.schema import Utterance
from amphion_data.corpus import SELECTED
from amphion_data.places import Place, place_of, public_extra
from amphion_data.settings import PrepareSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from amphion_core.audio import Decoded

    Wav = NDArray[np.float32]

__all__ = ["Encoder", "RowError"]

_PEAK_LIMIT_DB = -1.0
_TIMED = ("score", "notes", "phone_starts")  # fields of a row whose times count from the beginning of the clip


class RowError(ValueError):
    """A row can't be used and the run was asked to end at the first such row."""


class _RowDropError(Exception):
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Encoder:
    """Turns rows into records; it can be sent to other processes.

    Attributes:
        root: folder that the paths of the rows are below.
        settings: what to do with the audio.
    """

    root: Path
    settings: PrepareSettings

    def __call__(self, row: Utterance) -> Record | Drop:
        """The record of a row, or why there is none.

        Raises:
            RowError: the row is faulty and `settings.on_error` is `fail`.
        """
        from amphion_core.audio import AudioError

        try:
            return self._record(row)
        except AudioError as error:
            reason, detail = error.reason, str(error)
        except EOFError as error:
            reason, detail = "truncated_audio", str(error)
        except OSError as error:
            reason, detail = "missing_audio", f"{type(error).__name__}: {error.strerror or error}"
        except _RowDropError as dropped:
            reason, detail = dropped.reason, dropped.detail
        if self.settings.on_error == "fail" and reason not in SELECTED:
            raise RowError(f"{row.id} ({row.audio}): {reason}: {detail}; --on-error record drops such rows and goes on")
        return Drop(row.id, row.audio, reason, detail.replace(f"{self.root}{os.sep}", ""), "audio")

    def _record(self, row: Utterance) -> Record:
        from amphion_core import audio

        place = place_of(self.root, row)
        wav, rate, container, encoding = self._decoded(place)
        stated = row.duration if place.duration is None else place.duration
        warnings = [*row.extra.get("warnings", ()), *_duration_warning(stated, wav.shape[-1] / rate, container)]
        if not _same_container(row.audio, container):
            warnings.append(f"container: {container} in a file named {Path(row.audio).suffix}")
        extra: dict[str, Any] = {**public_extra(row), "source": row.audio}
        size, wav = wav.size, self._mixed(row, wav)
        mixed = wav.size != size
        wav, cut, kept = self._trimmed(row, self._sound(wav, encoding), rate, place.start)
        warnings += kept
        if self.settings.sample_rate not in (None, rate):
            wav = audio.resample(wav, rate, self.settings.sample_rate, quality="VHQ")
            extra["source_rate"], rate = rate, self.settings.sample_rate
        self._bounds(wav.shape[-1] / rate)
        wav, gain, quiet = self._levelled(wav, rate)
        peak, rms = audio.peak_and_rms(wav)
        if peak > 1:
            warnings.append(f"clipped: the peak is {peak:.3f}")
        extra |= cut | gain
        extra |= {"peak_db": round(_decibels(peak), 2), "level_db": round(_decibels(rms), 2)}
        if warnings := [*warnings, *quiet]:
            extra["warnings"] = warnings
        done = replace(row, audio="", duration=wav.shape[-1] / rate, sample_rate=rate, extra=extra)
        if isinstance(place.source, bytes) and not mixed and self._unchanged(place, container, encoding, extra):
            data = place.source
        else:
            data = audio.encode(wav, rate, self.settings.format, subtype=self._subtype(encoding))
        return Record(row.id, {self.settings.format: data, "json": (done.to_json() + "\n").encode()})

    def _decoded(self, place: Place) -> Decoded:
        """Samples of the place, (C, T)."""
        from amphion_core import audio

        try:
            decoded = audio.decode(place.source, mono=False, start=place.start, duration=place.duration)
        except audio.AudioError:
            raise
        except ValueError as error:  # a stretch that begins behind the end
            raise _RowDropError("bad_row", str(error)) from None
        if decoded.wav.shape[-1] == 0:
            raise _RowDropError("empty_audio", f"no samples from {place.start:.3f} s on")
        return decoded

    def _mixed(self, row: Utterance, wav: Wav) -> Wav:
        """All channels; or the one that the row names; or their mean, where that is asked for."""
        channel, count = row.extra.get("channel"), wav.shape[0]
        if type(channel) is not int:  # a column of a table may be called so and hold words
            mixed = wav.mean(axis=0, dtype=wav.dtype) if self.settings.mono else wav
            return mixed if count > 1 else wav.reshape(-1)
        if channel >= count > 1 or row.extra.get("_channels", 1) > count:
            raise _RowDropError("bad_row", f"it is in channel {channel}, counted from 0; the audio has {count}")
        one: Wav = wav[min(channel, count - 1)]
        return one

    def _unchanged(self, place: Place, container: str, encoding: str, extra: Mapping[str, Any]) -> bool:
        """Whether the source's own bytes can be kept: a lossy format must not be encoded twice without need."""
        same = {"mp3": container == "MP3", "opus": encoding == "OPUS"}.get(self.settings.format, False)
        trimmed = self.settings.trim and "start" in extra
        changed = "source_rate" in extra or trimmed or extra.get("gain_db") or place.duration is not None
        return same and not changed

    def _sound(self, wav: Wav, encoding: str) -> Wav:
        """The samples, if there is sound in them; whole numbers are always finite."""
        whole = encoding.startswith("PCM_")
        if not whole and not (math.isfinite(float(wav.min())) and math.isfinite(float(wav.max()))):
            raise _RowDropError("not_finite", "samples that are NaN or infinite")
        if not wav.any():
            raise _RowDropError("silent_audio", "all samples are zero")
        return wav

    def _trimmed(self, row: Utterance, wav: Wav, rate: int, begin: float) -> tuple[Wav, dict[str, float], list[str]]:
        """The clip without its silent ends, where it lies in the source, s, and a warning where it is left whole.

        Args:
            row: what is known of the clip.
            wav: the clip.
            rate: Hz.
            begin: where the clip begins in the source, s.
        """
        from amphion_core.audio import trim_silence

        if not self.settings.trim:
            return wav, {}, []
        if timed := [name for name in _TIMED if isinstance(row.extra.get(name), dict | list)]:
            return wav, {}, [f"not_trimmed: the times of its {', '.join(timed)} would no longer be those of the audio"]
        threshold, margin = self.settings.trim_threshold_db, self.settings.trim_margin
        wav, (start, end) = trim_silence(wav, rate, threshold_db=threshold, margin=margin)
        return wav, {"start": round(begin + start, 6), "end": round(begin + end, 6)}, []

    def _bounds(self, duration: float) -> None:
        shortest, longest = self.settings.min_duration, self.settings.max_duration
        if duration < shortest:
            raise _RowDropError("too_short", f"{duration:.3f} s, the shortest allowed is {shortest} s")
        if longest is not None and duration > longest:
            raise _RowDropError("too_long", f"{duration:.3f} s, the longest allowed is {longest} s")

    def _levelled(self, wav: Wav, rate: int) -> tuple[Wav, dict[str, float], list[str]]:
        """The clip at the loudness asked for, the gain, dB, and a warning where it stays away from that."""
        import numpy as np

        from amphion_core.audio import loudness

        target = self.settings.loudness
        if target is None:
            return wav, {}, []
        now = loudness(wav if wav.shape[0] <= 5 or wav.ndim == 1 else wav.mean(axis=0), rate)
        if not math.isfinite(now):
            return wav, {"gain_db": 0.0}, ["no_loudness: too short or too quiet to have one"]
        room = max(_PEAK_LIMIT_DB - _decibels(float(np.abs(wav).max())), 0.0)
        gain = min(target - now, room)
        warning = [f"loudness: {now + gain:.1f} LUFS, more would clip"] if gain < target - now - 0.05 else []
        return wav * np.float32(10 ** (gain / 20)), {"gain_db": round(gain, 3)}, warning

    def _subtype(self, source: str) -> str | None:
        """24 bits where the source has more than 16, else what the format has by default."""
        deep = source.upper() in ("PCM_24", "PCM_32", "FLOAT", "DOUBLE")
        return "PCM_24" if deep and self.settings.format in ("flac", "wav") else None


def _decibels(amplitude: float) -> float:
    return 20 * math.log10(max(amplitude, 1e-10))


def _duration_warning(stated: float, decoded: float, container: str) -> list[str]:
    """What to note where a corpus states another duration than its audio has; a drop where it is far off."""
    difference = abs(stated - decoded)
    if stated <= 0 or difference <= max(0.05, 0.01 * decoded):
        return []
    padding = 0.1 if container == "MP3" else 0.0  # the encoder of an MP3 makes it longer by up to so much
    if round(difference - max(0.1 * decoded, padding), 6) > 0:
        raise _RowDropError("duration_mismatch", f"the corpus states {stated:.3f} s, the audio has {decoded:.3f} s")
    return [f"duration_differs: {stated:.3f} s stated, {decoded:.3f} s decoded"]


def _same_container(path: str, container: str) -> bool:
    """Whether the ending of a file fits what is in it; True for endings and containers that are not known."""
    endings = {"WAV": "wav", "WAVEX": "wav", "RF64": "wav", "FLAC": "flac", "MP3": "mp3", "OGG": "ogg oga opus"}
    suffix = Path(path).suffix.lower().removeprefix(".")
    known = any(suffix in names.split() for names in endings.values())
    return not known or container not in endings or suffix in endings[container].split()
