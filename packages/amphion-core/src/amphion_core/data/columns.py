"""Columns of text of many rows, without a Python object for each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, overload

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Labels", "Strings"]


class Strings(Sequence[str]):
    """Texts, kept as one run of UTF-8.

    Args:
        offsets: (N + 1,) where each begins, and the end.
        blob: the bytes of all.
    """

    def __init__(self, offsets: NDArray[np.integer], blob: NDArray[np.uint8]) -> None:
        self.offsets = offsets
        self.blob = blob

    @classmethod
    def of(cls, texts: Sequence[str]) -> Strings:
        """Pack texts."""
        joined = "".join(texts)
        lengths = map(len, texts) if joined.isascii() else (len(text.encode()) for text in texts)
        offsets = np.zeros(len(texts) + 1, np.int64)
        np.cumsum(np.fromiter(lengths, np.int64, len(texts)), out=offsets[1:])
        return cls(offsets, np.frombuffer(joined.encode(), np.uint8))

    @classmethod
    def concatenated(cls, parts: Sequence[Strings]) -> Strings:
        """All texts of several columns, in order."""
        lengths = [np.diff(part.offsets.astype(np.int64)) for part in parts]
        offsets = np.zeros(sum(map(len, lengths)) + 1, np.int64)
        if lengths:
            np.cumsum(np.concatenate(lengths), out=offsets[1:])
        blobs = [part.blob[int(part.offsets[0]) : int(part.offsets[-1])] for part in parts]
        return cls(offsets, np.concatenate(blobs) if blobs else np.zeros(0, np.uint8))

    def taken(self, rows: NDArray[np.integer]) -> Strings:
        """Those of the given rows, in their order."""
        offsets = self.offsets.astype(np.int64)
        lengths = np.diff(offsets)[rows]
        ends = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(lengths, out=ends[1:])
        places = np.arange(ends[-1]) + np.repeat(offsets[:-1][rows] - ends[:-1], lengths)
        return Strings(ends, self.blob[places])

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        index %= len(self)
        return self.blob[int(self.offsets[index]) : int(self.offsets[index + 1])].tobytes().decode()

    def __iter__(self) -> Iterator[str]:
        blob, ends = self.blob.tobytes(), self.offsets.tolist()
        for start, end in itertools.pairwise(ends):
            yield blob[start:end].decode()

    def __repr__(self) -> str:
        return f"{len(self)} texts, the first {list(self[:3])}"


class Labels(Sequence["str | None"]):
    """Words of which there are few, such as speakers.

    Args:
        codes: (N,) place of each in `names`; -1 for none.
        names: the words.
    """

    def __init__(self, codes: NDArray[np.int32], names: Sequence[str]) -> None:
        self.codes = codes
        self.names = list(names)

    def isin(self, wanted: Sequence[str]) -> NDArray[np.bool_]:
        """(N,) True where the label is one of these."""
        chosen = set(wanted)
        table = np.array([name in chosen for name in self.names] + [False], bool)
        return table[self.codes]  # -1 takes the False at the end

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, index: int) -> str | None: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str | None]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str | None] | None:
        if isinstance(index, slice):
            return [None if code < 0 else self.names[code] for code in self.codes[index].tolist()]
        code = int(self.codes[index])
        return None if code < 0 else self.names[code]

    def __iter__(self) -> Iterator[str | None]:
        return iter(self[:])

    def __repr__(self) -> str:
        return f"{len(self)} labels of {len(self.names)} words"
