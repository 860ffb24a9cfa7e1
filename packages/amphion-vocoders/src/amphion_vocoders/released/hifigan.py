"""Released HiFi-GANs: of the toolkit, and of the original code (config.json beside `{"generator": ...}`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from amphion_core.released import rename_keys
from amphion_vocoders.hifigan import HiFiGAN, HiFiGANConfig
from amphion_vocoders.released.fields import WHERE
from amphion_vocoders.released.loading import load_released, released_args
from amphion_vocoders.released.settings import normed
from amphion_vocoders.released.upsampling import upsampling_values

__all__ = ["hifigan_config", "hifigan_weights", "load_hifigan", "stage_keys"]

HiFiGANT = TypeVar("HiFiGANT", bound=HiFiGAN)


def hifigan_config(args: Mapping[str, Any]) -> HiFiGANConfig:
    """Our configuration of a toolkit args.json or of an original config.json.

    Raises:
        ValueError: it is the configuration of another model, or not consistent.
    """
    _, values = upsampling_values(args, "hifigan")
    return HiFiGANConfig.parse(values, where=WHERE)


def hifigan_weights(weights: Mapping[str, Tensor], config: HiFiGANConfig) -> dict[str, Tensor]:
    """Our keys of a released generator, whichever of the three styles of weight norm it has."""
    return normed(rename_keys(*stage_keys(weights, len(config.block_kernel_sizes))))


def stage_keys(weights: Mapping[str, Tensor], blocks: int) -> tuple[dict[str, Tensor], list[tuple[str, str]]]:
    """Names with the residual blocks put into their stages, and the rules that rename the rest.

    Args:
        weights: foreign names to tensors.
        blocks: residual blocks of a stage.
    """

    def place(match: re.Match[str]) -> str:
        stage, number = divmod(int(match[1]), blocks)
        kind = "plain" if match[2] == "convs2" else "dilated"
        return f"stages.{stage}.blocks.{number}.{kind}.{match[3]}"

    placed = {re.sub(r"^resblocks\.(\d+)\.(convs[12]?)\.(\d+)", place, name): w for name, w in weights.items()}
    rules = [
        (r"conv_pre\.(.+)", r"input.\1"),
        (r"conv_post\.(.+)", r"output.\1"),
        (r"ups\.(\d+)\.(.+)", r"stages.\1.upsample.\2"),
        (r"(stages\..+)", r"\1"),
    ]
    return placed, rules


def load_hifigan(cls: type[HiFiGANT], source: str | Path, args: Mapping[str, Any] | None = None) -> HiFiGANT:
    """A released HiFi-GAN; see `HiFiGAN.from_released`."""
    config = hifigan_config(released_args(source, args))
    model = cls(config)
    load_released(model, source, lambda weights: hifigan_weights(weights, config))
    model.eval().fold()
    return model
