"""The log of a run: JSON lines always, TensorBoard on request, progress on the terminal."""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from amphion_core.extras import require
from amphion_core.training.task import Sample

__all__ = ["Board", "Progressbar", "RunLog"]

log = logging.getLogger(__name__)


class RunLog:
    """`log.jsonl` of a run folder: a JSON object a line, each with step, epoch, time and kind.

    Args:
        path: the file; None writes nowhere, for processes beside the main one.
        position: bytes that stay; what lies behind belongs to steps that are done again.
    """

    def __init__(self, path: Path | None, position: int = 0) -> None:
        self._file = None
        if path is None:
            return
        self._file = path.open("ab")
        held = path.stat().st_size
        self.dropped = max(0, held - position)
        if held < position:
            log.warning("%s is shorter than at the checkpoint (%d of %d bytes); going on", path, held, position)
        self._file.truncate(min(held, position))
        self._file.seek(0, os.SEEK_END)

    def write(self, kind: str, step: int, epoch: int, **values: Any) -> None:
        """Add a line.

        Args:
            kind: `train`, `valid`, `judged` or `note`.
            step: steps done.
            epoch: passes over the data done.
            values: further JSON values; numbers that are not finite become null.
        """
        if self._file is None:
            return
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = {"kind": kind, "step": step, "epoch": epoch, "time": now, **values}
        self._file.write((json.dumps(_finite(line), ensure_ascii=False) + "\n").encode())
        self._file.flush()

    def position(self) -> int:
        """Bytes written so far, safely on disk."""
        if self._file is None:
            return 0
        os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


class Board:
    """TensorBoard event files.

    Args:
        folder: where they go.
        step: steps done; events of later ones, of a run that died, are hidden.

    Raises:
        MissingExtraError: tensorboard is not installed.
    """

    def __init__(self, folder: Path, step: int) -> None:
        require("tensorboard", "amphion-core[tracking]")
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=step + 1)  # type: ignore[no-untyped-call]

    def scalars(self, prefix: str, values: Mapping[str, float], step: int) -> None:
        """Add curves `PREFIX/NAME`."""
        for name, value in values.items():
            self._writer.add_scalar(f"{prefix}/{name}", value, step)  # type: ignore[no-untyped-call]

    def sample(self, sample: Sample, step: int) -> None:
        """Add a sound or a picture."""
        from amphion_core.pictures import colours

        if sample.wav is not None:
            wav = np.clip(sample.wav, -1.0, 1.0)[None]
            self._writer.add_audio(sample.name, wav, step, sample_rate=sample.sample_rate)  # type: ignore[no-untyped-call]
        if sample.picture is not None:
            image = colours(sample.picture)
            self._writer.add_image(sample.name, image, step, dataformats="HWC")  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Write what is left and close."""
        self._writer.close()  # type: ignore[no-untyped-call]


class Progressbar:
    """Steps, losses, speed and remaining time: a bar on a terminal, a logged line elsewhere.

    Args:
        total: steps of the whole run, None where unknown.
        step: steps done.
        hours: bound of the wall time, None for no bound.
        shown: False in processes beside the main one.
    """

    def __init__(self, total: int | None, step: int, hours: float | None, *, shown: bool = True) -> None:
        self._bar = tqdm(total=total, initial=step, unit="step", dynamic_ncols=True, disable=None if shown else True)
        self._shown = shown
        self._total = total
        self._hours = hours
        self._start = time.monotonic()

    def advance(self) -> None:
        """One more step."""
        self._bar.update()

    def report(self, step: int, epoch: int, losses: Mapping[str, float], speed: float) -> None:
        """Show the newest figures.

        Args:
            step: steps done.
            epoch: passes over the data done.
            losses: by name.
            speed: steps per second.
        """
        figures = " ".join(f"{name} {value:.4g}" for name, value in losses.items())
        left = self.remaining(step, speed)
        if not self._bar.disable:
            self._bar.set_postfix_str(f"epoch {epoch} {figures}" + (f" left {left}" if self._hours else ""))
        elif self._shown:
            of = f"/{self._total}" if self._total else ""
            log.info("step %d%s epoch %d  %s  %.3g step/s  %s left", step, of, epoch, figures, speed, left)

    def remaining(self, step: int, speed: float) -> str:
        """Time to the nearest bound, as h:mm:ss; `?` where there is no telling."""
        bounds = []
        if self._total is not None and speed > 0:
            bounds.append((self._total - step) / speed)
        if self._hours is not None:
            bounds.append(self._hours * 3600 - (time.monotonic() - self._start))
        if not bounds:
            return "?"
        seconds = max(0, round(min(bounds)))
        return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._bar.close()
