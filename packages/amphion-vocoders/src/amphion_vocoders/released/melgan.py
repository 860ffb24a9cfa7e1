"""Released MelGANs of the toolkit: one flat sequence, in which entries without parameters are counted too."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from amphion_core.released import rename_keys
from amphion_vocoders.melgan import MelGAN, MelGANConfig
from amphion_vocoders.released.fields import WHERE, numbers, section
from amphion_vocoders.released.loading import load_released, released_args
from amphion_vocoders.released.settings import mel_config, network_of, normed

__all__ = ["load_melgan", "melgan_config", "melgan_weights"]

MelGANT = TypeVar("MelGANT", bound=MelGAN)


def melgan_config(args: Mapping[str, Any]) -> MelGANConfig:
    """Our configuration of a toolkit args.json.

    Raises:
        ValueError: it is the configuration of another model, or not consistent.
    """
    network = network_of(args, "melgan", ("ratios", "ngf", "n_residual_layers"))
    values = {
        "mel": mel_config(section(args, "preprocess")),
        "channels": network["ngf"],
        "rates": numbers(network, "ratios"),
        "blocks": network["n_residual_layers"],
    }
    return MelGANConfig.parse(values, where=WHERE)


def melgan_weights(weights: Mapping[str, Tensor], config: MelGANConfig) -> dict[str, Tensor]:
    """Our keys of a released generator."""
    size = 2 + config.blocks  # entries of a stage: activation, up-sampling, blocks
    first, last = 2, 2 + size * len(config.rates) + 2
    kinds = {"shortcut": "shortcut", "block.2": "dilated", "block.4": "plain"}

    def place(match: re.Match[str]) -> str:
        number, rest = int(match[1]), match[2]
        if number in (1, last):
            return f"{'input' if number == 1 else 'output'}.{rest}"
        stage, entry = divmod(number - first, size)
        if entry == 1:
            return f"stages.{stage}.upsample.{rest}"
        # What follows has one part, or three under torch's own names of weight norm.
        rest = re.sub(r"^(shortcut|block\.2|block\.4)(?=\.)", lambda kind: kinds[kind[1]], rest)
        return f"stages.{stage}.blocks.{entry - 2}.{rest}"

    placed = {re.sub(r"^model\.(\d+)\.(.+)", place, name): tensor for name, tensor in weights.items()}
    return normed(rename_keys(placed, [(r"((?:input|output|stages)\..+)", r"\1")]))


def load_melgan(cls: type[MelGANT], source: str | Path, args: Mapping[str, Any] | None = None) -> MelGANT:
    """A released MelGAN; see `MelGAN.from_released`."""
    config = melgan_config(released_args(source, args))
    model = cls(config)
    load_released(model, source, lambda weights: melgan_weights(weights, config))
    model.eval().fold()
    return model
