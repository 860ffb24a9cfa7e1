"""What metrics ask of networks for an item, and what they make of the answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec

from amphion_core.extras import MissingExtraError
from amphion_eval.analysis import Analysis, PairAnalysis
from amphion_eval.inference import Given, Networks
from amphion_eval.metric import OF_MODELS, OF_SETS, Metric
from amphion_eval.model import Model
from amphion_eval.pairing import Clip, Pair
from amphion_eval.settings import Settings
from amphion_eval.statistics import Summary
from amphion_eval.values import SetFigure, Undefined, reason_of

__all__ = ["Demand"]

_Asked = tuple[str, Model, Given | None]  # what of, by which network, and the input if the item has it


class Demand:
    """The metrics of a run that need networks, or the texts that networks give."""

    def __init__(
        self, metrics: Sequence[Metric], settings: Settings, replaced: Mapping[str, Model] | None = None
    ) -> None:
        """Take metrics.

        Args:
            metrics: of the run; those of sound are left to others.
            settings: name the networks.
            replaced: networks that stand in for others, by the names of these.

        Raises:
            MissingExtraError: a metric needs a package that is not installed.
        """
        self.settings = settings
        self._replaced = dict(replaced or {})
        self.of_items = [metric for metric in metrics if metric.needs in OF_MODELS or metric.needs == "texts"]
        self.of_sets = [metric for metric in metrics if metric.needs in OF_SETS]
        self._models = lru_cache(maxsize=None)(self._resolved)
        _check_packages(metric for metric in metrics if not self._stands_in(metric))

    def networks_of(self, metric: Metric, language: str | None = None) -> tuple[Model, ...]:
        """The networks of a metric for items of a language."""
        return self._models(metric.name, language or self.settings.language)

    def ask(self, networks: Networks, pairs: Sequence[Pair], references: Sequence[Clip] | None) -> None:
        """Put all that the metrics need on the lists of the networks.

        Args:
            networks: that will run.
            pairs: the items.
            references: the recordings of metrics of sets; None takes those of the items.
        """
        for pair in pairs:
            for metric in self.of_items:
                for _, model, given in self._asked(metric, pair):
                    if given is not None:
                        networks.ask(model, given)
        for metric in self.of_sets:
            for _, model, clip in self._asked_of_sets(metric, pairs, references):
                networks.ask(model, clip)

    def values(self, networks: Networks, pair: Pair) -> tuple[dict[str, float], str | None]:
        """The values of an item, and its transcript.

        Args:
            networks: after their run.
            pair: the item.

        Raises:
            ValueError: a metric failed; the message names the item.
        """
        values: dict[str, float] = {}
        transcript = pair.transcript
        for metric in self.of_items:
            outputs, lack = [], None
            for title, model, given in self._asked(metric, pair):
                fault = _lack(networks, title, given)
                lack = lack or fault
                outputs += [(title, networks.output(model, given))] if fault is None and given is not None else []
            try:
                if metric.needs == "texts":
                    if outputs and not isinstance(outputs[0][1], Undefined):
                        transcript = str(outputs[0][1])
                    elif outputs:
                        lack = outputs[0][1]
                    values[metric.name] = lack or metric.of(self._texts(pair, transcript))
                else:
                    values[metric.name] = lack or metric.of_outputs(*outputs)
            except (ValueError, TypeError, ArithmeticError, LookupError) as error:
                raise ValueError(f"{pair.id}: the metric {metric.name} failed: {error}") from error
        return values, transcript

    def figures(
        self, networks: Networks, pairs: Sequence[Pair], references: Sequence[Clip] | None
    ) -> dict[str, Summary]:
        """The figures of the metrics of whole sets.

        Args:
            networks: after their run.
            pairs: the items.
            references: the recordings; None takes those of the items.

        Raises:
            ValueError: a metric failed.
        """
        figures = {}
        for metric in self.of_sets:
            sides: dict[str, list[object]] = {"reference": [], "estimate": []}
            for title, model, clip in self._asked_of_sets(metric, pairs, references):
                sides[title].append(networks.output(model, clip))
            arguments = [sides["reference"], sides["estimate"]] if metric.needs == "sets" else [sides["estimate"]]
            try:
                figures[metric.name] = _summary(metric.function(*arguments), len(sides["estimate"]))
            except (ValueError, TypeError, ArithmeticError, LookupError) as error:
                raise ValueError(f"the metric {metric.name} failed: {error}") from error
        return figures

    def _asked(self, metric: Metric, pair: Pair) -> list[_Asked]:
        models = self.networks_of(metric, pair.language)
        if metric.needs == "texts":
            wanted = models and pair.transcript is None
            return [("estimate", models[0], pair.estimate)] if wanted else []
        estimate: _Asked = ("estimate", models[-1], pair.estimate)
        match metric.needs:
            case "model":
                return [("reference", models[0], pair.reference), estimate]
            case "prompt_model":
                return [("prompt", models[0], pair.prompt), estimate]
            case "reconstruction_model":
                return [("reconstruction", models[0], pair.reconstruction), estimate]
            case "text_model":
                return [("text", models[0], pair.text), estimate]
            case "pair_model":
                return [("pair", models[0], (pair.reference, pair.estimate))]
        return [estimate]

    def _asked_of_sets(
        self, metric: Metric, pairs: Sequence[Pair], references: Sequence[Clip] | None
    ) -> Iterator[tuple[str, Model, Clip]]:
        model = self.networks_of(metric)[0]
        recordings = [pair.reference for pair in pairs] if references is None else references
        if metric.needs == "sets":
            for clip in dict.fromkeys(recordings):
                yield "reference", model, clip
        for clip in dict.fromkeys(pair.estimate for pair in pairs):
            yield "estimate", model, clip

    def _resolved(self, name: str, language: str | None) -> tuple[Model, ...]:
        metric = next(metric for metric in [*self.of_items, *self.of_sets] if metric.name == name)
        if metric.models is None:
            if metric.needs != "texts":
                raise ValueError(f"the metric {name} needs {metric.needs}, but names no network (models=)")
            return ()
        named = metric.models(self.settings.updated(language=language) if language else self.settings)
        return tuple(self._replaced.get(model.name, model) for model in named)

    def _stands_in(self, metric: Metric) -> bool:
        """Whether all networks of a metric are replaced, so that it needs no package of theirs."""
        if metric.models is None or not self._replaced:
            return False
        return all(model.name in self._replaced for model in metric.models(self.settings))

    def _texts(self, pair: Pair, transcript: str | None) -> PairAnalysis:
        none = Analysis((), 1, self.settings)
        return PairAnalysis(none, none, text=pair.text, transcript=transcript, language=pair.language)


def _lack(networks: Networks, title: str, given: Given | None) -> Undefined | None:
    """Why an item has no input for a network."""
    if given is None:
        return Undefined(f"there is no {title}")
    if isinstance(given, str):
        return None if given.strip() else Undefined(f"the {title} is empty")
    clips = {"reference": given[0], "estimate": given[1]} if isinstance(given, tuple) else {title: given}
    for name, clip in clips.items():
        if fault := networks.sound(clip).fault:
            return Undefined(f"the {name} {fault}")
    return None


def _summary(value: float, clips: int) -> Summary:
    reason = reason_of(value)
    if reason is not None:
        return Summary(None, 0, clips, undefined=reason)
    if not isinstance(value, SetFigure):
        return Summary(float(value), clips, 0)
    return Summary(
        float(value), value.n, max(0, clips - value.n), ci95=value.interval, details=value.details, notes=value.notes
    )


def _check_packages(metrics: Iterable[Metric]) -> None:
    missing = {
        metric.name: extra for metric in metrics for module, extra in metric.requires if find_spec(module) is None
    }
    if missing:
        extras = " ".join(f"'{extra}'" for extra in sorted(set(missing.values())))
        raise MissingExtraError(f"{', '.join(missing)} need packages that are not installed: pip install {extras}")
