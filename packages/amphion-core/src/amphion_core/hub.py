"""Models in a folder: config.json, model.safetensors and a model card; strict to load, free of pickle.

The hub client is used for downloads only; a local folder never touches the network.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar, cast

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from . import registry
from .atomic import atomic_writer
from .config import Config, ConfigError
from .download import fetch

__all__ = ["CONFIG_FILE", "WEIGHTS_FILE", "PretrainedModule", "fetch", "load_pretrained", "resolve"]

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
_STEP = re.compile(r"step-(\d+)")

ConfigT = TypeVar("ConfigT", bound=Config)


class PretrainedModule(nn.Module, Generic[ConfigT]):
    """A network that is built from one config and lives in a folder or on the hub.

    Subclasses set `config_class`, and `group` and `name` as their entry point declares them, so that
    `load_pretrained` finds the class from the folder alone.
    """

    config_class: ClassVar[type[Config]]
    group: ClassVar[str] = "models"
    name: ClassVar[str] = ""

    config: ConfigT

    def __init__(self, config: ConfigT) -> None:
        super().__init__()
        self.config = config

    @property
    def device(self) -> torch.device:
        """Where the weights are; the CPU for a module without any."""
        tensor = next(itertools.chain(self.parameters(), self.buffers()), None)
        return torch.device("cpu") if tensor is None else tensor.device

    @classmethod
    def from_pretrained(
        cls, source: str | Path, *, device: str | torch.device = "cpu", revision: str | None = None
    ) -> Self:
        """Load a model in evaluation mode.

        Args:
            source: a folder with config.json and model.safetensors, a run folder (its newest checkpoint is
                taken), or a hub id.
            device: where to put the weights.
            revision: branch, tag or commit on the hub.

        Raises:
            FileNotFoundError: neither a folder nor, without network, in the hub's cache.
            ValueError: the folder holds another model, or weights of other names or shapes.
        """
        folder = resolve(source, revision=revision)
        values = _read_config(folder)
        held = values.pop("model", None)
        if held != f"{cls.group}/{cls.name}":
            raise ValueError(
                f"{folder} holds the model {held!r}, not '{cls.group}/{cls.name}'; load it with its own class"
            )
        try:
            config = cls.config_class.parse(values, where=str(folder / CONFIG_FILE))
        except ConfigError as error:
            raise ConfigError(f"{error}\nthe folder was written by another version, or edited by hand") from None
        model = cls(cast(Any, config))
        load_weights(model, read_weights(folder / WEIGHTS_FILE), where=str(folder / WEIGHTS_FILE))
        return model.to(device).eval()

    def save_pretrained(self, folder: str | Path, *, card: str | None = None) -> None:
        """Write config.json, model.safetensors and README.md into a folder.

        Args:
            folder: made if absent; files of the same names are replaced, each whole or not at all.
            card: text of the model card; None leaves out README.md.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        values = {"model": f"{self.group}/{self.name}", **self.config.to_dict()}
        with atomic_writer(folder / CONFIG_FILE) as file:
            file.write((json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode())
        with atomic_writer(folder / WEIGHTS_FILE) as file:
            file.write(safetensors.torch.save(state_tensors(self), metadata={"format": "pt"}))
        if card is not None:
            with atomic_writer(folder / "README.md") as file:
                file.write(card.encode())


def state_tensors(module: nn.Module) -> dict[str, Tensor]:
    """The state dict as contiguous CPU tensors; tensors that share memory are stored under each name."""
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in module.state_dict().items()}


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is cut or no safetensors file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}")
    try:
        return dict(safetensors.torch.load_file(path))
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is no whole safetensors file ({error}); copy it again") from None


def load_weights(module: nn.Module, weights: Mapping[str, Tensor], where: str = "weights") -> None:
    """Load every tensor into its place, or none.

    Raises:
        ValueError: names the first missing and unknown keys and differing shapes.
    """
    own = module.state_dict()
    missing = [name for name in own if name not in weights]
    unknown = sorted(name for name in weights if name not in own)
    shapes = [
        f"{name}: file {tuple(weights[name].shape)}, model {tuple(own[name].shape)}"
        for name in own
        if name in weights and weights[name].shape != own[name].shape
    ]
    faults = []
    for title, items in (("missing keys", missing), ("unknown keys", unknown), ("shapes differ", shapes)):
        if items:
            more = f" and {len(items) - 5} more" if len(items) > 5 else ""
            faults.append(f"{title} ({len(items)}): {', '.join(items[:5])}{more}")
    if faults:
        raise ValueError(f"{where} does not fit {type(module).__name__}: " + "; ".join(faults))
    module.load_state_dict(dict(weights), strict=True)


def load_pretrained(source: str | Path, *, group: str, device: str | torch.device = "cpu") -> Any:
    """A model of whatever class its folder names.

    Args:
        source: a folder, run folder or hub id.
        group: the kind expected, such as `vocoders`.
        device: where to put the weights.

    Raises:
        ValueError: the folder holds a model of another kind.
        LookupError: no installed package declares the model.
    """
    folder = resolve(source)
    held = str(_read_config(folder).get("model", ""))
    kind, _, name = held.partition("/")
    if kind != group:
        raise ValueError(f"{folder} holds {held or 'no model of ours'!r}, expected one of the {group}")
    return registry.find(group, name).from_pretrained(folder, device=device)


def resolve(source: str | Path, *, revision: str | None = None) -> Path:
    """The local folder of a model: a checkpoint, the newest checkpoint of a run, or a hub download.

    Raises:
        FileNotFoundError: nothing is there, and what to do about it.
    """
    folder = Path(source)
    if folder.is_dir():
        if (folder / CONFIG_FILE).is_file():
            return folder
        steps = sorted(
            (int(m[1]), p) for p in folder.iterdir() if (m := _STEP.fullmatch(p.name)) and (p / CONFIG_FILE).is_file()
        )
        if steps:
            return steps[-1][1]
        found = ", ".join(sorted(p.name for p in folder.iterdir())[:10]) or "nothing"
        raise FileNotFoundError(f"{folder} has neither {CONFIG_FILE} nor checkpoints step-*; it holds {found}")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", str(source)) or str(source).startswith((".", "/", "~")):
        raise FileNotFoundError(f"no folder {source}; a hub id has the form OWNER/NAME")
    return fetch(str(source), revision=revision)


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"no {CONFIG_FILE} in {folder}; it holds {', '.join(sorted(p.name for p in folder.iterdir())[:10])}"
        )
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path} must hold a JSON object, found {type(values).__name__}")
    return values
