"""What works in this environment, and which packages and weights the rest lacks; nothing is fetched or loaded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any, Literal

from amphion_eval.metric import available, find
from amphion_eval.model import Model
from amphion_eval.settings import TRACKERS, Settings

__all__ = ["Health", "Kind", "check", "missing_of_metrics", "missing_of_trackers"]

Kind = Literal["metric", "pitch tracker", "speaker model", "recogniser", "audio model"]

_TRACKER_NEEDS = {"praat": ("parselmouth", "amphion-core[praat]"), "crepe": ("torchcrepe", "amphion-eval[crepe]")}


@dataclass(frozen=True)
class Health:
    """One metric, tracker or network.

    Attributes:
        kind: which of these.
        name: as it is asked for.
        models: networks that a metric uses, by the settings.
        extras: extras to install for what is missing.
        weights: what is missing of weights: where to fetch it, where to put it.
        licence: of the weights that it uses, present or not.
        fault: why it can't even be imported; empty where it can.
    """

    kind: Kind
    name: str
    models: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    licence: str = ""
    fault: str = ""

    @property
    def works(self) -> bool:
        """Whether nothing is missing."""
        return not (self.extras or self.weights or self.fault)

    @property
    def lacks(self) -> str:
        """What to do about it, in words; empty where it works."""
        steps = [self.fault] if self.fault else []
        steps += [f"pip install {' '.join(repr(extra) for extra in self.extras)}"] if self.extras else []
        return "; ".join([*steps, *(f"weights: {remedy}" for remedy in self.weights)])

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "works": self.works, "lacks": self.lacks}


def check(settings: Settings | None = None) -> list[Health]:
    """Every metric with the networks that the settings name, every tracker, and every network that has a name.

    Args:
        settings: of a run.
    """
    from amphion_eval.models import audio_catalogue, catalogue

    settings = settings or Settings()
    found = [_of_metric(name, settings) for name in available()]
    found += [_of_tracker(name) for name in TRACKERS]
    networks: list[tuple[Kind, Iterable[Model]]] = [
        ("speaker model", catalogue.SPEAKERS.values()),
        ("recogniser", (make(settings) for make in catalogue.RECOGNISERS.values())),
        ("audio model", audio_catalogue.AUDIO_EMBEDDINGS.values()),
    ]
    for kind, models in networks:
        found += [_health(kind, model.name, (model,)) for model in models]
    return found


def missing_of_metrics(settings: Settings | None = None) -> dict[str, str]:
    """Each installed metric and how to bring what it lacks, empty where it works."""
    settings = settings or Settings()
    return {name: _of_metric(name, settings).lacks for name in available()}


def missing_of_trackers() -> dict[str, str]:
    """Each pitch tracker and how to install what it lacks, empty where it works."""
    return {name: _of_tracker(name).lacks for name in TRACKERS}


def _of_metric(name: str, settings: Settings) -> Health:
    try:
        metric = find(name)
        models = metric.models(settings) if metric.models else ()
    except (ImportError, ValueError) as error:  # a stranger's metric whose own package is broken
        return Health("metric", name, fault=str(error))
    return _health("metric", name, models, metric.requires)


def _of_tracker(name: str) -> Health:
    needs = _TRACKER_NEEDS.get(name)
    return _health("pitch tracker", name, (), (needs,) if needs else ())


def _health(kind: Kind, name: str, models: Iterable[Model], requires: Iterable[tuple[str, str]] = ()) -> Health:
    models = tuple(models)
    needs = [*requires, *(need for model in models for need in model.requires)]
    extras = dict.fromkeys(extra for module, extra in needs if find_spec(module) is None)
    weights = dict.fromkeys(weights for model in models for weights in model.weights)
    return Health(
        kind,
        name,
        tuple(model.name for model in models),
        tuple(extras),
        tuple(item.remedy for item in weights if not item.present()),
        ", ".join(dict.fromkeys(model.licence for model in models if model.licence)),
    )
