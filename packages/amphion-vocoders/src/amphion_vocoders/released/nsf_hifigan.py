"""Released NSF-HiFiGANs of the toolkit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from torch import Tensor

from amphion_core.config import ConfigError
from amphion_core.released import rename_keys
from amphion_vocoders.nsf_hifigan import NsfHiFiGAN, NsfHiFiGANConfig
from amphion_vocoders.released.fields import WHERE
from amphion_vocoders.released.hifigan import stage_keys
from amphion_vocoders.released.loading import load_released, released_args
from amphion_vocoders.released.settings import normed
from amphion_vocoders.released.upsampling import upsampling_values

__all__ = ["load_nsf_hifigan", "nsf_hifigan_config", "nsf_hifigan_weights"]

NsfT = TypeVar("NsfT", bound=NsfHiFiGAN)


def nsf_hifigan_config(args: Mapping[str, Any], compat: Literal["none", "upstream"] = "upstream") -> NsfHiFiGANConfig:
    """Our configuration of a toolkit args.json.

    Args:
        args: the configuration.
        compat: how the network is to run; the weights were trained as `upstream`.

    Raises:
        ValueError: it is the configuration of another model, or not consistent.
    """
    network, values = upsampling_values(args, "nsfhifigan")
    if "harmonic_num" not in network:
        raise ConfigError("no configuration of an NSF-HiFiGAN: harmonic_num is missing")
    values |= {"overtones": network["harmonic_num"], "compat": compat}
    return NsfHiFiGANConfig.parse(values, where=WHERE)


def nsf_hifigan_weights(weights: Mapping[str, Tensor], config: NsfHiFiGANConfig) -> dict[str, Tensor]:
    """Our keys of a released generator, whichever of the three styles of weight norm it has."""
    source_rules = [
        (r"m_source\.l_linear\.(.+)", r"source.mix.\1"),
        (r"noise_convs\.(\d+)\.(.+)", r"stages.\1.source.\2"),
    ]
    source = {name: tensor for name, tensor in weights.items() if name.startswith(("m_source.", "noise_convs."))}
    rest = {name: tensor for name, tensor in weights.items() if name not in source}
    placed, rules = stage_keys(rest, len(config.block_kernel_sizes))
    # The convolutions of the source are not weight-normed.
    return {**rename_keys(source, source_rules), **normed(rename_keys(placed, rules))}


def load_nsf_hifigan(
    cls: type[NsfT],
    source: str | Path,
    args: Mapping[str, Any] | None = None,
    *,
    compat: Literal["none", "upstream"] = "upstream",
) -> NsfT:
    """A released NSF-HiFiGAN; see `NsfHiFiGAN.from_released`."""
    config = nsf_hifigan_config(released_args(source, args), compat)
    model = cls(config)
    load_released(model, source, lambda weights: nsf_hifigan_weights(weights, config))
    model.eval().fold()
    return model
