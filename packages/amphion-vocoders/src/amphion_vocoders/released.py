"""Checkpoints of other code bases: their configurations and keys to ours.

The functions from foreign to own are pure; `load_*` apply them to files. What is read: folders and files of the
toolkit (accelerate folders with args.json, older single files) and of the original HiFi-GAN (config.json beside
`{"generator": ...}`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from amphion_core.config import ConfigError
from amphion_core.discriminators import PeriodConfig, ScaleConfig, SpectrogramConfig
from amphion_core.features import MelConfig
from amphion_core.hub import load_weights
from amphion_core.released import read_args, read_checkpoint, rename_keys, split_weight_norm
from amphion_vocoders.hifigan import HiFiGAN, HiFiGANConfig
from amphion_vocoders.vocos import Vocos, VocosConfig

__all__ = [
    "hifigan_config",
    "hifigan_weights",
    "load_hifigan",
    "load_vocos",
    "mel_config",
    "period_config",
    "period_weights",
    "scale_config",
    "scale_weights",
    "spectrogram_config",
    "spectrogram_weights",
    "vocos_config",
    "vocos_period_config",
    "vocos_weights",
]

HiFiGANT = TypeVar("HiFiGANT", bound=HiFiGAN)
VocosT = TypeVar("VocosT", bound=Vocos)

_VOCOS_ARGS: dict[str, Any] = {
    "model": {"input_channels": 128, "dim": 1024, "intermediate_dim": 4096, "num_layers": 30},
    "preprocess": {"hop_size": 480, "sample_rate": 24000, "n_fft": 1920, "num_mels": 128, "win_size": 1920}
    | {"fmin": 0, "fmax": 12000, "mel_var": 8.14, "mel_mean": -4.92},
}
"""The released 24 kHz vocoder, whose folder holds no configuration."""


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


def hifigan_config(args: Mapping[str, Any]) -> HiFiGANConfig:
    """Our configuration of a toolkit args.json or of an original config.json.

    Raises:
        ValueError: it is the configuration of another model, or not consistent.
    """
    if isinstance(args.get("model"), Mapping):
        network = args["model"].get("hifigan")
        if network is None:
            raise ValueError(
                f"these are the args of {args['model'].get('generator', 'another model')!r}, not of hifigan"
            )
        mel = mel_config(args.get("preprocess", {}))
    else:
        network, mel = args, mel_config(args)
    missing = [name for name in ("resblock", "upsample_rates", "upsample_kernel_sizes") if name not in network]
    if missing:
        raise ValueError(f"no configuration of a HiFi-GAN: {', '.join(missing)} missing")
    block = int(network["resblock"])
    used = 3 if block == 1 else 2  # what stands further in the lists was never read
    values = {
        "mel": mel,
        "channels": network["upsample_initial_channel"],
        "rates": tuple(network["upsample_rates"]),
        "kernel_sizes": tuple(network["upsample_kernel_sizes"]),
        "block": block,
        "block_kernel_sizes": tuple(network["resblock_kernel_sizes"]),
        "block_dilations": tuple(tuple(d[:used]) for d in network["resblock_dilation_sizes"]),
    }
    return HiFiGANConfig.parse(values, where="the released configuration")


def hifigan_weights(weights: Mapping[str, Tensor], config: HiFiGANConfig) -> dict[str, Tensor]:
    """Our keys of a released generator, whichever of the three styles of weight norm it has."""
    blocks = len(config.block_kernel_sizes)

    def place(match: re.Match[str]) -> str:
        stage, number = divmod(int(match[1]), blocks)
        kind = "plain" if match[2] == "convs2" else "dilated"
        return f"stages.{stage}.blocks.{number}.{kind}.{match[3]}"

    placed = {re.sub(r"^resblocks\.(\d+)\.(convs[12]?)\.(\d+)", place, name): w for name, w in weights.items()}
    rules = [
        (r"conv_pre\.(.+)", r"input.\1"),
        (r"conv_post\.(.+)", r"output.\1"),
        (r"ups\.(\d+)\.(.+)", r"stages.\1.upsample.\2"),
        (r"(stages\..+)", r"\1"),
    ]
    return _normed(rename_keys(placed, rules))


def vocos_config(args: Mapping[str, Any]) -> VocosConfig:
    """Our configuration of a toolkit configuration, `{"model": ..., "preprocess": ...}` or the model's part alone."""
    model = args.get("model", args)
    model = model.get("vocos", model)
    n_fft, hop = model.get("n_fft"), model.get("hop_size")
    preprocess = args.get("preprocess")
    if preprocess:
        mel = mel_config(preprocess)
    else:
        mel = MelConfig(
            sample_rate=24000,
            n_fft=n_fft,
            win_length=n_fft,
            hop_length=hop,
            n_mels=model["input_channels"],
            f_max=12000,
        )
    for name, own, other in (("n_fft", mel.n_fft, n_fft), ("hop_size", mel.hop_length, hop)):
        if other is not None and own != other:
            raise ValueError(f"{name} is {own} in preprocess and {other} in model; the head and the mel share it")
    values = {
        "mel": mel.updated(n_mels=model.get("input_channels", mel.n_mels)),
        "dim": model["dim"],
        "intermediate_dim": model["intermediate_dim"],
        "num_layers": model["num_layers"],
        "padding": model.get("padding", "same"),
        "conditions": model.get("adanorm_num_embeddings") or 0,
    }
    return VocosConfig.parse(values, where="the released configuration")


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


def period_config(args: Mapping[str, Any]) -> PeriodConfig:
    """The multi-period discriminator of a toolkit args.json (its `model.mpd`)."""
    part = args.get("model", {}).get("mpd", args)
    factor = part.get("discriminator_channel_mult_factor", 1)
    return PeriodConfig(
        periods=tuple(part.get("mpd_reshapes", (2, 3, 5, 7, 11))),
        channels=tuple(int(width * factor) for width in (32, 128, 512, 1024, 1024)),
        strides=(3, 3, 3, 3, 3),
        norm="spectral" if part.get("use_spectral_norm") else "weight",
    )


def vocos_period_config(args: Mapping[str, Any]) -> PeriodConfig:
    """The multi-period discriminator of the Vocos recipe."""
    periods = args.get("periods", (2, 3, 5, 7, 11))
    strides = tuple(args.get("downsample_scales", (3, 3, 3, 3, 1)))
    first, factor, most = args["channels"], args["channel_increasing_factor"], args["max_downsample_channels"]
    kernel, last = args.get("kernel_sizes", (5, 3))
    return PeriodConfig(
        periods=tuple(periods),
        channels=tuple(min(first * factor**i, most) for i in range(len(strides))),
        strides=strides,
        kernel_size=kernel,
        output_kernel_size=last - 1,
    )


def period_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our keys of a multi-period discriminator, of the toolkit's GAN trainer or of its Vocos recipe."""
    return _discriminator(
        weights, [(r"discriminators\.(\d+)\.convs\.(\d+)\.(?:0\.)?(.+)", r"discriminators.\1.convs.\2.\3")]
    )


def scale_config(args: Mapping[str, Any]) -> ScaleConfig:
    """The multi-scale discriminator of the toolkit; nothing of it can be configured there."""
    return ScaleConfig()


def scale_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our keys of a multi-scale discriminator."""
    return _discriminator(weights, [(r"discriminators\.(\d+)\.convs\.(\d+)\.(.+)", r"discriminators.\1.convs.\2.\3")])


def spectrogram_config(args: Mapping[str, Any]) -> SpectrogramConfig:
    """The spectrogram discriminator of the Vocos recipe.

    Raises:
        ValueError: an option that no released checkpoint uses.
    """
    stft = args["stft_params"]
    faults = {
        "in_channels": args.get("in_channels", 1) != (2 if args.get("use_complex") else 1),
        "out_channels": args.get("out_channels", 1) != 1,
        "window": stft.get("window", "hann_window") != "hann_window",
    }
    if any(faults.values()):
        raise ValueError(f"not supported here: {', '.join(n for n, bad in faults.items() if bad)} of {dict(args)}")
    return SpectrogramConfig(
        n_ffts=tuple(stft["fft_sizes"]),
        hops=tuple(stft["hop_sizes"]),
        windows=tuple(stft["win_lengths"]),
        channels=args["channels"],
        max_channels=args["max_downsample_channels"],
        kernel_sizes=tuple(args["kernel_sizes"]),
        # The recipe's key down_scales is misspelt and was never read.
        scales=tuple(args.get("downsample_scales", (2, 2, 2))),
        parts=bool(args.get("use_complex")),
        norm="weight" if args.get("use_weight_norm", True) else "none",
    )


def spectrogram_weights(weights: Mapping[str, Tensor], config: SpectrogramConfig) -> dict[str, Tensor]:
    """Our keys of a spectrogram discriminator."""
    last = len(config.scales) + 2
    rules = [
        (rf"model\.disc_(\d+)\.model\.layer_{last}\.(.+)", r"discriminators.\1.output.\2"),
        (r"model\.disc_(\d+)\.model\.layer_(\d+)\.0\.(.+)", r"discriminators.\1.convs.\2.\3"),
    ]
    return _discriminator(weights, rules) if config.norm == "weight" else rename_keys(weights, rules)


def load_hifigan(cls: type[HiFiGANT], source: str | Path, args: Mapping[str, Any] | None = None) -> HiFiGANT:
    """A released HiFi-GAN; see `HiFiGAN.from_released`."""
    config = hifigan_config(read_args(source) if args is None else args)
    model = cls(config)
    load_weights(model, hifigan_weights(read_checkpoint(source), config), where=str(source))
    model.eval().fold()
    return model


def load_vocos(cls: type[VocosT], source: str | Path, args: Mapping[str, Any] | None = None) -> VocosT:
    """A released Vocos; see `Vocos.from_released`."""
    if args is None:
        try:
            args = read_args(source)
        except FileNotFoundError:
            args = _VOCOS_ARGS
    try:
        config = vocos_config(args)
    except KeyError as error:
        raise ConfigError(f"no configuration of a Vocos: {error.args[0]} is missing") from None
    model = cls(config)
    load_weights(model, vocos_weights(read_checkpoint(source), config), where=str(source))
    model.eval()
    return model


def _discriminator(weights: Mapping[str, Tensor], rules: list[tuple[str, str]]) -> dict[str, Tensor]:
    output = (r"discriminators\.(\d+)\.(?:conv_post|output_conv)\.(.+)", r"discriminators.\1.output.\2")
    return _normed(rename_keys(weights, [*rules, output]))


def _normed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
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
    return {**_normed(others), **own}
