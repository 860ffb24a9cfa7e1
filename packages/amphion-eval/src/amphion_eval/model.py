"""What a network is to the framework: how it is loaded, what it takes and gives, and where its weights are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from amphion_core.weights import Weights

__all__ = ["Batch", "Model", "Takes", "Weights"]

Takes = Literal["clip", "text", "pair"]
"""A clip (T,) float32 at the model's rate; a text; or two clips, reference first."""

Batch: TypeAlias = Callable[[Sequence[Any]], list[Any]]
"""A loaded model: a list of inputs to a list of outputs of the same length.

Each output is the one that the input would give alone, and is an array (embedding, posteriors, frames), a mapping of
names to numbers, or a text; `Undefined` where the input has none (too short, silent).
"""


@dataclass(frozen=True)
class Model:
    """A named network that metrics share; it runs once over all clips of a run, in batches, before the metrics.

    Attributes:
        name: as `--speaker-model`, `--asr` and the like ask for it.
        load: device (`cpu`, `cuda:0` ...) to the loaded model; packages and weights are only touched here.
        sample_rate: Hz to which clips are brought before (soxr VHQ); 0 for texts.
        takes: kind of input.
        weights: files that it needs beyond its packages.
        requires: modules that it needs beyond the base install, with the extra that brings them.
        version: of our code around it; raised when the same input gives another output.
        parameters: that its output depends on, for the cache and the provenance (beam, language ...).
        licence: of the weights.
        source: paper and release.
    """

    name: str
    load: Callable[[str], Batch]
    sample_rate: int = 16000
    takes: Takes = "clip"
    weights: tuple[Weights, ...] = ()
    requires: tuple[tuple[str, str], ...] = ()
    version: int = 1
    parameters: dict[str, Any] = field(default_factory=dict)
    licence: str = ""
    source: str = ""

    def identity(self) -> str:
        """What decides its outputs: name, version, parameters and the hash of every weight file."""
        given = ",".join(f"{name}={value}" for name, value in sorted(self.parameters.items()))
        files = ",".join(weights.hash() for weights in self.weights)
        return f"{self.name}@{self.version}({given})[{files}]"
