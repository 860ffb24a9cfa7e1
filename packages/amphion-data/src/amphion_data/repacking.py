"""The same rows in other shards: of another size, in another order, in another format."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from amphion_core.data import ShardSet
from amphion_data.deriving import Derivation, DeriveReport, derive, open_sources
from amphion_data.pointers import Copier, Pointers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Order", "repack"]

log = logging.getLogger(__name__)

Order = Literal["keep", "id", "duration", "speaker", "shuffle"]
"""What rows are sorted by."""

_LOSSY = ("mp3", "ogg", "opus", "m4a", "aac")


def repack(
    source: str | Path,
    out: str | Path,
    *,
    per_shard: int = 1000,
    format: Literal["keep", "flac", "opus", "mp3", "wav"] = "keep",
    sample_rate: int | None = None,
    order: Order = "keep",
    seed: int = 0,
    workers: int | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> DeriveReport:
    """Write all rows anew; each split stays what it is.

    Args:
        source: what `prepare` wrote, a folder of shards, or a shard.
        out: folder to write.
        per_shard: rows in a shard.
        format: of the audio; `keep` copies its bytes as they are.
        sample_rate: Hz, by soxr VHQ; None keeps that of each row.
        order: `keep`, or sorted by id, duration or speaker, or `shuffle`: by a hash of seed and id, which is the same
            whatever order the rows came in.
        seed: of the shuffling.
        workers: processes; None takes one for each core. The output does not depend on it.
        overwrite: replace what another run left in the folder, instead of refusing.
        progress: whether to show a progress bar on stderr.

    Raises:
        ValueError: an unknown format or order, a rate that Opus does not have, or as for `derive`.
    """
    import numpy as np

    if format not in ("keep", "flac", "opus", "mp3", "wav"):
        raise ValueError(f"no format named {format!r}; there are keep, flac, opus, mp3 and wav")
    if order not in ("keep", "id", "duration", "speaker", "shuffle"):
        raise ValueError(f"no order named {order!r}; there are keep, id, duration, speaker and shuffle")
    if sample_rate is not None and not 1000 <= sample_rate <= 384_000:
        raise ValueError(f"sample_rate must be between 1000 and 384000 Hz, got {sample_rate}")
    if format == "opus" and sample_rate not in (None, 8000, 12_000, 16_000, 24_000, 48_000):
        raise ValueError(f"opus has 8, 12, 16, 24 and 48 kHz only, not {sample_rate} Hz; take flac or mp3")
    (opened,) = open_sources([source])
    sets = list(opened.parts.values())
    if format != "keep":
        _note_lossy(sets, format)
    parts = {
        split: Pointers(sets, np.full(len(shards), k, np.int32), _ordered(shards, order, seed))
        for k, (split, shards) in enumerate(opened.parts.items())
    }
    plan = Derivation(
        "repack",
        {"format": format, "sample_rate": sample_rate, "order": order, "seed": seed if order == "shuffle" else None},
        {split: rows for split, rows in parts.items() if len(rows)},
        lambda: iter(()),
        opened.rows,
        Copier.of(sets, format=None if format == "keep" else format, sample_rate=sample_rate),
    )
    return derive(plan, [opened], out, per_shard=per_shard, workers=workers, overwrite=overwrite, progress=progress)


def _ordered(shards: ShardSet, order: Order, seed: int) -> NDArray[np.int64]:
    """(N,) numbers of the rows in their new order; rows that are equal in it keep theirs."""
    import numpy as np

    if order == "keep":
        return np.arange(len(shards))
    if order == "duration":
        return np.argsort(shards.durations, kind="stable")
    if order == "shuffle":
        places = [hashlib.sha256(f"{seed}:{key}".encode()).digest() for key in shards.keys]
    else:
        places = [(value or "").encode() for value in (shards.keys if order == "id" else shards.speakers)]
    return np.array(sorted(range(len(places)), key=places.__getitem__), np.int64)


def _note_lossy(sets: list[ShardSet], format: str) -> None:
    """Say it when audio that was compressed with loss is going to be encoded again."""
    for shards in sets:
        for row in range(min(len(shards), 1)):
            _, place = shards.audio_place(row)
            if place is not None and place.field in _LOSSY and format in _LOSSY and place.field != format:
                log.warning(
                    "%s is encoded again as %s: it loses twice; flac would keep what is left", place.field, format
                )
                return
