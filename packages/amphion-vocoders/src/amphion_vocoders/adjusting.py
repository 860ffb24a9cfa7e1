"""Settings of inference that are changed on a trained vocoder, such as the schedule of DiffWave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amphion_core.config import apply_overrides

__all__ = ["adjust"]


def adjust(vocoder: Any, items: Sequence[str]) -> None:
    """Change settings of a vocoder by `key=value` items; it is changed in place.

    A vocoder names in `adjustable` those fields of its configuration that its weights don't depend on.

    Args:
        vocoder: any.
        items: such as `steps=fast`; values are read as YAML.

    Raises:
        ValueError: a name that is none of these, or a value that is not allowed.
    """
    if not items:
        return
    allowed = getattr(vocoder, "adjustable", ())
    for item in items:
        key = item.partition("=")[0].strip()
        name = key.partition(".")[0]
        if name not in allowed:
            known = f"what can be set is {', '.join(allowed)}" if allowed else "nothing of it can be set"
            if name == "seed":  # the generator that is given decides
                known += "; the seed of noise is given by --seed of amphion-vocoders synthesize"
            raise ValueError(f"{key!r} is no setting of the vocoder {getattr(vocoder, 'name', vocoder)!r}: {known}")
    values = apply_overrides(vocoder.config.to_dict(), items)
    vocoder.config = type(vocoder.config).parse(values, where="settings")
