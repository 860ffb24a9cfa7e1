"""What every engine promises: each unit goes through the steps once, or comes back with its error."""

from __future__ import annotations

import abc
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

__all__ = ["ENGINES", "Engine", "Outcome", "Runner", "SetupError", "Step", "make_engine", "told"]

UnitT = TypeVar("UnitT")

ENGINES = ("in-process", "pool", "ray")
"""Names of the engines, as `--engine` takes them."""


class SetupError(ValueError):
    """A step can't be made: a package, weights or a setting are missing. It would fail for every unit alike."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the work.

    Attributes:
        name: for times and messages.
        make: builds the function of the step in the process that runs it; models are loaded there, once a process. It
            and what the function takes and gives must be picklable.
        cpus: cores that it takes, fractions allowed.
        gpus: GPUs that it takes, fractions allowed; such a step keeps its models in actors on Ray, which reserve no
            cores beside them.
    """

    name: str
    make: Callable[[], Callable[[Any], Any]]
    cpus: float = 1.0
    gpus: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome(Generic[UnitT]):
    """What became of a unit.

    Attributes:
        unit: what was put in.
        value: what the last step gave; None where it failed.
        error: the last error in words, with where it came from; empty where it is done.
        attempts: how often it was tried.
        seconds: time in each step, of the attempt that counts.
    """

    unit: UnitT
    value: Any = None
    error: str = ""
    attempts: int = 1
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether the unit went through."""
        return not self.error


class Engine(abc.ABC):
    """Runs units through steps.

    A unit whose step raises is tried again; one that fails every time, or ends its process every time, comes back with
    its error and costs nothing but itself. Units must not depend on one another, and a unit may be begun more than
    once, so steps that write must write whole files under names that depend on the unit alone.

    Args:
        retries: how often a unit is tried again after an error.
    """

    name: ClassVar[str]

    def __init__(self, *, retries: int = 2) -> None:
        """Take the settings that all engines have.

        Raises:
            ValueError: a negative number of retries.
        """
        if retries < 0:
            raise ValueError(f"retries must be 0 or more, got {retries}")
        self.retries = retries

    @abc.abstractmethod
    def run(self, steps: Sequence[Step], units: Iterable[UnitT]) -> Iterator[Outcome[UnitT]]:
        """Every unit through all steps, in their order.

        Args:
            steps: at least one.
            units: taken one after another as there is room, not all at once.

        Yields:
            One outcome for each unit, as they end.

        Raises:
            SetupError: a step can't be made; that ends the run.
        """


class Runner:
    """The functions of some steps, made before their first use and kept."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = tuple(steps)
        self._functions: list[Callable[[Any], Any]] = []

    def make(self) -> None:
        """Make all functions now, so that what is missing is said before the first step has worked for an hour.

        Raises:
            SetupError: one can't be made.
        """
        if not self._functions:
            self._functions = [_made(step) for step in self._steps]

    def __call__(self, value: Any) -> tuple[Any, dict[str, float]]:
        """The value after all steps, and the seconds of each."""
        self.make()
        seconds: dict[str, float] = {}
        for step, function in zip(self._steps, self._functions, strict=True):
            began = time.perf_counter()
            value = function(value)
            seconds[step.name] = time.perf_counter() - began
        return value, seconds


def _made(step: Step) -> Callable[[Any], Any]:
    try:
        return step.make()
    except (ImportError, LookupError, ValueError, FileNotFoundError) as error:
        raise SetupError(str(error)) from error


def told(error: BaseException) -> str:
    """An error in words with the last lines of where it came from."""
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    return "".join(lines)[-2000:].strip()


def make_engine(name: str, *, workers: int = 1, address: str | None = None, retries: int = 2) -> Engine:
    """An engine by name.

    Args:
        name: one of `ENGINES`.
        workers: processes of the pool, or cores of a Ray cluster that is started here; more than 1 makes `in-process`
            a pool.
        address: of an existing Ray cluster.
        retries: see `Engine`.

    Raises:
        ValueError: another name, or an address for an engine that has none.
        MissingExtraError: Ray is not installed.
    """
    if name not in ENGINES:
        raise ValueError(f"no engine named {name!r}; there are {', '.join(ENGINES)}")
    if address is not None and name != "ray":
        raise ValueError(f"the engine {name} has no address; --engine ray takes one")
    if name == "ray":
        from amphion_data.engines.on_ray import RayEngine

        return RayEngine(address=address, cpus=None if address else workers, retries=retries)
    if name == "pool" or workers > 1:
        from amphion_data.engines.process_pool import ProcessPoolEngine

        return ProcessPoolEngine(workers, retries=retries)
    from amphion_data.engines.in_process import InProcessEngine

    return InProcessEngine(retries=retries)
