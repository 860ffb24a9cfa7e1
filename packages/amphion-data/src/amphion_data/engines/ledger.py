"""Which units are done, and who works on which: markers and leases as small files, read and written by all machines.

A marker is written last, after everything that the unit wrote, so what has one is whole. A lease only saves work: two
machines that do one unit write the same bytes.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from amphion_data.engines.store import Store

__all__ = ["Leases", "Ledger"]

log = logging.getLogger(__name__)


class Ledger:
    """Markers `FOLDER/UNIT.json` in a store.

    Args:
        store: where.
        folder: of the markers.
    """

    def __init__(self, store: Store, folder: str = "units") -> None:
        self.store, self.folder = store, folder

    def finish(self, unit: str, facts: Mapping[str, Any]) -> None:
        """Mark a unit as done.

        Args:
            unit: its key; made from all that its result depends on.
            facts: JSON values to keep with the mark.
        """
        text = json.dumps({**facts, "unit": unit}, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
        self.store.write(f"{self.folder}/{unit}.json", text.encode())

    def facts(self, unit: str) -> dict[str, Any] | None:
        """What was kept with the mark of a unit; None where it is not done."""
        data = self.store.read(f"{self.folder}/{unit}.json")
        if data is None:
            return None
        try:
            values = json.loads(data)
        except ValueError:
            return None
        return values if isinstance(values, dict) and values.get("unit") == unit else None

    def done(self) -> set[str]:
        """Keys of all units that have a mark."""
        names = (name.rpartition("/")[2] for name in self.store.names(self.folder))
        return {name.removesuffix(".json") for name in names if name.endswith(".json")}

    def forget(self, unit: str) -> None:
        """Remove the mark of a unit."""
        self.store.remove(f"{self.folder}/{unit}.json")


class Leases:
    """Leases of one driver on units, kept alive by a thread while the block runs.

    A lease is another's as long as its content changes; one that stands still for `patience` seconds by the clock of
    this machine, or whose process on this machine is gone, is taken over. Clocks of machines are never compared.

    Args:
        store: where.
        folder: of the leases.
        beat: seconds between two signs of life.
        patience: seconds without one after which a lease counts as left behind.
    """

    def __init__(self, store: Store, folder: str = "leases", *, beat: float = 20.0, patience: float = 120.0) -> None:
        """Take nothing yet.

        Raises:
            ValueError: the patience is not longer than two beats.
        """
        if not 0 < 2 * beat < patience:
            raise ValueError(f"patience must be over two beats, got {patience:g} s and beats of {beat:g} s")
        self.store, self.folder, self.beat, self.patience = store, folder, beat, patience
        self.owner = f"{platform.node()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._held: dict[str, int] = {}
        self._seen: dict[str, tuple[bytes, float]] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Leases:
        """Begin to give signs of life."""
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Give back what is held."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        for unit in list(self._held):
            self.give_back(unit)

    def take(self, unit: str) -> bool:
        """Take a unit, if it is free or left behind."""
        name = self._name(unit)
        if self.store.create(name, self._content(0)):
            with self._lock:
                self._held[unit] = 0
            return True
        content = self.store.read(name)
        if content is None or not self._left_behind(unit, content):
            return False
        log.warning("%s: its lease was left behind by %s", unit, _owner(content))
        if self.store.read(name) == content:
            self.store.remove(name)
        self._seen.pop(unit, None)
        return self.take(unit)

    def give_back(self, unit: str) -> None:
        """End the lease of a unit."""
        with self._lock:
            if self._held.pop(unit, None) is not None:
                self.store.remove(self._name(unit))

    def free(self, units: Iterable[str], ledger: Ledger, *, wait: bool = True) -> Iterator[str]:
        """Units as they can be worked on: those that are free first, then those that others left behind.

        Args:
            units: keys.
            ledger: where others mark theirs as done.
            wait: for units that others hold, until they are done or left behind.

        Yields:
            Each is held here when it comes; what others finish does not come.
        """
        waiting = list(units)
        self._forget_done(set(waiting), ledger)
        while waiting:
            held = []
            for unit in waiting:
                if ledger.facts(unit) is not None:
                    continue
                if self.take(unit):
                    if ledger.facts(unit) is None:  # it may have been finished just before
                        yield unit
                    else:
                        self.give_back(unit)
                else:
                    held.append(unit)
            waiting = held
            if not waiting or not wait or self._stop.wait(min(self.beat, 5.0)):
                return

    def _forget_done(self, units: set[str], ledger: Ledger) -> None:
        """Remove leases on finished units: whoever finished them was killed before it could give them back."""
        leased = {name.rpartition("/")[2].removesuffix(".json") for name in self.store.names(self.folder)}
        for unit in sorted(leased & units):
            if ledger.facts(unit) is not None:
                self.store.remove(self._name(unit))

    def _left_behind(self, unit: str, content: bytes) -> bool:
        owner = _owner(content)
        host, _, rest = owner.partition(":")
        pid = rest.partition(":")[0]
        if host == platform.node() and pid.isdecimal() and owner != self.owner and not _alive(int(pid)):
            return True
        before, since = self._seen.get(unit, (b"", 0.0))
        if before != content:
            self._seen[unit] = (content, time.monotonic())
            return False
        return time.monotonic() - since > self.patience

    def _live(self) -> None:
        while not self._stop.wait(self.beat):
            with self._lock:
                for unit in self._held:
                    self._held[unit] += 1
                    try:
                        self.store.write(self._name(unit), self._content(self._held[unit]))
                    except OSError as error:  # the next beat may get through
                        log.warning("%s: no sign of life: %s", unit, error)

    def _content(self, count: int) -> bytes:
        return json.dumps({"owner": self.owner, "beat": count}).encode()

    def _name(self, unit: str) -> str:
        return f"{self.folder}/{unit}.json"


def _owner(content: bytes) -> str:
    try:
        return str(json.loads(content)["owner"])
    except (ValueError, KeyError, TypeError):
        return "unknown"


def _alive(pid: int) -> bool:
    if os.name == "nt":  # a signal of 0 ends the process there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
