"""Files of a corpus folder: found in one order everywhere, hidden ones apart, paths that lead outside refused."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from posixpath import splitext
from typing import Any

from amphion_core.data import Drop

__all__ = [
    "AUDIO_SUFFIXES",
    "clean_text",
    "first_entries",
    "hidden_drop",
    "is_audio",
    "is_hidden",
    "printable",
    "read_record",
    "safe_path",
    "walk",
]

AUDIO_SUFFIXES = frozenset(
    {".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".m4a", ".aac", ".wma", ".w64", ".rf64"}
)
"""Endings, in lower case, of files that are taken for audio; what is in them is decided by opening them."""


def walk(root: Path) -> Iterator[str]:
    """Paths of all files below a folder, with `/`, sorted by code point.

    Links to folders are followed, but a folder that was seen before, under its own name or by an earlier link, is not
    seen again: which of its names it has must not depend on the order in which the file system lists them.
    """
    seen: set[str] = set()
    found: list[str] = []
    starts = [str(root)]
    for start in starts:
        links: list[str] = []
        for folder, folders, files in os.walk(start):
            place = os.path.realpath(folder)
            if place in seen:
                folders.clear()
                continue
            seen.add(place)
            here = Path(folder)
            links += [str(here / name) for name in folders if (here / name).is_symlink()]
            below = here.relative_to(root).as_posix()
            found += [name if below == "." else f"{below}/{name}" for name in files]
        starts += sorted(links)
    yield from sorted(found)


def is_hidden(path: str) -> bool:
    """Whether a path is one that systems and archivers leave behind: `.name`, `._name`, `__MACOSX/`."""
    # Not by PurePosixPath, which takes ten times as long for each of millions of names.
    return any(part == "__MACOSX" or (part.startswith(".") and part != ".") for part in path.split("/"))


def hidden_drop(id: str, path: str, stage: str = "scan") -> Drop:
    """What is noted of a hidden file that is left out."""
    return Drop(printable(id), printable(path), "hidden_file", "left by a system or an archiver", stage)


def is_audio(path: str) -> bool:
    """Whether a path ends like an audio file, in upper or lower case."""
    return splitext(path)[1].lower() in AUDIO_SUFFIXES


def printable(path: str) -> str:
    """A path with the bytes that are no UTF-8 spelt out, so that it can be written; equal where there are none."""
    return path.encode("utf-8", "backslashreplace").decode()


def safe_path(stated: str, root: Path) -> str:
    """The path below the root of a file that a table names.

    Args:
        stated: as the table has it; an absolute one is taken when it leads below the root.
        root: folder of the corpus.

    Raises:
        ValueError: the path leads outside.
    """
    text = stated.strip()
    path = PurePosixPath(text.replace("\\", "/") if "\\" in text and "/" not in text else text)
    if path.is_absolute() or re.match(r"[A-Za-z]:", text):
        try:
            path = PurePosixPath(Path(text).resolve().relative_to(root.resolve()).as_posix())
        except ValueError:
            raise ValueError(f"{stated!r} is not below the folder of the corpus") from None
    parts = [part for part in path.parts if part != "."]
    if not parts or ".." in parts or "\0" in text:
        raise ValueError(f"{stated!r} is no path below the folder of the corpus")
    return "/".join(parts)


def read_record(path: Path, *, replaced: bool = False) -> dict[str, Any]:
    """What a run noted of itself in a JSON file; nothing where there is none.

    Args:
        path: of the file.
        replaced: whether the run is replaced anyway, so that a damaged note counts as none.

    Raises:
        ValueError: it is damaged; names the file.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        values = error
    if isinstance(values, dict):
        return values
    if replaced:
        return {}
    raise ValueError(f"{path} is damaged ({values!s:.99}); remove it and run again, or replace all with --overwrite")


def clean_text(raw: str) -> str:
    """NFC, without outer white space, inner runs of white space made one blank."""
    return " ".join(unicodedata.normalize("NFC", raw).split())


def first_entries(root: Path, count: int = 10) -> str:
    """What a folder holds, for an error that says what was found instead."""
    if not root.is_dir():
        return f"{root} is a file"
    names = sorted(f"{p.name}/" if p.is_dir() else p.name for p in root.iterdir())
    if not names:
        return f"{root} is empty"
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return f"{root} holds {', '.join(names[:count])}{more}"
