"""Fields of released configurations, which are refused by name where they have another form than the one read."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from amphion_core.config import ConfigError

__all__ = ["WHERE", "lists", "number", "numbers", "section", "whole"]

WHERE = "the released configuration"
"""What the errors of our own configurations call their values."""

_NONE = object()


def section(values: Mapping[str, Any], name: str, inside: str = "") -> Mapping[str, Any]:
    """An object of a configuration, empty where it is absent.

    Args:
        values: names to values.
        name: of the object.
        inside: dotted name of `values`, for the error.

    Raises:
        ConfigError: it is something else.
    """
    value = values.get(name, {})
    if not isinstance(value, Mapping):
        raise _fault(f"{inside}.{name}" if inside else name, value, "an object of names and values")
    return value


def number(values: Mapping[str, Any], name: str, default: Any = _NONE) -> float:
    """A number of a configuration.

    Raises:
        ConfigError: it is absent, without a default, or something else.
    """
    value = _value(values, name, default, "a number")
    if not _is_number(value):
        raise _fault(name, value, "a number")
    return float(value)


def whole(values: Mapping[str, Any], name: str, default: Any = _NONE) -> int:
    """A whole number of a configuration.

    Raises:
        ConfigError: it is absent, without a default, or something else.
    """
    value = _value(values, name, default, "a whole number")
    if not _is_number(value) or value % 1:
        raise _fault(name, value, "a whole number")
    return int(value)


def numbers(values: Mapping[str, Any], name: str, default: Any = _NONE) -> tuple[Any, ...]:
    """A list of numbers of a configuration.

    Raises:
        ConfigError: it is absent, without a default, or something else.
    """
    value = _value(values, name, default, "a list of numbers")
    if not _is_numbers(value):
        raise _fault(name, value, "a list of numbers")
    return tuple(value)


def lists(values: Mapping[str, Any], name: str) -> tuple[tuple[Any, ...], ...]:
    """A list of lists of numbers of a configuration.

    Raises:
        ConfigError: it is absent, or something else.
    """
    value = _value(values, name, _NONE, "a list of lists of numbers")
    if not _is_list(value) or not all(_is_numbers(row) for row in value):
        raise _fault(name, value, "a list of lists of numbers, such as [[1, 3, 5], [1, 3, 5]]")
    return tuple(tuple(row) for row in value)


def _value(values: Mapping[str, Any], name: str, default: Any, form: str) -> Any:
    value = values.get(name, default)
    if value is _NONE:
        raise ConfigError(f"{WHERE} has no {name}; it takes {form}")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _is_numbers(value: Any) -> bool:
    return _is_list(value) and all(_is_number(item) for item in value)


def _fault(name: str, value: Any, form: str) -> ConfigError:
    return ConfigError(f"{WHERE}: {name} is {reprlib.repr(value)}; it takes {form}")
