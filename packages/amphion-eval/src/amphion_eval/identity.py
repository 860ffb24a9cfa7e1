"""What decides a number beside the audio: the code and the versions of the libraries that it ran with."""

from __future__ import annotations

import hashlib
import importlib.util
import platform
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any

__all__ = ["code_of", "libraries", "versions"]

_NAMES = {"parselmouth": "praat-parselmouth"}
"""Distributions whose lists of files don't say which module they hold."""
_ALWAYS = ("amphion_core", "numpy", "scipy", "soundfile", "soxr", "pyworld")


def versions(modules: Iterable[str] = ()) -> dict[str, str]:
    """Versions of the distributions that hold some modules, by the name of the distribution; absent ones are left out.

    Args:
        modules: names of modules, such as `torch` or `amphion_core.audio`.
    """
    names = {_distribution(module.partition(".")[0]) for module in modules}
    found = {}
    for name in sorted(names):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def libraries(modules: Iterable[str] = ()) -> str:
    """What of the environment may change a number: Python, the base libraries and these modules, with our own code.

    Args:
        modules: further modules that the numbers come from.
    """
    found = versions([*_ALWAYS, *modules])
    own = [_tree("amphion_eval"), _tree("amphion_core")]
    return ",".join([platform.python_version(), *(f"{name} {number}" for name, number in found.items()), *own])


def code_of(function: Callable[..., Any]) -> str | None:
    """Which code a function is: its name and a mark of the package that it lies in.

    Returns:
        None where that can't be told: functions of a session, of `__main__`, or with values bound from outside.
    """
    if isinstance(function, partial):
        inner = code_of(function.func)
        return None if inner is None else f"{inner}({function.args!r}, {sorted(function.keywords.items())!r})"
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "<")
    if not module or module == "__main__" or "<" in name:
        return None
    tree = _tree(module.partition(".")[0]) or _tree(module)
    return f"{module}:{name}:{tree}" if tree else None


@lru_cache(maxsize=256)
def _tree(module: str) -> str:
    """Mark of the source files of a package: their names, sizes and times; empty where there is none."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    origin = spec.origin if spec is not None else getattr(sys.modules.get(module), "__file__", None)
    if origin is None or not Path(origin).is_file():
        return ""
    place = Path(origin)
    files = sorted(place.parent.rglob("*.py")) if place.name == "__init__.py" else [place]
    state = hashlib.blake2b(digest_size=10)
    for file in files:
        status = file.stat()
        state.update(f"{file.name},{status.st_size},{status.st_mtime_ns};".encode())
    return state.hexdigest()


@lru_cache(maxsize=256)
def _distribution(module: str) -> str:
    name = _NAMES.get(module, module.replace("_", "-"))
    try:
        version(name)
    except PackageNotFoundError:
        return packages_distributions().get(module, [name])[0]  # slow: it reads the lists of all packages
    return name
