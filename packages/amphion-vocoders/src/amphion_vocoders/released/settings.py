"""What released configurations and keys have in common: the mel, and the styles of weight and spectral norm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from amphion_core.config import ConfigError
from amphion_core.features import MelConfig
from amphion_core.released import split_weight_norm
from amphion_vocoders.released.fields import WHERE, number, section

__all__ = ["mel_config", "network_of", "normed"]


def network_of(args: Mapping[str, Any], name: str, needed: Sequence[str]) -> Mapping[str, Any]:
    """The section of one network in a toolkit args.json, its `model.NAME`.

    Args:
        args: the content of the file.
        name: of the network.
        needed: keys that it must have.

    Raises:
        ConfigError: it is the configuration of another network, of another form, or a key is missing.
    """
    model = section(args, "model")
    if name not in model:
        raise ConfigError(f"these are the args of {model.get('generator', 'another model')!r}, not of {name}")
    network = section(model, name, inside="model")
    missing = [key for key in needed if key not in network]
    if missing:
        raise ConfigError(f"no configuration of {name}: {', '.join(missing)} missing")
    return network


def mel_config(preprocess: Mapping[str, Any]) -> MelConfig:
    """The mel of a `preprocess` section of the toolkit, or of an original config.json.

    Raises:
        ConfigError: a name that is needed is absent, or a value is not allowed.
    """

    def value(*names: str) -> Any:
        for name in names:
            if name in preprocess:
                return preprocess[name]
        held = ", ".join(map(str, preprocess)) or "nothing"
        raise ConfigError(f"the configuration has none of {', '.join(names)}; it holds {held}")

    variance = number(preprocess, "mel_var") if preprocess.get("mel_var") else 1.0
    if variance < 0:
        raise ConfigError(f"{WHERE}: mel_var is {variance}; it takes a number above 0")
    values = {
        "sample_rate": value("sample_rate", "sampling_rate"),
        "n_fft": value("n_fft"),
        "win_length": value("win_size", "win_length"),
        "hop_length": value("hop_size", "hop_length"),
        "n_mels": value("n_mel", "num_mels", "n_mels"),
        "f_min": value("fmin"),
        "f_max": value("fmax"),
        "mean": preprocess.get("mel_mean") or 0.0,
        "std": math.sqrt(variance),
    }
    return MelConfig.parse(values, where=f"the mel of {WHERE}")


def normed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Spectral and weight norm under the names of torch's parametrisations; folded weights split again."""
    spectral = {name.removesuffix(".weight_orig") for name in weights if name.endswith(".weight_orig")}
    if not spectral:
        return split_weight_norm(weights, [n.removesuffix(".weight") for n in weights if n.endswith(".weight")])
    names = {
        "weight_orig": "parametrizations.weight.original",
        "weight_u": "parametrizations.weight.0._u",
        "weight_v": "parametrizations.weight.0._v",
    }
    own, others = {}, {}
    for name, tensor in weights.items():
        stem, _, kind = name.rpartition(".")
        if stem in spectral and kind in names:
            own[f"{stem}.{names[kind]}"] = tensor
        else:
            others[name] = tensor
    return {**normed(others), **own}
