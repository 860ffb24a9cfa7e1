"""Released WaveRNNs: networks of the toolkit, whose configuration has upper-case names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from amphion_core.config import ConfigError
from amphion_core.released import rename_keys
from amphion_vocoders.released.fields import WHERE, numbers, whole
from amphion_vocoders.released.loading import load_released, released_args
from amphion_vocoders.released.upper_case import sampled_mel, vocoder_section
from amphion_vocoders.wavernn import WaveRNN, WaveRNNConfig

__all__ = ["load_wavernn", "wavernn_config", "wavernn_weights"]

WaveRNNT = TypeVar("WaveRNNT", bound=WaveRNN)

_NEEDED = (
    *("RNN_DIMS", "FC_DIMS", "UPSAMPLE_FACTORS", "MODE", "INPUT_DIM", "MEL_FRAME_PAD", "COMPUTE_DIMS", "RES_BLOCKS"),
    "RES_OUT_DIMS",
)


def wavernn_config(args: Mapping[str, Any]) -> WaveRNNConfig:
    """Our configuration of a toolkit configuration, `{"VOCODER": ...}`.

    Only the mode `mu_law_quantize` has classes; every other one has ten logistics, 30 channels.

    Raises:
        ValueError: it is the configuration of another model, or not consistent.
    """
    part = vocoder_section(args, "WaveRNN", _NEEDED)
    classes, rates = part["MODE"] == "mu_law_quantize", numbers(part, "UPSAMPLE_FACTORS")
    bits = whole(part, "BITS") if classes else 1
    if not 1 <= bits <= 16:
        raise ConfigError(f"BITS is {bits}; it takes 1 to 16")
    mel = sampled_mel(args, whole(part, "INPUT_DIM"), rates)
    if part.get("HOP_LENGTH", mel.hop_length) != mel.hop_length:
        raise ConfigError(f"HOP_LENGTH is {part['HOP_LENGTH']}, the product of UPSAMPLE_FACTORS {mel.hop_length}")
    values = {
        "mel": mel,
        "output": {"kind": "mulaw", "classes": 2**bits} if classes else {"kind": "mol", "mixtures": 10},
        "rates": rates,
        "pad": part["MEL_FRAME_PAD"],
        "channels": part["RNN_DIMS"],
        "head_channels": part["FC_DIMS"],
        "frame_channels": part["COMPUTE_DIMS"],
        "frame_blocks": part["RES_BLOCKS"],
        "aux_channels": part["RES_OUT_DIMS"],
    }
    return WaveRNNConfig.parse(values, where=WHERE)


def wavernn_weights(weights: Mapping[str, Tensor], config: WaveRNNConfig) -> dict[str, Tensor]:
    """Our keys of a released WaveRNN."""
    stretches = r"upsample\.up_layers"
    net, block = r"upsample\.resnet", r"upsample\.resnet\.layers\.(\d+)"
    rules = [
        # Stretches, which have no parameters, count in the numbering.
        *((rf"{stretches}\.{2 * i + 1}\.weight", f"stretches.{i}.smooth.weight") for i in range(len(config.rates))),
        (rf"{net}\.conv_in\.weight", r"frames.input.weight"),
        (rf"{net}\.batch_norm\.(.+)", r"frames.norm.\1"),
        (rf"{net}\.conv_out\.(.+)", r"frames.output.\1"),
        (rf"{block}\.conv1\.(.+)", r"frames.blocks.\1.inner.\2"),
        (rf"{block}\.conv2\.(.+)", r"frames.blocks.\1.outer.\2"),
        (rf"{block}\.batch_norm1\.(.+)", r"frames.blocks.\1.inner_norm.\2"),
        (rf"{block}\.batch_norm2\.(.+)", r"frames.blocks.\1.outer_norm.\2"),
        (r"I\.(.+)", r"input.\1"),
        (r"rnn1\.(.+)", r"first.\1"),
        (r"rnn2\.(.+)", r"second.\1"),
        *((rf"fc{i + 1}\.(.+)", rf"head.{i}.\1") for i in range(3)),
    ]
    found = rename_keys(weights, rules)
    # Their stretches smooth pictures (1, 1, 1, K), ours channels (1, 1, K).
    return {n: w.reshape(w.shape[:2] + w.shape[3:]) if n.startswith("stretches.") else w for n, w in found.items()}


def load_wavernn(cls: type[WaveRNNT], source: str | Path, args: Mapping[str, Any] | None = None) -> WaveRNNT:
    """A released WaveRNN; see `WaveRNN.from_released`."""
    config = wavernn_config(released_args(source, args))
    model = cls(config)
    load_released(model, source, lambda weights: wavernn_weights(weights, config))
    return model.eval().fold()
