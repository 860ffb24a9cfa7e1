"""What is about to be trained: parameters and memory of each network, and what of it nothing trains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from amphion_core.training.phase import Phase

__all__ = ["summarize", "summary_text"]

_MOMENTS = {"adam": 2, "adamw": 2, "sgd": 1}


def summarize(task: nn.Module, phases: Sequence[Phase], ema_bytes: int = 0) -> dict[str, Any]:
    """Parameters and bytes of a task.

    Args:
        task: its networks are its children.
        phases: as the trainer built them.
        ema_bytes: of the average of the weights.

    Returns:
        `networks` (name to `parameters`, `trained`, `bytes`), `untrained` (names of parameters that want a gradient
        and are in no phase), and `bytes` of weights, gradients, optimisers and average; activations come on top.
    """
    trained = {id(p) for phase in phases for p in phase.parameters}
    networks = {}
    for name, network in task.named_children():
        own = list(network.parameters())
        networks[name] = {
            "parameters": sum(p.numel() for p in own),
            "trained": sum(p.numel() for p in own if id(p) in trained),
            "bytes": sum(t.numel() * t.element_size() for t in [*own, *network.buffers()]),
        }
    gradients = {id(p): p.numel() * p.element_size() for phase in phases for p in phase.parameters}
    moments = sum(_MOMENTS[f.config.name] * p.numel() * p.element_size() for f in phases for p in f.parameters)
    weights = sum(t.numel() * t.element_size() for t in [*task.parameters(), *task.buffers()])
    untrained = [name for name, p in task.named_parameters() if p.requires_grad and id(p) not in trained]
    return {
        "networks": networks,
        "untrained": untrained,
        "bytes": {
            "weights": weights,
            "gradients": sum(gradients.values()),
            "optimizers": moments,
            "ema": ema_bytes,
        },
    }


def summary_text(summary: dict[str, Any], device: str) -> str:
    """The summary in lines to read."""
    lines = [f"{'network':24} {'parameters':>14} {'trained':>14} {'MiB':>10}"]
    for name, about in summary["networks"].items():
        lines.append(f"{name:24} {about['parameters']:14,} {about['trained']:14,} {about['bytes'] / 2**20:10.1f}")
    parts = ", ".join(f"{name} {size / 2**20:.1f}" for name, size in summary["bytes"].items() if size)
    total = sum(summary["bytes"].values()) / 2**20
    lines.append(f"memory before activations: {total:.1f} MiB ({parts}) on {device}")
    if summary["untrained"]:
        lines.append(
            f"{len(summary['untrained'])} parameters want a gradient and are in no phase, so they stay as they are: "
            + ", ".join(summary["untrained"][:5])
        )
    return "\n".join(lines)
