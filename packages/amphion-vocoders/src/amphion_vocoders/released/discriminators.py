"""Released discriminators, of the toolkit's GAN trainer and of its Vocos recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from amphion_core.config import ConfigError
from amphion_core.discriminators import (
    ConstantQConfig,
    MultiScaleSubBandConstantQDiscriminator,
    PeriodConfig,
    ResolutionConfig,
    ScaleConfig,
    SpectrogramConfig,
    StftConfig,
)
from amphion_core.discriminators.ensemble import AnyDiscriminatorConfig
from amphion_core.released import rename_keys, split_weight_norm
from amphion_vocoders.released.fields import WHERE, lists, number, numbers, section, whole
from amphion_vocoders.released.settings import normed

__all__ = [
    "constant_q_config",
    "constant_q_weights",
    "discriminator_config",
    "discriminator_weights",
    "period_config",
    "period_weights",
    "resolution_config",
    "resolution_weights",
    "scale_config",
    "scale_weights",
    "spectrogram_config",
    "spectrogram_weights",
    "stft_config",
    "stft_weights",
    "vocos_period_config",
]


def discriminator_config(kind: str, args: Mapping[str, Any]) -> AnyDiscriminatorConfig | None:
    """What a toolkit args.json says of one kind of discriminator, or None where it says nothing.

    Args:
        kind: as `name` of our configurations.
        args: of a GAN recipe of the toolkit.
    """
    name = {"period": "mpd", "resolution": "mrd", "stft": "msstftd", "constant_q": "mssbcqtd"}.get(kind)
    model = args.get("model")
    if name is None or not isinstance(model, Mapping) or name not in model:
        return None
    read: Mapping[str, Callable[[Mapping[str, Any]], AnyDiscriminatorConfig]] = {
        "period": period_config,
        "resolution": resolution_config,
        "stft": stft_config,
        "constant_q": constant_q_config,
    }
    return read[kind](args)


def discriminator_weights(weights: Mapping[str, Tensor], config: AnyDiscriminatorConfig) -> dict[str, Tensor]:
    """Our keys of a released discriminator of the kind that a configuration describes.

    Raises:
        ValueError: keys of another kind or size.
    """
    if isinstance(config, PeriodConfig):
        return period_weights(weights)
    if isinstance(config, ScaleConfig):
        return scale_weights(weights)
    if isinstance(config, ResolutionConfig):
        return resolution_weights(weights)
    if isinstance(config, StftConfig):
        return stft_weights(weights, config)
    if isinstance(config, ConstantQConfig):
        return constant_q_weights(weights, config)
    return spectrogram_weights(weights, config)


def period_config(args: Mapping[str, Any]) -> PeriodConfig:
    """The multi-period discriminator of a toolkit args.json (its `model.mpd`)."""
    part = _part(args, "mpd")
    factor = number(part, "discriminator_channel_mult_factor", 1)
    return PeriodConfig.parse(
        {
            "periods": numbers(part, "mpd_reshapes", (2, 3, 5, 7, 11)),
            "channels": tuple(int(width * factor) for width in (32, 128, 512, 1024, 1024)),
            "strides": (3, 3, 3, 3, 3),
            "norm": "spectral" if part.get("use_spectral_norm") else "weight",
        },
        where=WHERE,
    )


def vocos_period_config(args: Mapping[str, Any]) -> PeriodConfig:
    """The multi-period discriminator of the Vocos recipe."""
    strides = numbers(args, "downsample_scales", (3, 3, 3, 3, 1))
    first, factor = whole(args, "channels"), whole(args, "channel_increasing_factor")
    most, kernels = whole(args, "max_downsample_channels"), numbers(args, "kernel_sizes", (5, 3))
    if len(kernels) != 2:
        raise ConfigError(f"{WHERE}: kernel_sizes is {kernels}; it takes two numbers")
    return PeriodConfig.parse(
        {
            "periods": numbers(args, "periods", (2, 3, 5, 7, 11)),
            "channels": tuple(min(first * factor**i, most) for i in range(len(strides))),
            "strides": strides,
            "kernel_size": kernels[0],
            "output_kernel_size": kernels[1] - 1,
        },
        where=WHERE,
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
    stft = section(args, "stft_params")
    faults = {
        "in_channels": args.get("in_channels", 1) != (2 if args.get("use_complex") else 1),
        "out_channels": args.get("out_channels", 1) != 1,
        "window": stft.get("window", "hann_window") != "hann_window",
    }
    if any(faults.values()):
        raise ConfigError(f"not supported here: {', '.join(n for n, bad in faults.items() if bad)} of {dict(args)}")
    return SpectrogramConfig.parse(
        {
            "n_ffts": numbers(stft, "fft_sizes"),
            "hops": numbers(stft, "hop_sizes"),
            "windows": numbers(stft, "win_lengths"),
            "channels": whole(args, "channels"),
            "max_channels": whole(args, "max_downsample_channels"),
            "kernel_sizes": numbers(args, "kernel_sizes"),
            # The recipe's key down_scales is misspelt and was never read.
            "scales": numbers(args, "downsample_scales", (2, 2, 2)),
            "parts": bool(args.get("use_complex")),
            "norm": "weight" if args.get("use_weight_norm", True) else "none",
        },
        where=WHERE,
    )


def spectrogram_weights(weights: Mapping[str, Tensor], config: SpectrogramConfig) -> dict[str, Tensor]:
    """Our keys of a spectrogram discriminator."""
    last = len(config.scales) + 2
    rules = [
        (rf"model\.disc_(\d+)\.model\.layer_{last}\.(.+)", r"discriminators.\1.output.\2"),
        (r"model\.disc_(\d+)\.model\.layer_(\d+)\.0\.(.+)", r"discriminators.\1.convs.\2.\3"),
    ]
    return _discriminator(weights, rules) if config.norm == "weight" else rename_keys(weights, rules)


def resolution_config(args: Mapping[str, Any]) -> ResolutionConfig:
    """The multi-resolution discriminator of a toolkit args.json (its `model.mrd`), or of an original config.json."""
    part = _part(args, "mrd")
    spectral = part.get("use_spectral_norm")
    factor = number(part, "discriminator_channel_mult_factor", part.get("discriminator_channel_mult", 1))
    if part.get("mrd_override"):
        spectral, factor = part.get("mrd_use_spectral_norm", spectral), number(part, "mrd_channel_mult", factor)
    shapes = lists(part, "resolutions")
    if not shapes or any(len(shape) != 3 for shape in shapes):
        raise ConfigError(f"{WHERE}: resolutions is {shapes}; each has three numbers: transform, hop, window")
    n_ffts, hops, windows = zip(*shapes, strict=True)
    return ResolutionConfig.parse(
        {
            "n_ffts": n_ffts,
            "hops": hops,
            "windows": windows,
            "channels": int(32 * factor),
            "norm": "spectral" if spectral else "weight",
        },
        where=WHERE,
    )


def resolution_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our keys of a multi-resolution discriminator."""
    return _discriminator(weights, [(r"discriminators\.(\d+)\.convs\.(\d+)\.(.+)", r"discriminators.\1.convs.\2.\3")])


def stft_config(args: Mapping[str, Any]) -> StftConfig:
    """The multi-scale STFT discriminator of a toolkit args.json: only its width can be configured there.

    A configuration may also state transforms, as those of the class's constructor.
    """
    part = _part(args, "msstftd")
    given = {**args, **part}
    return StftConfig.parse(
        {
            "n_ffts": numbers(given, "n_ffts", (1024, 2048, 512)),
            "hops": numbers(given, "hop_lengths", (256, 512, 256)),
            "windows": numbers(given, "win_lengths", ()),
            "channels": whole(part, "filters", 32),
        },
        where=WHERE,
    )


def stft_weights(weights: Mapping[str, Tensor], config: StftConfig) -> dict[str, Tensor]:
    """Our keys of a multi-scale STFT discriminator.

    Raises:
        ValueError: keys of another model, or a window that is not the one of the configuration.
    """
    rest = dict(weights)
    for scale, length in enumerate(config.windows or config.n_ffts):
        window = torch.hann_window(length, device="cpu")
        _drop_equal(rest, f"discriminators.{scale}.spec_transform.window", window)
    return _tower(rest, len(config.dilations))


def constant_q_config(args: Mapping[str, Any]) -> ConstantQConfig:
    """The multi-scale sub-band CQT discriminator of a toolkit args.json, or of an original config.json of BigVGAN.

    Raises:
        ValueError: an option that no released checkpoint uses.
    """
    part = _part(args, "mssbcqtd")
    given = {**{str(name).removeprefix("cqtd_"): value for name, value in part.items()}, **part}
    preprocess = section(args, "preprocess") if "preprocess" in args else args
    faults = {
        "in_channels": given.get("in_channels", 1) != 1,
        "out_channels": given.get("out_channels", 1) != 1,
        # The original's layers don't fit together then.
        "filters_scale": given.get("filters_scale", 1) != 1,
        "filters above max_filters": whole(given, "filters", 32) > whole(given, "max_filters", 1024),
    }
    if any(faults.values()):
        raise ConfigError(f"not supported here: {', '.join(n for n, bad in faults.items() if bad)} of {dict(part)}")
    return ConstantQConfig.parse(
        {
            "sample_rate": preprocess.get("sample_rate", preprocess.get("sampling_rate")),
            "hops": numbers(given, "hop_lengths", (512, 256, 256)),
            "octaves": numbers(given, "n_octaves", (9, 9, 9)),
            "bins_per_octave": numbers(given, "bins_per_octaves", (24, 36, 48)),
            "channels": whole(given, "filters", 32),
            "dilations": numbers(given, "dilations", (1, 2, 4)),
        },
        where=WHERE,
    )


def constant_q_weights(weights: Mapping[str, Tensor], config: ConstantQConfig) -> dict[str, Tensor]:
    """Our keys of a multi-scale sub-band CQT discriminator.

    Raises:
        ValueError: keys of another model, or filters of the transform that are not those of the configuration.
    """
    rest = dict(weights)
    if any(".cqt_transform." in name or ".resample." in name for name in rest):
        _drop_transforms(rest, config)
    return _tower(rest, len(config.dilations))


def _part(args: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The section of one discriminator, or the whole where it stands by itself."""
    model = section(args, "model")
    return section(model, name, inside="model") if name in model else args


def _drop_transforms(weights: dict[str, Tensor], config: ConstantQConfig) -> None:
    with torch.device("cpu"):
        # The narrowest network that has these filters.
        model = MultiScaleSubBandConstantQDiscriminator(config.updated(channels=1))
    raising = model.get_buffer("raising")
    for scale, bins in enumerate(config.bins_per_octave):
        stem, transform = f"discriminators.{scale}", model.get_submodule(f"discriminators.{scale}.transform")
        kernels = transform.get_buffer("kernels")
        lengths = transform.get_buffer("scale").square().flatten()
        expected = {
            "cqt_transform.lowpass_filter": transform.get_buffer("lowpass"),
            "cqt_transform.lenghts": lengths,  # so misspelt
            "cqt_transform.cqt_kernels_real": kernels[:bins],
            "cqt_transform.cqt_kernels_imag": -kernels[bins:],
            "resample.kernel": raising,
        }
        for name, tensor in expected.items():
            _drop_equal(weights, f"{stem}.{name}", tensor)


def _drop_equal(weights: dict[str, Tensor], name: str, expected: Tensor) -> None:
    """Take a computed tensor out of a checkpoint, where it is what we compute."""
    stored = weights.pop(name, None)
    if stored is None:
        return
    same = stored.shape == expected.shape
    if same and stored.device.type != "meta":
        atol = 1e-4 * float(expected.abs().max())  # of filters computed in another precision
        same = torch.allclose(stored.cpu().float(), expected, atol=atol, rtol=1e-4)
    if not same:
        raise ValueError(f"the stored {name} is not the one of the configuration; is it another sampling rate or size?")


def _tower(weights: Mapping[str, Tensor], dilated: int) -> dict[str, Tensor]:
    """Keys of a tower of convolutions whose first layer has no weight norm."""
    renamed = rename_keys(
        weights,
        [
            (r"discriminators\.(\d+)\.conv_pres\.(\d+)\.conv\.(.+)", r"discriminators.\1.bands.\2.\3"),
            (r"discriminators\.(\d+)\.convs\.(\d+)\.conv\.(.+)", r"discriminators.\1.convs.\2.\3"),
            (r"discriminators\.(\d+)\.conv_post\.conv\.(.+)", r"discriminators.\1.output.\2"),
        ],
    )
    numbers = {int(name.split(".")[1]) for name in renamed}
    layers = [f"convs.{layer}" for layer in range(1, dilated + 2)] + ["output"]
    return split_weight_norm(renamed, [f"discriminators.{n}.{layer}" for n in numbers for layer in layers])


def _discriminator(weights: Mapping[str, Tensor], rules: list[tuple[str, str]]) -> dict[str, Tensor]:
    output = (r"discriminators\.(\d+)\.(?:conv_post|output_conv)\.(.+)", r"discriminators.\1.output.\2")
    return normed(rename_keys(weights, [*rules, output]))
