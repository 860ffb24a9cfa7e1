"""Where somebody speaks: Silero's network, or energy above the noise.

Source: Silero team, "Silero VAD", 2021 to 2025, version 6, MIT; its network is read from the package silero-vad by ONNX
Runtime, so torch is not imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from amphion_core.config import Config
from amphion_core.extras import require
from amphion_core.weights import Weights
from amphion_data.pipe.spans import RATE, Span

__all__ = ["EnergyDetector", "SileroDetector", "VadOptions", "make_energy", "make_silero", "spans_of"]

Wav = NDArray[np.float32]

_EXTRA = "amphion-data[vad]"
_HOP = 512  # samples of one decision of Silero at 16 kHz
_CONTEXT = 64  # samples of the one before that it also takes
_SILERO = Weights(
    "silero-vad",
    "data/silero_vad_16k_sequence.onnx",
    package="silero_vad",
    licence="MIT",
    install="pip install silero-vad",
)


class VadOptions(Config):
    """What counts as speech.

    Attributes:
        threshold: probability from which speech begins; it ends 0.15 below.
        min_speech: shorter stretches are none, s.
        min_silence: shorter pauses are none, s.
        pad: added at both ends, s.
    """

    threshold: float = Field(0.5, gt=0.15, lt=1)
    min_speech: float = Field(0.25, ge=0)
    min_silence: float = Field(0.1, ge=0)
    pad: float = Field(0.03, ge=0)


class EnergyOptions(VadOptions):
    """The same for energy; `above` is in dB over the noise, `floor` the quietest speech in dBFS."""

    above: float = Field(12.0, gt=0)
    floor: float = Field(-50.0, lt=0)
    min_silence: float = Field(0.2, ge=0)


class SileroDetector:
    """Silero VAD; its state goes on from block to block."""

    def __init__(self, options: VadOptions) -> None:
        """Load the network.

        Raises:
            MissingExtraError: onnxruntime is not installed.
            FileNotFoundError: the package silero-vad is not installed.
        """
        self.options = options
        library = require("onnxruntime", _EXTRA)
        path = _SILERO.locate()
        settings = library.SessionOptions()
        settings.log_severity_level = 3
        settings.intra_op_num_threads = settings.inter_op_num_threads = 1  # the same sums on every machine
        self._session = library.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
        self.identity = f"silero-vad {_SILERO.hash()}"

    def probabilities(self, blocks: Iterable[Wav]) -> NDArray[np.float32]:
        """(F,) probability of speech of each 32 ms of a recording given in blocks."""
        state = {name: np.zeros((1, 1, 128), np.float32) for name in ("h", "c")}
        rest, context, found = np.zeros(0, np.float32), np.zeros(_CONTEXT, np.float32), []
        for block in self._ended(blocks):
            wav = np.concatenate([rest, block])
            count = wav.size // _HOP
            rest = wav[count * _HOP :]
            if not count:
                continue
            long = np.concatenate([context, wav[: count * _HOP]])
            context = long[-_CONTEXT:]
            rows = np.lib.stride_tricks.sliding_window_view(long, _HOP + _CONTEXT)[::_HOP]  # (F, 576)
            for part in range(0, count, 4096):
                given = {"input": np.ascontiguousarray(rows[part : part + 4096]), **state}
                speech, state["h"], state["c"] = self._session.run(None, given)
                found.append(speech)
        return np.concatenate(found) if found else np.zeros(0, np.float32)

    def _ended(self, blocks: Iterable[Wav]) -> Iterable[Wav]:
        """The blocks, and zeros so that the last samples are decided on."""
        yield from blocks
        yield np.zeros(_HOP - 1, np.float32)

    def speech(self, blocks: Iterable[Wav]) -> list[Span]:
        """See `Detector.speech`."""
        length = _Length()
        probabilities = self.probabilities(length.counted(blocks))
        return spans_of(probabilities, _HOP, length.samples, self.options)


class EnergyDetector:
    """Level above the noise floor of the recording; for tests and for machines without the network."""

    identity = "energy"

    def __init__(self, options: EnergyOptions) -> None:
        self.options = options

    def speech(self, blocks: Iterable[Wav]) -> list[Span]:
        """See `Detector.speech`."""
        length, levels, rest = _Length(), [], np.zeros(0, np.float32)
        for block in length.counted(blocks):
            wav = np.concatenate([rest, block])
            count = wav.size // _HOP
            rest = wav[count * _HOP :]
            power = wav[: count * _HOP].reshape(count, _HOP).astype(np.float64).var(axis=1)  # an offset is no sound
            levels.append(10 * np.log10(power + 1e-12))
        level = np.concatenate(levels) if levels else np.zeros(0)
        if not level.size:
            return []
        noise = float(np.percentile(level, 10))
        start = max(noise + self.options.above, self.options.floor)
        # 12 dB around the start become probabilities, so that both detectors share the rules
        probabilities = np.clip(0.5 + (level - start) / 24, 0, 1).astype(np.float32)
        return spans_of(probabilities, _HOP, length.samples, self.options)


class _Length:
    """Counts the samples that pass."""

    def __init__(self) -> None:
        self.samples = 0

    def counted(self, blocks: Iterable[Wav]) -> Iterable[Wav]:
        for block in blocks:
            self.samples += block.size
            yield block


def spans_of(probabilities: NDArray[np.floating[Any]], hop: int, length: int, options: VadOptions) -> list[Span]:
    """Stretches of speech by two thresholds, without short pauses and short stretches, a little widened.

    Args:
        probabilities: (F,) of each hop.
        hop: samples.
        length: samples of the recording.
        options: the numbers.
    """
    raw: list[tuple[int, int]] = []
    above, below = probabilities >= options.threshold, probabilities < options.threshold - 0.15
    at, count = 0, len(probabilities)
    starts, ends = np.flatnonzero(above), np.flatnonzero(below)
    while True:
        first = np.searchsorted(starts, at)
        if first == len(starts):
            break
        begin = int(starts[first])
        last = np.searchsorted(ends, begin)
        end = int(ends[last]) if last < len(ends) else count
        raw.append((begin * hop, min(end * hop, length)))
        at = end
    closed: list[tuple[int, int]] = []
    for start, end in raw:
        if closed and start - closed[-1][1] < options.min_silence * RATE:
            closed[-1] = (closed[-1][0], end)
        else:
            closed.append((start, end))
    from amphion_data.pipe.spans import widened

    kept = [Span(start, end) for start, end in closed if end - start >= options.min_speech * RATE]
    return widened(kept, round(options.pad * RATE), length)


def make_silero(options: Mapping[str, Any], device: str) -> SileroDetector:
    """The stage `vad-silero`."""
    return SileroDetector(VadOptions.parse(options, where="options of silero"))


def make_energy(options: Mapping[str, Any], device: str) -> EnergyDetector:
    """The stage `vad-energy`."""
    return EnergyDetector(EnergyOptions.parse(options, where="options of energy"))
