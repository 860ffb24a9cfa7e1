"""Optional packages: imported where they are needed, with an error that names the extra to install."""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = ["MissingExtraError", "require"]


class MissingExtraError(ImportError):
    """An optional package is not installed."""


def require(module: str, extra: str) -> ModuleType:
    """Import an optional module.

    Args:
        module: name of the module, such as `torchcrepe`.
        extra: what brings it, such as `amphion-core[crepe]`.

    Raises:
        MissingExtraError: the module, or something that it needs, is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"this needs the package {error.name!r}, which is not installed: pip install '{extra}'"
        ) from error
