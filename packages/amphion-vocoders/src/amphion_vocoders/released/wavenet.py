"""Released WaveNets: networks of the toolkit, whose configuration has upper-case names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from amphion_core.released import rename_keys
from amphion_vocoders.released.fields import WHERE, numbers, whole
from amphion_vocoders.released.loading import load_released, released_args
from amphion_vocoders.released.settings import normed
from amphion_vocoders.released.upper_case import sampled_mel, vocoder_section
from amphion_vocoders.wavenet import WaveNet, WaveNetConfig

__all__ = ["load_wavenet", "wavenet_config", "wavenet_weights"]

WaveNetT = TypeVar("WaveNetT", bound=WaveNet)

_NEEDED = (
    *("LAYERS", "STACKS", "RESIDUAL_CHANNELS", "OUT_CHANNELS", "SCALAR_INPUT", "INPUT_DIM", "UPSAMPLE_SCALES"),
    *("MEL_FRAME_PAD", "KERNEL_SIZE", "GATE_CHANNELS", "SKIP_OUT_CHANNELS"),
)


def wavenet_config(args: Mapping[str, Any]) -> WaveNetConfig:
    """Our configuration of a toolkit configuration, `{"VOCODER": ...}`.

    A scalar input with a multiple of three outputs means a mixture of logistics, all else mu-law classes.

    Raises:
        ValueError: it is the configuration of another model, or not consistent.
    """
    part = vocoder_section(args, "WaveNet", _NEEDED)
    outputs, scalar, rates = whole(part, "OUT_CHANNELS"), bool(part["SCALAR_INPUT"]), numbers(part, "UPSAMPLE_SCALES")
    mixture = scalar and outputs % 3 == 0
    values = {
        "mel": sampled_mel(args, whole(part, "INPUT_DIM"), rates),
        "output": {"kind": "mol", "mixtures": outputs // 3} if mixture else {"kind": "mulaw", "classes": outputs},
        "rates": rates,
        "pad": part["MEL_FRAME_PAD"],
        "input": "scalar" if scalar else "one_hot",
        "layers": part["LAYERS"],
        "stacks": part["STACKS"],
        "kernel_size": part["KERNEL_SIZE"],
        "channels": part["RESIDUAL_CHANNELS"],
        "gate_channels": part["GATE_CHANNELS"],
        "skip_channels": part["SKIP_OUT_CHANNELS"],
        "dropout": part.get("DROPOUT", 0.0),
    }
    return WaveNetConfig.parse(values, where=WHERE)


def wavenet_weights(weights: Mapping[str, Tensor], config: WaveNetConfig) -> dict[str, Tensor]:
    """Our keys of a released WaveNet, whichever of the three styles of weight norm it has."""
    names = {"conv": "dilated", "conv1x1c": "condition", "conv1x1_skip": "skip", "conv1x1_out": "residual"}
    stretches = r"upsample_net\.upsample\.up_layers"
    # Entries without parameters, stretches and activations, count in the numbering.
    rules = [
        *((rf"{stretches}\.{2 * i + 1}\.(.+)", rf"stretches.{i}.smooth.\1") for i in range(len(config.rates))),
        *((rf"conv_layers\.(\d+)\.{theirs}\.(.+)", rf"layers.\1.{ours}.\2") for theirs, ours in names.items()),
        (r"upsample_net\.conv_in\.weight", r"frames.weight"),
        (r"first_conv\.(.+)", r"first.\1"),
        (r"last_conv_layers\.1\.(.+)", r"head.0.\1"),
        (r"last_conv_layers\.3\.(.+)", r"head.1.\1"),
    ]
    found = rename_keys(weights, rules)
    # Their stretches smooth pictures (1, 1, 1, K), ours channels (1, 1, K).
    found = {n: w.reshape(w.shape[:2] + w.shape[3:]) if n.startswith("stretches.") else w for n, w in found.items()}
    plain = found.pop("frames.weight", None)  # the only convolution without weight norm
    return normed(found) | ({} if plain is None else {"frames.weight": plain})


def load_wavenet(cls: type[WaveNetT], source: str | Path, args: Mapping[str, Any] | None = None) -> WaveNetT:
    """A released WaveNet; see `WaveNet.from_released`."""
    config = wavenet_config(released_args(source, args))
    model = cls(config)
    load_released(model, source, lambda weights: wavenet_weights(weights, config))
    return model.eval().fold()
