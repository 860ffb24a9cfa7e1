"""What of a trainer goes into a checkpoint, and how it comes back; fine-tunes from other checkpoints."""

from __future__ import annotations

import contextlib
import json
import math
import platform
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amphion_core import registry
from amphion_core.card import make_card
from amphion_core.config import read_mapping
from amphion_core.hub import CONFIG_FILE, WEIGHTS_FILE, load_weights, read_weights, resolve, state_tensors
from amphion_core.training.checkpoint import (
    Content,
    Saved,
    damaged_checkpoints,
    read_checkpoint,
    rotate,
    whole_checkpoints,
    write_checkpoint,
)
from amphion_core.training.randomness import random_state

if TYPE_CHECKING:
    from amphion_core.training.trainer import Trainer

__all__ = ["describe_versions", "differences", "restore", "save", "set_damaged_aside", "start_from"]

_FIXED = re.compile(r"(task|seed|model(\..*)?|optimizers\.[^.]+(\.name)?)")
"""Fields of a recipe that a resumed run can't change: its weights, optimiser state or random numbers would not fit."""


def save(trainer: Trainer, loader: Any) -> None:
    """Write a checkpoint of the step at hand and thin out the older ones; all processes call it.

    Raises:
        OSError: it can't be written.
    """
    ranks = trainer.processes.gather({"random": random_state()})
    if trainer.processes.main:
        trainer.progression.log_position = trainer.log.position()
        progression = {**trainer.progression.state_dict(), "seconds": trainer.seconds()}
        state = {
            "progression": progression,
            "figure": _number(progression["figure"]),
            "data": loader.state_dict(),
            "phases": {name: phase.state_dict() for name, phase in trainer.phases.items()},
            **trainer.stepper.state_dict(),
            "task": trainer.task.state(),
        }
        tensors = {f"optimizer-{name}": phase.tensors() for name, phase in trainer.phases.items()}
        tensors["weights"] = state_tensors(trainer.task)
        texts = {"recipe.yaml": trainer.recipe.to_yaml(), "versions.json": trainer.versions}
        content = Content(trainer.step, lambda folder: _export(trainer, folder), tensors, state, ranks, texts)
        trainer.progression.checkpoint = write_checkpoint(trainer.out, content)
        rotate(trainer.out, trainer.config.keep_last, trainer.config.keep_best)
    trainer.processes.barrier()
    trainer.progression.checkpoint = trainer.out / f"step-{trainer.step:08d}"


def _export(trainer: Trainer, folder: Path) -> None:
    model = trainer.task.model()
    figures = trainer.progression.figures if trainer.progression.validated == trainer.step else None
    card = make_card(
        model.config.to_dict(),
        model_name=f"{model.group}/{model.name}",
        parameters=sum(p.numel() for p in model.parameters()),
        recipe=trainer.recipe.to_dict(),
        evaluation=figures or None,
    )
    with trainer.ema.applied() if trainer.ema is not None else contextlib.nullcontext():
        model.save_pretrained(folder, card=card)


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def describe_versions(trainer: Trainer) -> str:
    """Versions of all that computes, and on what, as JSON."""
    points = [point for group in registry.GROUPS for point in registry.entries(group).values()]
    packages = ["amphion-core", *sorted({point.dist.name for point in points if point.dist is not None})]
    others = (
        "torch",
        "torchaudio",
        "numpy",
        "scipy",
        "safetensors",
        "accelerate",
        "transformers",
        "soundfile",
        "soxr",
        "pyworld",
    )
    found = {}
    for name in dict.fromkeys([*packages, *others]):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    values = {
        "packages": found,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": trainer.device.type,
        "processes": trainer.processes.count,
    }
    return json.dumps(values, indent=2) + "\n"


def set_damaged_aside(out: Path) -> list[str]:
    """Rename checkpoints that are not whole, so that their names are free again; returns what was done."""
    notes = []
    for folder in damaged_checkpoints(out):
        target = folder.with_name(f"damaged-{folder.name}")
        number = 1
        while target.exists():
            number += 1
            target = folder.with_name(f"damaged-{folder.name}-{number}")
        folder.rename(target)
        notes.append(f"{folder.name} lacks files or parts of them; it is {target.name} now and was not used")
    return notes


def restore(trainer: Trainer, loader: Any) -> tuple[Mapping[str, Any] | None, list[str]]:
    """Continue from the newest whole checkpoint of the run folder, where there is one.

    Returns:
        The random state to take before the first step, None for a fresh one; and notes for the log.

    Raises:
        FileExistsError: there is one and `trainer.resume` is `never`.
        ValueError: the recipe, the weights or the data don't fit.
    """
    folders = whole_checkpoints(trainer.out)
    if not folders:
        return None, []
    if trainer.config.resume == "never":
        raise FileExistsError(
            f"{trainer.out} holds checkpoints up to {folders[0].name} and trainer.resume is 'never'; "
            "set it to 'auto' to continue, or give another name or folder"
        )
    saved = read_checkpoint(folders[0])
    notes = [f"continuing from {folders[0].name}", *_compare_recipes(trainer, saved)]
    where = str(saved.folder / "trainer" / "weights.safetensors")
    load_weights(trainer.task, saved.tensors("weights"), where=where)
    if trainer.ema is not None:
        trainer.ema.load(read_weights(saved.folder / WEIGHTS_FILE))
    for name, phase in trainer.phases.items():
        phase.load_tensors(saved.tensors(f"optimizer-{name}"), where=str(saved.folder))
        phase.load_state_dict(saved.state["phases"][name])
    trainer.stepper.load_state_dict(saved.state)
    trainer.progression.load_state_dict(saved.state["step"], saved.state["progression"])
    trainer.progression.checkpoint = saved.folder
    trainer.task.load_state(saved.state["task"])
    loader.load_state_dict(saved.state["data"])
    ranks = len(saved.ranks)
    if ranks == trainer.processes.count:
        return saved.ranks[trainer.processes.rank]["random"], notes
    notes.append(
        f"{ranks} processes before, {trainer.processes.count} now: the order of the data goes on, noise is seeded anew"
    )
    return None, notes


def _compare_recipes(trainer: Trainer, saved: Saved) -> list[str]:
    before = read_mapping(saved.folder / "recipe.yaml")
    changes = differences(before, trainer.recipe.to_dict())
    fixed = {name: pair for name, pair in changes.items() if _FIXED.fullmatch(name)}
    if fixed:
        rows = "; ".join(f"{name}: {old!r} in the run, {new!r} now" for name, (old, new) in fixed.items())
        raise ValueError(
            f"{saved.folder} was made with another recipe, which can't be continued: {rows}. Restore these fields, or "
            f"start a run of another name with init_from={saved.folder}"
        )
    return [f"recipe changed: {name} {old!r} -> {new!r}" for name, (old, new) in changes.items()]


def differences(before: Any, after: Any, place: str = "") -> dict[str, tuple[Any, Any]]:
    """Fields that differ between two nested mappings, by dotted name, with both values; absent ones are None."""
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        return {} if before == after else {place: (before, after)}
    found: dict[str, tuple[Any, Any]] = {}
    for key in dict.fromkeys([*before, *after]):
        found |= differences(before.get(key), after.get(key), f"{place}.{key}" if place else str(key))
    return found


def start_from(trainer: Trainer) -> list[str]:
    """Load the weights that `init_from` names, or that the task does by itself; returns notes for the log.

    Raises:
        FileNotFoundError: there is no such folder or hub id, or it lacks the weights of all networks.
        ValueError: the weights don't fit.
    """
    source = trainer.recipe.init_from
    if source is None:
        return list(trainer.task.start())
    folder = resolve(source)
    model = trainer.task.model()
    if trainer.config.init_weights == "all":
        path = folder / "trainer" / "weights.safetensors"
        if not path.is_file():
            raise FileNotFoundError(
                f"{folder} has no {path.relative_to(folder)}, which trainer.init_weights='all' needs; it is no "
                "checkpoint of a run. 'model' takes the published network alone"
            )
        load_weights(trainer.task, read_weights(path), where=str(path))
    else:
        load_weights(model, read_weights(folder / WEIGHTS_FILE), where=str(folder / WEIGHTS_FILE))
    if trainer.ema is not None:
        trainer.ema.reset()
    held = read_mapping(folder / CONFIG_FILE)
    held.pop("model", None)
    changes = differences(held, model.config.to_dict())
    return [
        f"starting from {folder} ({trainer.config.init_weights})",
        *(f"the config differs from its: {name} {old!r} -> {new!r}" for name, (old, new) in changes.items()),
    ]
