"""The older configurations of the toolkit, with upper-case names, that its autoregressive vocoders have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from amphion_core.features import MelConfig
from amphion_vocoders.released.settings import mel_config

__all__ = ["sampled_mel", "vocoder_section"]


def vocoder_section(args: Mapping[str, Any], model: str, needed: Sequence[str]) -> Mapping[str, Any]:
    """The upper-case section `VOCODER` of an older configuration of the toolkit.

    Raises:
        ValueError: it lacks what this model needs.
    """
    part: Mapping[str, Any] = args.get("VOCODER", args)
    missing = [name for name in needed if name not in part]
    if missing:
        raise ValueError(f"no configuration of a {model}: {', '.join(missing)} missing")
    return part


def sampled_mel(args: Mapping[str, Any], n_mels: int, rates: Sequence[int]) -> MelConfig:
    """The mel of an older configuration: of its `preprocess` if it has one, else 22.05 kHz with the hop of the rates.

    Raises:
        ValueError: the bands or the hop of `preprocess` are not those of the network.
    """
    hop = math.prod(rates)
    if "preprocess" not in args:
        return MelConfig(n_mels=n_mels, hop_length=hop, n_fft=max(1024, hop), win_length=max(1024, hop))
    mel = mel_config(args["preprocess"])
    if (mel.n_mels, mel.hop_length) != (n_mels, hop):
        raise ValueError(
            f"preprocess has {mel.n_mels} bands and hop {mel.hop_length}, the network takes {n_mels} and {hop}"
        )
    return mel
