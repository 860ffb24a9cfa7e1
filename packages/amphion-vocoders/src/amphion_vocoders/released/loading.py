"""Loading a released checkpoint into its network; weights of another family are told by its name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from amphion_core.config import ConfigError
from amphion_core.hub import load_weights
from amphion_core.released import read_args, read_checkpoint

__all__ = ["load_released", "released_args", "weights_family"]

_SIGNS = (
    ("vocos", r"(model\.)?backbone\.convnext\..+"),
    ("apnet", r"ASP_input_conv\..+"),
    ("diffwave", r"diffusion_embedding\..+"),
    ("waveglow", r"convinv\.0\..+"),
    ("wavenet", r"conv_layers\.0\.conv1x1c\..+"),
    ("wavernn", r"rnn1\.weight_ih_l0"),
    ("melgan", r"model\.\d+\.(block|shortcut)\..+"),
    ("nsf-hifigan", r"noise_convs\.0\..+"),
    ("bigvgan", r"activation_post\..+"),
    ("hifigan", r"conv_pre\..+"),
    ("a discriminator", r"discriminators\.0\..+|model\.disc_0\..+"),
)
"""What only the released keys of a family hold; those above are looked for first."""


def load_released(
    model: nn.Module, source: str | Path, renamed: Callable[[dict[str, Tensor]], Mapping[str, Tensor]]
) -> None:
    """Give a network the weights of a released checkpoint.

    Args:
        model: ours.
        source: file or folder.
        renamed: from released keys to ours.

    Raises:
        FileNotFoundError: no checkpoint is there.
        ValueError: the weights are of another family, or of another size than the configuration.
    """
    weights = read_checkpoint(source)
    try:
        own = renamed(weights)
    except ValueError as error:
        raise ValueError(f"{source} does not fit {type(model).__name__}: {error}; {_remedy(model, weights)}") from None
    try:
        load_weights(model, own, where=str(source))
    except ValueError as error:
        raise ValueError(f"{error}; {_remedy(model, weights)}") from None


def released_args(source: str | Path, args: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """The configuration of a released checkpoint.

    Args:
        source: file or folder.
        args: the configuration, or None to read the one beside the checkpoint.

    Raises:
        FileNotFoundError: none is there.
        ConfigError: it is one of ours.
    """
    found = read_args(source) if args is None else args
    held = found.get("model")
    if isinstance(held, str) and "/" in held:  # "vocoders/hifigan"; an original config may name its model too
        raise ConfigError(f"{source} is a {held} in our own layout already; use it as it is")
    return found


def weights_family(names: Iterable[str]) -> str | None:
    """Registry name of the vocoder that has released keys of these names, or None where no known one has."""
    held = list(names)
    return next((family for family, sign in _SIGNS if any(re.fullmatch(sign, name) for name in held)), None)


def _remedy(model: nn.Module, weights: Iterable[str]) -> str:
    family, own = weights_family(weights), getattr(model, "name", None)
    if family is None or family == own:
        return "give the configuration that was published with these weights"
    return f"its keys are those of {family}, not of {own}: load it as such, with the configuration published with it"
