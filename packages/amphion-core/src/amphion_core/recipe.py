"""Recipes: one YAML file that says everything about a training, read through the typed config of its task."""

from __future__ import annotations

import difflib
import re
import shutil
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from . import registry
from .config import Config, ConfigError, apply_overrides, parse_yaml
from .training.config import OptimizerConfig, TrainerConfig

__all__ = ["Recipe", "copy_recipe", "find_recipe", "load_recipe", "recipe_names"]


class Recipe(Config):
    """What every training has; each task adds model, data and losses by a subclass.

    Attributes:
        task: registry name of the task, such as `fastspeech2`.
        name: the run; its folder is `runs/NAME` unless the command says otherwise.
        description: one line for `amphion recipes`.
        seed: of weights, data order and noise.
        init_from: a checkpoint, run folder or hub id whose weights start a fine-tune.
        trainer: course of the training.
        optimizers: one for each phase of the task.
    """

    task: str
    name: str
    description: str = ""
    seed: int = Field(1234, ge=0)
    init_from: str | None = None
    trainer: TrainerConfig
    optimizers: dict[str, OptimizerConfig]

    @field_validator("name")
    @classmethod
    def _plain(cls, value: str) -> str:
        if not re.fullmatch(r"[\w.-]+", value) or value.startswith("."):
            raise ValueError("the name of a run is a folder: letters, digits, '-', '_' and '.' only")
        return value


def recipe_names() -> dict[str, Path]:
    """Recipes of the installed packages, `PACKAGE/NAME` to file, such as `tts/fastspeech2-ljspeech`.

    The entry point `amphion.recipes` of a package names its module that holds the YAML files.
    """
    found = {}
    for prefix, point in registry.entries("recipes").items():
        folder = resources.files(point.value.partition(":")[0])
        for file in folder.iterdir():
            if file.name.endswith(".yaml"):
                found[f"{prefix}/{file.name.removesuffix('.yaml')}"] = Path(str(file))
    return dict(sorted(found.items()))


def find_recipe(source: str | Path) -> Path:
    """The file of a recipe, by path or by name.

    Raises:
        LookupError: there is no such file and no such name; names the known ones.
    """
    path = Path(source)
    if path.is_file():
        return path
    known = recipe_names()
    if str(source) not in known:
        near = difflib.get_close_matches(str(source), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise LookupError(f"no recipe file or name {str(source)!r}; known names: {', '.join(known) or 'none'}{hint}")
    return known[str(source)]


def copy_recipe(name: str, target: str | Path | None = None) -> Path:
    """Copy a recipe to a file to edit; returns where it is.

    Args:
        name: as `amphion recipes` lists it.
        target: file to write; None takes the recipe's own file name in the current folder.

    Raises:
        FileExistsError: the target is there already.
    """
    source = find_recipe(name)
    path = Path(target) if target is not None else Path(source.name)
    if path.exists():
        raise FileExistsError(f"{path} exists already; give another name")
    shutil.copyfile(source, path)
    return path


def load_recipe(source: str | Path, overrides: Iterable[str] = ()) -> Any:
    """Read a recipe through the typed config of its task.

    Args:
        source: path of a YAML file, or a name as `amphion recipes` lists it.
        overrides: `key.sub=value` items.

    Returns:
        An instance of the task's `recipe_class`.

    Raises:
        ConfigError: all faults of the file in one message.
        LookupError: no such recipe, or no installed package has its task.
    """
    path = find_recipe(source)
    values = apply_overrides(parse_yaml(path.read_text(encoding="utf-8-sig"), str(path)), overrides)
    return parse_recipe(values, str(path))


def parse_recipe(values: Mapping[str, Any], where: str) -> Any:
    """Validate a recipe given as nested mappings; see `load_recipe`."""
    if not isinstance(values.get("task"), str):
        raise ConfigError(f"{where}: a recipe names its task, such as 'task: fastspeech2'; got {values.get('task')!r}")
    task = registry.find("tasks", values["task"])
    return task.recipe_class.parse(values, where=where)
