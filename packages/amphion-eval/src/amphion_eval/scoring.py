"""Score pairs of clips: read, bring to one rate, analyse once, run networks, apply every metric, sum up."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from amphion_eval.demand import Demand
from amphion_eval.inference import Networks
from amphion_eval.journal import Journal, Places, places
from amphion_eval.measuring import Job, Measured, measure_all, sound_metrics
from amphion_eval.metric import Metric, resolve
from amphion_eval.model import Model
from amphion_eval.pairing import Clip, Pair
from amphion_eval.provenance import definition, provenance
from amphion_eval.reading import OnError, Reader
from amphion_eval.report import ClipRecord, Item, Report
from amphion_eval.settings import Settings
from amphion_eval.values import Rate, reason_of

__all__ = ["DEFAULT_METRICS", "REFERENCE_FREE_METRICS", "definition", "score"]

log = logging.getLogger(__name__)

DEFAULT_METRICS = ("f0_rmse_cents", "f0_pearson_cents", "vuv_f1", "energy_rmse_db", "mcd", "mstft", "duration_error")
"""What is computed where nothing is asked for."""

REFERENCE_FREE_METRICS = ("loudness",)
"""What is computed where nothing is asked for and there are no recordings."""

_T = TypeVar("_T")


def score(
    pairs: Iterable[Pair | tuple[str | Path, str | Path]],
    metrics: Iterable[str | Metric] = DEFAULT_METRICS,
    *,
    settings: Settings | None = None,
    models: Mapping[str, Model] | None = None,
    references: Sequence[Clip] | None = None,
    device: str = "auto",
    batch: int | None = None,
    workers: int = 1,
    cache: str | Path | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    bootstrap: int = 1000,
    seed: int = 0,
    name: str = "estimate",
    left_out: Sequence[str] = (),
    pairing: str = "by name",
    on_error: OnError = "fail",
    progress: bool = False,
    **changes: Any,
) -> Report:
    """Score every pair with every metric.

    Each clip is read and analysed once, whatever the number of pairs and metrics that use it. The result depends
    neither on the number of workers nor on the order, and on the size of batches only within the rounding of networks.

    Args:
        pairs: `find_pairs`, `find_estimates` and `read_pairs` make them; or two paths each, reference first.
        metrics: names, beginnings of names, or metrics; see `amphion_eval.metric.resolve`.
        settings: of the analyses.
        models: networks that stand in for others, by the names of these, such as small ones in tests.
        references: recordings for metrics of sets, where these are not those of the pairs.
        device: of networks: `auto`, `cpu`, `cuda` and the like.
        batch: clips in a batch of a network at most; None goes by their length and the memory.
        workers: processes for metrics of sound; more than 1 need a script that can be imported
            (`if __name__ == "__main__"`).
        cache: folder in which analyses, outputs of networks and values are kept for later runs; None keeps none.
        out: folder in which each item is written to `items.jsonl` as soon as it is done.
        resume: go on from what a run that was broken off left in `out`; with a cache that happens anyway.
        bootstrap: samples for the intervals; 0 for none.
        seed: of these samples.
        name: of the system that is scored, for tables.
        left_out: clips that were not paired, recorded in the result.
        pairing: how the pairs were found, recorded in the result.
        on_error: a file that can't be read ends the run (`fail`), or leaves its item undefined (`record`).
        progress: show bars on stderr.
        changes: single fields of `settings`, such as `f0="dio"` or `align="dtw"`.

    Returns:
        Values of every item, in the order of the pairs.

    Raises:
        LookupError: unknown metrics.
        ValueError: no pairs, an id twice, a file that can't be read, or settings that make no sense.
        FileNotFoundError: weights of a network are nowhere.
        MissingExtraError: a metric or tracker needs a package that is not installed.
    """
    settings = (settings or Settings()).updated(**changes) if changes else settings or Settings()
    chosen = resolve(metrics)
    items = _checked(pairs)
    demand = Demand(chosen, settings, models)
    of_sound = sound_metrics(chosen)
    with places(cache, out, resume=resume) as kept:
        journal = Journal(out, resume=resume)
        reader = Reader(settings, on_error=on_error, store=kept.store)
        networks = Networks(reader, kept.scratch, device=device, batch=batch, replaced=models or (), progress=progress)
        demand.ask(networks, items, references)
        networks.run()
        job = Job(of_sound, settings, on_error, _shared(items, kept, workers), kept.lasting)
        made: dict[int, Item] = {}
        measured = measure_all(items, job, workers) if of_sound else _unmeasured(items, networks)
        for number, found in _bar(measured, len(items), progress):
            values, transcript = demand.values(networks, items[number])
            made[number] = _item(items[number], found, values, transcript, chosen)
            journal.write(made[number])
        figures = demand.figures(networks, items, references)
        results = [made[number] for number in range(len(items))]
        journal.finish(results)
        used = {m.name: demand.networks_of(m) for m in (*demand.of_items, *demand.of_sets)}
        said: dict[str, Any] = {
            "pairing": pairing,
            "left_out": list(left_out),
            "bootstrap": {"resamples": bootstrap, "seed": seed, "level": 0.95},
        }
        if references is not None:
            said["references"] = len(references)
        return Report(results, provenance(chosen, settings, results, used, **said), name, figures)


def _checked(pairs: Iterable[Pair | tuple[str | Path, str | Path]]) -> list[Pair]:
    items = [_as_pair(pair) for pair in pairs]
    if not items:
        raise ValueError("there is no pair to score")
    twice = [name for name, times in Counter(pair.id for pair in items).items() if times > 1]
    if twice:
        raise ValueError(f"ids must be unique; twice or more: {', '.join(twice[:10])}")
    return items


def _as_pair(pair: Pair | tuple[str | Path, str | Path]) -> Pair:
    if isinstance(pair, Pair):
        return pair
    reference, estimate = pair
    return Pair(Path(estimate).stem, Clip(str(reference)), Clip(str(estimate)))


def _shared(pairs: Sequence[Pair], kept: Places, workers: int) -> Path | None:
    """The folder of analyses, where something would be analysed twice without it or a later run may take them."""
    if kept.lasting:
        return kept.store.folder
    used = Counter(clip for pair in pairs for clip in {pair.reference, pair.estimate} if clip.path)
    return kept.store.folder if any(times > 1 for times in used.values()) else None


def _unmeasured(pairs: Sequence[Pair], networks: Networks) -> Iterator[tuple[int, Measured]]:
    """What is known of clips where no metric of sound is computed."""
    for number, pair in enumerate(pairs):
        reference, estimate = (networks.known(clip) for clip in (pair.reference, pair.estimate))
        yield (
            number,
            Measured(
                {},
                reference.record if reference is not None else ClipRecord(pair.reference.path, pair.reference.key),
                estimate.record if estimate is not None else ClipRecord(pair.estimate.path, pair.estimate.key),
            ),
        )


def _item(
    pair: Pair, found: Measured, values: Mapping[str, float], transcript: str | None, metrics: Sequence[Metric]
) -> Item:
    both = {**found.values, **values}
    ordered = {metric.name: both[metric.name] for metric in metrics if metric.name in both}
    return Item(
        id=pair.id,
        metrics={name: None if math.isnan(value) else float(value) for name, value in ordered.items()},
        undefined={name: reason for name, value in ordered.items() if (reason := reason_of(value)) is not None},
        counts={name: (value.count, value.total) for name, value in ordered.items() if isinstance(value, Rate)},
        reference=found.reference,
        estimate=found.estimate,
        sample_rate=found.sample_rate,
        notes=found.notes,
        text=pair.text,
        transcript=transcript,
        speaker=pair.speaker,
    )


def _bar(results: Iterator[_T], total: int, shown: bool) -> Iterable[_T]:
    if not shown:
        return results
    from tqdm import tqdm

    return tqdm(results, total=total, unit="pair", desc="score")
