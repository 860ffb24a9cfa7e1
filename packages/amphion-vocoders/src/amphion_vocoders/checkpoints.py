"""Checkpoints that others have published: what is known of them, where they lie, and how they are loaded by name.

The list is `checkpoints.yaml` beside this module. A checkpoint is looked for below `checkpoints/NAME` in the cache of
this library, then in the hub's cache, then on the hub.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import Field

from amphion_core import registry
from amphion_core.cache import cache_folder
from amphion_core.config import Config, parse_yaml

__all__ = [
    "Checkpoint",
    "checkpoint_files",
    "convert_checkpoint",
    "family_of",
    "find_checkpoint",
    "known_checkpoints",
    "load_checkpoint",
    "load_vocoder_named",
]

_FAMILIES = {"nsfhifigan": "nsf-hifigan"}
"""Names of the toolkit that differ from ours."""


class Checkpoint(Config):
    """One published checkpoint.

    Attributes:
        family: registry name of the vocoder.
        about: what it is, in a few words.
        hub: repository on the hub, or None.
        source: page of its authors, where it is not on the hub.
        weights: file or folder in the repository.
        settings: file of its configuration, or None where there is none.
        parameters: weights, those of weight norm once; 0 where the size is not known.
        licence: SPDX name, or None where it is not verified.
        trained_against: kinds of its discriminators.
        note: what else has to be known.
        config: ours, without the defaults of the family; None where only its own configuration says it, or where it
            is no vocoder of mels.
    """

    family: str
    about: str
    hub: str | None = None
    source: str | None = None
    weights: str
    settings: str | None = None
    parameters: int = Field(0, ge=0)
    licence: str | None = None
    trained_against: tuple[str, ...] = ()
    note: str | None = None
    config: dict[str, Any] | None = None

    @property
    def place(self) -> str:
        """Where it is published."""
        return self.hub or self.source or "not published"

    def network_config(self) -> Any:
        """The typed configuration, or None where it is not known.

        Raises:
            LookupError: the family is not installed.
        """
        if self.config is None:
            return None
        cls = registry.find("vocoders", self.family)
        return cls.config_class.parse(self.config, where=f"checkpoint of {self.place}")


@cache
def known_checkpoints() -> Mapping[str, Checkpoint]:
    """All entries of the list by name.

    Raises:
        ConfigError: the list has a fault.
    """
    text = (resources.files("amphion_vocoders") / "checkpoints.yaml").read_text(encoding="utf-8")
    return {
        name: Checkpoint.parse(values, where=f"checkpoints.yaml, {name}")
        for name, values in parse_yaml(text, "checkpoints.yaml").items()
    }


def find_checkpoint(name: str) -> tuple[str, Checkpoint] | None:
    """Name and entry of a checkpoint by its name, by its hub id, or None where the list has neither."""
    known = known_checkpoints()
    if name in known:
        return name, known[name]
    return next(((key, entry) for key, entry in known.items() if entry.hub == name), None)


def checkpoint_files(name: str) -> tuple[Path, Path | None]:
    """The weights of a known checkpoint and its settings, downloaded if need be.

    Raises:
        LookupError: no such name.
        FileNotFoundError: it is neither here nor can it be fetched; says what to download and where to put it.
    """
    found = find_checkpoint(name)
    if found is None:
        raise LookupError(f"no checkpoint named {name!r}; known: {', '.join(known_checkpoints())}")
    name, entry = found
    folder = cache_folder() / "checkpoints" / name
    if not _holds(folder, entry):
        folder = _fetched(name, entry, folder)
    return folder / entry.weights, folder / entry.settings if entry.settings else None


def load_checkpoint(name: str) -> Any:
    """A known checkpoint as a vocoder.

    Args:
        name: as the list has it, or its hub id.

    Raises:
        LookupError: no such name.
        FileNotFoundError: it is not on this machine and can't be fetched; says what to download and where to put it.
        ValueError: it is no vocoder of mels, or its files are not what the list says.
    """
    from amphion_core.released import read_args

    weights, settings = checkpoint_files(name)
    key, entry = find_checkpoint(name) or (name, None)
    assert entry is not None
    if entry.config is None and entry.settings is None:
        raise ValueError(f"the checkpoint {key!r} can't be used alone: {entry.note}")
    cls = registry.find("vocoders", entry.family)
    return cls.from_released(weights, None if settings is None else read_args(settings))


def family_of(args: Mapping[str, Any]) -> str | None:
    """Registry name of the vocoder that a foreign configuration describes, or None where it says none."""
    model = args.get("model")
    if isinstance(model, Mapping):
        name = model.get("generator") or next((key for key in ("vocos", "diffwave") if key in model), None)
        return _FAMILIES.get(str(name), str(name)) if name else None
    older = args.get("VOCODER")
    if isinstance(older, Mapping) and "N_FLOWS" in older:
        return "waveglow"
    if "upsample_rates" in args:
        return "bigvgan" if "activation" in args else "hifigan"
    return None


def load_vocoder_named(source: str | Path) -> Any | None:
    """A vocoder of the list, or of files of another code base that lie at a path; None for all others.

    Raises:
        LookupError: it is nearly a name of the list, or of an installed vocoder.
        FileNotFoundError: a known checkpoint that is not on this machine and can't be fetched, or a file without a
            configuration beside it.
        ValueError: files of another code base that don't fit together, or a file whose configuration names no vocoder.
    """
    from amphion_core.released import read_args

    path = Path(source)
    if not path.exists():
        if find_checkpoint(str(source)):
            return load_checkpoint(str(source))
        hint = _near(str(source), [*registry.names("vocoders"), *known_checkpoints()])
        if hint:
            raise LookupError(f"no vocoder at {source}, and none of that name{hint}")
        return None
    if any(path.glob("step-*/config.json")):
        return None
    try:
        args = read_args(path)
    except FileNotFoundError:
        if path.is_file():
            raise FileNotFoundError(
                f"{path} has no args.json or config.json beside it, to say what the network looks like; put it "
                f"there, or name it: {_conversion(path)}"
            ) from None
        return None
    family = None if isinstance(args.get("model"), str) else family_of(args)  # ours name the model there
    if family is None or family not in registry.names("vocoders"):
        if path.is_file():
            raise ValueError(_nameless(path, args))
        return None
    return registry.find("vocoders", family).from_released(path, args)


def convert_checkpoint(
    source: str | Path, out: str | Path, *, kind: str | None = None, args: Mapping[str, Any] | None = None
) -> Path:
    """Turn a checkpoint of another code base into a folder of ours; returns the folder.

    Args:
        source: file or folder, or a name or hub id of the list.
        out: folder to write; must not hold a model yet.
        kind: registry name of the vocoder; None takes what its configuration says.
        args: its configuration; None reads the one beside it.

    Raises:
        LookupError: the vocoder is not installed, or has no map of released checkpoints.
        FileNotFoundError: the checkpoint is neither here nor can it be fetched.
        FileExistsError: `out` holds a model already.
        ValueError: nothing says which vocoder it is, or it is another one.
    """
    from amphion_core.publish import convert
    from amphion_core.released import read_args

    found = None if Path(source).exists() else find_checkpoint(str(source))
    if found is not None:
        name, entry = found
        weights, settings = checkpoint_files(name)
        source, kind = weights, kind or entry.family
        args = read_args(settings) if args is None and settings is not None else args
    elif not Path(source).exists():
        hint = _near(str(source), known_checkpoints())
        raise FileNotFoundError(f"no file or folder at {source}, and no known checkpoint of that name{hint}")
    if kind is None:
        try:
            args = read_args(source) if args is None else args
            if isinstance(args.get("model"), str):
                raise ValueError(f"{source} is a {args['model']} in our own layout already; use it as it is")
            kind = family_of(args)
        except FileNotFoundError:
            kind = None
    if kind is None:
        raise ValueError(f"nothing beside {source} says which vocoder it is; give its kind, such as hifigan")
    return convert(f"vocoders/{kind}", source, out, **({} if args is None else {"args": dict(args)}))


def _nameless(path: Path, args: Mapping[str, Any]) -> str:
    """Why a file can't be loaded whose configuration names none of the vocoders."""
    from amphion_core.hub import CONFIG_FILE, WEIGHTS_FILE

    if isinstance(args.get("model"), str) and path.name in (CONFIG_FILE, WEIGHTS_FILE):
        return f"{path} is one file of a {args['model']} in our own layout; give its folder, {path.parent}"
    return f"the configuration beside {path} does not say which vocoder it is; say it: {_conversion(path)}"


def _conversion(path: Path) -> str:
    return f"amphion-vocoders convert {path} FOLDER --kind KIND --args FILE"


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.8)
    return f"; did you mean {', '.join(near)}?" if near else ""


def _holds(folder: Path, entry: Checkpoint) -> bool:
    return (folder / entry.weights).exists() and (entry.settings is None or (folder / entry.settings).is_file())


def _fetched(name: str, entry: Checkpoint, target: Path) -> Path:
    wanted = [entry.weights, *([entry.settings] if entry.settings else [])]
    here = f"download {' and '.join(wanted)} of {entry.place} and put them into {target}, under these names"
    if entry.hub is None:
        raise FileNotFoundError(
            f"the checkpoint {name!r} is not on this machine and not on the hub: {here}; "
            "or give the path of the file as the model"
        )
    from amphion_core.download import fetch

    patterns = [pattern for file in wanted for pattern in (file, f"{file}/*", f"{file}/**")]
    if entry.weights == ".":
        patterns = ["*"]
    try:
        folder = fetch(entry.hub, patterns=patterns)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"the checkpoint {name!r} is not on this machine ({error}). By hand: {here}") from error
    if not _holds(folder, entry):
        found = ", ".join(sorted(p.name for p in folder.iterdir())[:10])
        raise FileNotFoundError(f"{folder} lacks {' or '.join(wanted)}; it holds {found}. By hand: {here}")
    return folder
