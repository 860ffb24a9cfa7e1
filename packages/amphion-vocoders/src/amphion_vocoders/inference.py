"""Copies of recordings, and waveforms of mels, from files, folders and shards, as `amphion-vocoders synthesize`."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from amphion_core import audio
from amphion_core.data.reader import ShardSet
from amphion_core.features import MelConfig
from amphion_core.features.mel import MelSpectrogram
from amphion_core.interfaces import load_vocoder

__all__ = ["AUDIO", "MELS", "Source", "find_sources", "synthesize"]

log = logging.getLogger(__name__)

AUDIO = (".wav", ".flac", ".mp3", ".ogg", ".opus")
MELS = (".npy", ".safetensors")


class Source(NamedTuple):
    """One thing to synthesise.

    Attributes:
        name: of the output, without extension; folders of it become folders.
        path: of the file, or of the shards.
        key: of a row of shards or of a tensor in a file; None for a file of one.
    """

    name: str
    path: Path
    key: str | int | None = None


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
) -> list[Path]:
    """Turn recordings or mels into waveforms in a folder.

    Recordings are analysed with the vocoder's own mel and synthesised again.

    Args:
        inputs: audio files, mels (.npy of (n_mels, F) or (F, n_mels), .safetensors of several), folders of either,
            or folders of shards.
        model: checkpoint, run folder, hub id, or the name of a vocoder without weights.
        out: folder, made if absent. Files are named as the inputs, rows of shards by their keys.
        format: of the files, `wav` or `flac`.
        batch: clips that are given to the vocoder at once.
        limit: the first so many only.
        device: `auto`, `cpu`, `cuda`, ...
        seed: of vocoders that draw noise.
        mel: what vocoders without weights are to invert; None is 22.05 kHz with 80 bands.

    Returns:
        The files written, in the order of the inputs.

    Raises:
        FileNotFoundError: an input is not there, or holds nothing to synthesise.
        ValueError: two inputs would be written to one file, or one can't be read or is no mel of this vocoder.
    """
    if format not in ("wav", "flac"):
        raise ValueError(f"format is {format!r}; it is wav or flac")
    if batch < 1 or (limit is not None and limit < 1):
        raise ValueError(f"batch and limit must be 1 or more, got {batch} and {limit}")
    sources = find_sources(inputs, limit)
    vocoder = load_vocoder(model, mel=mel)
    if isinstance(vocoder, torch.nn.Module):
        vocoder = vocoder.to(_device(device))
    paths = _outputs(sources, Path(out), format)
    reader = _Reader(vocoder.config.mel, _device(device), with_f0=getattr(vocoder, "name", "") == "world")
    seconds = 0.0
    with tqdm(total=len(sources), unit="clip", disable=None) as bar:
        for start in range(0, len(sources), batch):
            clips = [reader.read(source) for source in sources[start : start + batch]]
            for path, wav in zip(paths[start:], _synthesize(vocoder, clips, seed), strict=False):
                audio.save(path, wav, vocoder.config.mel.sample_rate)
                seconds += len(wav) / vocoder.config.mel.sample_rate
            bar.update(len(clips))
    log.info("%d files, %.1f s of audio, in %s", len(paths), seconds, out)
    return paths


def find_sources(inputs: Sequence[str | Path], limit: int | None = None) -> list[Source]:
    """What there is to synthesise below some files and folders, in a fixed order.

    Raises:
        FileNotFoundError: an input is not there, or holds nothing to synthesise.
    """
    found: list[Source] = []
    for given in inputs:
        path = Path(given)
        if not path.exists():
            raise FileNotFoundError(f"no file or folder at {path}")
        for source in _below(path):
            found.append(source)
            if limit is not None and len(found) == limit:
                return found
    return found


def _below(path: Path) -> Iterator[Source]:
    if path.suffix == ".tar" or (path.is_dir() and any(path.glob("*.tar"))):
        shards = ShardSet.open(path)
        yield from (Source(str(key).replace("/", "_"), path, number) for number, key in enumerate(shards.keys))
    elif path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() in AUDIO + MELS)
        if not files:
            raise FileNotFoundError(f"{path} holds neither shards nor files of {', '.join(AUDIO + MELS)}")
        for file in files:
            yield from _of_file(file, str(file.relative_to(path).with_suffix("")))
    else:
        yield from _of_file(path, path.stem)


def _of_file(path: Path, name: str) -> Iterator[Source]:
    kind = path.suffix.lower()
    if kind == ".safetensors":
        import safetensors

        with safetensors.safe_open(path, framework="pt") as tensors:
            yield from (Source(f"{name}/{key.replace('/', '_')}", path, key) for key in sorted(tensors.keys()))
    elif kind in AUDIO + MELS:
        yield Source(name, path)
    else:
        raise ValueError(f"{path} is none of {', '.join(AUDIO + MELS)} nor a folder of shards")


class _Clip(NamedTuple):
    """A mel (n_mels, F) and, where the vocoder wants it and there is one, F0 (F,) in Hz."""

    mel: Tensor
    f0: Tensor | None


class _Reader:
    """Reads sources as mels on a device."""

    def __init__(self, config: MelConfig, device: torch.device, *, with_f0: bool) -> None:
        self.config, self.device, self.with_f0 = config, device, with_f0
        self.analyse = MelSpectrogram(config)
        self._shards: dict[Path, ShardSet] = {}

    def read(self, source: Source) -> _Clip:
        """The mel of a source.

        Raises:
            ValueError: names the source and what is wrong with it.
        """
        try:
            if isinstance(source.key, int):
                return self._of_wav(self._row(source.path, source.key))
            if source.path.suffix.lower() in AUDIO:
                return self._of_wav(audio.load(source.path, sample_rate=self.config.sample_rate)[0])
            return _Clip(self._oriented(_stored(source)), None)
        except ValueError as error:
            where = source.path if source.key is None else f"{source.path}, {source.name}"
            raise ValueError(f"{where}: {error}") from None

    def _row(self, path: Path, number: int) -> NDArray[np.float32]:
        if path not in self._shards:
            self._shards[path] = ShardSet.open(path)
        wav, _ = self._shards[path].audio(number, sample_rate=self.config.sample_rate)
        return wav

    def _of_wav(self, wav: NDArray[np.float32]) -> _Clip:
        shortest = self.config.n_fft
        wav = np.pad(wav, (0, max(0, shortest - wav.shape[0])))
        mel = self.analyse(torch.from_numpy(np.ascontiguousarray(wav)).to(self.device))
        f0 = None
        if self.with_f0:
            from amphion_core.features.world import dio_f0

            contour = dio_f0(wav, self.config.sample_rate, hop_length=self.config.hop_length)
            f0 = torch.from_numpy(contour[: mel.shape[-1]]).float()
        return _Clip(mel, f0)

    def _oriented(self, mel: Tensor) -> Tensor:
        if mel.ndim == 3 and mel.shape[0] == 1:
            mel = mel[0]
        if mel.ndim != 2 or self.config.n_mels not in mel.shape:
            raise ValueError(
                f"a mel of shape {tuple(mel.shape)} has not the {self.config.n_mels} bands that this vocoder takes"
            )
        # Acoustic models of other code bases store (F, n_mels).
        return (mel if mel.shape[0] == self.config.n_mels else mel.mT).float().to(self.device)


def _stored(source: Source) -> Tensor:
    if source.path.suffix.lower() == ".npy":
        return torch.from_numpy(np.load(source.path, allow_pickle=False))
    import safetensors

    with safetensors.safe_open(source.path, framework="pt") as tensors:
        stored: Tensor = tensors.get_tensor(str(source.key))
        return stored


def _synthesize(vocoder: Any, clips: list[_Clip], seed: int) -> Iterator[NDArray[np.float32]]:
    """Waveforms of some clips, each as if it were alone."""
    lengths = [clip.mel.shape[-1] for clip in clips]
    longest = max(lengths)
    mel = torch.stack([torch.nn.functional.pad(clip.mel, (0, longest - clip.mel.shape[-1])) for clip in clips])
    contours = [clip.f0 for clip in clips if clip.f0 is not None]
    f0 = None
    if contours and len(contours) == len(clips):
        f0 = torch.stack([torch.nn.functional.pad(c, (0, longest - c.shape[-1])) for c in contours])
    generator = torch.Generator().manual_seed(seed)
    wav = vocoder.synthesize(mel, f0=f0, lengths=torch.tensor(lengths), generator=generator)
    hop = vocoder.config.mel.hop_length
    for row, length in zip(wav, lengths, strict=True):
        yield row[: length * hop].float().cpu().numpy()


def _outputs(sources: list[Source], out: Path, format: str) -> list[Path]:
    paths: dict[Path, Source] = {}
    for source in sources:
        path = out / f"{source.name}.{format}"
        if ".." in Path(source.name).parts or Path(source.name).is_absolute():
            raise ValueError(f"the name {source.name!r} would lead out of {out}")
        if path in paths:
            raise ValueError(
                f"{paths[path].path} and {source.path} would both be written to {path}; give them in separate calls"
            )
        paths[path] = source
    return list(paths)


def _device(name: str) -> torch.device:
    if name != "auto":
        return torch.device(name)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
