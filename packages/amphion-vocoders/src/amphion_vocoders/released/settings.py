"""What released configurations and keys have in common: the mel, and the styles of weight and spectral norm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from amphion_core.features import MelConfig
from amphion_core.released import split_weight_norm

__all__ = ["mel_config", "network_of", "normed"]


def network_of(args: Mapping[str, Any], name: str, needed: Sequence[str]) -> Mapping[str, Any]:
    """The section of one network in a toolkit args.json, its `model.NAME`.

    Args:
        args: the content of the file.
        name: of the network.
        needed: keys that it must have.

    Raises:
        ValueError: it is the configuration of another network, or a key is missing.
    """
    model = args.get("model", {})
    network = model.get(name) if isinstance(model, Mapping) else None
    if not isinstance(network, Mapping):
        held = model.get("generator", "another model") if isinstance(model, Mapping) else model
        raise ValueError(f"these are the args of {held!r}, not of {name}")
    missing = [key for key in needed if key not in network]
    if missing:
        raise ValueError(f"no configuration of {name}: {', '.join(missing)} missing")
    return network


def mel_config(preprocess: Mapping[str, Any]) -> MelConfig:
    """The mel of a `preprocess` section of the toolkit, or of an original config.json.

    Raises:
        ValueError: a name that is needed is absent.
    """

    def value(*names: str) -> Any:
        for name in names:
            if name in preprocess:
                return preprocess[name]
        raise ValueError(f"the configuration has none of {', '.join(names)}; it holds {', '.join(preprocess)}")

    variance = preprocess.get("mel_var")
    return MelConfig(
        sample_rate=value("sample_rate", "sampling_rate"),
        n_fft=value("n_fft"),
        win_length=value("win_size", "win_length"),
        hop_length=value("hop_size", "hop_length"),
        n_mels=value("n_mel", "num_mels", "n_mels"),
        f_min=value("fmin"),
        f_max=value("fmax"),
        mean=preprocess.get("mel_mean") or 0.0,
        std=math.sqrt(variance) if variance else 1.0,
    )


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
