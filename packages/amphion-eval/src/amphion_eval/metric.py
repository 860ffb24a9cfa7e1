"""What a metric is to the framework: a function of arrays, which arrays it takes, and what its number means."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from amphion_core import registry
from amphion_eval.analysis import PairAnalysis
from amphion_eval.model import Model
from amphion_eval.settings import Settings
from amphion_eval.values import Undefined, figure_of

__all__ = ["OF_MODELS", "OF_SETS", "OF_SOUND", "Metric", "Needs", "as_metric", "available", "find", "resolve"]

Needs = Literal[
    "f0",
    "periodicity",
    "energy",
    "cepstra",
    "wavs",
    "clips",
    "texts",
    "clip",
    "model",
    "clip_model",
    "pair_model",
    "prompt_model",
    "reconstruction_model",
    "text_model",
    "sets",
    "clip_sets",
]
"""What the function is given.

Of both clips: two contours (F,); two mel-cepstra (F, D + 1); two waveforms of one length and the rate (`wavs`); two
waveforms as they are and the rate (`clips`); two texts.
Of the estimate alone: its waveform and the rate (`clip`).
Outputs of `models`, which a network gave before: of reference and estimate (`model`), of the estimate (`clip_model`),
one output for both clips together (`pair_model`), of the prompt and the estimate (`prompt_model`), of the
reconstructed prompt and the estimate (`reconstruction_model`), of the item's text and the estimate (`text_model`, of
two networks). `texts` may name a recogniser as its model: its text stands in where an item has no transcript.
Lists of such outputs of all references and of all estimates (`sets`), or of all estimates (`clip_sets`): one figure
for the whole run (`SetFigure`), none for an item.
"""

OF_SOUND: frozenset[Needs] = frozenset({"f0", "periodicity", "energy", "cepstra", "wavs", "clips", "clip"})
"""Computed from audio, pair by pair."""

OF_MODELS: frozenset[Needs] = frozenset(
    {"model", "clip_model", "pair_model", "prompt_model", "reconstruction_model", "text_model"}
)
"""Computed from outputs of networks, item by item."""

OF_SETS: frozenset[Needs] = frozenset({"sets", "clip_sets"})
"""Computed from outputs of networks, once for a run."""

_WITHOUT_REFERENCE = frozenset(
    {"clip", "clip_model", "clip_sets", "text_model", "texts", "prompt_model", "reconstruction_model"}
)

Best = Literal["lower", "higher", "zero", "one", "none"]
"""Which end is best; `none` where the metric describes and does not judge."""

_METHODS: dict[Needs, Callable[[PairAnalysis], Any]] = {
    "f0": PairAnalysis.f0,
    "periodicity": PairAnalysis.periodicity,
    "energy": PairAnalysis.energy,
    "cepstra": PairAnalysis.cepstra,
    "wavs": PairAnalysis.wavs,
}


@dataclass(frozen=True)
class Metric:
    """A named metric; call it with arrays, as its function.

    Attributes:
        name: as it is asked for and reported.
        function: reference first, estimate second, to a float; nan, better `Undefined`, where there is no value.
        needs: what the function is given.
        unit: of the number; empty where it has none.
        low: the smallest value that it can take.
        high: the largest value that it can take.
        best: which end is best.
        source: where its definition stands.
        version: of the definition; raised when the same input gives another number.
        rate: whether the corpus figure is the quotient of summed counts.
        parameters: names of the settings that it depends on.
        requires: modules that the metric needs beyond the base install, with the extra that brings them.
        models: the networks whose outputs the function is given, by the settings of the run; the one of clips, and
            for `text_model` the one of texts before it.
        of_pair: how the value comes out of what metrics share of a pair, where that is cheaper than the function and
            the same.
    """

    name: str
    function: Callable[..., float]
    needs: Needs = "wavs"
    unit: str = ""
    low: float = float("-inf")
    high: float = float("inf")
    best: Best = "lower"
    source: str = ""
    version: int = 1
    rate: bool = False
    parameters: tuple[str, ...] = ()
    requires: tuple[tuple[str, str], ...] = ()
    models: Callable[[Settings], tuple[Model, ...]] | None = None
    of_pair: Callable[[PairAnalysis], float] | None = None

    @property
    def needs_reference(self) -> bool:
        """Whether a recording must stand beside each output."""
        return self.needs not in _WITHOUT_REFERENCE

    def __call__(self, *arrays: Any, **options: Any) -> float:
        """The function itself."""
        return self.function(*arrays, **options)

    @property
    def description(self) -> str:
        """First sentence of the function's documentation."""
        return (inspect.getdoc(self.function) or "").split("\n\n")[0].replace("\n", " ")

    def of(self, pair: PairAnalysis) -> float:
        """The value for two analysed clips.

        Args:
            pair: the clips.

        Returns:
            A float; `Undefined` with the reason where there is no value.

        Raises:
            ValueError: the metric takes outputs of networks, see `of_outputs`.
        """
        if self.needs in OF_MODELS | OF_SETS:
            raise ValueError(f"{self.name} is computed from outputs of networks, not from two clips; use score")
        if self.needs == "texts":
            for name, text in (("reference text", pair.text), ("transcript", pair.transcript)):
                if text is None:
                    return Undefined(f"there is no {name}")
            options = {"normalizer": pair.settings.normalizer, "language": pair.language}
            return self.function(pair.text, pair.transcript, **options)
        if self.of_pair is not None:
            return self.of_pair(pair)
        if self.needs == "clip":
            return self.function(pair.estimate.wav, pair.estimate.sample_rate)
        if self.needs == "clips":
            return self.function(pair.reference.wav, pair.estimate.wav, pair.sample_rate)
        arrays = _METHODS[self.needs](pair)
        if isinstance(arrays, Undefined):
            return arrays
        if self.needs == "wavs" and _takes_rate(self.function):
            return self.function(*arrays, pair.sample_rate)
        return self.function(*arrays)

    def of_outputs(self, *outputs: tuple[str, Any]) -> float:
        """The value of an item from what networks gave for it.

        Args:
            outputs: what each is of, such as `reference`, and the output, in the order of the function's arguments.

        Returns:
            A float; `Undefined` where one of the outputs is.
        """
        for title, output in outputs:
            if isinstance(output, Undefined):
                return Undefined(f"{title}: {output.reason}")
        return figure_of(self.function(*(output for _, output in outputs)))


def as_metric(name: str, component: Any) -> Metric:
    """A metric from what an entry point names.

    Args:
        name: of the entry point.
        component: a `Metric`, or a function of two waveforms of one length (T,), and if it wants it the rate in Hz.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(component, Metric):
        return component
    if not callable(component):
        raise TypeError(
            f"the metric {name!r} is {type(component).__name__}; it must be a Metric or a function of arrays"
        )
    return Metric(name, component)


def available() -> list[str]:
    """Names of the installed metrics, sorted."""
    return registry.names("metrics")


def find(name: str) -> Metric:
    """One installed metric.

    Raises:
        LookupError: no installed package declares it.
    """
    return as_metric(name, registry.find("metrics", name))


def resolve(metrics: Iterable[str | Metric]) -> list[Metric]:
    """Metrics by name, in the order asked for, each once.

    Args:
        metrics: names, or metrics themselves. A name that is no metric but the beginning of some up to an underscore
            stands for all of these: `f0` for every f0_..., `f0_pearson` for that in Hz and that in cents.

    Raises:
        LookupError: names that stand for nothing, all of them.
        ValueError: no metric at all.
    """
    chosen: dict[str, Metric] = {}
    unknown: list[str] = []
    installed = available()
    for item in metrics:
        if isinstance(item, Metric):
            chosen[item.name] = item
            continue
        matches = [item] if item in installed else [name for name in installed if name.startswith(f"{item}_")]
        unknown += [] if matches else [item]
        chosen.update((name, find(name)) for name in matches)
    if unknown:
        near = [close for name in unknown for close in difflib.get_close_matches(name, installed, n=1)]
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise LookupError(f"no metric named {', '.join(map(repr, unknown))}; installed: {', '.join(installed)}{hint}")
    if not chosen:
        raise ValueError(f"no metric was asked for; installed: {', '.join(installed)}")
    return list(chosen.values())


def _takes_rate(function: Callable[..., float]) -> bool:
    parameters: Sequence[inspect.Parameter] = list(inspect.signature(function).parameters.values())
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(positional) > 2 and (
        positional[2].default is inspect.Parameter.empty or positional[2].name == "sample_rate"
    )
