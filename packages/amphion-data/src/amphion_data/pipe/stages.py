"""The parts that can be exchanged: what each takes and gives, and how one is found by its name.

A part of one's own is an entry point of the group `amphion.stages`, named KIND-NAME such as `vad-mine`; its value is a
function of the options (a mapping) and the device to an object of the protocol of its kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from amphion_core import registry
from amphion_core.weights import Weights
from amphion_data.pipe.spans import Diarisation, Span

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from amphion_data.pipe.sound import Sound

    Wav = NDArray[np.float32]

__all__ = [
    "KINDS",
    "Clip",
    "Detector",
    "Diariser",
    "Embedder",
    "Recogniser",
    "Scorer",
    "Separator",
    "Transcript",
    "check_parts",
    "find_stage",
    "named",
]

KINDS = ("separate", "vad", "diarise", "embed", "transcribe", "score")
"""Kinds of stages, in the order of the work."""


@dataclass(frozen=True)
class Clip:
    """A segment on its way to the networks.

    Attributes:
        wav: (T,) at 16 kHz.
        source: name of its file.
        start: s, in the source; `end` too.
    """

    wav: Wav
    source: str
    start: float
    end: float


@dataclass(frozen=True)
class Transcript:
    """What a recogniser heard.

    Attributes:
        text: as it gives it; a leading blank included.
        language: two letters; None where it does not say.
        language_probability: of that; None where it does not say. So are the others.
        logprob: mean over the tokens.
        no_speech: probability that nobody speaks.
        words: start and end, s in the clip, and text of each, where asked for.
        damaged: why the text can't be read, which drops the segment; empty where it can.
    """

    text: str
    language: str | None = None
    language_probability: float | None = None
    logprob: float | None = None
    no_speech: float | None = None
    words: tuple[tuple[float, float, str], ...] = field(default=())
    damaged: str = ""


class Separator(Protocol):
    """Takes away what is no voice."""

    identity: str
    sample_rate: int | None
    """Hz that it works at; None for any."""

    def stream(self, blocks: Iterable[Wav]) -> Iterator[Wav]:
        """Blocks (C, T) of a recording to blocks of the voice, as many samples in all."""
        ...


class Detector(Protocol):
    """Finds speech."""

    identity: str

    def speech(self, blocks: Iterable[Wav]) -> list[Span]:
        """Blocks (T,) at 16 kHz of one recording to sorted spans."""
        ...


class Embedder(Protocol):
    """Voices to vectors.

    Attributes:
        metric: `cosine` or `euclidean`.
        threshold: mean distance up to which two groups of windows are one speaker.
        overlap: how much nearer a window of two voices at once lies to the sum of two speakers than to one.
    """

    identity: str
    metric: str
    threshold: float

    def embed(self, clips: Sequence[Wav]) -> NDArray[np.float32]:
        """(T,) at 16 kHz each, speech, to (B, D)."""
        ...


class Diariser(Protocol):
    """Tells speakers apart."""

    identity: str

    def diarise(self, sound: Sound, speech: Sequence[Span]) -> Diarisation:
        """Turns of a recording whose speech is known."""
        ...


class Recogniser(Protocol):
    """Writes what is said."""

    identity: str

    def transcribe(self, clips: Sequence[Clip]) -> list[Transcript | None]:
        """One for each clip; None where there is nothing to say about it."""
        ...


class Scorer(Protocol):
    """Rates the sound; 1 to 5, higher is better."""

    identity: str

    def score(self, clips: Sequence[Clip]) -> list[Mapping[str, float]]:
        """Ratings by name of each clip, of which `ovrl` decides."""
        ...


def check_parts(parts: Mapping[str, str], options: Iterable[str]) -> None:
    """Refuse names of parts that no installed package has, before anything is begun.

    Args:
        parts: the name of the one that is chosen for each kind.
        options: names of the parts that options are given for.

    Raises:
        LookupError: one is not known; names those there are.
    """
    known = registry.names("stages")
    for kind, name in parts.items():
        if f"{kind}-{name}" not in known:
            there = ", ".join(point.partition("-")[2] for point in known if point.startswith(f"{kind}-"))
            raise LookupError(f"no part named {name!r} for the stage {kind}; there are: {there or 'none'}")
    names = sorted({point.partition("-")[2] for point in known} - {"none"})
    for name in options:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise LookupError(f"options for {name!r}, but no part has that name{hint} (known: {', '.join(names)})")


def find_stage(kind: str, name: str, options: Mapping[str, Any], device: str = "cpu") -> Any:
    """Make a part.

    Args:
        kind: one of `KINDS`.
        name: as the settings have it.
        options: of this part.
        device: `cpu` or `cuda:0`.

    Raises:
        LookupError: no installed package has such a part; names those there are.
        MissingExtraError: a package that it needs is not installed.
        FileNotFoundError: its weights are not here.
    """
    check_parts({kind: name}, ())
    return registry.find("stages", f"{kind}-{name}")(options, device)


def named(model: str, folder: Path) -> str:
    """What the identity of a stage says of a checkpoint: name and hash of its files, wherever on a disk they are.

    Args:
        model: hub id, or a folder, of which only the name is said.
        folder: where its files are.
    """
    return f"{Path(model).name if Path(model).is_dir() else model} {Weights(model, path=str(folder)).hash()}"
