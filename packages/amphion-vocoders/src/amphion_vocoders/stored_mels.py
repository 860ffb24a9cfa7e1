"""Mels and F0 in .npy, .npz and .safetensors, whoever has written them; what can't be read is told in our words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

__all__ = ["is_f0", "read_mel", "real_numbers", "tensor_keys", "tensor_metadata"]


def is_f0(path: Path) -> bool:
    """Whether a file is the F0 that lies beside the mel of another."""
    return path.name.lower().endswith(".f0.npy")


def read_mel(path: Path, key: str | None = None) -> tuple[Tensor, Tensor | None]:
    """A mel and the F0 that lies beside it, where there is any, in float32.

    Args:
        path: the file.
        key: of the tensor in a .safetensors file.

    Raises:
        ValueError: the file is broken, lacks the mel, or holds something other than real numbers.
    """
    kind = path.suffix.lower()
    if kind == ".npy":
        beside = path.with_name(f"{path.name[: -len('.npy')]}.f0.npy")
        return _array(path), _array(beside) if beside.is_file() else None
    if kind == ".npz":
        with _telling(path), path.open("rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in ("mel", "f0") if name in arrays}
            names = list(arrays)
        if "mel" not in found:
            raise ValueError(f"it has no array mel; it holds {', '.join(names) or 'nothing'}")
        return real_numbers(found["mel"]), real_numbers(found["f0"]) if "f0" in found else None
    if key is None:
        names = tensor_keys(path)
        raise ValueError(f"it holds {', '.join(names) or 'no tensors'}, and no mel; store one under the name mel")
    with _tensors(path) as tensors:
        held = set(tensors.keys())
        beside_key = next((name for name in (f"{key}.f0", "f0" if key == "mel" else "") if name in held), None)
        mel, f0 = tensors.get_tensor(key), None if beside_key is None else tensors.get_tensor(beside_key)
    return real_numbers(mel), None if f0 is None else real_numbers(f0)


def tensor_keys(path: Path) -> list[str]:
    """Names of the tensors of a .safetensors file, sorted.

    Raises:
        ValueError: it is broken.
    """
    with _tensors(path) as tensors:
        return sorted(tensors.keys())


def tensor_metadata(path: Path) -> dict[str, str]:
    """What a .safetensors file says of itself.

    Raises:
        ValueError: it is broken.
    """
    with _tensors(path) as tensors:
        return tensors.metadata() or {}


def real_numbers(values: ArrayLike | Tensor) -> Tensor:
    """Values of any width and byte order as float32.

    Raises:
        ValueError: they are text, complex, or objects.
    """
    if isinstance(values, Tensor):
        if values.is_complex() or values.dtype == torch.bool:
            raise ValueError(f"its values are {str(values.dtype).removeprefix('torch.')}, not real numbers; {_STORE}")
        return values.float()
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"its values are {array.dtype.name}, not real numbers; {_STORE}")
    with np.errstate(over="ignore"):  # what is too great becomes infinite, which is refused
        return torch.from_numpy(array.astype(np.float32))


_STORE = "store them as float32"


def _array(path: Path) -> Tensor:
    with _telling(path), path.open("rb") as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
    return real_numbers(array)


@contextlib.contextmanager
def _tensors(path: Path) -> Iterator[Any]:
    import safetensors

    with _telling(path), safetensors.safe_open(path, framework="pt") as tensors:
        yield tensors


@contextlib.contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Broken files raise errors of many kinds, some with the advice to load pickles."""
    try:
        yield
    except Exception as error:
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        if "pickle" in reason:
            reason = "it holds pickled objects, which could run code and are never loaded"
        raise ValueError(f"{path} is no whole {path.suffix} file of numbers ({reason}); write it again") from None
