"""Where inference runs, chosen by name."""

from __future__ import annotations

import torch

__all__ = ["chosen_device"]


def chosen_device(name: str) -> torch.device:
    """The device of a name; `auto` is a CUDA device where torch sees one, else the CPU.

    Raises:
        ValueError: torch knows no such device, or this machine has none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"no device {name!r}; give auto, cpu, cuda or cuda:1") from None
    if device.type == "cpu":
        return device
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    kind, count = ("none", 0) if found is None else (found.type, torch.accelerator.device_count())
    if kind != device.type or (device.index or 0) >= count:
        raise ValueError(f"no device {name!r} here: torch {torch.__version__} sees {count} ({kind}); take auto or cpu")
    return device
