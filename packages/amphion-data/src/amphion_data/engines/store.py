"""Where units leave their results: a folder, or an object store by its fsspec address; files are whole or absent."""

from __future__ import annotations

import abc
import contextlib
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amphion_core.atomic import TEMPORARY, atomic_writer
from amphion_core.extras import require
from amphion_data.files import walk

__all__ = ["FsspecStore", "LocalStore", "Store", "is_address", "open_store"]

_BLOCK = 1 << 22
_WHOLE_PUTS = frozenset({"memory", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss", "r2", "hf"})
"""Protocols whose files appear when they are complete; elsewhere they are written aside and moved."""


class Store(abc.ABC):
    """Named files below one place; names have `/` between their parts. It is picklable.

    Attributes:
        address: of the place.
    """

    address: str

    @abc.abstractmethod
    def read(self, name: str) -> bytes | None:
        """Content of a file; None where there is none."""

    @abc.abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Write a file, whole or not at all; one of that name is replaced."""

    @abc.abstractmethod
    def create(self, name: str, data: bytes) -> bool:
        """Write a file if there is none of that name; False where there is.

        Object stores can't promise that only one of two at the same moment gets True.
        """

    @abc.abstractmethod
    def put(self, local: Path, name: str) -> None:
        """Write a file from one of this machine, whole or not at all."""

    @abc.abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file; it is no error where there is none."""

    def names(self, folder: str = "") -> list[str]:
        """Names of all files below a folder, sorted by code point, unfinished ones left out."""
        return sorted(name for name in self._found(folder) if TEMPORARY not in name)

    def sweep(self, folder: str) -> None:
        """Remove the unfinished files below a folder; no one may be writing there."""
        for name in self._found(folder):
            if TEMPORARY in name:
                self.remove(name)

    @abc.abstractmethod
    def sweep_beside(self, age: float) -> None:
        """Remove the unfinished files right in the place itself that were last written over `age` s ago.

        Others may be writing there.
        """

    @abc.abstractmethod
    def _found(self, folder: str) -> list[str]:
        """Names of all files below a folder, unfinished ones too; empty where there is no such folder."""

    @abc.abstractmethod
    def stamp(self, name: str) -> str:
        """Changes when the file does, without reading all of it.

        Raises:
            FileNotFoundError: there is none.
        """

    @abc.abstractmethod
    def size(self, name: str) -> int:
        """Bytes of a file.

        Raises:
            FileNotFoundError: there is none.
        """

    @abc.abstractmethod
    def local(self, name: str) -> contextlib.AbstractContextManager[Path]:
        """A path on this machine that holds the file for the length of a block.

        Raises:
            FileNotFoundError: there is none.
        """


class LocalStore(Store):
    """A folder of this machine or of a disk that several share."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.address = str(root)

    def read(self, name: str) -> bytes | None:
        """See `Store.read`."""
        try:
            return self._place(name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """See `Store.write`."""
        with atomic_writer(self._place(name)) as file:
            file.write(data)

    def create(self, name: str, data: bytes) -> bool:
        """See `Store.create`; here exactly one gets True."""
        place = self._place(name)
        place.parent.mkdir(parents=True, exist_ok=True)
        aside = place.with_name(f"{TEMPORARY}{place.name[:60]}-{os.getpid()}-{uuid.uuid4().hex[:8]}")
        try:
            aside.write_bytes(data)
            os.link(aside, place)  # fails where the name is taken, and never shows half a file
        except FileExistsError:
            return False
        except OSError:  # a disk without hard links
            with contextlib.suppress(FileExistsError), place.open("xb") as file:
                file.write(data)
                return True
            return False
        finally:
            aside.unlink(missing_ok=True)
        return True

    def put(self, local: Path, name: str) -> None:
        """See `Store.put`."""
        with local.open("rb") as source, atomic_writer(self._place(name)) as file:
            shutil.copyfileobj(source, file, _BLOCK)

    def remove(self, name: str) -> None:
        """See `Store.remove`."""
        self._place(name).unlink(missing_ok=True)

    def sweep_beside(self, age: float) -> None:
        """See `Store.sweep_beside`."""
        for place in self.root.glob(f"*{TEMPORARY}*"):
            with contextlib.suppress(FileNotFoundError):  # its writer has ended meanwhile
                if place.is_file() and time.time() - place.stat().st_mtime > age:
                    place.unlink()

    def _found(self, folder: str) -> list[str]:
        return [f"{folder}/{name}" for name in walk(self._place(folder))] if folder else list(walk(self.root))

    def stamp(self, name: str) -> str:
        """See `Store.stamp`: size and checksums of samples."""
        from amphion_core.data.index import probe

        return probe(self._place(name))

    def size(self, name: str) -> int:
        """See `Store.size`."""
        return self._place(name).stat().st_size

    @contextlib.contextmanager
    def local(self, name: str) -> Iterator[Path]:
        """See `Store.local`: the file itself."""
        place = self._place(name)
        if not place.is_file():
            raise FileNotFoundError(f"no file {name} in {self.root}")
        yield place

    def _place(self, name: str) -> Path:
        return self.root.joinpath(*name.split("/"))


class FsspecStore(Store):
    """Any place that fsspec reaches, such as `s3://bucket/folder`; its own package must be installed."""

    def __init__(self, address: str) -> None:
        """Connect.

        Raises:
            MissingExtraError: fsspec is not installed.
            ValueError: the protocol is unknown, or its package is not installed.
        """
        self.address = address.rstrip("/")
        self.protocol = address.partition("://")[0]
        self._connect()

    def _connect(self) -> None:
        fsspec = require("fsspec", "amphion-data")
        try:
            self._files, self._root = fsspec.core.url_to_fs(self.address)
        except (ValueError, ImportError) as error:
            raise ValueError(f"can't reach {self.address}: {error}") from None

    def __getstate__(self) -> dict[str, Any]:
        return {"address": self.address, "protocol": self.protocol}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._connect()

    def read(self, name: str) -> bytes | None:
        """See `Store.read`."""
        try:
            data: bytes = self._files.cat_file(self._place(name))
        except FileNotFoundError:
            return None
        return data

    def write(self, name: str, data: bytes) -> None:
        """See `Store.write`."""
        with self._aside(name) as place:
            self._files.pipe_file(place, data)

    def create(self, name: str, data: bytes) -> bool:
        """See `Store.create`: the last of two writers at one moment wins, so the content is read again."""
        self._files.invalidate_cache()  # of listings, in which others' files may be missing
        if self._files.exists(self._place(name)):
            return False
        self.write(name, data)
        return self.read(name) == data

    def put(self, local: Path, name: str) -> None:
        """See `Store.put`."""
        with self._aside(name) as place:
            self._files.put_file(str(local), place)

    def remove(self, name: str) -> None:
        """See `Store.remove`."""
        with contextlib.suppress(FileNotFoundError):
            self._files.rm_file(self._place(name))

    def sweep(self, folder: str) -> None:
        """See `Store.sweep`."""
        if self.protocol not in _WHOLE_PUTS:
            super().sweep(folder)

    def sweep_beside(self, age: float) -> None:
        """See `Store.sweep_beside`; not all stores say when a file was written, and most show no unfinished ones."""

    def _found(self, folder: str) -> list[str]:
        self._files.invalidate_cache()
        start = len(self._root.rstrip("/")) + 1
        found = self._files.find(self._place(folder) if folder else self._root)
        return [path[start:] for path in found]

    def stamp(self, name: str) -> str:
        """See `Store.stamp`: what the store says of the file."""
        facts = self._files.info(self._place(name))
        known = ("size", "ETag", "etag", "md5Hash", "created", "mtime", "LastModified")
        return "-".join(str(facts[key]) for key in known if facts.get(key) is not None)

    def size(self, name: str) -> int:
        """See `Store.size`."""
        return int(self._files.info(self._place(name))["size"])

    @contextlib.contextmanager
    def local(self, name: str) -> Iterator[Path]:
        """See `Store.local`: a copy."""
        with tempfile.TemporaryDirectory(prefix="amphion-") as folder:
            copy = Path(folder) / f"file{Path(name).suffix}"
            self._files.get_file(self._place(name), str(copy))
            yield copy

    @contextlib.contextmanager
    def _aside(self, name: str) -> Iterator[str]:
        place = self._place(name)
        self._files.makedirs(place.rpartition("/")[0], exist_ok=True)
        if self.protocol in _WHOLE_PUTS:
            yield place
            return
        head, _, last = place.rpartition("/")
        aside = f"{head}/{TEMPORARY}{last[:60]}-{uuid.uuid4().hex[:8]}"
        try:
            yield aside
            self._files.mv(aside, place)
        finally:
            with contextlib.suppress(Exception):  # it is gone where all went well
                self._files.rm_file(aside)

    def _place(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"


def is_address(place: str | Path) -> bool:
    """Whether a place is an address such as `s3://bucket/folder` and no path of this machine."""
    return "://" in str(place)


def open_store(place: str | Path) -> Store:
    """The store of a path or an address; `file://` is a path.

    Raises:
        ValueError: the protocol is unknown, or its package is not installed.
    """
    text = str(place)
    if text.startswith("file://"):
        return LocalStore(text.removeprefix("file://"))
    return FsspecStore(text) if is_address(text) else LocalStore(text)
