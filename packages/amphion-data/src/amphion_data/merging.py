"""Several sets of shards into one, split by split; no row twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from amphion_core.data import Drop, ShardSet, escape_key
from amphion_data.deriving import Derivation, DeriveReport, Source, derive, open_sources
from amphion_data.pointers import Copier, Pointers
from amphion_data.splits import SPLITS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["merge"]


def merge(
    sources: Sequence[str | Path],
    out: str | Path,
    *,
    on_duplicate: Literal["drop", "fail"] = "drop",
    prefix: bool = False,
    per_shard: int = 1000,
    workers: int | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> DeriveReport:
    """Write the rows of all sources into one set; train goes to train, and so on.

    An id that was there before, also in another split, is dropped: first come the rows of the first source.

    Args:
        sources: folders that `prepare` wrote, folders of shards, or shards; `NAME=PATH` names one.
        out: folder to write.
        on_duplicate: `fail` refuses ids that come twice, and names the first ten.
        prefix: put `NAME-` before each id, the name of its source, so that corpora with equal ids can be joined.
        per_shard: rows in a shard.
        workers: processes; None takes one for each core. The output does not depend on it.
        overwrite: replace what another run left in the folder, instead of refusing.
        progress: whether to show a progress bar on stderr.

    Raises:
        ValueError: some sources have splits and others not, ids come twice and `fail`, or as for `derive`.
    """
    opened = open_sources(sources)
    prefixes = [f"{source.name}-" if prefix else "" for source in opened]
    parts, sets, doubled = _joined(opened, prefixes)
    if doubled and on_duplicate == "fail":
        first = "; ".join(f"{drop.id}: {drop.detail}" for drop in doubled[:10])
        raise ValueError(f"{len(doubled)} ids come twice: {first}. --prefix tells equal ids of sources apart")
    plan = Derivation(
        "merge",
        {"on_duplicate": on_duplicate, "prefix": prefix},
        parts,
        lambda: iter(doubled),
        sum(source.rows for source in opened),
        Copier.of(sets),
    )
    return derive(plan, opened, out, per_shard=per_shard, workers=workers, overwrite=overwrite, progress=progress)


def _joined(
    opened: Sequence[Source], prefixes: Sequence[str]
) -> tuple[dict[str, Pointers], list[ShardSet], list[Drop]]:
    """Rows by split, the sets that they point into, and those whose id was there before."""
    import numpy as np

    sets, owners, doubled = list[ShardSet](), list[str](), list[Drop]()
    first: dict[str, str] = {}
    kept: dict[str, list[tuple[int, NDArray[np.int64]]]] = {name: [] for name in _splits(opened)}
    for source, before in zip(opened, prefixes, strict=True):
        for split, shards in source.parts.items():
            place = f"{source.name}/{split}" if split else source.name
            rows = []
            for row, key in enumerate(shards.keys):
                ident = before + key
                name = escape_key(ident)
                if name in first:
                    doubled.append(Drop(ident, "", "duplicate_id", f"of {place}; {first[name]} has it", "merge"))
                else:
                    first[name] = place
                    rows.append(row)
            kept[split].append((len(sets), np.array(rows, np.int64)))
            sets.append(shards)
            owners.append(before)
    parts = {}
    for split, found in kept.items():
        which = np.concatenate([np.full(len(rows), k, np.int32) for k, rows in found])
        pointers = Pointers(sets, which, np.concatenate([rows for _, rows in found]), owners)
        if len(pointers):
            parts[split] = pointers
    return parts, sets, doubled


def _splits(opened: Sequence[Source]) -> list[str]:
    """Names of the parts of the output.

    Raises:
        ValueError: some sources have splits and others not.
    """
    whole = [source.path for source in opened if "" in source.parts]
    split = [source.path for source in opened if "" not in source.parts]
    if whole and split:
        raise ValueError(
            f"{split[0]} has train, valid or test, {whole[0]} has not; merge one part with it ({split[0]}/train), or "
            "move the other's shards into a folder named after its part"
        )
    return [name for name in ("", *SPLITS) if any(name in source.parts for source in opened)]
