"""A trace of a few steps, to be opened in a browser's trace viewer (Perfetto)."""

from __future__ import annotations

import logging
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch

__all__ = ["Profile"]

log = logging.getLogger(__name__)

_SKIP = 9  # with one step of warm-up the tenth and those before it stay out


class Profile:
    """A context that records the steps after the tenth and writes `trace.json`.

    Args:
        folder: where the trace goes.
        steps: how many steps; 0 records nothing.
    """

    def __init__(self, folder: Path, steps: int) -> None:
        self._folder = folder
        self._profiler: Any = None
        if steps:
            schedule = torch.profiler.schedule(skip_first=_SKIP, wait=0, warmup=1, active=steps, repeat=1)
            self._profiler = torch.profiler.profile(schedule=schedule, on_trace_ready=self._write)

    def __enter__(self) -> Self:
        if self._profiler is not None:
            self._profiler.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._profiler is not None:
            self._profiler.__exit__(kind, error, trace)

    def step(self) -> None:
        """One step is done."""
        if self._profiler is not None:
            self._profiler.step()

    def _write(self, profiler: Any) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        profiler.export_chrome_trace(str(self._folder / "trace.json"))
        log.info("wrote %s; open it at ui.perfetto.dev or chrome://tracing", self._folder / "trace.json")
