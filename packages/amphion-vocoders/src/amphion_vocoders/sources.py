"""What `synthesize` takes: recordings, mels in files of several kinds, and rows of shards, read as mels with F0."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from amphion_core import audio
from amphion_core.data.reader import ShardSet
from amphion_core.features import MelConfig
from amphion_core.features.mel import MelSpectrogram
from amphion_vocoders.mel_files import oriented, settings_of, stated_settings
from amphion_vocoders.mel_values import DoubtfulMelWarning, doubt
from amphion_vocoders.segments import F0Config
from amphion_vocoders.stored_mels import is_f0, read_mel, real_numbers, tensor_keys
from amphion_vocoders.synthesis import check_f0, check_mel

__all__ = ["AUDIO", "MELS", "MelClip", "Source", "SourceReader", "find_sources"]

log = logging.getLogger(__name__)

AUDIO = (".wav", ".flac", ".mp3", ".ogg", ".opus")
MELS = (".npy", ".npz", ".safetensors")

ANALYSED_FRAMES = 4096
"""Frames of a recording whose transforms exist at once."""

_SAY_THE_LOG = 'To end this doubt, name the logarithm where the settings of the mel are stated: "log": "ln" in mel.json'


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

    @property
    def place(self) -> str:
        """What errors call it."""
        return str(self.path) if self.key is None else f"{self.path}, {self.name}"

    def fault(self, error: Exception | str) -> str:
        """What is wrong, with the place before it; errors about a file as a whole begin with its path themselves."""
        words = str(error)
        return words if words.startswith(str(self.path)) else f"{self.place}: {words}"


class MelClip(NamedTuple):
    """A mel (n_mels, F) and, where the vocoder wants it and there is one, F0 (F,) in Hz."""

    mel: Tensor
    f0: Tensor | None


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
    if not found:
        given = ", ".join(str(path) for path in inputs)
        raise FileNotFoundError(
            f"nothing to synthesise: {given or 'no input is given'}; F0 goes beside a mel, give that"
        )
    return found


class SourceReader:
    """Reads sources as mels on a device.

    Args:
        config: the mel of the vocoder.
        device: where to put it.
        f0: how F0 is made from recordings; None where the vocoder doesn't take it.
        needed: whether mels without F0 are refused.
    """

    def __init__(
        self, config: MelConfig, device: torch.device, *, f0: F0Config | None = None, needed: bool = False
    ) -> None:
        self.config, self.device, self.f0, self.needed = config, device, f0, needed
        self.analyse = MelSpectrogram(config).to(device)
        self._shards: dict[Path, ShardSet] = {}

    def read(self, source: Source) -> MelClip:
        """The mel of a source, and its F0.

        Raises:
            ValueError: names the source and what is wrong with it.
        """
        try:
            with warnings.catch_warnings(action="ignore", category=DoubtfulMelWarning):  # told below, by name
                clip, doubtful = self._clip(source)
                # Here, where the source is known, and before clips of other lengths stand beside it.
                check_mel(clip.mel[None], self.config)
            check_f0(None if clip.f0 is None else clip.f0[None], clip.mel[None])
            words = doubt(clip.mel, self.config) if doubtful else None
            if words:
                log.warning("%s: %s. %s", source.place, words, _SAY_THE_LOG)
            return clip
        except (ValueError, OSError) as error:
            raise ValueError(source.fault(error)) from None

    def _clip(self, source: Source) -> tuple[MelClip, bool]:
        """What a source holds, and whether its values are all that tells its logarithm."""
        if isinstance(source.key, int):
            return self._of_row(source, source.key)
        if source.path.suffix.lower() in AUDIO:
            return self._of_wav(audio.load(source.path, sample_rate=self.config.sample_rate)[0]), False
        mel, contour = read_mel(source.path, source.key)
        stated = stated_settings(source.path)
        return MelClip(self._oriented(mel, stated, source), self._contour(contour)), _silent_of_log(stated)

    def _of_row(self, source: Source, number: int) -> tuple[MelClip, bool]:
        """A row of shards: its recording, or where it has none the mel that is stored in it."""
        path = source.path
        if path not in self._shards:
            self._shards[path] = ShardSet.open(path)
        shards = self._shards[path]
        fields = {place.field for place in shards.places(number)[1]}
        if shards.audio_place(number)[1] is not None or "mel.npy" not in fields:
            return self._of_wav(shards.audio(number, sample_rate=self.config.sample_rate)[0]), False
        stated = settings_of({"mel": shards.utterance(number).extra.get("mel")}) or stated_settings(path)
        mel = self._oriented(real_numbers(shards.array(number, "mel")), stated, source)
        f0 = real_numbers(shards.array(number, "f0")) if "f0.npy" in fields else None
        return MelClip(mel, self._contour(f0)), _silent_of_log(stated)

    def _oriented(self, stored: Tensor, stated: Mapping[str, Any] | None, source: Source) -> Tensor:
        """A stored mel with its bands first, on the device; where its shape can't tell them from the frames, say so."""
        mel = oriented(stored, self.config, stated)
        if mel.shape[0] == mel.shape[1]:
            log.warning(
                "%s: a mel of as many frames as bands, %d; the first axis is taken for the bands, turn it if it is not",
                source.place,
                self.config.n_mels,
            )
        return mel.to(self.device)

    def _of_wav(self, wav: NDArray[np.float32]) -> MelClip:
        settings = self.config
        wav = np.pad(wav, (0, max(0, settings.n_fft - wav.shape[0])))
        mel = self._mel(torch.from_numpy(np.ascontiguousarray(wav)))
        if self.f0 is None:
            return MelClip(mel, None)
        contour = self.f0.contour(wav, settings.sample_rate, settings.hop_length, mel.shape[-1])
        return MelClip(mel, torch.from_numpy(contour).to(self.device))

    def _mel(self, wav: Tensor) -> Tensor:
        """The mel (n_mels, F) of a recording (T,), in pieces: the transforms of an hour would not fit in memory."""
        hop, total = self.config.hop_length, self.config.frames(wav.shape[0])
        # Frames whose transforms reach beyond the end of a piece; the reflection at that end is not the recording.
        margin = self.config.n_fft // hop + 1
        if total <= ANALYSED_FRAMES + 2 * margin:
            analysed: Tensor = self.analyse(wav.to(self.device))
            return analysed
        pieces = []
        for start in range(0, total, ANALYSED_FRAMES):
            stop = min(start + ANALYSED_FRAMES, total)
            left = max(0, start - margin)
            last = stop + 2 * margin >= total
            piece = wav[left * hop : None if last else (stop + margin) * hop]
            stop = total if last else stop
            pieces.append(self.analyse(piece.to(self.device))[:, start - left : stop - left])
            if last:
                break
        return torch.cat(pieces, dim=1)

    def _contour(self, f0: Tensor | None) -> Tensor | None:
        if self.f0 is None:
            return None
        if f0 is None:
            if self.needed:
                raise ValueError(
                    "this vocoder needs F0 beside the mel, (F,) in Hz, 0 where unvoiced: NAME.f0.npy beside NAME.npy, "
                    "an array f0 beside mel in .npz, a tensor KEY.f0 beside KEY (f0 beside mel) in .safetensors"
                )
            return None
        return f0.flatten().to(self.device)


def _silent_of_log(stated: Mapping[str, Any] | None) -> bool:
    """Whether nothing is stated of the logarithm, so that the values are all that tells it."""
    return stated is None or stated.get("log") is None


def _below(path: Path) -> Iterator[Source]:
    if path.suffix == ".tar":
        yield from _rows(path, "")
    elif path.is_dir():
        nothing = True
        for folder in sorted({shard.parent for shard in path.rglob("*.tar")}):
            inside = folder.relative_to(path)
            yield from _rows(folder, "" if inside == Path() else f"{inside}/")
            nothing = False
        for file in sorted(p for p in path.rglob("*") if p.suffix.lower() in AUDIO + MELS and not is_f0(p)):
            yield from _of_file(file, str(file.relative_to(path).with_suffix("")))
            nothing = False
        if nothing:
            raise FileNotFoundError(f"{path} holds neither shards nor files of {', '.join(AUDIO + MELS)}")
    elif not is_f0(path):  # a shell's *.npy brings them too
        yield from _of_file(path, path.stem)


def _rows(path: Path, prefix: str) -> Iterator[Source]:
    shards = ShardSet.open(path)
    yield from (Source(prefix + str(key).replace("/", "_"), path, number) for number, key in enumerate(shards.keys))


def _of_file(path: Path, name: str) -> Iterator[Source]:
    kind = path.suffix.lower()
    if kind not in AUDIO + MELS:
        raise ValueError(f"{path} is none of {', '.join(AUDIO + MELS)} nor a folder of shards")
    if kind != ".safetensors":
        yield Source(name, path)
        return
    try:
        keys = tensor_keys(path)
    except ValueError:
        keys = []
    mels = [key for key in keys if not key.endswith(".f0")]
    if keys == ["f0", "mel"]:
        yield Source(name, path, "mel")
    elif not mels:
        yield Source(name, path)  # reading it says what is wrong
    else:
        yield from (Source(f"{name}/{key.replace('/', '_')}", path, key) for key in mels)
