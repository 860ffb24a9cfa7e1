"""Batches of any form: moved to a device, and described by their shapes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

__all__ = ["describe", "move"]

BatchT = TypeVar("BatchT")


def move(batch: BatchT, device: torch.device) -> BatchT:
    """The same batch with its tensors on a device.

    Args:
        batch: tensors inside dataclasses, named tuples, tuples, lists and mappings, nested as they like;
            anything else stays as it is.
        device: where the tensors go; pinned ones go there while the host continues.
    """
    return cast(BatchT, _move(batch, device))


def _move(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value if value.device == device else value.to(device, non_blocking=True)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if field.init]
        return dataclasses.replace(value, **{name: _move(getattr(value, name), device) for name in names})
    if isinstance(value, tuple):
        items = [_move(item, device) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    if isinstance(value, list):
        return [_move(item, device) for item in value]
    if isinstance(value, Mapping):
        return {key: _move(item, device) for key, item in value.items()}
    return value


def describe(batch: Any) -> str:
    """Names and shapes of the tensors of a batch, such as `mel (16, 80, 400) float32, lengths (16,) int64`."""
    return ", ".join(
        f"{name} {tuple(t.shape)} {str(t.dtype).removeprefix('torch.')}" for name, t in _tensors(batch, "")
    )


def _tensors(value: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    inside: list[tuple[str, Any]] = []
    if isinstance(value, Tensor):
        yield name or "tensor", value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        inside = [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        inside = list(zip(value._fields, value, strict=True))
    elif isinstance(value, list | tuple):
        inside = [(str(number), item) for number, item in enumerate(value)]
    elif isinstance(value, Mapping):
        inside = [(str(key), item) for key, item in value.items()]
    for key, item in inside:
        yield from _tensors(item, f"{name}.{key}" if name else key)
