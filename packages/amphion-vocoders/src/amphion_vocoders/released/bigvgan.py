"""Released BigVGANs: of the toolkit, and of the original code in both versions (`{"generator": ...}`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from amphion_core.config import ConfigError
from amphion_core.modules.anti_alias import kaiser_filter
from amphion_core.released import rename_keys
from amphion_vocoders.bigvgan import BigVGAN, BigVGANConfig
from amphion_vocoders.released.fields import WHERE
from amphion_vocoders.released.loading import load_released, released_args
from amphion_vocoders.released.settings import normed
from amphion_vocoders.released.upsampling import upsampling_values

__all__ = ["bigvgan_config", "bigvgan_weights", "load_bigvgan"]

BigVGANT = TypeVar("BigVGANT", bound=BigVGAN)


def bigvgan_config(args: Mapping[str, Any]) -> BigVGANConfig:
    """Our configuration of a toolkit args.json or of an original config.json.

    Raises:
        ValueError: it is the configuration of another model, or not consistent.
    """
    network, values = upsampling_values(args, "bigvgan")
    if "activation" not in network:
        raise ConfigError("no configuration of a BigVGAN: activation is missing")
    values |= {
        "activation": network["activation"],
        "log_scale": bool(network.get("snake_logscale", False)),
        "final_tanh": bool(network.get("use_tanh_at_final", True)),
        "final_bias": bool(network.get("use_bias_at_final", True)),
    }
    return BigVGANConfig.parse(values, where=WHERE)


def bigvgan_weights(weights: Mapping[str, Tensor], config: BigVGANConfig) -> dict[str, Tensor]:
    """Our keys of a released generator, whichever of the three styles of weight norm it has.

    Raises:
        ValueError: keys of another model, or filters that are not those of the activation.
    """
    blocks = len(config.block_kernel_sizes)

    def place(match: re.Match[str]) -> str:
        stage, number = divmod(int(match[1]), blocks)
        kind = {"convs1": "dilated", "convs": "dilated", "convs2": "plain"}.get(match[2], match[2])
        return f"stages.{stage}.blocks.{number}.{kind}.{match[3]}"

    own = _without_filters(weights)
    placed = {re.sub(r"^resblocks\.(\d+)\.(convs[12]?|activations)\.(\d+)", place, n): w for n, w in own.items()}
    rules = [
        (r"conv_pre\.(.+)", r"input.\1"),
        (r"conv_post\.(.+)", r"output.\1"),
        (r"ups\.(\d+)\.0\.(.+)", r"stages.\1.upsample.\2"),
        (r"activation_post\.act\.(.+)", r"activation.activation.\1"),
        (r"(stages\..+\.activations\.\d+)\.act\.(.+)", r"\1.activation.\2"),
        (r"(stages\..+)", r"\1"),
    ]
    return normed(rename_keys(placed, rules))


def load_bigvgan(cls: type[BigVGANT], source: str | Path, args: Mapping[str, Any] | None = None) -> BigVGANT:
    """A released BigVGAN; see `BigVGAN.from_released`."""
    config = bigvgan_config(released_args(source, args))
    model = cls(config)
    load_released(model, source, lambda weights: bigvgan_weights(weights, config))
    model.eval().fold()
    return model


def _without_filters(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All but the stored filters, which the activation computes by itself."""
    own = kaiser_filter(0.25, 0.3, 12)
    for name, tensor in weights.items():
        if name.endswith(".filter") and not tensor.is_meta:
            stored = tensor.flatten().float().cpu()
            if stored.shape != own.shape or not torch.allclose(stored, own, atol=1e-4):
                raise ValueError(f"{name} is not the low-pass filter of 12 taps that this activation has")
    return {name: tensor for name, tensor in weights.items() if not name.endswith(".filter")}
