"""One unit after another in this process; the simplest engine, and the one that a debugger can follow."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence

from amphion_data.engines.engine import Engine, Outcome, Runner, SetupError, Step, UnitT, told

__all__ = ["InProcessEngine"]

log = logging.getLogger(__name__)


class InProcessEngine(Engine):
    """No other process; a unit that ends the process ends the run."""

    name = "in-process"

    def run(self, steps: Sequence[Step], units: Iterable[UnitT]) -> Iterator[Outcome[UnitT]]:
        """See `Engine.run`; outcomes come in the order of the units."""
        runner = Runner(steps)
        for unit in units:
            for attempt in range(1, self.retries + 2):
                try:
                    value, seconds = runner(unit)
                except SetupError:
                    raise
                except Exception as error:
                    log.warning("%s: attempt %d failed: %s", unit, attempt, error)
                    outcome = Outcome(unit, error=told(error), attempts=attempt)
                else:
                    outcome = Outcome(unit, value, attempts=attempt, seconds=seconds)
                    break
            yield outcome
