"""Files and folders that are whole or absent: written aside, synced, renamed."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["TEMPORARY", "atomic_folder", "atomic_writer", "remove_temporaries"]

TEMPORARY = ".tmp-"
"""Names with this in them are unfinished work; they are never read, and removed on the next start."""


@contextlib.contextmanager
def atomic_writer(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file for binary writing that takes its name only when the block ends without an error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(_aside(path.name))
    try:
        with aside.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        _sync_folder(path.parent)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """A folder to fill that takes its name only when the block ends without an error.

    Raises:
        FileExistsError: the folder exists already.
    """
    path = Path(path)
    if path.exists():
        raise FileExistsError(f"{path} exists already; remove it or choose another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(_aside(path.name))
    aside.mkdir()
    try:
        yield aside
        for folder, _, files in os.walk(aside):
            for name in files:
                _sync_file(Path(folder) / name)
            _sync_folder(Path(folder))
        aside.rename(path)
        _sync_folder(path.parent)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def remove_temporaries(folder: str | Path) -> list[str]:
    """Remove what killed writers left directly in a folder; returns the names, sorted.

    Only the owner of the folder may call this, at its start: it cannot tell a dead writer from a live one.
    """
    folder = Path(folder)
    leftovers = sorted(p.name for p in folder.iterdir() if TEMPORARY in p.name) if folder.is_dir() else []
    for name in leftovers:
        place = folder / name
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
    return leftovers


def _aside(name: str) -> str:
    # The name is cut, so that one of 255 bytes still leaves room for the mark.
    return f"{TEMPORARY}{name[:60]}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    if os.name == "nt":  # Windows can't open folders; its rename is durable by itself
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
