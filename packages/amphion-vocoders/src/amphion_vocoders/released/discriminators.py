"""Released discriminators, of the toolkit's GAN trainer and of its Vocos recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from amphion_core.discriminators import PeriodConfig, ScaleConfig, SpectrogramConfig
from amphion_core.released import rename_keys
from amphion_vocoders.released.settings import normed

__all__ = [
    "period_config",
    "period_weights",
    "scale_config",
    "scale_weights",
    "spectrogram_config",
    "spectrogram_weights",
    "vocos_period_config",
]


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


def _discriminator(weights: Mapping[str, Tensor], rules: list[tuple[str, str]]) -> dict[str, Tensor]:
    output = (r"discriminators\.(\d+)\.(?:conv_post|output_conv)\.(.+)", r"discriminators.\1.output.\2")
    return normed(rename_keys(weights, [*rules, output]))
