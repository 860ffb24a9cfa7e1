"""Released WaveGlows of the toolkit, whose configuration has older, upper-case names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from amphion_core.config import ConfigError
from amphion_core.features import MelConfig
from amphion_core.released import rename_keys
from amphion_vocoders.released.fields import WHERE, section
from amphion_vocoders.released.loading import load_released, released_args
from amphion_vocoders.released.settings import mel_config, network_of, normed
from amphion_vocoders.waveglow import WaveGlow, WaveGlowConfig

__all__ = ["load_waveglow", "waveglow_config", "waveglow_weights"]

WaveGlowT = TypeVar("WaveGlowT", bound=WaveGlow)

_NAMES = {
    "N_GROUP": "group",
    "N_FLOWS": "flows",
    "N_EARLY_EVERY": "early_every",
    "N_EARLY_SIZE": "early_size",
    "N_LAYERS": "layers",
    "N_CHANNELS": "channels",
    "KERNEL_SIZE": "kernel_size",
}


def waveglow_config(args: Mapping[str, Any]) -> WaveGlowConfig:
    """Our configuration of a toolkit configuration: `VOCODER` with upper-case names, or `model.waveglow`.

    Where there is no `preprocess`, the mel is that of 22.05 kHz with the bands of INPUT_DIM.

    Raises:
        ValueError: it is the configuration of another model, or not consistent.
    """
    network = section(args, "VOCODER") if "VOCODER" in args else network_of(args, "waveglow", ())
    network = {str(name).upper(): value for name, value in network.items()}
    missing = [name for name in _NAMES if name not in network]
    if missing:
        raise ConfigError(f"no configuration of a WaveGlow: {', '.join(missing)} missing")
    mel = mel_config(section(args, "preprocess")) if args.get("preprocess") else MelConfig()
    values = {ours: network[theirs] for theirs, ours in _NAMES.items()}
    values["mel"] = mel.updated(n_mels=network.get("INPUT_DIM", mel.n_mels))
    return WaveGlowConfig.parse(values, where=WHERE)


def waveglow_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our keys of a released model."""
    network = r"flows.\1.network"
    rules = [
        (r"upsample\.(.+)", r"upsample.\1"),
        (r"convinv\.(\d+)\.conv\.weight", r"flows.\1.mixing.weight"),
        (r"WN\.(\d+)\.start\.(.+)", rf"{network}.input.\2"),
        (r"WN\.(\d+)\.cond_layer\.(.+)", rf"{network}.condition.\2"),
        (r"WN\.(\d+)\.in_layers\.(\d+)\.(.+)", rf"{network}.dilated.\2.\3"),
        (r"WN\.(\d+)\.res_skip_layers\.(\d+)\.(.+)", rf"{network}.mixed.\2.\3"),
        (r"WN\.(\d+)\.end\.(.+)", rf"{network}.output.\2"),
    ]
    renamed = rename_keys(weights, rules)
    plain = {name for name in renamed if name.startswith("upsample.") or ".network.output." in name}
    mixing = {name: w.squeeze(-1) for name, w in renamed.items() if name.endswith(".mixing.weight")}
    rest = {name: w for name, w in renamed.items() if name not in plain and name not in mixing}
    return {**{name: renamed[name] for name in plain}, **mixing, **normed(rest)}


def load_waveglow(cls: type[WaveGlowT], source: str | Path, args: Mapping[str, Any] | None = None) -> WaveGlowT:
    """A released WaveGlow; see `WaveGlow.from_released`."""
    model = cls(waveglow_config(released_args(source, args)))
    load_released(model, source, waveglow_weights)
    model.eval().fold()
    return model
