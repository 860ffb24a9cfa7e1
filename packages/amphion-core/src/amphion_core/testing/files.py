"""Folders compared by their bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["digests"]


def digests(folder: Path) -> dict[str, str]:
    """Checksum of every file below a folder, by its path with `/`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
