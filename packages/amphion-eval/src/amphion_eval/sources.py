"""What a run scores: the items of two places, of one, or of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from amphion_eval.metric import OF_SETS, Metric, available, find
from amphion_eval.pairing import Clip, Pair, PairingError, find_clips, find_estimates, find_pairs, mispair
from amphion_eval.pairtable import add_columns, read_pairs

__all__ = ["Items", "find_items"]

_MISPAIRED = "each output with the recording of the next item"


@dataclass(frozen=True)
class Items:
    """What `score` takes.

    Attributes:
        pairs: the items.
        name: of the system.
        pairing: how they were found.
        left_out: clips without partner, in words.
        references: recordings of metrics of sets, where they are not those of the pairs.
    """

    pairs: Sequence[Pair]
    name: str
    pairing: str = "by name"
    left_out: Sequence[str] = ()
    references: Sequence[Clip] | None = None


def find_items(
    reference: str | Path | None,
    estimate: str | Path | None,
    metrics: Sequence[Metric],
    *,
    table: str | Path | None = None,
    texts: str | Path | None = None,
    ignore_missing: bool = False,
    mispaired: bool = False,
) -> Items:
    """The items for some metrics.

    Metrics of whole sets alone need no pairs: the two places may then hold other names and numbers of clips.

    Args:
        reference: place of the recordings; None where no metric needs them.
        estimate: place of the outputs; None with a table.
        metrics: that will be computed.
        table: of pairs, instead of places.
        texts: table of texts, languages, speakers and prompts for the items of places.
        ignore_missing: leave out what has no partner instead of refusing.
        mispaired: give each output the recording of the next item.

    Raises:
        PairingError: clips or rows with faults, all of them; or metrics need recordings and there are none.
        FileNotFoundError: a place does not exist.
    """
    needing = [metric.name for metric in metrics if metric.needs_reference]
    if table is not None:
        pairs = read_pairs(table, need_reference=bool(needing))
        items = Items(pairs, Path(table).stem, "table")
    elif estimate is None:
        raise PairingError("there are neither outputs nor a table of pairs")
    elif reference is None:
        if needing:
            raise PairingError(f"{', '.join(needing)} need recordings: give REFERENCE and ESTIMATE; {_without()}")
        items = Items(find_estimates(estimate), _name(estimate), "outputs alone")
    else:
        items = _beside(reference, estimate, metrics, ignore_missing)
    if texts is not None:
        items = _with(items, add_columns(items.pairs, texts, ignore_missing=ignore_missing))
    if mispaired:
        items = Items(mispair(items.pairs), items.name, _MISPAIRED, items.left_out)
    return items


def _beside(reference: str | Path, estimate: str | Path, metrics: Sequence[Metric], ignore_missing: bool) -> Items:
    try:
        pairs, left_out = find_pairs(reference, estimate, ignore_missing=ignore_missing)
    except PairingError:
        if any(metric.needs_reference and metric.needs not in OF_SETS for metric in metrics):
            raise
        if not any(metric.needs in OF_SETS for metric in metrics):
            raise
        recordings = list(find_clips(reference).values())
        return Items(find_estimates(estimate), _name(estimate), "two sets, not paired", (), recordings)
    return Items(pairs, _name(estimate), "by name", left_out)


def _with(items: Items, pairs: Sequence[Pair]) -> Items:
    return Items(pairs, items.name, items.pairing, items.left_out, items.references)


def _without() -> str:
    names = []
    for name in available():
        try:
            metric = find(name)
        except ImportError:  # a stranger's, whose own package is broken
            continue
        names += [] if metric.needs_reference or metric.needs == "texts" else [name]
    return f"without recordings there are {', '.join(names)}"


def _name(place: str | Path) -> str:
    return (Path(place).name if Path(place).is_dir() else Path(place).stem) or "estimate"
