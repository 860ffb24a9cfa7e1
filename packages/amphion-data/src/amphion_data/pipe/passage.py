"""A unit on its way through the steps: what each hands to the next, within a process or to another machine.

    standardise -> the voice of each recording, at the rate of the output and at 16 kHz
    listen      -> the segments of each recording; of the samples, those of the segments are needed from here on
    recognise   -> the rows that are kept; of the samples, theirs at the rate of the output
    write       -> what the mark says

Within a process the samples stay in files of a scratch folder and nothing is copied. A passage that is pickled carries
the samples that are still needed, so the next machine needs no file of this one.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from amphion_core.data import Drop
from amphion_data.pipe.process import Analysis, Piece, Tally
from amphion_data.pipe.scratch import Scratch
from amphion_data.pipe.sound import Sound
from amphion_data.pipe.spans import Span
from amphion_data.pipe.units import Unit

__all__ = ["Passage"]

_ORDER = ("separate", "vad", "diarise", "transcribe", "score", "embed")


@dataclass
class Passage:
    """What is known of a unit so far.

    Attributes:
        unit: on its way.
        facts: what the mark says, of one that is done already; the steps let it pass.
        tally: what was counted.
        drops: recordings and segments that were dropped.
        models: identities of the parts that worked on it.
        steps: seconds, GPUs and process of each step.
        sounds: recordings that were decoded and are not cut yet, by their names.
        analyses: those that are.
        pieces: segments that are kept.
        used: recordings with speech.
        heard: whether the segments come from the mark of an earlier run.
        scratch: folder of this machine with the samples; None after a journey.
    """

    unit: Unit
    facts: dict[str, Any] | None = None
    tally: Tally = field(default_factory=Tally)
    drops: list[Drop] = field(default_factory=list)
    models: dict[str, str] = field(default_factory=dict)
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    sounds: dict[str, Sound] = field(default_factory=dict)
    analyses: list[Analysis] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    used: int = 0
    heard: bool = False
    scratch: Scratch | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "scratch": None}

    @contextmanager
    def timed(self, step: str, gpus: float) -> Iterator[None]:
        """Note the time of a step, and where it ran; a unit that fails in it begins anew, so its folder goes."""
        began = time.perf_counter()
        try:
            yield
        except BaseException:
            self.close()
            raise
        before = self.steps.get(step, {}).get("seconds", 0.0)  # of the same step of an earlier run
        seconds = round(before + time.perf_counter() - began, 4)
        self.steps[step] = {"seconds": seconds, "gpus": gpus, "process": f"{platform.node()}:{os.getpid()}"}

    def name_models(self, identities: dict[str, str]) -> None:
        """Add the identities of parts, in the order of the work."""
        known = {**self.models, **identities}
        self.models = {kind: known[kind] for kind in (*_ORDER, *sorted(known.keys() - set(_ORDER))) if kind in known}

    def sort_drops(self) -> None:
        """Drops of whole recordings in the order of these, whichever step dropped them."""
        order = {source.name: number for number, source in enumerate(self.unit.sources)}
        self.drops.sort(key=lambda drop: order[drop.audio])

    def narrow(self) -> None:
        """Of the samples, only those of segments that the recogniser hears are needed from here on."""
        for analysis in self.analyses:
            analysis.sound.keep([Span(s.start, s.end) for s in analysis.cut.segments], low=True)

    def close(self) -> None:
        """Remove what is on disk."""
        if self.scratch is not None:
            self.scratch.close()
