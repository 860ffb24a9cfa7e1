"""The older configurations of the toolkit, with upper-case names, that its autoregressive vocoders have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from amphion_core.config import ConfigError
from amphion_core.features import MelConfig
from amphion_vocoders.released.fields import WHERE, section
from amphion_vocoders.released.settings import mel_config

__all__ = ["sampled_mel", "vocoder_section"]


def vocoder_section(args: Mapping[str, Any], model: str, needed: Sequence[str]) -> Mapping[str, Any]:
    """The upper-case section `VOCODER` of an older configuration of the toolkit.

    Raises:
        ConfigError: it is no object, or lacks what this model needs.
    """
    part = section(args, "VOCODER") if "VOCODER" in args else args
    missing = [name for name in needed if name not in part]
    if missing:
        raise ConfigError(f"no configuration of a {model}: {', '.join(missing)} missing")
    return part


def sampled_mel(args: Mapping[str, Any], n_mels: int, rates: Sequence[int]) -> MelConfig:
    """The mel of an older configuration: of its `preprocess` if it has one, else 22.05 kHz with the hop of the rates.

    Raises:
        ConfigError: the bands or the hop of `preprocess` are not those of the network.
    """
    hop = math.prod(rates)
    if "preprocess" not in args:
        length = max(1024, hop)
        return MelConfig.parse({"n_mels": n_mels, "hop_length": hop, "n_fft": length, "win_length": length}, WHERE)
    mel = mel_config(section(args, "preprocess"))
    if (mel.n_mels, mel.hop_length) != (n_mels, hop):
        raise ConfigError(
            f"preprocess has {mel.n_mels} bands and hop {mel.hop_length}, the network takes {n_mels} and {hop}"
        )
    return mel
