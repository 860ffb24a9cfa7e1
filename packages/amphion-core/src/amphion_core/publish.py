"""From a checkpoint to something others can use: conversion of foreign weights, model cards, upload."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import registry
from .atomic import atomic_writer
from .card import PARTS, make_card
from .config import read_mapping
from .hub import CONFIG_FILE, WEIGHTS_FILE, load_pretrained, resolve

__all__ = ["PUBLISHED", "check_folder", "convert", "push", "write_card"]

log = logging.getLogger(__name__)

PUBLISHED = (CONFIG_FILE, WEIGHTS_FILE, "README.md", "recipe.yaml", "versions.json")
"""What a published checkpoint consists of; anything else in the folder stays at home."""


def convert(model: str, checkpoint: str | Path, out: str | Path, **options: Any) -> Path:
    """Turn a released checkpoint of another code base into a folder of ours.

    Args:
        model: kind and registry name, such as `vocoders/hifigan`.
        checkpoint: file or folder of the released weights, its configuration beside it.
        out: folder to write; must not hold a model yet.
        options: what the model's `from_released` takes besides.

    Returns:
        The folder, which `from_pretrained` reads.

    Raises:
        LookupError: the model is not installed, or has no released checkpoints.
        FileExistsError: `out` holds a model already.
        ValueError: the checkpoint is of another model; names the first keys.
    """
    kind, _, name = model.partition("/")
    cls = registry.find(kind, name)
    if not hasattr(cls, "from_released"):
        raise LookupError(f"{model} has no map of released checkpoints")
    out = Path(out)
    if (out / CONFIG_FILE).exists():
        raise FileExistsError(f"{out} holds a model already; choose another folder")
    network = cls.from_released(checkpoint, **options)
    network.save_pretrained(
        out,
        card=make_card(
            network.config.to_dict(),
            model_name=model,
            parameters=sum(p.numel() for p in network.parameters()),
            place=out.name,
        ),
    )
    return out


def write_card(
    source: str | Path,
    *,
    evaluation: str | Path | None = None,
    licence: str | None = None,
    data: str | None = None,
    demo: str | None = None,
    place: str | None = None,
) -> Path:
    """Write the model card of a checkpoint anew, with what is known by now; returns its path.

    Args:
        source: a checkpoint or run folder.
        evaluation: JSON of an amphion-eval report.
        licence: SPDX name for the weights.
        data: sentences about the corpus.
        demo: address of a page to try it on.
        place: hub id for the usage example; default is the folder's name.

    Raises:
        FileNotFoundError: no checkpoint, or no such evaluation.
    """
    folder = resolve(source)
    config: dict[str, Any] = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    name = str(config.pop("model"))
    network = load_pretrained(folder, group=name.partition("/")[0])
    recipe = read_mapping(folder / "recipe.yaml") if (folder / "recipe.yaml").is_file() else None
    results: Mapping[str, Any] | None = None
    if evaluation is not None:
        results = read_mapping(evaluation)
    text = make_card(
        config,
        model_name=name,
        parameters=sum(p.numel() for p in network.parameters()),
        recipe=recipe,
        evaluation=results,
        place=place or folder.name,
        licence=licence,
        data=data,
        demo=demo,
    )
    with atomic_writer(folder / "README.md") as file:
        file.write(text.encode())
    return folder / "README.md"


def check_folder(folder: str | Path) -> dict[str, int]:
    """Names and bytes of the files that would be published, after a check that they are whole.

    Raises:
        ValueError: all that is missing or wrong, at once.
    """
    folder = Path(folder)
    faults = [f"{name} is missing" for name in PUBLISHED[:3] if not (folder / name).is_file()]
    card = folder / "README.md"
    if card.is_file():
        text = card.read_text(encoding="utf-8")
        faults += [f"README.md has no part '{part}'" for part in PARTS if f"## {part}\n" not in text]
    if not faults:
        kind = str(read_mapping(folder / CONFIG_FILE).get("model", "")).partition("/")[0]
        try:
            load_pretrained(folder, group=kind)
        except (ValueError, LookupError) as error:
            faults.append(f"it does not load: {error}")
    if faults:
        raise ValueError(f"{folder} is not fit to publish: " + "; ".join(faults))
    return {name: (folder / name).stat().st_size for name in PUBLISHED if (folder / name).is_file()}


def push(source: str | Path, repository: str, *, private: bool = False, dry_run: bool = False) -> dict[str, int]:
    """Upload a checkpoint to the hub; returns names and bytes of its files.

    Args:
        source: a checkpoint or run folder.
        repository: `OWNER/NAME`, made if absent.
        private: make it private.
        dry_run: check everything and upload nothing; needs no network.

    Raises:
        ValueError: the folder is not fit to publish.
        PermissionError: the hub refused.
    """
    folder = resolve(source)
    files = check_folder(folder)
    if dry_run:
        return files
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi()
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, allow_patterns=list(files))
    except HfHubHTTPError as error:
        raise PermissionError(f"the hub refused {repository!r}: {error}; log in with 'hf auth login'") from error
    return files
