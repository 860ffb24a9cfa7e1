"""Released configurations of HiFi-GAN, BigVGAN and NSF-HiFiGAN: what they have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amphion_vocoders.released.settings import mel_config

__all__ = ["upsampling_values"]


def upsampling_values(args: Mapping[str, Any], name: str) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """The part of the network, and the values of our `UpsamplingConfig`.

    Args:
        args: a toolkit args.json or an original config.json.
        name: of the network in the toolkit.

    Raises:
        ValueError: it is the configuration of another model, or lacks a name.
    """
    toolkit = isinstance(args.get("model"), Mapping)
    if toolkit:
        network = args["model"].get(name)
        if network is None:
            other = args["model"].get("generator", "another model")
            raise ValueError(f"these are the args of {other!r}, not of {name}")
        mel = mel_config(args.get("preprocess", {}))
    else:
        network, mel = args, mel_config(args)
    needed = ("resblock", "upsample_rates", "upsample_kernel_sizes", "upsample_initial_channel")
    missing = [key for key in (*needed, "resblock_kernel_sizes", "resblock_dilation_sizes") if key not in network]
    if missing:
        raise ValueError(f"no configuration of a {name}: {', '.join(missing)} missing")
    block = int(network["resblock"])
    used = 3 if block == 1 else 2  # what stands further in the lists was never read
    every = name == "bigvgan" and not toolkit  # the original BigVGAN reads all
    return network, {
        "mel": mel,
        "channels": network["upsample_initial_channel"],
        "rates": tuple(network["upsample_rates"]),
        "kernel_sizes": tuple(network["upsample_kernel_sizes"]),
        "block": block,
        "block_kernel_sizes": tuple(network["resblock_kernel_sizes"]),
        "block_dilations": tuple(tuple(d if every else d[:used]) for d in network["resblock_dilation_sizes"]),
    }
