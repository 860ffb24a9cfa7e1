"""Units on a Ray cluster: steps without a GPU as tasks, steps with one in actors that keep their models.

Completion is kept by what the units write, never by the cluster: a cluster that is lost costs what was running.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Any, Generic

from amphion_core.extras import require
from amphion_data.engines.engine import Engine, Outcome, Runner, SetupError, Step, UnitT, told

__all__ = ["RayEngine"]

log = logging.getLogger(__name__)
_WAIT = 1.0
"""Seconds between two looks at the cluster."""
_CRASHES = 5
"""How often a unit may be lost with its process or machine before it is taken for the cause."""


@dataclass
class _Flight(Generic[UnitT]):
    """A unit on its way."""

    unit: UnitT
    failures: int = 0
    crashes: int = 0
    began: float = field(default_factory=time.monotonic)
    actors: list[int] = field(default_factory=list)


class RayEngine(Engine):
    """An existing cluster by its address, or one of this machine that is started for the run.

    Nodes may join and leave while it runs: tasks go wherever there is room, actors are added as GPUs come.

    Args:
        address: of a cluster (`auto`, `ray://...`, `host:port`); None starts one here.
        cpus: cores of a cluster that is started here; None takes all.
        unit_timeout: seconds after which a unit counts as failed, since a cluster without room waits for ever.
        retries: see `Engine`.
    """

    name = "ray"

    def __init__(
        self,
        *,
        address: str | None = None,
        cpus: int | None = None,
        unit_timeout: float = 24 * 3600.0,
        retries: int = 2,
    ) -> None:
        """Start nothing yet.

        Raises:
            MissingExtraError: Ray is not installed.
        """
        super().__init__(retries=retries)
        self.ray = require("ray", "amphion-data[ray]")
        self.address, self.cpus, self.unit_timeout = address, cpus, unit_timeout

    def run(self, steps: Sequence[Step], units: Iterable[UnitT]) -> Iterator[Outcome[UnitT]]:
        """See `Engine.run`."""
        started = self._start()
        try:
            run: _Run[UnitT] = _Run(self, steps)
            yield from run.outcomes(iter(units))
        finally:
            if started:
                self.ray.shutdown()

    def _start(self) -> bool:
        """Connect, or start a cluster; True where this call did."""
        if self.ray.is_initialized():
            return False
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
        if self.address is None:
            options |= {"num_cpus": self.cpus, "include_dashboard": False}
        self.ray.init(address=self.address, **options)
        return True


class _Run(Generic[UnitT]):
    """One run: the groups of steps, the actors, what is in flight."""

    def __init__(self, engine: RayEngine, steps: Sequence[Step]) -> None:
        self.engine, self.ray = engine, engine.ray
        self.groups: list[tuple[Step, ...]] = []
        for on_gpu, part in groupby(steps, key=lambda step: step.gpus > 0):
            own = tuple(part)
            self.groups += [(step,) for step in own] if on_gpu else [own]
        self.task = self.ray.remote(_run_group)
        self.actors: dict[int, list[Any]] = {}
        self.loads: dict[int, list[int]] = {}

    def outcomes(self, units: Iterator[UnitT]) -> Iterator[Outcome[UnitT]]:
        """Outcomes as units end; no more are begun than the cluster can work on."""
        again: deque[_Flight[UnitT]] = deque()
        flying: dict[Any, _Flight[UnitT]] = {}
        while True:
            self._grow()
            while len(flying) < self._room():
                if again:
                    flight = again.popleft()
                else:
                    following = [_Flight(unit) for unit in islice(units, 1)]
                    if not following:
                        break
                    flight = following[0]
                flying[self._submit(flight)] = flight
            if not flying:
                return
            ready, _ = self.ray.wait(list(flying), num_returns=1, timeout=_WAIT)
            late = [ref for ref, f in flying.items() if time.monotonic() - f.began > self.engine.unit_timeout]
            for ref in {*ready, *late}:
                flight = flying.pop(ref)
                self._land(flight)
                outcome = self._outcome(ref, flight, again, late=ref in late and ref not in ready)
                if outcome is not None:
                    yield outcome

    def _room(self) -> int:
        """Units in flight: twice what the cores can work on, so that none waits for the driver."""
        cores = float(self.ray.cluster_resources().get("CPU", 1.0))
        return max(2, 2 * math.ceil(cores))

    def _grow(self) -> None:
        """As many actors of each GPU step as the cluster has room for now."""
        gpus = float(self.ray.cluster_resources().get("GPU", 0.0))
        shares = [group[0].gpus for group in self.groups if group[0].gpus > 0]
        for number, group in enumerate(self.groups):
            step = group[0]
            if step.gpus <= 0:
                continue
            wanted = max(1, math.floor(gpus / sum(shares) + 1e-9))
            have = self.actors.setdefault(number, [])
            loads = self.loads.setdefault(number, [])
            while len(have) < wanted:
                actor = self.ray.remote(_Keeper).options(
                    num_cpus=step.cpus, num_gpus=step.gpus if gpus else 0, max_restarts=-1, max_task_retries=0
                )
                have.append(actor.remote(group))
                loads.append(0)

    def _submit(self, flight: _Flight[UnitT]) -> Any:
        """Send a unit through all groups; what is between them stays on the cluster."""
        flight.began = time.monotonic()
        flight.actors = []
        value: Any = self.ray.put((flight.unit, {}))
        for number, group in enumerate(self.groups):
            if group[0].gpus > 0:
                loads = self.loads[number]
                place = loads.index(min(loads))
                loads[place] += 1
                flight.actors.append(place)
                value = self.actors[number][place].work.remote(value)
            else:
                cpus = max(step.cpus for step in group)
                value = self.task.options(num_cpus=cpus, max_retries=0, name=group[0].name).remote(group, value)
        return value

    def _land(self, flight: _Flight[UnitT]) -> None:
        places = iter(flight.actors)
        for number, group in enumerate(self.groups):
            if group[0].gpus > 0:
                self.loads[number][next(places)] -= 1

    def _outcome(
        self, ref: Any, flight: _Flight[UnitT], again: deque[_Flight[UnitT]], *, late: bool
    ) -> Outcome[UnitT] | None:
        try:
            if late:
                self.ray.cancel(ref, force=not flight.actors, recursive=True)
                raise TimeoutError(f"no result within {self.engine.unit_timeout:g} s")
            value, seconds = self.ray.get(ref)
        except self.ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, SetupError):
                raise SetupError(str(error.cause)) from None
            flight.failures += 1
            words, limit = told(error), flight.failures > self.engine.retries
        except (self.ray.exceptions.RayError, TimeoutError) as error:
            # The process or the machine is gone; most often that is not the unit's fault.
            flight.crashes += 1
            words, limit = f"{type(error).__name__}: {error}"[-2000:], flight.crashes > _CRASHES
        else:
            return Outcome(flight.unit, value, attempts=1 + flight.failures + flight.crashes, seconds=seconds)
        log.warning("%s: failed: %s", flight.unit, words.splitlines()[-1])
        if limit:
            return Outcome(flight.unit, error=words, attempts=flight.failures + flight.crashes)
        again.append(flight)
        return None


class _Keeper:
    """An actor that keeps the models of a step."""

    def __init__(self, group: Sequence[Step]) -> None:
        self.runner = Runner(group)

    def work(self, value: tuple[Any, dict[str, float]]) -> tuple[Any, dict[str, float]]:
        result, seconds = self.runner(value[0])
        return result, {**value[1], **seconds}


_runners: dict[tuple[str, ...], Runner] = {}
"""Functions of steps that this worker process has made; Ray keeps its workers."""


def _run_group(group: Sequence[Step], value: tuple[Any, dict[str, float]]) -> tuple[Any, dict[str, float]]:
    key = tuple(repr(step) for step in group)
    if key not in _runners:
        _runners.clear()  # of another run
        _runners[key] = Runner(group)
    result, seconds = _runners[key](value[0])
    return result, {**value[1], **seconds}
