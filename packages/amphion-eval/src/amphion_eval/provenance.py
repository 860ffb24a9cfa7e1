"""What a result says of how it came about: definitions, settings, networks, rates, versions."""

from __future__ import annotations

import math
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from amphion_core.weights import Weights
from amphion_eval.__about__ import __version__
from amphion_eval.identity import versions
from amphion_eval.metric import OF_SETS, Metric
from amphion_eval.model import Model
from amphion_eval.report import Item
from amphion_eval.settings import Settings

__all__ = ["definition", "provenance"]

_NAMED = ("f0", "speaker_model", "asr", "fad_model", "fd_model", "clap_model")
"""Settings that stand in the label of a metric: without them its number says nothing."""


def provenance(
    metrics: Sequence[Metric],
    settings: Settings,
    items: Sequence[Item],
    models: Mapping[str, Sequence[Model]],
    **said: Any,
) -> dict[str, Any]:
    """All that is needed to read or repeat a result.

    Args:
        metrics: that were computed.
        settings: of the analyses.
        items: with their values.
        models: the networks of each metric that has some.
        said: further entries, such as how pairs were found.
    """
    rates = Counter(str(item.sample_rate) for item in items if item.sample_rate)
    networks = {model.name: model for used in models.values() for model in used}
    modules = [module for metric in metrics for module, _ in metric.requires]
    modules += [module for model in networks.values() for module, _ in model.requires]
    modules += [metric.function.__module__ for metric in metrics if hasattr(metric.function, "__module__")]
    modules += ["amphion_core", "numpy", "scipy", "soundfile", "soxr"]
    if any(metric.needs == "cepstra" for metric in metrics) or settings.f0 in ("dio", "harvest"):
        modules.append("pyworld")
    if settings.f0 == "praat":
        modules.append("parselmouth")
    if settings.f0 == "crepe" or any(metric.needs == "periodicity" for metric in metrics):
        modules += ["torch", "torchcrepe"]
    found = versions(modules)
    return {
        "metrics": {
            metric.name: definition(metric, settings)
            | ({"models": [model.name for model in models[metric.name]]} if models.get(metric.name) else {})
            for metric in metrics
        },
        "settings": settings.to_dict(),
        "models": {name: _network(model) for name, model in networks.items()},
        "alignment": settings.align,
        "sample_rates": dict(sorted(rates.items())),
        "resampled": sum(any("resampled" in note for note in item.notes) for item in items),
        **said,
        "versions": {"amphion-eval": __version__, "python": platform.python_version()}
        | {name: number for name, number in found.items() if name != "amphion-eval"},
    }


def definition(metric: Metric, settings: Settings) -> dict[str, Any]:
    """What a result says of a metric.

    Args:
        metric: the metric.
        settings: those that it was computed with.
    """
    parameters = {name: value for name, value in settings.to_dict().items() if name in metric.parameters}
    said = [str(parameters[name]) for name in _NAMED if parameters.get(name)]
    said += [f"order {parameters['mcd_order']}"] if "mcd_order" in parameters else []
    said += [f"envelope by {parameters['mcd_f0']}"] if parameters.get("mcd_f0", "harvest") != "harvest" else []
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
        "level": "set" if metric.needs in OF_SETS else "item",
        "description": metric.description,
        "source": metric.source,
        "parameters": parameters,
    }


def _network(model: Model) -> dict[str, Any]:
    return {
        "version": model.version,
        "sample_rate": model.sample_rate,
        "parameters": dict(model.parameters),
        "weights": [_file(weights) for weights in model.weights],
        "licence": model.licence,
        "source": model.source,
    }


def _file(weights: Weights) -> dict[str, str]:
    said = {"name": weights.name, "file": weights.file, "repository": weights.repository, "url": weights.url}
    return {key: value for key, value in said.items() if value} | {"sha256": weights.hash()}
