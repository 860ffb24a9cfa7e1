"""Units on a Ray cluster: steps without a GPU as tasks, steps with one in actors that keep their models.

Completion is kept by what the units write, never by the cluster: a cluster that is lost costs what was running.
"""

from __future__ import annotations

import logging
import math
import os
import time
import uuid
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Generic

from amphion_core.extras import require
from amphion_data.engines.engine import Engine, Outcome, Runner, SetupError, Step, UnitT, told
from amphion_data.engines.feed import Feed

__all__ = ["RayEngine"]

log = logging.getLogger(__name__)
_WAIT = 1.0
"""Seconds between two looks at the cluster."""
_CRASHES = 5
"""How often a unit may be lost with its process or machine before it is taken for the cause."""


@dataclass
class _Actor:
    """One that keeps the models of a step: how many units it has, and whether its models are made."""

    handle: Any
    load: int = 0
    ready: bool = False


@dataclass
class _Flight(Generic[UnitT]):
    """A unit on its way: the group of steps that it is in, and what it takes from one to the next."""

    unit: UnitT
    failures: int = 0
    crashes: int = 0
    group: int = 0
    value: Any = None
    actor: _Actor | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    began: float = 0.0

    def begin(self) -> None:
        """Start from the first group."""
        self.group, self.value, self.actor = 0, self.unit, None
        self.seconds, self.began = {}, time.monotonic()


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
        feed = Feed(iter(units))
        try:
            run: _Run[UnitT] = _Run(self, steps)
            yield from run.outcomes(feed)
        finally:
            feed.close()
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
    """One run: the groups of steps, the actors, what is in flight.

    Neighbouring steps without a GPU are one group, a task; each step with one is a group of its own, in actors. A unit
    is sent from group to group: its value stays on the cluster, the driver sees its size and times.
    """

    def __init__(self, engine: RayEngine, steps: Sequence[Step]) -> None:
        self.engine, self.ray = engine, engine.ray
        self.token = uuid.uuid4().hex
        self.groups: list[tuple[Step, ...]] = []
        for on_gpu, part in groupby(steps, key=lambda step: step.gpus > 0):
            own = tuple(part)
            self.groups += [(step,) for step in own] if on_gpu else [own]
        self.shares = sum(group[0].gpus for group in self.groups)
        self.task, self.maker = self.ray.remote(_run_group), self.ray.remote(_make_group)
        self.actors: dict[int, list[_Actor]] = {}
        self.making: dict[Any, _Actor | None] = {}
        self.largest = 0  # bytes of the largest value that went from one group to the next

    def outcomes(self, units: Feed[UnitT]) -> Iterator[Outcome[UnitT]]:
        """Outcomes as units end; no more are begun than the cluster can work on."""
        again: deque[_Flight[UnitT]] = deque()
        flying: dict[Any, _Flight[UnitT]] = {}
        self._check_gpus()
        self._make_later_groups()
        while True:
            self._grow()
            while len(flying) < self._room():
                following = [again.popleft()] if again else [_Flight(unit) for unit in units.take()]
                if not following:
                    break
                flight = following[0]
                flight.begin()
                flying[self._submit(flight)] = flight
            if not flying:
                if units.ended:
                    return
                self._check_making()
                continue
            ready, _ = self.ray.wait(list(flying), num_returns=1, timeout=_WAIT)
            self._check_making()
            late = [ref for ref, f in flying.items() if time.monotonic() - f.began > self.engine.unit_timeout]
            for ref in {*ready, *late}:
                flight = flying.pop(ref)
                self._land(flight)
                outcome = self._outcome(ref, flight, again, flying, late=ref in late and ref not in ready)
                if outcome is not None:
                    yield outcome

    def _room(self) -> int:
        """Units in flight.

        Without actors: twice what the cores can work on, so that none waits for the driver. With actors, what waits in
        front of them lies in the object store, so there are no more units than tasks and actors can work on and one
        more for each actor to take next; and no more than fill half of the store, with the value that a group reads
        and the one that it writes for each. Until the first value has shown how large they are, there are only as many
        as actors. One unit goes always: Ray puts on disk what the store can't hold.
        """
        held = self.ray.cluster_resources()
        cores = math.ceil(float(held.get("CPU", 1.0)))
        if len(self.groups) == 1:
            return max(2, 2 * cores)
        actors = sum(map(len, self.actors.values()))
        if not self.largest:
            return max(2, actors)
        store = float(held.get("object_store_memory", math.inf))
        return max(1, min(cores + 2 * actors, int(min(store, 2.0**60) / (4 * self.largest))))

    def _size(self, value: Any) -> int:
        """Bytes of a value on the cluster; 1 of one that is too small to lie in the store."""
        known = self.ray.experimental.get_object_locations([value]).get(value, {})
        return max(1, int(known.get("object_size") or 0))

    def _check_gpus(self) -> None:
        gpus = self._gpus()
        if self.shares and not gpus:
            log.warning("the cluster has no GPU; each step that asks for one runs in one actor without")
        if 0 < gpus < self.shares:
            raise SetupError(
                f"the steps ask for {self.shares:g} GPUs together, the cluster has {gpus:g}, so one of them would wait "
                "for ever; ask for smaller shares"
            )

    def _gpus(self) -> float:
        return float(self.ray.cluster_resources().get("GPU", 0.0))

    def _grow(self) -> None:
        """As many actors of each GPU step as the cluster has room for now."""
        gpus = self._gpus()
        for number, group in enumerate(self.groups):
            step = group[0]
            if step.gpus <= 0:
                continue
            wanted = max(1, math.floor(gpus / self.shares + 1e-9))
            have = self.actors.setdefault(number, [])
            while len(have) < wanted:
                # No cores are reserved: on a small cluster actors that hold them would leave none for the tasks, and
                # both would wait for each other. Ray makes none again by itself: it would wait for a GPU that is gone.
                share = step.gpus if gpus else 0
                actor = _Actor(self.ray.remote(_Keeper).options(num_cpus=0, num_gpus=share).remote(group))
                have.append(actor)
                self.making[actor.handle.make.remote()] = actor

    def _forget(self, actor: _Actor) -> None:
        """Give up an actor that was lost; another one takes its place when there is room for it."""
        for have in self.actors.values():
            if actor in have:
                have.remove(actor)
        self.ray.kill(actor.handle)

    def _make_later_groups(self) -> None:
        """Begin to make the functions of later tasks, so that what is missing is said early."""
        for number, group in enumerate(self.groups):
            if number and group[0].gpus <= 0:
                self.making[self.maker.options(max_retries=0).remote(self.token, number, group)] = None

    def _check_making(self) -> None:
        if not self.making:
            return
        made, _ = self.ray.wait(list(self.making), num_returns=len(self.making), timeout=0)
        for ref in made:
            actor = self.making.pop(ref)
            try:
                self.ray.get(ref)
            except self.ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, SetupError):
                    raise SetupError(str(error.cause)) from None
                log.warning("a step could not be made: %s", error)  # its units will say so too
            except self.ray.exceptions.RayError as error:
                log.warning("a process that made a step was lost: %s", error)
                if actor is not None:
                    self._forget(actor)
                continue
            if actor is not None:
                actor.ready = True

    def _submit(self, flight: _Flight[UnitT]) -> Any:
        """Send a unit into its next group; returns the reference of its times."""
        number = flight.group
        group = self.groups[number]
        if group[0].gpus > 0:
            have = self.actors[number]
            # One that is not made yet may wait for a GPU that never comes.
            flight.actor = min([actor for actor in have if actor.ready] or have, key=lambda actor: actor.load)
            flight.actor.load += 1
            work = flight.actor.handle.work.options(num_returns=2, name=group[0].name)
            times, flight.value = work.remote(flight.value)
        else:
            cpus = max(step.cpus for step in group)
            task = self.task.options(num_cpus=cpus, max_retries=0, name=group[0].name, num_returns=2)
            times, flight.value = task.remote(self.token, number, group, flight.value)
        return times

    def _land(self, flight: _Flight[UnitT]) -> None:
        if flight.actor is not None:
            flight.actor.load -= 1

    def _outcome(
        self,
        ref: Any,
        flight: _Flight[UnitT],
        again: deque[_Flight[UnitT]],
        flying: dict[Any, _Flight[UnitT]],
        *,
        late: bool,
    ) -> Outcome[UnitT] | None:
        """What became of a unit; None where it goes on to the next group or is tried again."""
        try:
            if late:
                self.ray.cancel(ref, force=flight.actor is None, recursive=True)
                raise TimeoutError(f"no result within {self.engine.unit_timeout:g} s")
            flight.seconds |= self.ray.get(ref)
            flight.actor = None
            if flight.group + 1 < len(self.groups):
                self.largest = max(self.largest, self._size(flight.value))
                flight.group += 1
                flying[self._submit(flight)] = flight
                return None
            value = self.ray.get(flight.value)
        except self.ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, SetupError):
                raise SetupError(str(error.cause)) from None
            flight.failures += 1
            words, limit = told(error), flight.failures > self.engine.retries
        except (self.ray.exceptions.RayError, TimeoutError) as error:
            # The process or the machine is gone, or a value with it; most often that is not the unit's fault.
            flight.crashes += 1
            if flight.actor is not None and isinstance(error, self.ray.exceptions.RayActorError):
                self._forget(flight.actor)
            words, limit = f"{type(error).__name__}: {error}"[-2000:], flight.crashes > _CRASHES
        else:
            attempts = 1 + flight.failures + flight.crashes
            return Outcome(flight.unit, value, attempts=attempts, seconds=flight.seconds)
        log.warning("%s: failed: %s", flight.unit, words.splitlines()[-1])
        flight.value = None
        if limit:
            return Outcome(flight.unit, error=words, attempts=flight.failures + flight.crashes)
        again.append(flight)
        return None


class _Keeper:
    """An actor that keeps the models of a step."""

    def __init__(self, group: Sequence[Step]) -> None:
        self.runner = Runner(group)

    def make(self) -> None:
        self.runner.make()

    def work(self, value: Any) -> tuple[dict[str, float], Any]:
        """The seconds of the step, which the driver sees, and the value, which it does not."""
        value, seconds = self.runner(value)
        return seconds, value


_runners: dict[tuple[str, int], Runner] = {}
"""Functions of the groups of a run that this worker process has made, by run and number; Ray keeps its workers."""


def _runner(token: str, number: int, group: Sequence[Step]) -> Runner:
    if (token, number) not in _runners:
        for key in [key for key in _runners if key[0] != token]:  # of another run
            del _runners[key]
        _runners[token, number] = Runner(group)
    return _runners[token, number]


def _make_group(token: str, number: int, group: Sequence[Step]) -> None:
    _runner(token, number, group).make()


def _run_group(token: str, number: int, group: Sequence[Step], value: Any) -> tuple[dict[str, float], Any]:
    value, seconds = _runner(token, number, group)(value)
    return seconds, value
