"""Reading checkpoints of other code bases: whatever the nesting, prefixes and weight norm, never running code.

The maps from foreign keys to ours stand beside each model, in the `released.py` of its package.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

__all__ = [
    "fold_weight_norm",
    "newest_checkpoint",
    "read_args",
    "read_checkpoint",
    "read_content",
    "rename_keys",
    "split_weight_norm",
    "strip_prefix",
]

_NESTS = ("generator_state_dict", "generator", "state_dict", "model_state_dict", "model", "net", "weight", "weights")
_FILES = ("model.safetensors", "pytorch_model.bin")
_GENERATOR = re.compile(r".+\.(safetensors|bin|pt|pth|ckpt)|g(enerator)?_\w+")
"""Files with the weights of a network; original releases have no ending: `g_02500000`, `generator_v1`."""
_BESIDE = re.compile(r"do_.*|.*(discriminator|optim|scheduler).*|(pytorch_)?model_\d+\..+")
"""What else such files hold."""
_NUMBERED = re.compile(r"epoch-(\d+)_step-(\d+)")
_OLD, _NEW = ("weight_g", "weight_v"), ("parametrizations.weight.original0", "parametrizations.weight.original1")


def read_checkpoint(source: str | Path, nest: str | None = None, index: int = 0) -> dict[str, Tensor]:
    """The state dict of a checkpoint file or folder.

    Args:
        source: a .safetensors, .bin, .pt, .pth, .ckpt or extensionless torch file; an accelerate folder; an
            experiment folder of the toolkit, whose newest checkpoint is taken; or a folder with one such file.
        nest: key of the state dict inside the file; None looks for the usual ones.
        index: which of several models of an accelerate folder: 0 generator, 1 and up discriminators.

    Returns:
        Names to tensors, without a `module.` prefix.

    Raises:
        FileNotFoundError: no checkpoint is there.
        ValueError: the file is cut, would run code when read, or holds no tensors.
    """
    path = Path(source)
    if path.is_dir():
        path = _file_of_folder(path, index)
    return strip_prefix(_state_dict(read_content(path), nest, path))


def read_content(source: str | Path) -> Any:
    """All that a checkpoint file holds, for settings that lie beside the tensors; no code is run.

    Args:
        source: a .safetensors or torch file.

    Raises:
        FileNotFoundError: no file is there.
        ValueError: the file is cut, or would run code when read.
    """
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    return _read_file(path)


def read_args(source: str | Path) -> dict[str, Any]:
    """The configuration that lies beside a checkpoint: args.json, config.json or config.yaml.

    Args:
        source: the checkpoint or a folder above it.

    Raises:
        FileNotFoundError: none is there, nor up to two folders above.
    """
    from .config import parse_yaml

    start = Path(source)
    folders = [start, *start.parents][:4] if start.is_dir() else list(start.parents)[:4]
    for folder in folders:
        for name in ("args.json", "config.json", "config.yaml"):
            file = folder / name
            if file.is_file():
                # YAML holds JSON, and the comments of JSON5 are cut away first.
                text = re.sub(r"^\s*//.*$", "", file.read_text(encoding="utf-8-sig"), flags=re.MULTILINE)
                return parse_yaml(re.sub(r",(\s*[}\]])", r"\1", text), str(file))
    raise FileNotFoundError(f"no args.json or config.json beside {start}; it says what the network looks like")


def newest_checkpoint(folder: str | Path) -> Path:
    """The newest `epoch-*_step-*` folder at or below `checkpoint/`, or the folder itself if it holds weights.

    Raises:
        FileNotFoundError: neither is there.
    """
    folder = Path(folder)
    if any((folder / name).is_file() for name in _FILES):
        return folder
    numbered = []
    for parent in (folder / "checkpoint", folder / "checkpoints", folder):
        if parent.is_dir():
            numbered += [
                (int(m[1]), int(m[2]), p) for p in parent.iterdir() if (m := _NUMBERED.search(p.name)) and p.is_dir()
            ]
    if not numbered:
        found = ", ".join(sorted(p.name for p in folder.iterdir())[:10]) if folder.is_dir() else "nothing"
        raise FileNotFoundError(
            f"no checkpoint below {folder}: looked for {' or '.join(_FILES)} and epoch-*_step-*, found {found}"
        )
    return max(numbered)[2]


def strip_prefix(weights: Mapping[str, Tensor], prefix: str = "module.") -> dict[str, Tensor]:
    """Names with everything up to the last `module.` cut, as wrappers for several devices leave it.

    Raises:
        ValueError: two names become one.
    """
    result: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        short = name.rpartition(prefix)[2] if name.startswith(prefix) else name
        if short in result:
            raise ValueError(f"two keys become {short!r} without the prefix {prefix!r}")
        result[short] = tensor
    return result


def rename_keys(weights: Mapping[str, Tensor], rules: Iterable[tuple[str, str]]) -> dict[str, Tensor]:
    """Rename by regular expressions, the first rule that matches the whole name.

    Args:
        weights: foreign names to tensors.
        rules: pairs of a pattern and its replacement, as `re.sub` takes them.

    Raises:
        ValueError: lists names that no rule matches, or that become one.
    """
    compiled = [(re.compile(pattern), replacement) for pattern, replacement in rules]
    result: dict[str, Tensor] = {}
    unknown = []
    for name, tensor in weights.items():
        for pattern, replacement in compiled:
            match = pattern.fullmatch(name)
            if match:
                new = match.expand(replacement)
                if new in result:
                    raise ValueError(f"two foreign keys become {new!r}; the second is {name!r}")
                result[new] = tensor
                break
        else:
            unknown.append(name)
    if unknown:
        keys = "1 key" if len(unknown) == 1 else f"{len(unknown)} keys"
        raise ValueError(f"{keys} of another model, such as {', '.join(unknown[:5])}")
    return result


def fold_weight_norm(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Replace each pair of weight norm, old or new names, by the weight itself.

    The norm is over all axes but the first, also for transposed convolutions (Salimans and Kingma, 2016).
    """
    result: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        for gain, direction in (_OLD, _NEW):
            if name.endswith(f".{gain}") or name == gain:
                stem = name[: -len(gain)]
                v = weights[stem + direction]
                result[f"{stem}weight"] = torch._weight_norm(v, tensor, 0)
                break
            if name.endswith(f".{direction}") or name == direction:
                break
        else:
            result[name] = tensor
    return result


def split_weight_norm(weights: Mapping[str, Tensor], names: Iterable[str]) -> dict[str, Tensor]:
    """Bring weight norm to the parametrisation of torch, for the modules that have it.

    Args:
        weights: with old pairs, new pairs, or folded weights.
        names: modules that are weight-normed in our model, such as `conv_pre`.
    """
    folded = {f"{name}.weight" for name in names}
    result: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        old = next((i for i in (0, 1) if name.endswith("." + _OLD[i])), None)
        if old is not None:
            result[name[: -len(_OLD[old])] + _NEW[old]] = tensor
        elif name in folded:
            stem = name[: -len("weight")]
            result[stem + _NEW[0]] = tensor.flatten(1).norm(dim=1).view(-1, *[1] * (tensor.dim() - 1))
            result[stem + _NEW[1]] = tensor
        else:
            result[name] = tensor
    return result


def _file_of_folder(folder: Path, index: int) -> Path:
    """The weights in an accelerate or experiment folder, or the one file of a network that a folder holds."""
    try:
        newest = newest_checkpoint(folder)
    except FileNotFoundError:
        names = [p.name for p in folder.iterdir() if p.is_file()]
        single = sorted(n for n in names if _GENERATOR.fullmatch(n) and not _BESIDE.fullmatch(n))
        if index or not single:
            raise
        if len(single) > 1:
            held = ", ".join(single[:10])
            raise FileNotFoundError(f"{folder} holds several checkpoints: {held}; give the path of one") from None
        return folder / single[0]
    return _weights_file(newest, index)


def _weights_file(folder: Path, index: int) -> Path:
    suffix = f"_{index}" if index else ""
    for name in _FILES:
        stem, _, extension = name.partition(".")
        file = folder / f"{stem}{suffix}.{extension}"
        if file.is_file():
            return file
    raise FileNotFoundError(
        f"no model number {index} in {folder}; it holds {', '.join(sorted(p.name for p in folder.iterdir()))}"
    )


def _read_file(path: Path) -> Any:
    if path.suffix == ".safetensors":
        try:
            return safetensors.torch.load_file(path)
        except safetensors.SafetensorError as error:
            raise ValueError(f"{path} is no whole safetensors file ({error}); fetch it again") from None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:
        # Not in torch's words: they advise to read it all the same.
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        if asked or zipfile.is_zipfile(path):
            code = f" ({asked[1]})" if asked else ""
            reason = f"it holds more than tensors and would run code when read{code}; ask for one with weights alone"
        elif path.read_bytes()[:1] == b"\x80":
            reason = "it is a pickle that holds more than tensors, or was cut; ask for one with weights alone"
        else:
            reason = "it is cut, or no torch file; fetch it again"
        raise ValueError(f"{path} was refused: {reason}") from None


def _state_dict(content: Any, nest: str | None, path: Path) -> dict[str, Tensor]:
    if nest is not None:
        if not isinstance(content, Mapping) or nest not in content:
            held = ", ".join(map(str, content)) if isinstance(content, Mapping) else type(content).__name__
            raise ValueError(f"{path} has no {nest!r}; it holds {held[:200]}")
        content = content[nest]
    else:
        while isinstance(content, Mapping) and not _tensors(content):
            inner = next((content[key] for key in _NESTS if isinstance(content.get(key), Mapping)), None)
            if inner is None:
                break
            content = inner
    if not isinstance(content, Mapping) or not _tensors(content):
        held = ", ".join(map(str, content)) if isinstance(content, Mapping) else type(content).__name__
        raise ValueError(f"{path} holds no state dict; it holds {held[:200]}")
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def _tensors(content: Mapping[Any, Any]) -> bool:
    return any(isinstance(value, Tensor) for value in content.values())
