"""Released configurations of HiFi-GAN, BigVGAN and NSF-HiFiGAN: what they have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amphion_core.config import ConfigError
from amphion_vocoders.released.fields import WHERE, lists, numbers, section
from amphion_vocoders.released.settings import mel_config, network_of

__all__ = ["upsampling_values"]


def upsampling_values(args: Mapping[str, Any], name: str) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """The part of the network, and the values of our `UpsamplingConfig`.

    Args:
        args: a toolkit args.json or an original config.json.
        name: of the network in the toolkit.

    Raises:
        ConfigError: it is the configuration of another model, of another form, or lacks a name.
    """
    toolkit = isinstance(args.get("model"), Mapping) or ("model" in args and "upsample_rates" not in args)
    if toolkit:
        network, mel = network_of(args, name, ()), mel_config(section(args, "preprocess"))
    else:
        network, mel = args, mel_config(args)
    needed = ("resblock", "upsample_rates", "upsample_kernel_sizes", "upsample_initial_channel")
    missing = [key for key in (*needed, "resblock_kernel_sizes", "resblock_dilation_sizes") if key not in network]
    if missing:
        raise ConfigError(f"no configuration of a {name}: {', '.join(missing)} missing")
    if str(network["resblock"]) not in ("1", "2"):
        raise ConfigError(f"{WHERE}: resblock is {network['resblock']!r}; it takes 1 or 2")
    block = int(network["resblock"])
    used = 3 if block == 1 else 2  # what stands further in the lists was never read
    every = name == "bigvgan" and not toolkit  # the original BigVGAN reads all
    return network, {
        "mel": mel,
        "channels": network["upsample_initial_channel"],
        "rates": numbers(network, "upsample_rates"),
        "kernel_sizes": numbers(network, "upsample_kernel_sizes"),
        "block": block,
        "block_kernel_sizes": numbers(network, "resblock_kernel_sizes"),
        "block_dilations": tuple(d if every else d[:used] for d in lists(network, "resblock_dilation_sizes")),
    }
