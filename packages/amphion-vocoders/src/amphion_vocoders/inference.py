"""Copies of recordings, and waveforms of mels, from files, folders and shards, as `amphion-vocoders synthesize`."""

from __future__ import annotations

import contextlib
import inspect
import logging
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from amphion_core import audio
from amphion_core.features import MelConfig
from amphion_core.interfaces import load_vocoder
from amphion_vocoders.adjusting import adjust
from amphion_vocoders.devices import chosen_device
from amphion_vocoders.mel_values import DoubtfulMelWarning
from amphion_vocoders.precision import autocast, check_precision
from amphion_vocoders.segments import F0Config
from amphion_vocoders.sources import MelClip, Source, SourceReader, find_sources

__all__ = ["FaultyInputsError", "synthesize"]

log = logging.getLogger(__name__)

_NO_NUMBERS = (
    "the vocoder made samples that are NaN or infinite; its weights are broken, or its numbers too great for the "
    "precision: try --precision float32, or another checkpoint"
)


class FaultyInputsError(ValueError):
    """Some inputs could not be synthesised; all the others were.

    Attributes:
        faults: what is wrong with each, by name.
        written: the files of the others.
    """

    def __init__(self, faults: list[str], written: list[Path]) -> None:
        head = f"{len(faults)} of {len(faults) + len(written)} inputs could not be synthesised:"
        super().__init__("\n  ".join([head, *faults]) if len(faults) + len(written) > 1 else faults[0])
        self.faults, self.written = faults, written


def synthesize(
    inputs: Sequence[str | Path],
    model: str | Path,
    out: str | Path,
    *,
    format: str = "wav",
    batch: int = 1,
    limit: int | None = None,
    device: str = "auto",
    seed: int = 0,
    mel: MelConfig | None = None,
    f0: F0Config | None = None,
    precision: str = "float32",
    compile: bool = False,
    stream: int | None = None,
    settings: Sequence[str] = (),
) -> list[Path]:
    """Turn recordings or mels into waveforms in a folder.

    Recordings are analysed with the vocoder's own mel and synthesised again.

    Args:
        inputs: audio files, mels (.npy of (n_mels, F) or (F, n_mels), .npz, .safetensors of several), folders of
            either, or folders of shards.
        model: checkpoint, run folder, hub id, or the name of a vocoder without weights.
        out: folder, made if absent. Files are named as the inputs, rows of shards by their keys.
        format: of the files, `wav` or `flac`.
        batch: clips that are given to the vocoder at once.
        limit: the first so many only.
        device: `auto`, `cpu`, `cuda`, ...
        seed: of vocoders that draw noise; the stream of a vocoder of others may take none.
        mel: what vocoders without weights are to invert; None is 22.05 kHz with 80 bands.
        f0: how F0 is made from recordings, for vocoders that take it; None is by dio. Mels bring theirs beside them:
            NAME.f0.npy beside NAME.npy, f0 beside mel in .npz and .safetensors, KEY.f0 beside KEY.
        precision: `float32`, or `bf16` and `fp16` where the first clip shows that the numbers stay good.
        compile: pass the network through torch.compile first; the first clip then takes long.
        stream: frames that the vocoder is given at a time, as in a live system; None gives whole clips.
        settings: of the vocoder's inference, `key=value`, such as `steps=fast` of DiffWave.

    Returns:
        The files written, in the order of the inputs.

    Raises:
        FileNotFoundError: an input is not there, or holds nothing to synthesise.
        FileExistsError: `out` is a file.
        FaultyInputsError: some inputs can't be read or are no mels of this vocoder; the others are written.
        ValueError: two inputs would be written to one file, or one would be overwritten; a setting is not allowed; or
            the device is not there.
    """
    if format not in ("wav", "flac"):
        raise ValueError(f"format is {format!r}; it is wav or flac")
    if batch < 1 or (limit is not None and limit < 1) or (stream is not None and stream < 1):
        raise ValueError(f"batch, limit and stream must be 1 or more, got {batch}, {limit} and {stream}")
    place = chosen_device(device)
    sources = find_sources(inputs, limit)
    vocoder = load_vocoder(model, mel=mel)
    adjust(vocoder, settings)
    if isinstance(vocoder, torch.nn.Module):
        vocoder = vocoder.to(place)
        if compile:
            vocoder.compile(dynamic=True)
    paths = _outputs(sources, Path(out), format, [Path(given).resolve() for given in inputs])
    needed = bool(getattr(vocoder, "needs_f0", False))
    contour = f0 or F0Config() if needed or getattr(vocoder, "takes_f0", False) else None
    reader = SourceReader(vocoder.config.mel, place, f0=contour, needed=needed)
    written, faults, seconds = list[Path](), list[str](), 0.0
    with tqdm(total=len(sources), unit="clip", disable=None) as bar:
        for start in range(0, len(sources), batch):
            part = sources[start : start + batch]
            jobs = list(_read(reader, zip(part, paths[start : start + batch], strict=True), faults))
            if jobs and not written:
                with _told():
                    check_precision(vocoder, jobs[0].clip.mel, jobs[0].clip.f0, precision, place)
            with autocast(precision, place), _told():
                for path, wav in _made(vocoder, jobs, seed, stream, faults):
                    audio.save(path, wav, vocoder.config.mel.sample_rate)
                    seconds += len(wav) / vocoder.config.mel.sample_rate
                    written.append(path)
            bar.update(len(part))
    log.info("%d files, %.1f s of audio, in %s", len(written), seconds, out)
    if faults:
        raise FaultyInputsError(faults, written)
    return written


def _told() -> contextlib.AbstractContextManager[None]:
    """What follows may doubt mels whose names the reader has told already, or whose settings are stated."""
    return warnings.catch_warnings(action="ignore", category=DoubtfulMelWarning)


class _Job(NamedTuple):
    """A clip, where it is from and where its waveform goes."""

    source: Source
    path: Path
    clip: MelClip


def _read(reader: SourceReader, part: Iterable[tuple[Source, Path]], faults: list[str]) -> Iterator[_Job]:
    """What can be read; what is wrong with the others is added to the faults."""
    for source, path in part:
        try:
            yield _Job(source, path, reader.read(source))
        except ValueError as error:
            faults.append(str(error))


def _made(
    vocoder: Any, jobs: list[_Job], seed: int, stream: int | None, faults: list[str]
) -> Iterator[tuple[Path, NDArray[np.float32]]]:
    """Waveforms, and where they go; a vocoder may refuse for reasons of its own what the reader has let through."""
    if not jobs:
        return
    clips = [job.clip for job in jobs]
    try:
        waves = list(_synthesize(vocoder, clips, seed) if stream is None else _stream(vocoder, clips, stream, seed))
    except ValueError as error:
        if len(jobs) == 1:
            faults.append(jobs[0].source.fault(error))
            return
        for job in jobs:
            yield from _made(vocoder, [job], seed, stream, faults)
        return
    for job, wav in zip(jobs, waves, strict=True):
        if np.isfinite(wav).all():
            yield job.path, wav
        else:  # of a good mel: the reader has seen to that
            faults.append(job.source.fault(_NO_NUMBERS))


def _synthesize(vocoder: Any, clips: list[MelClip], seed: int) -> Iterator[NDArray[np.float32]]:
    """Waveforms of some clips, each as if it were alone."""
    lengths = [clip.mel.shape[-1] for clip in clips]
    longest = max(lengths)
    mel = torch.stack([torch.nn.functional.pad(clip.mel, (0, longest - clip.mel.shape[-1])) for clip in clips])
    f0 = None
    if any(clip.f0 is not None for clip in clips):
        # A clip without F0 is one without voice, beside others as alone.
        contours = [clip.mel.new_zeros(clip.mel.shape[-1]) if clip.f0 is None else clip.f0 for clip in clips]
        f0 = torch.stack([torch.nn.functional.pad(c, (0, longest - c.shape[-1])) for c in contours])
    generator = torch.Generator().manual_seed(seed)
    wav = vocoder.synthesize(mel, f0=f0, lengths=torch.tensor(lengths), generator=generator)
    hop = vocoder.config.mel.hop_length
    for row, length in zip(wav, lengths, strict=True):
        yield row[: length * hop].float().cpu().numpy()


def _stream(vocoder: Any, clips: list[MelClip], frames: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """The same, by chunks of so many frames; the time to the first samples is logged."""
    seeded = "generator" in inspect.signature(vocoder.stream).parameters  # the contract does not ask for it
    for clip in clips:
        drawing = {"generator": torch.Generator().manual_seed(seed)} if seeded else {}
        starts = range(0, clip.mel.shape[-1], frames)
        chunks: list[Any] = [clip.mel[:, s : s + frames] for s in starts]
        if clip.f0 is not None:  # read for vocoders that take it only
            chunks = [(clip.mel[:, s : s + frames], clip.f0[s : s + frames]) for s in starts]
        began = time.perf_counter()
        pieces: list[torch.Tensor] = []
        for piece in vocoder.stream(chunks, **drawing):
            if not pieces:
                log.info("first samples after %.0f ms", 1000 * (time.perf_counter() - began))
            pieces.append(piece.float().cpu())
        yield torch.cat(pieces).numpy()


def _outputs(sources: list[Source], out: Path, format: str, inputs: list[Path]) -> list[Path]:
    if out.is_file():
        raise FileExistsError(f"{out} is a file; give the folder to write to")
    paths: dict[Path, Source] = {}
    for source in sources:
        path = out / f"{source.name}.{format}"
        if ".." in Path(source.name).parts or Path(source.name).is_absolute():
            raise ValueError(f"the name {source.name!r} would lead out of {out}")
        if paths.get(path) == source:
            raise ValueError(f"{source.place} is given twice; give it once")
        if path in paths:
            raise ValueError(
                f"{paths[path].path} and {source.path} would both be written to {path}; give them in separate calls"
            )
        own = path.resolve()
        if path.exists() and any(given == own or given in own.parents for given in inputs):
            raise ValueError(f"{path} is one of the inputs and would be overwritten; give another folder than {out}")
        paths[path] = source
    return list(paths)
