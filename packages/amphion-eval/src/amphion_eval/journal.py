"""Where a run keeps what it has finished, so that a broken-off one goes on: the store, and items line by line."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from amphion_core.atomic import atomic_writer
from amphion_eval.cache import LIMIT, Store
from amphion_eval.report import Item, item_line

__all__ = ["ITEMS", "Journal", "Places", "places"]

ITEMS = "items.jsonl"
"""Name of the file of a run's folder that holds an item a line."""

_WORK = ".work"


@dataclass(frozen=True)
class Places:
    """Stores of a run.

    Attributes:
        store: of what later runs may take, or of this run alone where there is no cache.
        scratch: of this run alone.
        lasting: whether what is in `store` survives the run.
    """

    store: Store
    scratch: Store
    lasting: bool


@contextlib.contextmanager
def places(cache: str | Path | None, out: str | Path | None, *, resume: bool = False) -> Iterator[Places]:
    """The stores of a run.

    Args:
        cache: folder that all runs share; None for none.
        out: folder of the run: without a cache, what is finished lies below it until the run ends well.
        resume: whether a run without a cache takes what a former one left there.
    """
    with tempfile.TemporaryDirectory(prefix="amphion-eval-", ignore_cleanup_errors=True) as folder:
        scratch = Store(folder)
        if cache is not None:
            store = Store(cache)
            yield Places(store, scratch, True)
            if store.written:
                store.prune(LIMIT)
        elif out is not None:
            work = Path(out) / _WORK
            if not resume:
                shutil.rmtree(work, ignore_errors=True)
            yield Places(Store(work), scratch, True)
            shutil.rmtree(work, ignore_errors=True)
        else:
            yield Places(scratch, scratch, False)


class Journal:
    """Finished items, a JSON object a line, each written whole as it comes."""

    def __init__(self, out: str | Path | None, *, resume: bool = False) -> None:
        """Begin.

        Args:
            out: folder of the run; None writes nothing.
            resume: keep the lines of a former run that are finished.
        """
        self._path = Path(out) / ITEMS if out is not None else None
        self._lines: set[bytes] = set()
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        held = self._path.read_bytes().splitlines(keepends=True) if resume and self._path.is_file() else []
        whole = [line for line in held if line.endswith(b"\n")]  # the last one of a killed run may be cut
        self._lines = set(whole)
        with atomic_writer(self._path) as file:
            file.writelines(whole)

    def write(self, item: Item) -> None:
        """Add an item, if it does not stand there already."""
        if self._path is None:
            return
        line = item_line(item).encode() + b"\n"
        if line in self._lines:
            return
        with self._path.open("ab") as file:
            file.write(line)

    def finish(self, items: Sequence[Item]) -> None:
        """Put all items there in their order, and nothing else."""
        if self._path is None:
            return
        with atomic_writer(self._path) as file:
            file.writelines(item_line(item).encode() + b"\n" for item in items)
