"""Those rows of shards, or lines of a manifest, that meet a condition on their columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amphion_core.data import Drop, Expression, ShardSet
from amphion_core.data.expression import has_values, unknown_columns
from amphion_core.data.reader import COLUMNS
from amphion_data.deriving import Derivation, DeriveReport, Source, derive, open_sources
from amphion_data.pointers import Copier, Pointers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["filter_shards"]


def filter_shards(
    source: str | Path,
    out: str | Path,
    where: str,
    *,
    per_shard: int = 1000,
    workers: int | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> DeriveReport:
    """Write the rows that meet a condition; the others are listed in `drops.jsonl` as `filtered`.

    Args:
        source: what `prepare` wrote, a folder of shards, or a shard.
        out: folder to write.
        where: the condition, as `amphion_core.data.Expression` reads it. A row whose value is missing meets neither a
            comparison nor its contrary.
        per_shard: rows in a shard.
        workers: processes; None takes one for each core. The output does not depend on it.
        overwrite: replace what another run left in the folder, instead of refusing.
        progress: whether to show a progress bar on stderr.

    Raises:
        ExpressionError: the condition can't be read, or does not fit its columns.
        LookupError: no row has a value of a column that it asks for.
        ValueError: no row meets it, or as for `derive`.
    """
    import numpy as np

    (opened,) = open_sources([source])
    expression = Expression(where)
    masks = _masks(opened, expression)
    sets = list(opened.parts.values())
    every = [Pointers(sets, np.full(len(shards), k, np.int32), np.arange(len(shards))) for k, shards in enumerate(sets)]
    kept = {split: rows.taken(masks[split]) for split, rows in zip(opened.parts, every, strict=True)}
    refused = [rows.taken(~masks[split]) for split, rows in zip(opened.parts, every, strict=True)]
    plan = Derivation(
        "filter",
        {"where": expression.text},
        {split: rows for split, rows in kept.items() if len(rows)},
        lambda: _drops(refused, expression.text),
        opened.rows,
        Copier.of(sets),
    )
    return derive(plan, [opened], out, per_shard=per_shard, workers=workers, overwrite=overwrite, progress=progress)


def _masks(source: Source, expression: Expression) -> dict[str, NDArray[np.bool_]]:
    """(N,) for each part, where its rows meet the condition; a column has to be in one of the parts only."""
    columns: dict[str, dict[str, Sequence[Any] | NDArray[Any]]] = {
        split: {name: shards.column(name) for name in expression.columns} for split, shards in source.parts.items()
    }
    for name in expression.columns:
        if not any(has_values(part[name]) for part in columns.values()):
            known = {extra for shards in source.parts.values() for extra in shards.extras}
            stated = {extra for shards in source.parts.values() for extra in _stated(shards)}  # texts are in no index
            raise LookupError(unknown_columns([name], {*COLUMNS, *known, *stated} - {name}))
    return {
        split: expression.mask(columns[split] or {"duration": shards.durations})
        for split, shards in source.parts.items()
    }


def _stated(shards: ShardSet) -> Iterator[str]:
    """Names of the numbers and texts that the first row states besides."""
    if len(shards):
        extra = shards.utterance(0).extra
        yield from (name for name, value in extra.items() if isinstance(value, int | float | str))


def _drops(refused: Iterable[Pointers], where: str) -> Iterator[Drop]:
    for rows in refused:
        for number in range(len(rows)):
            yield Drop(rows.id(number), "", "filtered", f"not: {where}", "filter")
