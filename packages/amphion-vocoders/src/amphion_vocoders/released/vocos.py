"""Released Vocos: the 24 kHz vocoder, whose folder holds no configuration, and decoders of codecs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from amphion_core.config import ConfigError
from amphion_core.features import MelConfig
from amphion_core.released import read_args, rename_keys
from amphion_vocoders.released.fields import WHERE, section
from amphion_vocoders.released.loading import load_released, released_args
from amphion_vocoders.released.settings import mel_config
from amphion_vocoders.vocos import Vocos, VocosConfig

__all__ = ["load_vocos", "vocos_config", "vocos_weights"]

VocosT = TypeVar("VocosT", bound=Vocos)

_VOCOS_ARGS: dict[str, Any] = {
    "model": {"input_channels": 128, "dim": 1024, "intermediate_dim": 4096, "num_layers": 30},
    "preprocess": {"hop_size": 480, "sample_rate": 24000, "n_fft": 1920, "num_mels": 128, "win_size": 1920}
    | {"fmin": 0, "fmax": 12000, "mel_var": 8.14, "mel_mean": -4.92},
}
"""The released 24 kHz vocoder, whose folder holds no configuration."""


def vocos_config(args: Mapping[str, Any]) -> VocosConfig:
    """Our configuration of a toolkit configuration, `{"model": ..., "preprocess": ...}` or the model's part alone.

    Raises:
        ConfigError: it is the configuration of another model, or not consistent.
    """
    model = section(args, "model") if "model" in args else args
    model = section(model, "vocos", inside="model") if "vocos" in model else model
    alone = not args.get("preprocess")
    needed = ("dim", "intermediate_dim", "num_layers", *(("input_channels", "n_fft", "hop_size") if alone else ()))
    missing = [name for name in needed if name not in model]
    if missing:
        raise ConfigError(f"no configuration of a Vocos: {', '.join(missing)} missing")
    n_fft, hop = model.get("n_fft"), model.get("hop_size")
    if alone:
        shape = {"n_fft": n_fft, "win_length": n_fft, "hop_length": hop, "n_mels": model["input_channels"]}
        mel = MelConfig.parse({"sample_rate": 24000, **shape, "f_max": 12000}, where=f"the mel of {WHERE}")
    else:
        mel = mel_config(section(args, "preprocess"))
    for name, own, other in (("n_fft", mel.n_fft, n_fft), ("hop_size", mel.hop_length, hop)):
        if other is not None and own != other:
            raise ConfigError(f"{name} is {own} in preprocess and {other} in model; the head and the mel share it")
    values = {
        "mel": mel.updated(n_mels=model.get("input_channels", mel.n_mels)),
        "dim": model["dim"],
        "intermediate_dim": model["intermediate_dim"],
        "num_layers": model["num_layers"],
        "padding": model.get("padding", "same"),
        "conditions": model.get("adanorm_num_embeddings") or 0,
    }
    return VocosConfig.parse(values, where=WHERE)


def vocos_weights(weights: Mapping[str, Tensor], config: VocosConfig) -> dict[str, Tensor]:
    """Our keys of a released Vocos.

    Raises:
        ValueError: keys of another model, or a window that is not the one of the model.
    """
    rest = dict(weights)
    window = rest.pop("head.istft.window", None)
    hann = torch.hann_window(config.mel.n_fft, device="cpu")
    if window is not None and (window.shape != hann.shape or not torch.allclose(window.cpu().float(), hann, atol=1e-6)):
        raise ValueError(f"the stored window is not the periodic Hann window of {config.mel.n_fft} samples")
    norm = r"(?:scale\.)?weight", r"(?:shift\.weight|bias)"
    block = r"backbone\.convnext\.(\d+)"
    rules = [
        (r"backbone\.embed\.(.+)", r"backbone.embed.\1"),
        (rf"backbone\.norm\.{norm[0]}", "backbone.norm.scale"),
        (rf"backbone\.norm\.{norm[1]}", "backbone.norm.shift"),
        (r"backbone\.final_layer_norm\.(.+)", r"backbone.final_norm.\1"),
        (rf"{block}\.gamma", r"backbone.blocks.\1.scale"),
        (rf"{block}\.norm\.{norm[0]}", r"backbone.blocks.\1.norm.scale"),
        (rf"{block}\.norm\.{norm[1]}", r"backbone.blocks.\1.norm.shift"),
        (rf"{block}\.dwconv\.(.+)", r"backbone.blocks.\1.depthwise.\2"),
        (rf"{block}\.pwconv1\.(.+)", r"backbone.blocks.\1.expand.\2"),
        (rf"{block}\.pwconv2\.(.+)", r"backbone.blocks.\1.contract.\2"),
        (r"head\.out\.(.+)", r"head.projection.\1"),
    ]
    renamed = rename_keys(rest, rules)
    tables = re.compile(r".*norm\.(scale|shift)")
    return {n: w[None] if tables.fullmatch(n) and w.ndim == 1 else w for n, w in renamed.items()}


def load_vocos(cls: type[VocosT], source: str | Path, args: Mapping[str, Any] | None = None) -> VocosT:
    """A released Vocos; see `Vocos.from_released`."""
    if args is None:
        try:
            args = read_args(source)
        except FileNotFoundError:
            args = _VOCOS_ARGS
    config = vocos_config(released_args(source, args))
    model = cls(config)
    load_released(model, source, lambda weights: vocos_weights(weights, config))
    model.eval()
    return model
