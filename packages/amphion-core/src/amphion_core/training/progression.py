"""The counters of a run: what survives in a checkpoint beside weights, optimisers and random state."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amphion_core.training.phase import Outcome

__all__ = ["Progression", "Window"]


class Window:
    """Means of the figures between two log lines."""

    def __init__(self) -> None:
        self._sums: dict[str, list[float]] = {}
        self.refused = 0
        self._restart_clock()

    def add(self, phase: str, outcome: Outcome) -> None:
        """Take in the outcome of a phase; refused ones are only counted."""
        if outcome.fault:
            self.refused += 1
            return
        for name, value in outcome.losses.items():
            self._add(f"losses {phase}/{name}", value)
        self._add(f"grad_norm {phase}", outcome.norm)

    def means(self, kind: str) -> dict[str, float]:
        """Means by name, of `losses` or of `grad_norm`."""
        found = {key.partition(" ")[2]: pair for key, pair in self._sums.items() if key.startswith(f"{kind} ")}
        return {name: total / count for name, (total, count) in found.items()}

    def speed(self) -> tuple[float, float]:
        """Steps per second since the last log line, and the share of the time spent waiting for data."""
        elapsed = max(time.perf_counter() - self._began - self._paused, 1e-9)
        return self.steps / elapsed, self.waited / elapsed

    def clear(self) -> None:
        """Begin the next one."""
        self._sums = {}
        self.refused = 0
        self._restart_clock()

    def state_dict(self) -> dict[str, Any]:
        """The sums, as JSON values."""
        return {"sums": self._sums, "refused": self.refused}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self._sums = {key: [float(total), int(count)] for key, (total, count) in state["sums"].items()}
        self.refused = int(state["refused"])
        self._restart_clock()

    def _add(self, key: str, value: float) -> None:
        pair = self._sums.setdefault(key, [0.0, 0])
        pair[0] += value
        pair[1] += 1

    def _restart_clock(self) -> None:
        self._began = time.perf_counter()
        self.steps = 0
        self.waited = 0.0
        self._paused = 0.0

    def pause(self, seconds: float) -> None:
        """Leave out time that went elsewhere, such as into validation."""
        self._paused += seconds


@dataclass
class Progression:
    """Where a run stands.

    Attributes:
        step: optimiser steps done.
        seconds: wall time of earlier processes of this run.
        log_position: bytes of the log that belong to the steps done.
        validated: step of the last validation, -1 for none.
        sampled: step of the last samples, -1 for none.
        figures: of the last validation.
        figure: the watched one.
        window: means since the last log line.
        checkpoint: the newest one.
    """

    step: int = 0
    seconds: float = 0.0
    log_position: int = 0
    validated: int = -1
    sampled: int = -1
    figures: dict[str, float] = field(default_factory=dict)
    figure: float | None = None
    window: Window = field(default_factory=Window)
    checkpoint: Path | None = None

    def state_dict(self) -> dict[str, Any]:
        """Everything as JSON values; `figure` only where it belongs to this very step."""
        return {
            "seconds": self.seconds,
            "log_position": self.log_position,
            "validated": self.validated,
            "sampled": self.sampled,
            "figures": self.figures,
            "figure": self.figure if self.validated == self.step else None,
            "window": self.window.state_dict(),
        }

    def load_state_dict(self, step: int, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.step = step
        for name in ("seconds", "log_position", "validated", "sampled", "figures", "figure"):
            setattr(self, name, state[name])
        self.window.load_state_dict(state["window"])
