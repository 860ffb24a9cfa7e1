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
        length: samples of the recording; None reads it from the file.

    Attributes:
        needed: stretches (first, behind the last) that may still be read; None for all.
    """

    def __init__(self, path: Path | None, parts: Sequence[tuple[int, Wav]] = (), length: int | None = None) -> None:
        self.path = path
        self.parts = list(parts)
        self.length = length
        self.needed: Sequence[tuple[int, int]] | None = None

    def read(self, first: int, last: int) -> Wav:
        """(T,) samples of a stretch, as far as it lies in the recording.

        Raises:
            LookupError: the stretch did not travel here.
        """
        count = max(0, last - first)
        if self.path is not None:
            return np.fromfile(self.path, np.float32, count, offset=4 * first)
        end = last if self.length is None else min(last, self.length)
        return np.array(self._view(first, end)) if end > first else np.zeros(0, np.float32)

    def close(self) -> None:
        """Remove what is on disk."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def travelling(self) -> list[tuple[int, Wav]]:
        """The stretches that are needed; of a file they are views of its pages."""
        if self.path is None:
            if self.needed is None:
                return self.parts
            end = self.length
            return [(a, self._view(a, b if end is None else min(b, end))) for a, b in self.needed]
        if not self.path.stat().st_size:
            return []
        whole = np.asarray(np.memmap(self.path, np.float32, "r"))
        return [(0, whole)] if self.needed is None else [(a, whole[a:b]) for a, b in self.needed]

    def _view(self, first: int, last: int) -> Wav:
        place = bisect_right([start for start, _ in self.parts], first) - 1
        start, wav = self.parts[place] if place >= 0 else (first, np.zeros(0, np.float32))
        if last - start > wav.size:
            raise LookupError(f"samples {first} to {last} were not kept, {len(self.parts)} other stretches were")
        return wav[first - start : last - start]

    def __reduce__(self) -> tuple[Any, ...]:
        length = self.length if self.path is None else self.path.stat().st_size // 4
        return Samples, (None, self.travelling(), length)
