"""A recording on its way through the pipeline: decoded, separated and mixed down in blocks, kept on disk.

Nothing here holds more than a block of the recording, whatever its length, so an hour and a day need the same memory.
Times are those of the input: the resampler gives its first sample at the time of the first one it takes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from amphion_core import audio
from amphion_data.pipe.samples import Samples
from amphion_data.pipe.spans import RATE, Span

if TYPE_CHECKING:
    from amphion_data.pipe.stages import Separator

__all__ = ["Sound", "blocks_of", "resampled", "standardise"]

Wav = NDArray[np.float32]

_READ = 20.0  # s that are decoded at a time


class Sound:
    """The mono voice of a recording, at the rate of the output and at 16 kHz.

    It is picklable: what travels are the samples that are still needed, see `Samples`.

    Args:
        high: at the rate of the output.
        low: at 16 kHz.
        sample_rate: of the first, Hz.
        length: samples at 16 kHz.
        duration: of the source, s.
        peak: largest absolute sample of the first.
        facts: of the source: its rate and channels.
    """

    def __init__(
        self,
        high: Samples,
        low: Samples,
        *,
        sample_rate: int,
        length: int,
        duration: float,
        peak: float,
        facts: dict[str, int],
    ) -> None:
        self.high, self.low, self.sample_rate, self.length = high, low, sample_rate, length
        self.duration, self.peak, self.facts = duration, peak, facts

    def read(self, start: float, end: float) -> Wav:
        """(T,) samples at the rate of the output, from and to, s."""
        return self.high.read(round(start * self.sample_rate), round(end * self.sample_rate))

    def read_low(self, span: Span) -> Wav:
        """(T,) samples at 16 kHz."""
        return self.low.read(span.start, span.end)

    def blocks(self, seconds: float) -> Iterator[Wav]:
        """(T,) blocks at 16 kHz, of so many seconds but for the last."""
        size = round(seconds * RATE)
        for start in range(0, self.length, size):
            yield self.read_low(Span(start, min(start + size, self.length)))

    def level(self, spans: list[Span]) -> float:
        """Root mean square over spans, without a constant offset, dBFS; minus infinity where there is none."""
        energy, count = 0.0, 0
        for span in spans:
            for start in range(span.start, span.end, 60 * RATE):
                wav = self.read_low(Span(start, min(start + 60 * RATE, span.end))).astype(np.float64)
                energy += float(wav.var()) * wav.size
                count += wav.size
        return 10 * math.log10(energy / count) if energy > 0 else -math.inf

    def keep(self, spans: Sequence[Span], *, low: bool) -> None:
        """Say which spans may still be read; no others travel. Without `low` only the rate of the output does."""
        self.low.needed = [(span.start, span.end) for span in spans] if low else []
        ends = [(span.start / RATE * self.sample_rate, span.end / RATE * self.sample_rate) for span in spans]
        self.high.needed = [(round(start), round(end)) for start, end in ends]

    def close(self) -> None:
        """Remove what is on disk."""
        self.high.close()
        self.low.close()


def standardise(path: Path, work: Path, name: str, sample_rate: int, separator: Separator) -> Sound:
    """Decode a recording, keep its voice, mix it down, bring it to both rates.

    Args:
        path: of the file.
        work: folder for what is kept on disk.
        name: begins the names of those files.
        sample_rate: of the output, Hz.
        separator: takes away what is no voice, before channels are mixed.

    Raises:
        AudioError: the file is empty, cut, damaged or of a format that can't be read; carries the reason.
    """
    found = audio.info(path)
    blocks = blocks_of(path)
    rate = found.sample_rate
    if separator.sample_rate is not None:
        blocks, rate = resampled(blocks, rate, separator.sample_rate), separator.sample_rate
    mono = (block.mean(axis=0, dtype=np.float32) for block in separator.stream(blocks))
    high, low = work / f"{name}.high", work / f"{name}.low"
    peak = 0.0
    with high.open("wb") as high_file, low.open("wb") as low_file:
        to_high, to_low = _Writer(high_file, rate, sample_rate), _Writer(low_file, rate, RATE)
        for block in mono:
            if not np.isfinite(block).all():
                raise audio.AudioError(f"{path} holds samples that are NaN or infinite", "not_finite")
            peak = max(peak, to_high.add(block))
            to_low.add(block)
        peak = max(peak, to_high.end())
        to_low.end()
    facts = {"source_rate": found.sample_rate, "source_channels": found.channels}
    length = low.stat().st_size // 4
    return Sound(
        Samples(high),
        Samples(low),
        sample_rate=sample_rate,
        length=length,
        duration=found.duration,
        peak=peak,
        facts=facts,
    )


def blocks_of(path: Path) -> Iterator[Wav]:
    """(C, T) blocks of a file, float32.

    Raises:
        AudioError: the file can't be decoded to its end.
    """
    import soundfile

    try:
        file = soundfile.SoundFile(path)
    except soundfile.LibsndfileError:  # a container that another decoder reads; that one needs it whole
        yield audio.load(path, mono=False)[0]
        return
    with file:
        size = max(1, round(_READ * file.samplerate))
        while True:
            try:
                block = file.read(size, dtype="float32", always_2d=True)
            except (soundfile.LibsndfileError, RuntimeError) as error:
                raise audio.AudioError(f"{path} can't be decoded to its end: {error}", "corrupt_audio") from None
            if not len(block):
                return
            yield np.ascontiguousarray(block.T)


def resampled(blocks: Iterator[Wav], from_rate: int, to_rate: int) -> Iterator[Wav]:
    """(C, T) blocks of one recording at another rate."""
    import soxr

    if from_rate == to_rate:
        yield from blocks
        return
    stream = None
    for block in blocks:
        if stream is None:
            stream = soxr.ResampleStream(from_rate, to_rate, block.shape[0], dtype="float32", quality="HQ")
            channels = block.shape[0]
        yield _chunk(stream, block, last=False)
    if stream is not None:
        yield _chunk(stream, np.zeros((channels, 0), np.float32), last=True)


def _chunk(stream: object, block: Wav, *, last: bool) -> Wav:
    found = stream.resample_chunk(np.ascontiguousarray(block.T), last=last)  # type: ignore[attr-defined]
    return np.ascontiguousarray(np.asarray(found, np.float32).reshape(-1, block.shape[0]).T)


class _Writer:
    """Mono blocks to a raw file at another rate."""

    def __init__(self, file: BinaryIO, from_rate: int, to_rate: int) -> None:
        import soxr

        self.file = file
        same = from_rate == to_rate
        self.stream = None if same else soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", quality="HQ")

    def add(self, block: Wav) -> float:
        """Write a block; returns the largest absolute sample of what came out."""
        return self._put(block if self.stream is None else self.stream.resample_chunk(block))

    def end(self) -> float:
        """Write what the resampler still holds."""
        empty = np.zeros(0, np.float32)
        return 0.0 if self.stream is None else self._put(self.stream.resample_chunk(empty, last=True))

    def _put(self, wav: Wav) -> float:
        samples = np.asarray(wav, np.float32).reshape(-1)
        samples.tofile(self.file)
        return float(np.abs(samples).max()) if samples.size else 0.0
