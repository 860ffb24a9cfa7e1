"""Weight files of networks: in a package, a folder of the user's, the hub's cache, or the hub; known by their hash."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

__all__ = ["FOLDER_VARIABLE", "Weights"]

FOLDER_VARIABLE = "AMPHION_WEIGHTS"
"""Environment variable that names the folder of weights which people fetch themselves."""

_REVISION = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Weights:
    """A file, or a folder of files, of one release.

    Attributes:
        name: of the folder below `$AMPHION_WEIGHTS` in which a user may put it.
        file: name of the file; empty where the whole repository is taken (a transformers model).
        repository: hub id; empty where the release is no hub repository.
        url: where people find it.
        sha256: of the file, or the beginning of it that the release states.
        package: installed module that carries the file inside; it is not imported.
        path: the file or folder itself, where a user named it.
        licence: of the release.
        install: command that brings it, where there is one.
        patterns: files of the repository that are needed where it is taken whole; all if empty.
    """

    name: str
    file: str = ""
    repository: str = ""
    url: str = ""
    sha256: str = ""
    package: str = ""
    path: str = ""
    licence: str = ""
    install: str = ""
    patterns: tuple[str, ...] = ()

    def locate(self, *, download: bool = True) -> Path:
        """The file or folder on this machine.

        Args:
            download: whether it may be fetched from the hub.

        Raises:
            FileNotFoundError: it is nowhere; the message says what to download and where to put it.
            ValueError: the file is not the one of the release.
        """
        place = self._here()
        if place is not None:
            return self._checked(place)
        why = ""
        if self.repository and download:
            from amphion_core.download import fetch

            try:
                folder = fetch(self.repository, patterns=self._wanted)
            except FileNotFoundError as error:
                why = f" ({error})"
            else:
                return self._checked(folder / self.file if self.file else folder)
        raise FileNotFoundError(f"the weights of {self.name} are not here: {self.remedy}{why}")

    @property
    def remedy(self) -> str:
        """What brings them, for messages."""
        if self.path:
            return f"there is no {self.path}"
        if self.install:
            return f"{self.install}, or put {self.file} into ${FOLDER_VARIABLE}/{self.name}/"
        source = self.url or f"https://huggingface.co/{self.repository}"
        wanted = self.file or "the files"
        fetched = "they are fetched from the hub at first use, or " if self.repository else ""
        return f"{fetched}put {wanted} of {source} into ${FOLDER_VARIABLE}/{self.name}/"

    def present(self) -> bool:
        """Whether they are on this machine; nothing is fetched or read."""
        return self._here() is not None

    def hash(self) -> str:
        """What tells them from others: 16 hex digits of the sha256 of the file, or of all files of a folder by name.

        A folder of the hub's cache is told by its revision, whose files can't change.

        Raises:
            FileNotFoundError: they are not on this machine and can't be fetched.
        """
        place = self.locate()
        if place.is_file():
            return _sha256(place, place.stat().st_mtime_ns)[:16]
        if place.parent.name == "snapshots" and _REVISION.fullmatch(place.name):
            return place.name[:16]
        files = sorted(p for p in place.rglob("*") if p.is_file() and not p.name.startswith("."))
        parts = [f"{p.relative_to(place).as_posix()} {_sha256(p, p.stat().st_mtime_ns)}" for p in files]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def _here(self) -> Path | None:
        if self.path:
            return Path(self.path) if Path(self.path).exists() else None
        named = os.environ.get(FOLDER_VARIABLE)
        if named:
            folder = Path(named) / self.name
            place = folder / Path(self.file).name if self.file else folder
            if place.exists():
                return place
        spec = find_spec(self.package) if self.package else None
        for folder in map(Path, (spec and spec.submodule_search_locations) or ()):
            if (folder / self.file).is_file():
                return folder / self.file
        if self.repository:
            from amphion_core.download import cached

            kept = cached(self.repository, patterns=self._wanted)
            if kept is not None:
                return kept / self.file if self.file else kept
        return None

    @property
    def _wanted(self) -> list[str] | None:
        return [self.file] if self.file else list(self.patterns) or None

    def _checked(self, place: Path) -> Path:
        if self.sha256 and place.is_file():
            found = _sha256(place, place.stat().st_mtime_ns)
            if not found.startswith(self.sha256):
                raise ValueError(f"{place} has the sha256 {found}, the release has {self.sha256}; download it again")
        return place


@lru_cache(maxsize=256)
def _sha256(path: Path, _changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
