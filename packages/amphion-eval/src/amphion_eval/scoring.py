"""Score pairs of clips: read, bring to one rate, analyse once, apply every metric, sum up."""

from __future__ import annotations

import logging
import math
import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from amphion_eval import pool
from amphion_eval.__about__ import __version__
from amphion_eval.analysis import Analysis, PairAnalysis
from amphion_eval.metric import Metric, resolve
from amphion_eval.pairing import Clip, Pair
from amphion_eval.reading import OnError, Sound, analyse, read
from amphion_eval.report import ClipRecord, Item, Report
from amphion_eval.settings import Settings
from amphion_eval.values import Rate, Undefined, reason_of

__all__ = ["DEFAULT_METRICS", "score", "score_pair"]

log = logging.getLogger(__name__)

_TITLES = ("reference", "estimate")

DEFAULT_METRICS = ("f0_rmse_cents", "f0_pearson_cents", "vuv_f1", "energy_rmse_db", "mcd", "mstft", "duration_error")
"""What is computed where nothing is asked for."""


def score(
    pairs: Iterable[Pair | tuple[str | Path, str | Path]],
    metrics: Iterable[str | Metric] = DEFAULT_METRICS,
    *,
    settings: Settings | None = None,
    workers: int = 1,
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

    The result does not depend on the number of workers.

    Args:
        pairs: `find_pairs` and `read_pairs` make them; or two paths each, reference first.
        metrics: names, beginnings of names, or metrics; see `amphion_eval.metric.resolve`.
        settings: of the analyses.
        workers: processes; more than 1 need a script that can be imported (`if __name__ == "__main__"`).
        bootstrap: samples for the intervals; 0 for none.
        seed: of these samples.
        name: of the system that is scored, for tables.
        left_out: clips that were not paired, recorded in the result.
        pairing: how the pairs were found, recorded in the result.
        on_error: a file that can't be read ends the run (`fail`), or leaves its item undefined (`record`).
        progress: show a bar on stderr.
        changes: single fields of `settings`, such as `f0="dio"` or `align="dtw"`.

    Returns:
        Values of every item, in the order of the pairs.

    Raises:
        LookupError: unknown metrics.
        ValueError: no pairs, an id twice, a file that can't be read, or settings that make no sense.
        MissingExtraError: a metric or tracker needs a package that is not installed.
    """
    settings = (settings or Settings()).updated(**changes) if changes else settings or Settings()
    chosen = resolve(metrics)
    items = [_as_pair(pair) for pair in pairs]
    if not items:
        raise ValueError("there is no pair to score")
    twice = [name for name, times in Counter(pair.id for pair in items).items() if times > 1]
    if twice:
        raise ValueError(f"ids must be unique; twice or more: {', '.join(twice[:10])}")
    work = partial(score_pair, metrics=chosen, settings=settings, on_error=on_error)
    results = list(_bar(_mapped(work, items, workers), len(items), progress))
    provenance = _provenance(chosen, settings, results, bootstrap, seed, left_out, pairing)
    return Report(results, provenance, name)


def score_pair(pair: Pair, metrics: Sequence[Metric], settings: Settings, on_error: OnError = "fail") -> Item:
    """Score one pair.

    Args:
        pair: what to read.
        metrics: applied in this order.
        settings: of the analyses.
        on_error: what a file that can't be read does, as in `score`.

    Raises:
        ValueError: a file can't be read, or a metric failed; the message names the item.
    """
    notes: list[str] = []
    fault: Undefined | None = None
    rate: int | None = None
    sides = [ClipRecord(clip.path, clip.key) for clip in (pair.reference, pair.estimate)]
    analyses = [Analysis(np.zeros(0), 1, settings)] * 2
    if any(metric.needs != "texts" for metric in metrics):
        sounds = [_read(pair, clip, on_error) for clip in (pair.reference, pair.estimate)]
        sides = [sound.record for sound in sounds]
        for title, sound in zip(_TITLES, sounds, strict=True):
            notes += [f"{title}: {note}" for note in sound.notes]
            fault = fault or (Undefined(f"the {title} {sound.fault}") if sound.fault else None)
        if fault is None:
            rate = min(sound.sample_rate for sound in sounds)
            analyses = [analyse(clip, rate, settings) for clip in (pair.reference, pair.estimate)]
            changed = [
                (title, s.sample_rate) for title, s in zip(_TITLES, sounds, strict=True) if s.sample_rate != rate
            ]
            notes += [f"{title}: resampled from {own} to {rate} Hz" for title, own in changed]
    analysis = PairAnalysis(*analyses, text=pair.text, transcript=pair.transcript, language=pair.language)
    values: dict[str, float] = {}
    for metric in metrics:
        if fault is not None and metric.needs != "texts":
            values[metric.name] = fault
            continue
        try:
            values[metric.name] = metric.of(analysis)
        except (ValueError, TypeError, ArithmeticError, LookupError) as error:
            raise ValueError(f"{pair.id}: the metric {metric.name} failed: {error}") from error
    if settings.max_delay and fault is None and analysis.__dict__.get("delay"):
        notes.append(f"estimate: a delay of {analysis.delay} samples was taken out for metrics of waveforms")
    return Item(
        id=pair.id,
        metrics={name: None if math.isnan(value) else float(value) for name, value in values.items()},
        undefined={name: reason for name, value in values.items() if (reason := reason_of(value)) is not None},
        counts={name: (value.count, value.total) for name, value in values.items() if isinstance(value, Rate)},
        reference=sides[0],
        estimate=sides[1],
        sample_rate=rate,
        notes=tuple(notes),
        text=pair.text,
        transcript=pair.transcript,
        speaker=pair.speaker,
    )


def _read(pair: Pair, clip: Clip, on_error: OnError) -> Sound:
    try:
        return read(clip, on_error)
    except ValueError as error:
        raise ValueError(f"{pair.id}: {error}") from error


def _mapped(work: partial[Item], pairs: list[Pair], workers: int) -> Iterator[Item]:
    if workers <= 1 or len(pairs) == 1:
        yield from map(work, pairs)
        return
    # Fresh processes: a fork of a process that has threads (torch, a notebook) can hang.
    executor = ProcessPoolExecutor(min(workers, len(pairs)), get_context("spawn"), pool.prepare)
    try:
        with pool.single_threaded():
            yield from executor.map(work, pairs, chunksize=max(1, min(8, len(pairs) // (4 * workers))))
    except BrokenProcessPool as error:
        raise RuntimeError(
            "a worker process ended on its own, most likely for lack of memory; use fewer workers (--workers 1)"
        ) from error
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _bar(results: Iterator[Item], total: int, shown: bool) -> Iterable[Item]:
    if not shown:
        return results
    from tqdm import tqdm

    return tqdm(results, total=total, unit="pair", desc="score")


def _as_pair(pair: Pair | tuple[str | Path, str | Path]) -> Pair:
    if isinstance(pair, Pair):
        return pair
    reference, estimate = pair
    return Pair(Path(estimate).stem, Clip(str(reference)), Clip(str(estimate)))


def _provenance(
    metrics: Sequence[Metric],
    settings: Settings,
    items: Sequence[Item],
    bootstrap: int,
    seed: int,
    left_out: Sequence[str],
    pairing: str,
) -> dict[str, Any]:
    values = settings.to_dict()
    rates = Counter(str(item.sample_rate) for item in items if item.sample_rate)
    return {
        "metrics": {metric.name: definition(metric, settings) for metric in metrics},
        "settings": values,
        "alignment": settings.align,
        "sample_rates": dict(sorted(rates.items())),
        "resampled": sum(any("resampled" in note for note in item.notes) for item in items),
        "pairing": pairing,
        "left_out": list(left_out),
        "bootstrap": {"resamples": bootstrap, "seed": seed, "level": 0.95},
        "versions": {"amphion-eval": __version__, "python": platform.python_version(), **_versions(metrics, settings)},
    }


def definition(metric: Metric, settings: Settings) -> dict[str, Any]:
    """What a result says of a metric.

    Args:
        metric: the metric.
        settings: those that it was computed with.
    """
    parameters = {name: value for name, value in settings.to_dict().items() if name in metric.parameters}
    said = [str(parameters[name]) for name in ("f0",) if name in parameters]
    said += [f"order {parameters['mcd_order']}"] if "mcd_order" in parameters else []
    said += [f"frames within {parameters['mcd_mask']} dB"] if parameters.get("mcd_mask") else []
    said += ["dtw"] if parameters.get("align") == "dtw" else []
    return {
        "label": f"{metric.name} ({', '.join(said)})" if said else metric.name,
        "version": metric.version,
        "unit": metric.unit,
        "low": metric.low if math.isfinite(metric.low) else None,
        "high": metric.high if math.isfinite(metric.high) else None,
        "best": metric.best,
        "rate": metric.rate,
        "description": metric.description,
        "source": metric.source,
        "parameters": parameters,
    }


def _versions(metrics: Sequence[Metric], settings: Settings) -> dict[str, str]:
    wanted = ["amphion-core", "numpy", "scipy", "soundfile", "soxr"]
    if any(metric.needs == "cepstra" for metric in metrics) or settings.f0 in ("dio", "harvest"):
        wanted.append("pyworld")
    if settings.f0 == "praat":
        wanted.append("praat-parselmouth")
    if settings.f0 == "crepe" or any(metric.requires for metric in metrics):
        wanted += ["torch", "torchcrepe"]
    wanted += sorted(
        {module.partition(".")[0].replace("_", "-") for m in metrics for module in [m.function.__module__]}
    )
    found = {}
    for package in wanted:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
