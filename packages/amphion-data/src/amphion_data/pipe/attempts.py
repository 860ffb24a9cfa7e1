"""Tries at recordings within a step, noted in the output, so that a recording that ends its process is found out."""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from amphion_core.data import Drop
from amphion_data.engines import Store

if TYPE_CHECKING:
    from amphion_data.pipe.units import Unit

__all__ = ["Attempts"]

FoundT = TypeVar("FoundT")

log = logging.getLogger(__name__)

_FATAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE)
_TRIES = 3  # times that a recording is tried within one attempt at its unit
_DEATHS = 4  # times that a recording may have been open when its process died before it is set aside


class Attempts:
    """The tries of one step.

    Args:
        store: of the output.
        run: of this run; processes that died in another one are not counted.
        step: that tries. Each counts for itself: what one step has got through with, another may die of.
    """

    def __init__(self, store: Store, run: str, step: str) -> None:
        self.store, self.run, self.step = store, run, step
        self._tries: dict[str, int] = {}

    @contextmanager
    def on(self, unit: Unit) -> Iterator[None]:
        """Work on the recordings of a unit; what ended well in the block has no share in later deaths."""
        noted = json.loads(self.store.read(self._name(unit)) or b"{}")
        self._tries = noted.get("tries", {}) if noted.get("run") == self.run else {}
        yield
        self._note(unit)

    def at(self, unit: Unit, source: str, work: Callable[[], FoundT]) -> FoundT | Drop:
        """What becomes of one recording; it is dropped where it fails each time, or ends its process each time.

        One write for each: the note that it is begun also says that the one before has ended.

        Raises:
            OSError: the disk is full, or the like; not the recording's fault.
        """
        self._tries[source] = deaths = self._tries.get(source, 0) + 1
        self._note(unit)
        if deaths > _DEATHS:
            detail = f"{deaths - 1} processes died while they worked on it; forget {self._name(unit)} to try again"
            return Drop(source, source, "quarantined", detail, "engine")
        found: FoundT | Drop
        for attempt in range(1, _TRIES + 1):
            try:
                found = work()
                break
            except (MemoryError, KeyboardInterrupt):
                raise
            except OSError as error:
                if error.errno in _FATAL:
                    raise
                found = Drop(source, source, "missing_audio", f"{type(error).__name__}: {error}", "standardise")
            except Exception as error:
                log.exception("%s: attempt %d", source, attempt)
                words = f"{type(error).__name__}: {error}, {attempt} times"
                found = Drop(source, source, "stage_failed", words[:500], "stages")
        del self._tries[source]
        return found

    def forget(self, unit: Unit) -> None:
        """Remove the notes of a unit that is done."""
        self.store.remove(self._name(unit))

    def _note(self, unit: Unit) -> None:
        self.store.write(self._name(unit), json.dumps({"run": self.run, "tries": self._tries}).encode())

    def _name(self, unit: Unit) -> str:
        return f"tries/{unit.key}.json" if self.step == "standardise" else f"tries/{unit.key}.{self.step}.json"
