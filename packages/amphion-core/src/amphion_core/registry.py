"""Components by name, found through entry points: ours and a stranger's alike."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

__all__ = ["AVAILABLE", "GROUPS", "entries", "find", "names"]

GROUPS = (
    "models",
    "vocoders",
    "codecs",
    "tasks",
    "datasets",
    "metrics",
    "recipes",
    "checkpoints",
    "judges",
    "stages",
    "commands",
)
"""The kinds of component; the entry-point group of a kind is `amphion.KIND`.

The value of a `checkpoints` entry is a function from a name to a loaded model, or to None where it knows none; the
entry's name is the kind of model. The value of a `judges` entry is a function from names of metrics to a
`amphion_core.training.task.Judge`; the trainer takes the one called `metrics`. The value of a `stages` entry is a
function that makes a part of the pipeline of amphion-data; its name is KIND-NAME, such as `vad-silero`.
"""

AVAILABLE: Mapping[str, str] = {
    "amphion-eval": "metrics: F0, energy, MCD, STFT, SI-SDR, WER and reports",
    "amphion-data": "corpora: LJSpeech, a folder of one's own; shards and statistics",
    "amphion-vocoders": "vocoders: HiFi-GAN, BigVGAN, Vocos, DiffWave, WaveRNN and more; published checkpoints by name",
    "amphion-codecs": "neural codecs (models to come)",
    "amphion-tts": "text to speech: fastspeech2 and the command that speaks",
    "amphion-svc": "singing, voice and accent conversion (models to come)",
    "amphion-tta": "text to audio and music (models to come)",
}
"""Our packages and what each would bring, for `amphion components`."""


@cache
def entries(group: str) -> Mapping[str, EntryPoint]:
    """The declared components of one kind, by name, without importing any.

    Raises:
        LookupError: the kind is unknown, or two packages declare one name.
    """
    if group not in GROUPS:
        raise LookupError(f"no kind of component named {group!r}; there are: {', '.join(GROUPS)}")
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=f"amphion.{group}"):
        other = found.get(point.name)
        if other is not None and other.value != point.value:
            one, two = sorted(f"{_owner(p)} ({p.value})" for p in (other, point))
            raise LookupError(
                f"two packages declare the {group} {point.name!r}: {one} and {two}; uninstall one of them"
            )
        found[point.name] = point
    return dict(sorted(found.items()))


def names(group: str) -> list[str]:
    """Names of the installed components of one kind, sorted."""
    return list(entries(group))


def find(group: str, name: str) -> Any:
    """Import one component and nothing else.

    Args:
        group: a kind of component, such as `vocoders`.
        name: its declared name, such as `hifigan`.

    Raises:
        LookupError: no installed package declares it; the message names those that are.
    """
    known = entries(group)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise LookupError(f"no {group} named {name!r}; installed: {', '.join(known) or 'none'}{hint}")
    return known[name].load()


def _owner(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "an unnamed package"
