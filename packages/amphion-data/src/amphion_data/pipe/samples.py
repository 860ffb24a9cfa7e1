"""Samples of a recording: a raw file on this machine, and what of it travels to another process.

Within a process the steps hand on the file. Where a step runs elsewhere, pickling takes views of the file's pages, of
the stretches that are still needed, as buffers out of band: Ray puts them into its object store without a copy in
between, and the other side reads them there.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Samples"]

Wav = NDArray[np.float32]


class Samples:
    """Mono float32 samples.

    Args:
        path: of a raw file; None where they are in memory.
        parts: stretches in memory, each with the number of its first sample, sorted.

    Attributes:
        needed: stretches (first, behind the last) that may still be read; None for all.
    """

    def __init__(self, path: Path | None, parts: Sequence[tuple[int, Wav]] = ()) -> None:
        self.path = path
        self.parts = list(parts)
        self.needed: Sequence[tuple[int, int]] | None = None

    def read(self, first: int, last: int) -> Wav:
        """(T,) samples of a stretch, as far as it lies in the recording.

        Raises:
            LookupError: the stretch did not travel here.
        """
        count = max(0, last - first)
        if self.path is not None:
            return np.fromfile(self.path, np.float32, count, offset=4 * first)
        place = bisect_right([start for start, _ in self.parts], first) - 1
        if place < 0:
            if not count:
                return np.zeros(0, np.float32)
            raise LookupError(f"samples {first} to {last} were not kept; the first that were is {self._first()}")
        start, wav = self.parts[place]
        return np.array(wav[first - start : first - start + count])

    def close(self) -> None:
        """Remove what is on disk."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def travelling(self) -> list[tuple[int, Wav]]:
        """The stretches that are needed; of a file they are views of its pages."""
        if self.path is None:
            return self.parts if self.needed is None else [(a, self._view(a, b)) for a, b in self.needed]
        if not self.path.stat().st_size:
            return []
        whole = np.asarray(np.memmap(self.path, np.float32, "r"))
        return [(0, whole)] if self.needed is None else [(a, whole[a:b]) for a, b in self.needed]

    def _view(self, first: int, last: int) -> Wav:
        place = bisect_right([start for start, _ in self.parts], first) - 1
        start, wav = self.parts[place]
        return wav[first - start : last - start]

    def _first(self) -> str:
        return str(self.parts[0][0]) if self.parts else "none"

    def __reduce__(self) -> tuple[Any, ...]:
        return Samples, (None, self.travelling())
