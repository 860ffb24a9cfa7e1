"""What is known of published checkpoints, as lines to print. It needs no torch, so that the list comes at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from amphion_vocoders.checkpoints import Checkpoint, known_checkpoints

__all__ = ["checkpoint_lines"]


def checkpoint_lines(*, details: bool = False) -> Iterator[str]:
    """One line for each checkpoint, or with all that is known of it.

    Args:
        details: also settings, the whole mel, discriminators and notes.
    """
    for name, entry in known_checkpoints().items():
        size = f"{entry.parameters / 1e6:.1f} M" if entry.parameters else "size in its args"
        licence = entry.licence or "see its page"
        yield f"{name:35} {entry.family:8} {size:>16}  {_mel(entry):35} {licence:15}  {entry.place}: {entry.weights}"
        if details:
            yield from (f"    {line}" for line in _details(entry))


def _mel(entry: Checkpoint) -> str:
    mel: dict[str, Any] = (entry.config or {}).get("mel", {})
    if not mel:
        return "mel in its args"
    return f"{mel['sample_rate'] / 1000:g} kHz, {mel['n_mels']} bands, hop {mel['hop_length']}"


def _details(entry: Checkpoint) -> Iterator[str]:
    yield entry.about
    yield f"files: {entry.weights}{'' if entry.settings is None else f', {entry.settings}'}"
    yield f"licence: {entry.licence or 'see its page'}"
    if entry.config is not None:
        yield f"mel: {entry.config['mel']}"
    if entry.trained_against:
        yield f"trained against: {', '.join(entry.trained_against)}"
    if entry.note:
        yield f"note: {entry.note}"
