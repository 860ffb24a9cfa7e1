"""Checkpoints of a run: folders `step-00001000` that are whole or absent, found, read, and thinned out.

    config.json model.safetensors README.md     what from_pretrained reads; averaged weights where there are any
    recipe.yaml versions.json                   how it was made
    trainer/weights.safetensors                 all networks of the task
    trainer/optimizer-PHASE.safetensors         state of the optimisers
    trainer/state.json rank-0.json ...          counters, schedules; random state and position in the data by process
    trainer/files.json                          names and sizes of the above, written last

A folder gets its name by a rename after everything is on disk; `files.json` also tells one that was copied in part.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from amphion_core.atomic import TEMPORARY, atomic_folder
from amphion_core.hub import read_weights

__all__ = [
    "Content",
    "Saved",
    "damaged_checkpoints",
    "read_checkpoint",
    "rotate",
    "whole_checkpoints",
    "write_checkpoint",
]

FORMAT = 1
_NAME = re.compile(r"step-(\d{8,})")
_LIST = "files.json"


@dataclass(frozen=True)
class Content:
    """What goes into a checkpoint.

    Attributes:
        step: optimiser steps done.
        export: writes the published files into a folder.
        tensors: file name without extension to tensors by name.
        state: counters and the like, as JSON values.
        ranks: state of each process, as JSON values.
        texts: file name to text, beside the published files.
    """

    step: int
    export: Callable[[Path], None]
    tensors: Mapping[str, Mapping[str, Tensor]]
    state: Mapping[str, Any]
    ranks: Sequence[Mapping[str, Any]]
    texts: Mapping[str, str]


@dataclass(frozen=True)
class Saved:
    """A checkpoint that was read.

    Attributes:
        folder: where it lies.
        state: counters and the like.
        ranks: state of each process.
    """

    folder: Path
    state: dict[str, Any]
    ranks: list[dict[str, Any]]

    def tensors(self, name: str) -> dict[str, Tensor]:
        """Tensors of one file of the trainer, on the CPU."""
        return read_weights(self.folder / "trainer" / f"{name}.safetensors")

    def has_tensors(self, name: str) -> bool:
        """Whether there is such a file."""
        return (self.folder / "trainer" / f"{name}.safetensors").is_file()


def write_checkpoint(out: Path, content: Content) -> Path:
    """Write one checkpoint; returns its folder.

    Args:
        out: the run folder.
        content: what to write.

    Raises:
        OSError: the disk is full, or another fault of it; the earlier checkpoints stay as they are.
    """
    target = out / f"step-{content.step:08d}"
    try:
        with atomic_folder(target) as folder:
            _fill(folder, content)
    except (OSError, safetensors.SafetensorError) as error:
        earlier = whole_checkpoints(out)
        stands = f"the newest whole checkpoint is {earlier[0]}" if earlier else "there is no earlier checkpoint"
        raise OSError(
            f"the checkpoint of step {content.step} could not be written to {out}: {error}; {stands}. "
            "Make room (or lower trainer.keep_last and keep_best), then run again to continue from it"
        ) from error
    return target


def _fill(folder: Path, content: Content) -> None:
    inner = folder / "trainer"
    inner.mkdir()
    content.export(folder)
    for name, text in content.texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    for name, tensors in content.tensors.items():
        safetensors.torch.save_file(dict(tensors), inner / f"{name}.safetensors", metadata={"format": "pt"})
    for number, rank in enumerate(content.ranks):
        _write_json(inner / f"rank-{number}.json", rank)
    _write_json(
        inner / "state.json", {"format": FORMAT, "step": content.step, "processes": len(content.ranks), **content.state}
    )
    published = [folder / "config.json", folder / "model.safetensors"]
    listed = [*published, *sorted(inner.iterdir())]
    _write_json(inner / _LIST, {str(p.relative_to(folder).as_posix()): p.stat().st_size for p in listed})


def _write_json(path: Path, values: Any) -> None:
    path.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def whole_checkpoints(out: Path) -> list[Path]:
    """The whole checkpoints of a run folder, newest first."""
    return [folder for folder in _named(out) if _is_whole(folder)]


def damaged_checkpoints(out: Path) -> list[Path]:
    """Folders of a run that are named like checkpoints and lack files or parts of them."""
    return [folder for folder in _named(out) if not _is_whole(folder)]


def _named(out: Path) -> list[Path]:
    if not out.is_dir():
        return []
    found = [(int(match[1]), p) for p in out.iterdir() if (match := _NAME.fullmatch(p.name)) and p.is_dir()]
    return [p for _, p in sorted(found, reverse=True)]


def _is_whole(folder: Path) -> bool:
    try:
        sizes = json.loads((folder / "trainer" / _LIST).read_text(encoding="utf-8"))
        return bool(sizes) and all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False


def read_checkpoint(folder: Path) -> Saved:
    """Read the small files of a checkpoint; tensors follow on demand.

    Raises:
        ValueError: it was written by a later format, or its JSON is broken.
    """
    inner = folder / "trainer"
    try:
        state = json.loads((inner / "state.json").read_text(encoding="utf-8"))
        files = [inner / f"rank-{number}.json" for number in range(state["processes"])]
        ranks = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{inner} is no state of a trainer ({error}); remove {folder} to continue from an earlier one"
        ) from None
    if state.get("format") != FORMAT:
        raise ValueError(
            f"{folder} has format {state.get('format')!r}, this version reads {FORMAT}; use the one that wrote it"
        )
    return Saved(folder, state, ranks)


def rotate(out: Path, keep_last: int, keep_best: int) -> list[Path]:
    """Remove all checkpoints but the newest and the best; returns those removed.

    Args:
        out: the run folder.
        keep_last: how many of the newest stay.
        keep_best: how many with the lowest watched figure stay besides; those without a figure are never best.
    """
    folders = whole_checkpoints(out)
    keep = set(folders[:keep_last])
    judged = []
    for folder in folders:
        figure = json.loads((folder / "trainer" / "state.json").read_text(encoding="utf-8")).get("figure")
        if figure is not None and folder not in keep:
            judged.append((figure, folder))
    keep.update(folder for _, folder in sorted(judged)[:keep_best])
    removed = [folder for folder in folders if folder not in keep]
    for folder in removed:
        aside = folder.with_name(f"{TEMPORARY}old-{folder.name}")  # never half a checkpoint under a good name
        folder.rename(aside)
        shutil.rmtree(aside)
    return removed
