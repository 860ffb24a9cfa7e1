"""Nothing taken away: the recording as it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["NoSeparator", "make_none"]

Wav = NDArray[np.float32]


class NoSeparator:
    """Leaves music and noise where they are."""

    identity = "none"
    sample_rate: int | None = None

    def stream(self, blocks: Iterable[Wav]) -> Iterator[Wav]:
        """See `Separator.stream`."""
        yield from blocks


def make_none(options: Mapping[str, Any], device: str) -> NoSeparator:
    """The stage `separate-none`."""
    return NoSeparator()
