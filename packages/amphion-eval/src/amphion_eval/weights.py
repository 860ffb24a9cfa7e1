"""Weight files of networks: a folder of the user's, the hub's cache, or the hub; known by their hash."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

__all__ = ["Weights"]


@dataclass(frozen=True, slots=True)
class Weights:
    """A file, or a folder of files, of one release.

    Attributes:
        name: of the folder below `$AMPHION_WEIGHTS` in which a user may put it.
        file: name of the file; empty where the whole repository is taken (a transformers model).
        repository: hub id; empty where the release is no hub repository.
        url: where people find it.
        sha256: of the file, where the release states it.
    """

    name: str
    file: str = ""
    repository: str = ""
    url: str = ""
    sha256: str = ""

    def locate(self, *, download: bool = True) -> Path:
        """The file or folder on this machine.

        Args:
            download: whether it may be fetched from the hub.

        Raises:
            FileNotFoundError: it is nowhere; the message says what to download and where to put it.
            ValueError: the file is not the one of the release.
        """
        named = os.environ.get("AMPHION_WEIGHTS")
        if named:
            place = Path(named) / self.name / self.file if self.file else Path(named) / self.name
            if place.exists():
                return self._checked(place)
        if self.repository and download:
            from amphion_core.hub import fetch

            folder = fetch(self.repository, patterns=[self.file] if self.file else None)
            return self._checked(folder / self.file if self.file else folder)
        wanted = self.file or "the repository"
        raise FileNotFoundError(
            f"the weights of {self.name} are not here; put {wanted} of {self.url or self.repository} into "
            f"$AMPHION_WEIGHTS/{self.name}/"
        )

    def hash(self) -> str:
        """First 16 hex digits of the sha256 of the file, or of all files of the folder by name."""
        place = self.locate()
        files = [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.is_file())
        parts = [_sha256(p, p.stat().st_mtime_ns) for p in files]
        return parts[0][:16] if len(parts) == 1 else hashlib.sha256("".join(parts).encode()).hexdigest()[:16]

    def _checked(self, place: Path) -> Path:
        if self.sha256 and place.is_file():
            found = _sha256(place, place.stat().st_mtime_ns)
            if found != self.sha256:
                raise ValueError(f"{place} has the sha256 {found}, the release has {self.sha256}; download it again")
        return place


@lru_cache(maxsize=256)
def _sha256(path: Path, _changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
