"""Shards of `amphion_core.data.write_shards` on an engine: one shard is one unit of work."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from amphion_data.engines.engine import Engine, Step

__all__ = ["spread_over"]

log = logging.getLogger(__name__)

_PASSING = frozenset({errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EINTR})
"""Errors of a disk on the network that another attempt may not meet."""


def spread_over(engine: Engine) -> Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[Any]]:
    """What `write_shards(spread=...)` takes, so that this engine runs the shards.

    A shard whose process or machine dies is begun again, as the engine does it for any unit. What another attempt
    would meet as well (a faulty row of a run that shall fail, a full disk) ends the run with its own error at once.

    Raises:
        RuntimeError: (by what is returned) a shard failed in every attempt; the others are finished first.
    """
    return partial(_spread, engine)


def _spread(engine: Engine, function: Callable[[Any], Any], jobs: Sequence[Any]) -> Iterator[Any]:
    step = Step("shard", partial(_Attempt, function))
    lost: list[str] = []
    units = [_Unit(job) for job in jobs]
    for outcome in engine.run([step], units):
        if not outcome.done:
            lost.append(f"{outcome.unit} ({outcome.attempts} attempts): {outcome.error}")
        elif isinstance(outcome.value, BaseException):
            raise outcome.value
        else:
            yield outcome.value
    if lost:
        raise RuntimeError(f"{len(lost)} of {len(units)} shards could not be written, call again to go on: {lost[0]}")


class _Unit:
    """A job under the short name that messages show."""

    def __init__(self, job: Any) -> None:
        self.job = job

    def __repr__(self) -> str:
        return str(getattr(self.job, "path", "a shard"))


class _Attempt:
    """Does the job; gives an error that would only come again instead of raising it, so that nothing tries it again."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __call__(self, unit: _Unit) -> Any:
        try:
            return self.function(unit.job)
        except ValueError as error:
            return error
        except OSError as error:
            if error.errno in _PASSING:
                raise
            return error
