"""Voice from music by UVR-MDX-NET: a network that predicts the accompaniment, which is taken away.

The tiles are those of the published pipeline: 15 s with a margin of 44,100 samples on either side, in each of them
windows of 261,120 samples that share 6,144 with their neighbours. They are made as the recording streams, so memory is
that of one tile whatever the length. With `fade` there are windows alone, faded into one another.

Source: Kim et al., "KUIELab-MDX-Net", 2021, arXiv:2111.12203; weights `UVR-MDX-NET-Inst_HQ_3.onnx` of the Ultimate
Vocal Remover, whose licence is not stated; the user names the file.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from amphion_core.config import Config
from amphion_data.pipe.fading import faded, hann_rise, stereo
from amphion_data.pipe.gate import CleanGate

__all__ = ["UvrOptions", "UvrSeparator", "make_uvr", "spectrum", "waveform"]

Wav = NDArray[np.float32]
Network = Callable[[Wav], Wav]

log = logging.getLogger(__name__)

RATE = 44_100
N_FFT, HOP = 6144, 1024
BINS = 3072  # of 3073; the last is left out and filled with zero
FRAMES = 256
WINDOW = HOP * (FRAMES - 1)  # samples, 261,120
TRIM = N_FFT // 2  # samples at each border of a window that are dropped
STEP = WINDOW - 2 * TRIM  # 254,976
TILE = 15 * RATE
MARGIN = RATE


class UvrOptions(Config):
    """How the network is run.

    Attributes:
        path: of the ONNX file.
        batch: windows in one call.
        denoise: also run it on the negated input and take half the difference, which cancels its own noise.
        compensate: factor of the prediction; other front ends take 1.02.
        fade: s over which windows are faded into one another; 0 is the published tiling, which joins them hard.
        clean: rating of the background by DNSMOS from which a tile is left as it is, 4 is a good one; None separates
            everything. Saves most of the time where recordings are clean; needs the extra `mos`.
    """

    path: str
    batch: int = Field(4, ge=1)
    denoise: bool = True
    compensate: float = Field(1.0, gt=0)
    fade: float = Field(0.0, ge=0, le=2)
    clean: float | None = Field(None, ge=1, le=5)


class UvrSeparator:
    """The recording minus what the network takes for accompaniment.

    Args:
        options: how it is run.
        network: (B, 4, 3072, 256) to the same; real and imaginary part of left and right.
        identity: name and hash of the weights.
        gate: tells tiles that need no separation; None has none.

    Attributes:
        clean_seconds: of the last recording that were left as they are.
    """

    sample_rate: int | None = RATE

    def __init__(self, options: UvrOptions, network: Network, identity: str, gate: CleanGate | None = None) -> None:
        self.options, self.network, self.identity, self.gate = options, network, identity, gate
        self.clean_seconds = 0.0

    def stream(self, blocks: Iterable[Wav]) -> Iterator[Wav]:
        """See `Separator.stream`; (C, T) in, (2, T) out."""
        self.clean_seconds = 0.0
        return self._faded(blocks) if self.options.fade else self._tiled(blocks)

    def _tiled(self, blocks: Iterable[Wav]) -> Iterator[Wav]:
        """Tiles of 15 s, joined hard."""
        held, before = np.zeros((2, 0), np.float32), 0  # samples of the held ones that are only margin
        for block in blocks:
            held = np.concatenate([held, stereo(block)], axis=1)
            while held.shape[1] >= before + TILE + MARGIN:
                yield self._tile(held[:, : before + TILE + MARGIN], before, TILE)
                held, before = held[:, before + TILE - MARGIN :], MARGIN
        while held.shape[1] > before:  # what is left may be more than a tile, less than one with its margin
            own = min(TILE, held.shape[1] - before)
            yield self._tile(held[:, : before + own + MARGIN], before, own)
            held, before = held[:, max(0, before + own - MARGIN) :], min(MARGIN, before + own)

    def _tile(self, wav: Wav, before: int, own: int) -> Wav:
        """The voice of `own` samples that follow `before` samples of margin."""
        if self._clean(wav[:, before : before + own], own):
            return wav[:, before : before + own]
        accompaniment = self._predict(wav)[:, before : before + own]
        return np.asarray(wav[:, before : before + own] - self.options.compensate * accompaniment, np.float32)

    def _faded(self, blocks: Iterable[Wav]) -> Iterator[Wav]:
        """Windows that share `fade` seconds beyond what the network needs around them."""
        overlap = min(round(self.options.fade * RATE), STEP // 2)
        return faded(
            self._in_context(blocks, STEP - overlap),
            lambda wavs: self._voices(wavs, STEP - overlap),
            hann_rise(overlap),
            self.options.batch,
        )

    def _in_context(self, blocks: Iterable[Wav], step: int) -> Iterator[tuple[Wav, int]]:
        """Windows every `step` samples, zeros around the recording, and how many samples of it their inside holds."""
        held = np.zeros((2, TRIM), np.float32)
        for block in blocks:
            held = np.concatenate([held, stereo(block)], axis=1)
            while held.shape[1] > WINDOW:  # one sample more says that it is not the last
                yield held[:, :WINDOW], STEP
                held = held[:, step:]
        while held.shape[1] > TRIM:
            count = min(STEP, held.shape[1] - TRIM)
            yield np.pad(held, ((0, 0), (0, WINDOW - held.shape[1]))), count
            held = held[:, step if held.shape[1] - TRIM > STEP else held.shape[1] :]

    def _voices(self, windows: Sequence[tuple[Wav, int]], step: int) -> list[Wav]:
        """The voice of the inside of each window."""
        inside = [wav[:, TRIM : TRIM + length] for wav, length in windows]
        noisy = [k for k, wav in enumerate(inside) if not self._clean(wav, min(step, wav.shape[1]))]
        found = list(inside)
        if noisy:
            music = self._accompaniment(np.stack([windows[k][0] for k in noisy]))
            for k, own in zip(noisy, music, strict=True):
                found[k] = inside[k] - np.float32(self.options.compensate) * own[:, : inside[k].shape[1]]
        return found

    def _clean(self, wav: Wav, count: int) -> bool:
        """Whether a stretch is left as it is; `count` of its samples are not in the next one too."""
        found = self.gate is not None and self.gate(wav, RATE)
        self.clean_seconds += count / RATE if found else 0.0
        return found

    def _accompaniment(self, windows: Wav) -> Wav:
        """What the network takes for accompaniment, borders cut off; (B, 2, 261120) to (B, 2, 254976)."""
        given = spectrum(windows)
        found = self.network(given)
        if self.options.denoise:
            found = 0.5 * found - 0.5 * self.network(-given)
        return waveform(found)[:, :, TRIM:-TRIM]

    def _predict(self, wav: Wav) -> Wav:
        """The accompaniment of a tile, window by window; (2, T) each."""
        length = wav.shape[1]
        count = -(-length // STEP)
        padded = np.zeros((2, (count - 1) * STEP + WINDOW), np.float32)
        padded[:, TRIM : TRIM + length] = wav
        windows = [padded[:, k * STEP : k * STEP + WINDOW] for k in range(count)]
        parts = []
        for first in range(0, count, self.options.batch):
            parts += list(self._accompaniment(np.stack(windows[first : first + self.options.batch])))
        return np.concatenate(parts, axis=1)[:, :length]


def spectrum(wav: Wav) -> Wav:
    """What the network takes.

    Args:
        wav: (B, 2, 261120) at 44.1 kHz.

    Returns:
        (B, 4, 3072, 256): left real, left imaginary, right real, right imaginary.
    """
    padded = np.pad(wav, ((0, 0), (0, 0), (N_FFT // 2, N_FFT // 2)), mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT, axis=-1)[..., ::HOP, :]  # (B, 2, F, n_fft)
    found = np.fft.rfft(frames * _hann(), axis=-1)[..., :BINS]  # (B, 2, F, 3072)
    parts = np.stack([found.real, found.imag], axis=2)  # (B, 2, 2, F, 3072)
    return np.ascontiguousarray(parts.swapaxes(3, 4), np.float32).reshape(len(wav), 4, BINS, FRAMES)


def waveform(values: Wav) -> Wav:
    """The inverse of `spectrum`, the last bin zero; (B, 4, 3072, 256) to (B, 2, 261120)."""
    parts = values.reshape(len(values), 2, 2, BINS, FRAMES).swapaxes(3, 4).astype(np.float64)
    full = np.zeros((len(values), 2, FRAMES, N_FFT // 2 + 1), np.complex128)
    full[..., :BINS] = parts[:, :, 0] + 1j * parts[:, :, 1]
    window = _hann()
    frames = np.fft.irfft(full, N_FFT, axis=-1) * window  # (B, 2, F, n_fft)
    length = N_FFT + HOP * (FRAMES - 1)
    wav, weight = np.zeros((len(values), 2, length)), np.zeros(length)
    for k in range(FRAMES):
        own = slice(k * HOP, k * HOP + N_FFT)
        wav[..., own] += frames[:, :, k]
        weight[own] += window**2
    inner = slice(N_FFT // 2, N_FFT // 2 + WINDOW)
    return np.asarray(wav[..., inner] / weight[inner], np.float32)


def _hann() -> NDArray[np.float64]:
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT))


def make_uvr(options: Mapping[str, Any], device: str) -> UvrSeparator:
    """The stage `separate-uvr`.

    Raises:
        MissingExtraError: onnxruntime is not installed.
        FileNotFoundError: no path is given, or nothing is there.
        ValueError: the file is no such network.
    """
    if "path" not in options:
        raise FileNotFoundError(
            "the separation uvr needs its weights: fetch UVR-MDX-NET-Inst_HQ_3.onnx (release all_public_uvr_models of "
            "TRvlvr/model_repo on GitHub; licence not stated) and pass --option uvr.path=FILE; or take --separate none"
        )
    settings = UvrOptions.parse(options, where="options of uvr")
    path = Path(settings.path)
    if not path.is_file():
        raise FileNotFoundError(f"no weights of uvr at {path}")
    from amphion_core.speech.dnsmos import network

    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    log.info("%s has the sha256 %s", path, digest)
    run = network(path, device, "amphion-data[separate]", threads=1)
    gate = None if settings.clean is None else CleanGate(settings.clean, device)
    names = [f"uvr {path.stem} {digest[:16]}", *([gate.identity] if gate else [])]
    return UvrSeparator(settings, run, ", ".join(names), gate)
