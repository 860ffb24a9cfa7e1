"""Keeps computed features in shards: computed once for each row, configuration and version, and read by row.

A store lies in `FOLDER/NAME-HASH/`: the hash stands for the configuration, the version of the computation and the
content of the rows, so another configuration or another corpus never meets old features. Inside are `store.json`, which
says what the store was made from and is written last, and `shards/` with one `KEY.FEATURE.npy` for each row and
feature.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from amphion_core.atomic import atomic_writer
from amphion_core.config import Config
from amphion_core.data.reader import ShardSet
from amphion_core.data.record import Record
from amphion_core.data.shards import write_shards
from amphion_core.locking import LockedError, file_lock

__all__ = ["Compute", "FeatureStore", "StoredFeatures"]

logger = logging.getLogger(__name__)

Compute = Callable[[ShardSet, int], Mapping[str, NDArray[Any]]]
"""Makes the features of one row: called with the set and the number of the row, returns arrays by name."""

_FORMAT = {"format": "amphion-features", "format_version": 1}
_SPEC = "store.json"


class StoredFeatures:
    """Features of the rows of a set, in the order of its rows. It goes to worker processes by pickling.

    Attributes:
        names: of the features.
    """

    def __init__(self, shards: ShardSet, names: Sequence[str], rows: NDArray[np.int64] | None = None) -> None:
        self.names = tuple(names)
        self._shards = shards
        self._rows = rows

    def __len__(self) -> int:
        return len(self._shards) if self._rows is None else len(self._rows)

    def array(self, row: int, name: str) -> NDArray[Any]:
        """One feature of one row, as it was computed.

        Raises:
            LookupError: the store has no feature of that name, or no such row.
        """
        if name not in self.names:
            raise LookupError(f"no feature {name!r} in this store; it has {', '.join(self.names)}")
        return self._shards.array(row if self._rows is None else int(self._rows[row]), name)

    def aligned(self, selection: ShardSet) -> StoredFeatures:
        """The same features in the order of other rows, such as a selection from the set.

        Raises:
            LookupError: a row is not in the store.
        """
        places = {key: place for place, key in enumerate(self._shards.keys)}
        absent = [key for key in selection.keys if key not in places]
        if absent:
            raise LookupError(
                f"{len(absent)} of {len(selection)} rows are not in this store, the first is {absent[0]!r}; build it "
                "for the whole set"
            )
        return StoredFeatures(self._shards, self.names, np.array([places[key] for key in selection.keys], np.int64))


@dataclass(frozen=True)
class FeatureStore:
    """A place for the features that one function computes with one configuration.

    Args:
        folder: cache folder; it can hold any number of stores.
        name: of the kind of features, such as `mel`; part of the folder's name.
        config: settings of the computation; other values are another store.
        compute: makes the arrays of one row. Runs in worker processes, so it must be picklable where they are used.
        version: of the code of `compute`; raise it when its numbers change.
    """

    folder: str | Path
    name: str
    config: Config
    compute: Compute
    version: str = "1"

    def path(self, shards: ShardSet) -> Path:
        """Where the features of these rows lie, or would lie."""
        text = json.dumps(self._spec(shards), sort_keys=True)
        return Path(self.folder) / f"{self.name}-{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"

    def open(self, shards: ShardSet) -> StoredFeatures:
        """The features of these rows, computed earlier.

        Raises:
            FileNotFoundError: there is no finished store; says how the ones that are there differ.
            ValueError: what lies there was made from something else, or was changed.
        """
        path, wanted = self.path(shards), self._spec(shards)
        if not (path / _SPEC).is_file():
            state = "is not finished" if path.is_dir() else "does not exist"
            others = "".join(f"; {line}" for line in self._neighbours(path, wanted))
            raise FileNotFoundError(f"the feature store {path} {state}; make it with build{others}")
        found = _read_spec(path)
        differing = _differences(wanted, found)
        if differing:
            raise ValueError(f"{path} does not hold what its name says: {differing}; remove it and build it again")
        stored = ShardSet.open(path / "shards", on_error="fail")
        if len(stored) != len(shards):
            raise ValueError(f"{path} has {len(stored)} rows, the set {len(shards)}; remove it and build it again")
        return StoredFeatures(stored, found["features"])

    def build(
        self,
        shards: ShardSet,
        *,
        workers: int = 1,
        per_shard: int = 1000,
        progress: bool = True,
        wait: float = 24 * 3600.0,
    ) -> StoredFeatures:
        """Compute what is not there yet, and open the store.

        A run that was killed is continued: whole shards are kept. Of two processes that build at once, one waits for
        the other. The bytes don't depend on `workers`.

        Args:
            shards: the rows; features are computed for all of them.
            workers: processes.
            per_shard: rows of one shard, the unit of work.
            progress: show a bar.
            wait: how long to wait for another process that builds the same store, s.

        Raises:
            ValueError: `compute` failed for a row, or gave no arrays of numbers; the message names the row.
            PermissionError: the folder can't be written, and it holds no finished store.
            amphion_core.locking.LockedError: another process still builds it after `wait`.
        """
        path = self.path(shards)
        try:
            if not (path / _SPEC).is_file():
                path.mkdir(parents=True, exist_ok=True)
                self._build_alone(path, shards, workers, per_shard, progress, wait)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            raise PermissionError(
                f"the features of {self.name!r} are not in {self.folder}, and it can't be written ({error}); give "
                "another cache folder, or build the store where it can be written"
            ) from error
        return self.open(shards)

    def _build_alone(
        self, path: Path, shards: ShardSet, workers: int, per_shard: int, progress: bool, wait: float
    ) -> None:
        lock = path / ".building.lock"
        try:
            with file_lock(lock):
                self._write(path, shards, workers, per_shard, progress)
        except LockedError:
            logger.info("another process builds %s; waiting for it", path)
            with file_lock(lock, wait=wait, what=f"the feature store {path}"):
                self._write(path, shards, workers, per_shard, progress)

    def _write(self, path: Path, shards: ShardSet, workers: int, per_shard: int, progress: bool) -> None:
        if (path / _SPEC).is_file():  # the process before was faster
            return
        if not len(shards):
            raise ValueError(f"no rows to compute {self.name!r} of; the set is empty")
        write_shards(
            _Rows(shards.keys),
            _Encoding(self.compute, shards),
            path / "shards",
            per_shard=per_shard,
            prefix=self.name,
            workers=workers,
            fingerprint=path.name,
            progress=progress,
            on_error="fail",
            overwrite=True,
        )
        first = ShardSet.open(path / "shards", on_error="fail")[0]
        spec = {**self._spec(shards), "features": sorted(field.removesuffix(".npy") for field in first.fields)}
        with atomic_writer(path / _SPEC) as file:
            file.write((json.dumps(spec, indent=1, ensure_ascii=False) + "\n").encode())

    def _spec(self, shards: ShardSet) -> dict[str, Any]:
        return {
            **_FORMAT,
            "name": self.name,
            "version": self.version,
            "config": {"class": type(self.config).__name__, **self.config.to_dict()},
            "rows": {"count": len(shards), "content": shards.fingerprint},
        }

    def _neighbours(self, path: Path, wanted: Mapping[str, Any]) -> Iterator[str]:
        """How up to three finished stores of the same name differ from the one wanted."""
        found = sorted(p.parent for p in path.parent.glob(f"{self.name}-*/{_SPEC}")) if path.parent.is_dir() else []
        for other in found[:3]:
            yield f"{other.name} differs: {_differences(wanted, _read_spec(other))}"


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    id: str


class _Rows(Sequence[_Row]):
    """The rows of a set, made as they are asked for."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = keys

    def __len__(self) -> int:
        return len(self._keys)

    @overload
    def __getitem__(self, place: int) -> _Row: ...
    @overload
    def __getitem__(self, place: slice) -> list[_Row]: ...
    def __getitem__(self, place: int | slice) -> _Row | list[_Row]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        return _Row(place, self._keys[place])


class _Encoding:
    """Turns the features of a row into the record of a shard; goes to worker processes."""

    def __init__(self, compute: Compute, shards: ShardSet) -> None:
        self.compute, self.shards = compute, shards

    def __call__(self, row: _Row) -> Record:
        try:
            arrays = self.compute(self.shards, row.number)
            if not arrays:
                raise ValueError("no features were computed")
            return Record(row.id, {f"{name}.npy": _bytes_of(name, array) for name, array in arrays.items()})
        except (OSError, MemoryError) as error:
            error.add_note(f"at row {row.number} ({row.id!r})")
            raise
        except Exception as error:
            raise ValueError(f"row {row.number} ({row.id!r}): {type(error).__name__}: {error}") from error


def _bytes_of(name: str, array: Any) -> bytes:
    if not isinstance(array, np.ndarray) or array.dtype.hasobject:
        kind = f"an array of {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        raise ValueError(f"the feature {name!r} is {kind}; features are numpy arrays of numbers")
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def _read_spec(path: Path) -> dict[str, Any]:
    try:
        spec = json.loads((path / _SPEC).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path / _SPEC} can't be read ({error}); remove the folder and build it again") from None
    if not isinstance(spec, dict) or not isinstance(spec.get("features"), list):
        raise ValueError(f"{path / _SPEC} does not describe a store; remove the folder and build it again")
    return spec


def _differences(wanted: Mapping[str, Any], found: Mapping[str, Any], prefix: str = "") -> str:
    """Names of what differs, with both values."""
    lines = []
    for key, value in wanted.items():
        other = found.get(key)
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            lines.append(_differences(value, other, f"{prefix}{key}."))
        elif value != other:
            lines.append(f"{prefix}{key} is {other!r} there and {value!r} here")
    return ", ".join(line for line in lines if line)
