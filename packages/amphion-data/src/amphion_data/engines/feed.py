"""Units taken in a thread: the next one may have to be waited for while others are on their way and need the driver."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Generic

from amphion_data.engines.engine import UnitT

__all__ = ["Feed"]

_PATIENCE = 0.2
"""Seconds that the driver waits for a unit; those that nobody else holds come in less."""


class Feed(Generic[UnitT]):
    """Takes one unit at a time, and only when it is asked for one.

    Two drivers that share the work each wait, at the end, for units that the other holds. A driver that stood still
    meanwhile would never bring its own to their end.

    Args:
        units: may block.
    """

    def __init__(self, units: Iterator[UnitT]) -> None:
        self._units = units
        self._wanted, self._answered = threading.Event(), threading.Event()
        self._found: list[UnitT] = []
        self._error: BaseException | None = None
        self._asked = self._closed = False
        self.ended = False
        """Whether there are no more."""
        threading.Thread(target=self._serve, name="units", daemon=True).start()

    def take(self) -> list[UnitT]:
        """The next unit; empty where there is none, or none yet.

        Raises:
            Exception: what the units raised.
        """
        if self.ended:
            return []
        if not self._asked:
            self._asked = True
            self._wanted.set()
        if not self._answered.wait(_PATIENCE):
            return []
        self._answered.clear()
        self._asked = False
        if self._error is not None:
            raise self._error
        found, self._found = self._found, []
        self.ended = not found
        return found

    def close(self) -> None:
        """Ask for no more."""
        self._closed = True
        self._wanted.set()

    def _serve(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._closed:
                return
            try:
                self._found = [next(self._units)]
            except StopIteration:
                self._answered.set()
                return
            except BaseException as error:
                self._error = error
                self._answered.set()
                return
            self._answered.set()
