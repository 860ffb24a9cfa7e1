"""Where this library keeps what it can make or fetch again."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder(*parts: str) -> Path:
    """A folder below `$AMPHION_CACHE`, or else below `amphion` in the user's folder for caches; it is made.

    Raises:
        OSError: it can't be made; the message names the variable to set.
    """
    named = os.environ.get("AMPHION_CACHE")
    home = Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "amphion"
    folder = home.joinpath(*parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"can't make the cache folder {folder} ({error}); set AMPHION_CACHE to one that can be written"
        ) from None
    return folder
