"""Ctrl-C and SIGTERM as a wish to stop: the step is finished, a checkpoint is written, then the run ends."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType
from typing import Any, Self

__all__ = ["StopSignals"]

log = logging.getLogger(__name__)


class StopSignals:
    """Context in which SIGINT and SIGTERM set a flag instead of ending the process; a second SIGINT interrupts at once.

    Outside the main thread, where Python takes no handlers, nothing changes.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.received == signal.SIGINT and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)
