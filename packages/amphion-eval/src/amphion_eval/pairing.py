"""Which recording belongs to which output, by name in two folders or shard sets."""

from __future__ import annotations

import hashlib
import logging
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from amphion_core.data import ShardSet

__all__ = [
    "AUDIO_EXTENSIONS",
    "Clip",
    "Pair",
    "PairingError",
    "Stamp",
    "find_clips",
    "find_estimates",
    "find_pairs",
    "listed",
    "mispair",
    "nfc",
    "pair_of",
    "stamp",
]

log = logging.getLogger(__name__)

AUDIO_EXTENSIONS = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".oga", ".aif", ".aiff")
_UNREAD = frozenset(
    {".m4a", ".aac", ".mp4", ".m4b", ".wma", ".amr", ".ape", ".wv", ".mka", ".webm", ".mov", ".mkv"}
    | {".au", ".snd", ".caf", ".w64", ".rf64", ".sph", ".raw", ".pcm"}
)
"""Other endings of audio, which nobody should miss without a word."""
_SHOWN = 10


class PairingError(ValueError):
    """Clips without partner, twice the same name, or files that are missing; the message lists them all."""


@dataclass(frozen=True, slots=True)
class Clip:
    """Where a piece of audio is.

    Attributes:
        path: audio file, or folder or file of shards; empty where only texts are compared.
        key: the record inside the shards; None for a file.
        samples: (T,) or (C, T) of a clip that is in memory; `Clip.of` makes it.
        sample_rate: of these, Hz.
    """

    path: str
    key: str | None = None
    samples: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    sample_rate: int = field(default=0, compare=False)

    @classmethod
    def of(cls, wav: ArrayLike, sample_rate: int) -> Clip:
        """A clip of samples in memory, such as a model has just made.

        Args:
            wav: (T,) or (C, T).
            sample_rate: Hz.
        """
        samples = np.ascontiguousarray(wav, np.float32)
        name = hashlib.blake2b(samples.tobytes() + str((samples.shape, sample_rate)).encode(), digest_size=8)
        return cls(f"memory:{name.hexdigest()}", None, samples, sample_rate)

    def content(self) -> bytes:
        """What the samples are decoded from, to know the clip by.

        Raises:
            OSError: it can't be read.
            LookupError: the record has no audio.
        """
        if self.samples is not None:
            return self.samples.tobytes() + str((self.samples.shape, self.sample_rate)).encode()
        if self.key is None:
            return Path(self.path).read_bytes()
        shards, positions = _opened(self.path)
        fields = shards[positions[self.key]].fields
        found = next((name for name in fields if f".{name.rpartition('.')[2].lower()}" in AUDIO_EXTENSIONS), None)
        if found is None:
            raise LookupError(f"{self.path} has no audio for {self.key}")
        return fields[found]

    def load(self) -> tuple[NDArray[np.float32], int]:
        """Decode.

        Returns:
            (T,) or (C, T) samples, all channels, and the rate in Hz.

        Raises:
            ValueError: the file can't be decoded, or there is only text.
            FileNotFoundError: there is none.
        """
        if self.samples is not None:
            return self.samples, self.sample_rate
        if self.key is not None:
            shards, positions = _opened(self.path)
            wav, rate = shards.audio(positions[self.key])
            return np.asarray(wav, np.float32), rate
        if not self.path:
            raise ValueError("there is no audio, only text")
        from amphion_core import audio

        return audio.load(self.path, mono=False)


@dataclass(frozen=True, slots=True)
class Pair:
    """One item to be scored.

    Attributes:
        id: unique within the run.
        reference: the recording.
        estimate: the output.
        text: what is said, for error rates.
        transcript: what was recognised in the output.
        language: two letters.
        speaker: label of the voice.
        prompt: recording that the output was to sound like, for zero-shot synthesis and conversion.
        reconstruction: the prompt after the codec of the system.
    """

    id: str
    reference: Clip
    estimate: Clip
    text: str | None = None
    transcript: str | None = None
    language: str | None = None
    speaker: str | None = None
    prompt: Clip | None = None
    reconstruction: Clip | None = None


def find_pairs(
    reference: str | Path, estimate: str | Path, *, ignore_missing: bool = False
) -> tuple[list[Pair], list[str]]:
    """Pair two sets by name, sorted.

    The name of a file is its path below the folder without the extension; that of a record is its id. Texts are
    taken from the shards, or from NAME.txt beside the reference; transcripts from NAME.txt beside the estimate.

    Args:
        reference: folder of audio files, shards, or one audio file.
        estimate: the same.
        ignore_missing: leave out what has no partner instead of refusing.

    Returns:
        The pairs, and what was left out, in words.

    Raises:
        PairingError: names without partner and audio of other formats (unless ignored), names that stand for two
            files, all of them; or no pair at all.
        FileNotFoundError: a place does not exist.
    """
    for place in (reference, estimate):
        if not Path(place).exists():
            raise FileNotFoundError(f"nothing at {place}")
    if _is_audio(reference) and _is_audio(estimate):
        name = Path(estimate).stem
        return [pair_of(name, Clip(str(reference)), Clip(str(estimate)))], []
    (refs, twice, unread), (ests, more_twice, more_unread) = _scan(reference), _scan(estimate)
    twice, missing = [*twice, *more_twice], [*unread, *more_unread]
    missing += [f"no estimate for {name}" for name in sorted(refs.keys() - ests.keys())]
    missing += [f"no reference for {name}" for name in sorted(ests.keys() - refs.keys())]
    common = sorted(refs.keys() & ests.keys())
    if twice or (missing and not ignore_missing):
        ways = ["rename or remove one of two"] if twice else []
        ways += ["add what is missing, or allow it with --ignore-missing"] if missing and not ignore_missing else []
        raise PairingError(
            f"{reference} has {len(refs)} clips, {estimate} has {len(ests)}, {len(common)} names are in both:\n"
            f"{listed([*twice, *([] if ignore_missing else missing)])}\n{'; '.join(ways)}"
        )
    if not common:
        raise PairingError(f"no name is in both: {reference} has {len(refs)} clips, {estimate} has {len(ests)}")
    return [pair_of(name, refs[name], ests[name]) for name in common], missing


def find_estimates(estimate: str | Path) -> list[Pair]:
    """Items without a recording, for metrics that need none.

    Args:
        estimate: folder of audio files, shards, or one audio file. Texts are taken from the shards, or from NAME.txt
            beside the file.

    Raises:
        PairingError: there is no audio, or a name stands for two files.
        FileNotFoundError: the place does not exist.
    """
    if not Path(estimate).exists():
        raise FileNotFoundError(f"nothing at {estimate}")
    clips = {Path(estimate).stem: Clip(str(estimate))} if _is_audio(estimate) else find_clips(estimate)
    return [_alone(name, clip) for name, clip in clips.items()]


def _alone(name: str, clip: Clip) -> Pair:
    pair = pair_of(name, clip, clip)  # what stands beside the clip is what was to be said
    return replace(pair, reference=Clip(""), transcript=None)


def mispair(pairs: Sequence[Pair]) -> list[Pair]:
    """Each output with the recording and text of the next item: what chance scores, the floor of every figure.

    Args:
        pairs: at least 2.

    Raises:
        ValueError: there is no other item.
    """
    if len(pairs) < 2:
        raise ValueError(f"a wrong partner needs another item; there is {len(pairs)}")
    following = [*pairs[1:], pairs[0]]
    return [
        replace(own, reference=other.reference, text=other.text) for own, other in zip(pairs, following, strict=True)
    ]


def pair_of(name: str, ref: Clip, est: Clip, row: Mapping[str, Any] | None = None) -> Pair:
    """An item with the texts that a table, the shards or files beside the clips have for it.

    Args:
        name: of the item.
        ref: the recording.
        est: the output.
        row: of a table.
    """
    values = {key: (row or {}).get(key) for key in ("text", "transcript", "language", "speaker")}
    values |= {key: values[key] or None for key in ("text", "language", "speaker")}  # an empty transcript is one
    if ref.key is not None:
        shards, positions = _opened(ref.path)
        utterance = shards.utterance(positions[ref.key])
        values = {
            **values,
            "text": values["text"] or utterance.text,
            "language": values["language"] or utterance.language,
            "speaker": values["speaker"] or utterance.speaker,
        }
    values["text"] = values["text"] or _beside(ref)
    values["transcript"] = values["transcript"] if values["transcript"] is not None else _beside(est)
    return Pair(name, ref, est, **values)


def find_clips(source: str | Path) -> dict[str, Clip]:
    """The clips of a folder or of shards by name, sorted.

    Args:
        source: folder of audio files, or shards.

    Raises:
        PairingError: it is a single file, it has no audio, or two files share a name.
    """
    found, twice, unread = _scan(source)
    if twice:
        raise PairingError(f"{source}: {len(twice)} names stand for two files:\n{listed(twice)}")
    if unread:
        log.warning("%s: %d files are left out:\n%s", source, len(unread), listed(unread))
    return found


def _scan(source: str | Path) -> tuple[dict[str, Clip], list[str], list[str]]:
    """The clips of a place, names that stand for two files, and audio of formats that are not read."""
    place = Path(source)
    if place.suffix == ".tar" or (place.is_dir() and any(place.glob("*.tar"))):
        return {_name(key): Clip(str(source), key) for key in _opened(str(source))[1]}, [], []
    if not place.is_dir():
        raise PairingError(f"{source} is a file and its partner a folder; give two folders, two files, or --pairs")
    found: dict[str, Clip] = {}
    twice, unread = [], []
    for path in sorted(place.rglob("*")):
        below = path.relative_to(place)
        if any(part.startswith(".") for part in below.parts):
            continue
        if path.suffix.lower() in _UNREAD and path.is_file():
            unread.append(f"{path.as_posix()} is of no format that is read ({', '.join(AUDIO_EXTENSIONS)})")
        if not _is_audio(path):
            continue
        name = _name(below.with_suffix("").as_posix())
        if name in found:
            twice.append(f"the name {name} stands for {found[name].path} and {path.as_posix()}")
        found[name] = Clip(path.as_posix())
    if not found:
        more = f"; {listed(unread)}" if unread else ""
        raise PairingError(f"{source} has no audio file ({', '.join(AUDIO_EXTENSIONS)}) and no shard (.tar){more}")
    return found, twice, unread


def _name(text: str) -> str:
    from amphion_core.data import unescape_key

    return nfc(unescape_key(text))


def nfc(text: str) -> str:
    """Text in NFC; file systems and programs differ in how they spell accents."""
    return unicodedata.normalize("NFC", text)


def _is_audio(path: str | Path) -> bool:
    return Path(path).suffix.lower() in AUDIO_EXTENSIONS and Path(path).is_file()


def _beside(clip: Clip) -> str | None:
    if clip.key is not None or not clip.path:
        return None
    path = Path(clip.path).with_suffix(".txt")
    return path.read_text(encoding="utf-8-sig").strip() if path.is_file() else None


def listed(lines: Sequence[str]) -> str:
    """Lines of a message, the first ten of many."""
    shown = [f"  {line}" for line in lines[:_SHOWN]]
    return "\n".join([*shown, *([f"  and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else [])])


Stamp = tuple[int, int]
"""What changes when a file or a folder of shards does: time and size."""


def stamp(path: str) -> Stamp:
    """The present stamp of a file or folder; zeros where there is none, for its reader to complain."""
    try:
        status = Path(path).stat()
    except OSError:
        return (0, 0)
    return status.st_mtime_ns, status.st_size


def _opened(path: str) -> tuple[ShardSet, Mapping[str, int]]:
    return _open(path, stamp(path))


@lru_cache(maxsize=4)
def _open(path: str, _: Stamp) -> tuple[ShardSet, Mapping[str, int]]:
    from amphion_core.data import ShardSet

    shards = ShardSet.open(path)
    return shards, {key: position for position, key in enumerate(shards.keys)}
