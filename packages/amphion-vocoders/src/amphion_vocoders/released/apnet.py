"""Released APNets of the toolkit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from amphion_core.released import rename_keys
from amphion_vocoders.apnet import APNet, APNetConfig
from amphion_vocoders.released.fields import WHERE, lists, numbers, section
from amphion_vocoders.released.loading import load_released, released_args
from amphion_vocoders.released.settings import mel_config, network_of, normed

__all__ = ["apnet_config", "apnet_weights", "load_apnet"]

APNetT = TypeVar("APNetT", bound=APNet)

_STACK = ("channel", "resblock_kernel_sizes", "resblock_dilation_sizes", "input_conv_kernel_size")
_OUTPUTS = {"amplitude": "ASP_output_conv", "cosine": "PSP_output_R_conv", "sine": "PSP_output_I_conv"}


def apnet_config(args: Mapping[str, Any]) -> APNetConfig:
    """Our configuration of a toolkit args.json.

    Raises:
        ValueError: it is the configuration of another model, or not consistent.
    """
    needed = [f"{stack}_{key}" for stack in ("ASP", "PSP") for key in _STACK]
    network = network_of(args, "apnet", [*needed, *(f"{name}_kernel_size" for name in _OUTPUTS.values())])
    values = {
        "mel": mel_config(section(args, "preprocess")),
        "amplitude": _stack(network, "ASP"),
        "phase": _stack(network, "PSP"),
        **{f"{ours}_kernel_size": network[f"{theirs}_kernel_size"] for ours, theirs in _OUTPUTS.items()},
    }
    return APNetConfig.parse(values, where=WHERE)


def apnet_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our keys of a released generator."""
    rules = [(rf"{theirs}\.(.+)", rf"output.{ours}.\1") for ours, theirs in _OUTPUTS.items()]
    for theirs, ours in (("ASP", "amplitude"), ("PSP", "phase")):
        rules += [
            (rf"{theirs}_input_conv\.(.+)", rf"{ours}.input.\1"),
            (rf"{theirs}_ResNet\.(\d+)\.convs1\.(.+)", rf"{ours}.blocks.\1.dilated.\2"),
            (rf"{theirs}_ResNet\.(\d+)\.convs2\.(.+)", rf"{ours}.blocks.\1.plain.\2"),
        ]
    return normed(rename_keys(weights, rules))


def load_apnet(cls: type[APNetT], source: str | Path, args: Mapping[str, Any] | None = None) -> APNetT:
    """A released APNet; see `APNet.from_released`."""
    model = cls(apnet_config(released_args(source, args)))
    load_released(model, source, apnet_weights)
    model.eval().fold()
    return model


def _stack(network: Mapping[str, Any], name: str) -> dict[str, Any]:
    dilations = lists(network, f"{name}_resblock_dilation_sizes")
    return {
        "channels": network[f"{name}_channel"],
        "block_kernel_sizes": numbers(network, f"{name}_resblock_kernel_sizes"),
        "block_dilations": tuple(d[:3] for d in dilations),  # what stands further was never read
        "input_kernel_size": network[f"{name}_input_conv_kernel_size"],
    }
