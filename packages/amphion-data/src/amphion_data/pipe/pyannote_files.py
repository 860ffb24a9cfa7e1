"""Files of a pipeline of pyannote.audio: its configuration, with every network in it a file of this disk.

The library would find the networks itself, but it asks the hub for each also where it is kept here, takes a name in a
configuration for a folder of the working directory, a path with `wespeaker` in it for an ONNX network, and fetches what
the pipeline has no use for. It unpickles the networks: so they are those of a folder that the user named, of the owner
of a repository that the user named, or of pyannote.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from amphion_core.config import Config, parse_yaml
from amphion_core.download import fetch

__all__ = ["PipelineFiles", "find_pipeline"]

_CONFIG = "config.yaml"
_PARTS = {
    "segmentation": ("pytorch_model.bin",),
    "embedding": ("pytorch_model.bin",),
    "plda": ("xvec_transform.npz", "plda.npz"),
}
_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", re.ASCII)  # of a repository, and of its revision
_DEFAULT = "pyannote/speaker-diarization-community-1"
"""Where the library takes what a configuration leaves out."""
_VBX = "VBxClustering"


class _Class(Config):
    """What is run. Other classes take other arguments and give other results, and one sends the sound to a service."""

    name: Literal[
        "pyannote.audio.pipelines.SpeakerDiarization",
        "pyannote.audio.pipelines.speaker_diarization.SpeakerDiarization",
    ]
    params: dict[str, Any] = {}


class _Pipeline(Config):
    """What `config.yaml` may hold: no `preprocessors`, which may be any code."""

    version: str | None = None
    dependencies: dict[str, str] = {}
    pipeline: _Class
    freeze: dict[str, Any] = {}
    params: dict[str, Any] = {}


class PipelineFiles(NamedTuple):
    """What was found.

    Attributes:
        config: for `Pipeline.from_pretrained`; without `plda` where the pipeline has no use for it.
        identity: name and hash of all files.
    """

    config: dict[str, Any]
    identity: str


def find_pipeline(model: str, token: str | None) -> PipelineFiles:
    """Find a pipeline and its networks on this disk; from the hub comes only what is not in its cache.

    Args:
        model: a folder, its `config.yaml`, or a hub id, also with `@revision`.
        token: of the hub.

    Raises:
        FileNotFoundError: a repository is not here and can't be fetched, or a folder lacks a file.
        ValueError: the configuration is of another pipeline, or names networks of strangers.
    """
    given = Path(model)
    if given.exists():
        file = given if given.is_file() else _complete(given, (_CONFIG,)) / _CONFIG
    else:
        file = _fetched(model, "", (_CONFIG,), token) / _CONFIG
    finder = _Finder(None if given.exists() else model, file, token)
    asked = _Pipeline.parse(parse_yaml(file.read_text(encoding="utf-8"), str(file)), where=str(file))
    params = dict(asked.pipeline.params)
    clustering = params.setdefault("clustering", _VBX)
    if clustering not in (_VBX, "AgglomerativeClustering"):
        raise ValueError(f"{file}: {clustering!r} has to be told how many people speak; take {_VBX}")
    named = {part: params.pop(part, {"checkpoint": _DEFAULT, "subfolder": part}) for part in _PARTS}
    if clustering != _VBX:
        del named["plda"]
    digest = hashlib.sha256(json.dumps([params, asked.freeze, asked.params], sort_keys=True, default=str).encode())
    for part, value in named.items():
        found = finder.find(value, _PARTS[part])
        params[part] = {"checkpoint": str(found)}
        for path in [found] if found.is_file() else [found / name for name in _PARTS[part]]:
            with path.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
    for part in ("segmentation", "embedding"):
        params[part]["strict"] = False  # as the library reads what is named by a path: losses may have weights too
    config = {name: value for name, value in asked.to_dict().items() if value}
    config["pipeline"] = {"name": asked.pipeline.name, "params": params}
    name = file.resolve().parent.name if given.exists() else model
    return PipelineFiles(config, f"{name} {digest.hexdigest()[:16]}")


class _Finder(NamedTuple):
    """Finds what a configuration names.

    Attributes:
        repository: of the pipeline; None for a folder.
        file: the configuration.
        token: of the hub.
    """

    repository: str | None
    file: Path
    token: str | None

    def find(self, value: object, names: Sequence[str]) -> Path:
        """The folder that holds files of these names, or a file that is named itself."""
        if isinstance(value, Mapping) and isinstance(value.get("checkpoint"), str):
            place, revision = str(value["checkpoint"]), str(value.get("revision") or "")
            subfolder = str(value.get("subfolder") or "")
        elif isinstance(value, str) and value:
            place, revision, subfolder = value, "", ""
        else:
            raise ValueError(f"{self.file} should name files, it has {value!r}")
        if place == "$model" or place.startswith("$model/"):
            inside, _, own = place.partition("@")
            subfolder = inside.removeprefix("$model").removeprefix("/")
            if self.repository is None:
                return _complete(self.file.parent / subfolder, names)
            plain, _, common = self.repository.partition("@")
            return _fetched(_at(plain, own or common), subfolder, names, self.token)
        path = self.file.parent / place
        if path.is_file():
            return path
        if path.is_dir():
            return _complete(path / subfolder, names)
        if not _NAME.fullmatch(place):
            raise FileNotFoundError(f"{self.file} names {place!r}, but there is no {path}")
        owner, own = place.partition("/")[0], (self.repository or "").partition("/")[0]
        if owner not in ("pyannote", own):
            raise ValueError(
                f"{self.file} names {place!r}; to read networks of {owner} may run code of theirs. If you trust them, "
                f"download it, and write its folder into a {_CONFIG} of your own"
            )
        return _fetched(_at(place, revision), subfolder, names, self.token)


def _at(repository: str, revision: str) -> str:
    return f"{repository}@{revision}" if revision else repository


def _fetched(place: str, subfolder: str, names: Sequence[str], token: str | None) -> Path:
    """The folder of a repository with files of these names, from the hub's cache or the hub."""
    repository, _, revision = place.partition("@")
    wanted = [f"{subfolder}/{name}" if subfolder else name for name in names]
    try:
        folder = fetch(repository, revision=revision or None, patterns=wanted, token=token)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{repository} is not here ({error}); it is gated: accept its terms on the hub, log in or pass "
            "--option pyannote.token=TOKEN, once with a network; or take --diarise offline"
        ) from None
    return _complete(folder / subfolder, names)


def _complete(folder: Path, names: Sequence[str]) -> Path:
    for name in names:
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} holds no {name}")
    return folder
