"""Holds a training against its promise: killed and started again, it ends like an undisturbed one, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from amphion_core.testing.kill import run, start
from amphion_core.training.checkpoint import whole_checkpoints

__all__ = ["TRAIN", "check_resume", "differing", "train_losses"]

TRAIN = "amphion_core.testing.resume:train"
"""Target that trains a recipe file; what `check_resume` starts unless told otherwise."""


def train(recipe: str, out: str) -> None:
    """Train a recipe of an installed task; the target `TRAIN`."""
    from amphion_core.training.run import train_recipe

    train_recipe(recipe, out=out)


def check_resume(
    recipe: Mapping[str, Any],
    folder: Path,
    *,
    steps: int = 6,
    save_every: int = 2,
    kill_after: int = 3,
    target: str = TRAIN,
) -> None:
    """Train once undisturbed, once killed and started again, and compare the ends.

    Args:
        recipe: nested values of a small recipe; `trainer.steps`, `save_every` and `log_every` are set here.
        folder: where the runs go.
        steps: of the whole training.
        save_every: steps between checkpoints.
        kill_after: the step after which SIGKILL comes, not a multiple of `save_every`, so that steps are lost.
        target: `module:function` or `file.py:function`, called with the paths of the recipe and of the run folder.

    Raises:
        AssertionError: a tensor of the last checkpoint, the random state, the position in the data or a logged loss
            differs; names them.
    """
    trainer = {**recipe.get("trainer", {}), "steps": steps, "save_every": save_every, "log_every": 1}
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "recipe.yaml"
    file.write_text(yaml.safe_dump({**recipe, "trainer": trainer}), encoding="utf-8")
    whole, broken = folder / "undisturbed", folder / "killed"
    run(target, str(file), str(whole))
    child = start(target, str(file), str(broken))
    child.wait_until(lambda: bool(whole_checkpoints(broken)) and max(train_losses(broken), default=0) >= kill_after)
    child.kill()
    reached = max(train_losses(broken), default=0)
    assert reached < steps, f"the run ended before it could be killed, at step {reached}; give it more steps"
    run(target, str(file), str(broken))
    found = differing(whole, broken)
    assert not found, (
        f"the resumed run differs from the undisturbed one in {len(found)} places: {'; '.join(found[:10])}"
    )


def train_losses(out: Path) -> dict[int, dict[str, float]]:
    """Logged training losses by step.

    Raises:
        AssertionError: a step stands twice in the log.
    """
    path = out / "log.jsonl"
    found: dict[int, dict[str, float]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            values = json.loads(line)
        except ValueError:
            continue  # being written, or cut by a kill
        if values["kind"] == "train":
            assert values["step"] not in found, f"step {values['step']} stands twice in {path}"
            found[values["step"]] = values["losses"]
    return found


def differing(first: Path, second: Path) -> list[str]:
    """What differs between the newest checkpoints and the logged losses of two runs; tensors by their bits."""
    import torch

    from amphion_core.hub import read_weights

    a, b = whole_checkpoints(first)[0], whole_checkpoints(second)[0]
    if a.name != b.name:
        return [f"newest checkpoint {a.name} and {b.name}"]
    found = []
    for path in sorted(a.rglob("*.safetensors")):
        name = path.relative_to(a)
        ours, theirs = read_weights(path), read_weights(b / name)
        if ours.keys() != theirs.keys():
            found.append(f"{name}: other tensors")
        found += [
            f"{name}: {key}" for key in ours if key in theirs and not torch.equal(_bits(ours[key]), _bits(theirs[key]))
        ]
    for path in sorted((a / "trainer").glob("rank-*.json")):
        if json.loads(path.read_text()) != json.loads((b / "trainer" / path.name).read_text()):
            found.append(f"{path.name}: random state")
    states = [json.loads((x / "trainer" / "state.json").read_text()) for x in (a, b)]
    found += [
        f"state.json: {key}" for key in ("data", "phases", "figure", "bad", "task") if states[0][key] != states[1][key]
    ]
    losses = train_losses(first), train_losses(second)
    found += [f"loss of step {step}" for step in losses[0] if losses[0][step] != losses[1].get(step)]
    return found


def _bits(tensor: Any) -> Any:
    import torch

    return tensor.contiguous().reshape(-1).view(torch.uint8) if tensor.ndim else tensor.reshape(1).view(torch.uint8)
