"""Strict configurations: frozen pydantic models, read from YAML or JSON, all faults reported at once."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Self, get_args, get_origin

import pydantic
import yaml
from pydantic import BaseModel, ConfigDict

__all__ = ["Config", "ConfigError", "apply_overrides", "describe_faults", "parse_yaml", "read_mapping"]


class ConfigError(ValueError):
    """A configuration with one or more faults; the message lists every one of them."""


class Config(BaseModel):
    """Base of every configuration: frozen, strict about names, complete about faults."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=True)

    @classmethod
    def parse(cls, values: Mapping[str, Any], where: str = "config") -> Self:
        """Validate a mapping.

        Args:
            values: field names to values, nested mappings for nested configs.
            where: what the error calls the source, such as the path of the file.

        Raises:
            ConfigError: one message with all faults; an unknown key is named with the nearest known one.
        """
        try:
            return cls.model_validate(dict(values))
        except pydantic.ValidationError as error:
            raise ConfigError(describe_faults(error, cls, where)) from None

    @classmethod
    def from_file(cls, path: str | Path, overrides: Iterable[str] = ()) -> Self:
        """Read a YAML or JSON file and apply `key.sub=value` overrides.

        Raises:
            FileNotFoundError: there is no such file.
            ConfigError: the file is no mapping, or has faults.
        """
        values = read_mapping(path)
        return cls.parse(apply_overrides(values, overrides), where=str(path))

    def to_dict(self) -> dict[str, Any]:
        """The config as plain mappings, lists, strings and numbers, fit for JSON and YAML."""
        return self.model_dump(mode="json")

    def to_yaml(self) -> str:
        """The config as YAML, fields in the order of their declaration."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True, width=120)

    def updated(self, **changes: Any) -> Self:
        """A copy with some fields replaced, validated anew.

        Raises:
            ConfigError: a name or a value is not allowed.
        """
        return type(self).parse({**self.to_dict(), **changes})


class _Loader(yaml.SafeLoader):
    """YAML whose `1e-4` is a number (YAML 1.1 wants a dot) and that refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                line = key_node.start_mark.line + 1
                raise ConfigError(f"line {line}: the key {key!r} stands twice in one mapping; keep one of them")
            seen.add(key)
        return super().construct_mapping(node, deep)


_FLOAT = r"^[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9_]+)[eE][-+]?[0-9]+$"
_Loader.yaml_implicit_resolvers = {k: list(v) for k, v in yaml.SafeLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(_FLOAT), list("-+0123456789."))


def _read_yaml(text: str) -> Any:
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def read_mapping(path: str | Path) -> dict[str, Any]:
    """Read a YAML or JSON file whose top level is a mapping.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigError: the text is no YAML, or its top level is no mapping.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no configuration file at {path}")
    return parse_yaml(path.read_text(encoding="utf-8-sig"), str(path))


def parse_yaml(text: str, where: str) -> dict[str, Any]:
    """Parse YAML text (of which JSON is a part) whose top level is a mapping.

    Raises:
        ConfigError: the text is no YAML, or its top level is no mapping.
    """
    try:
        values = _read_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: not valid YAML: {error}") from None
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: expected keys and values at the top level, found {type(values).__name__}")
    return values


def apply_overrides(values: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Set `key.sub=value` items in a copy of nested mappings.

    Args:
        values: nested mappings.
        overrides: items such as `optimizer.lr=1e-4`; the value is read as YAML; list items by number.

    Raises:
        ConfigError: an item has no `=`, or leads through something that is no mapping or list.
    """
    result: dict[str, Any] = json.loads(json.dumps(values, default=str))
    faults = []
    for item in overrides:
        key, equals, text = item.partition("=")
        if not equals or not key:
            faults.append(f"override {item!r} is not of the form key.sub=value")
            continue
        try:
            value = _read_yaml(text)
            _set(result, key.split("."), value, item)
        except (ConfigError, yaml.YAMLError) as error:
            faults.append(str(error))
    if faults:
        raise ConfigError("\n".join(faults))
    return result


def _set(target: Any, keys: list[str], value: Any, item: str) -> None:
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        if isinstance(target, list):
            if not key.isdigit() or int(key) >= len(target):
                raise ConfigError(f"override {item!r}: {key!r} is no position in a list of {len(target)}")
            position = int(key)
            if last:
                target[position] = value
            else:
                target = target[position]
        elif isinstance(target, dict):
            if last:
                target[key] = value
            else:
                if not isinstance(target.get(key), dict | list):
                    target[key] = {}
                target = target[key]


def describe_faults(error: pydantic.ValidationError, model: type[BaseModel], where: str) -> str:
    """All faults of a validation, a line each, unknown keys with the nearest known one."""
    lines = []
    for fault in error.errors():
        place = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            known = _known_keys(model, fault["loc"][:-1])
            near = difflib.get_close_matches(str(fault["loc"][-1]), known, n=1, cutoff=0.0)
            hint = f"did you mean {near[0]!r}?" if near else "it takes no keys"
            lines.append(f"{place}: unknown key; {hint} (known: {', '.join(known)})")
        elif fault["type"] == "missing":
            lines.append(f"{place}: missing; a value is required")
        else:
            message = fault["msg"].removeprefix("Value error, ")
            # Rules between fields name the values at fault; all the others would bury them.
            between = fault["type"] == "value_error" and isinstance(fault["input"], Mapping | BaseModel)
            got = "" if between else f", got {fault['input']!r}"
            lines.append(f"{place or 'the whole'}: {message}{got}")
    head = f"{where}: {len(lines)} fault{'s' if len(lines) > 1 else ''}"
    return "\n  ".join([head, *lines])


def _known_keys(model: Any, path: tuple[Any, ...]) -> list[str]:
    """Names of the fields at a place inside nested models; empty where the place is no model."""
    candidates = [model]
    for part in path:
        following: list[Any] = []
        # In a union the path names the member that was taken.
        for candidate in [c for c in candidates if part in _tags(c)] or candidates:
            fields = getattr(candidate, "model_fields", {})
            following += _models(fields[part].annotation) if part in fields else [candidate]
        candidates = following
    names = {name for candidate in candidates for name in getattr(candidate, "model_fields", {})}
    return sorted(names)


def _tags(model: Any) -> set[Any]:
    """What pydantic may call a model that is a member of a union: its class, or the value that tells it from others."""
    fields = getattr(model, "model_fields", {}).values()
    literals = {value for f in fields if get_origin(f.annotation) is Literal for value in get_args(f.annotation)}
    return {getattr(model, "__name__", None), *literals}


def _models(annotation: Any) -> list[Any]:
    """The models an annotation can hold: itself, or those inside unions, lists and mappings."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]
