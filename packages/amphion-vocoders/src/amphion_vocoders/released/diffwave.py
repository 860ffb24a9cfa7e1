"""Released DiffWaves of the toolkit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from amphion_core.config import ConfigError
from amphion_core.released import rename_keys
from amphion_vocoders.diffwave import DiffWave, DiffWaveConfig
from amphion_vocoders.released.fields import WHERE, numbers, section
from amphion_vocoders.released.loading import load_released, released_args
from amphion_vocoders.released.settings import mel_config, network_of

__all__ = ["diffwave_config", "diffwave_weights", "load_diffwave"]

DiffWaveT = TypeVar("DiffWaveT", bound=DiffWave)

_NAMES = {
    "residual_channels": "channels",
    "residual_layers": "layers",
    "dilation_cycle_length": "cycle",
    "upsample_factors": "rates",
    "noise_schedule_factors": "betas",
    "inference_noise_schedule": "fast_betas",
}


def diffwave_config(args: Mapping[str, Any]) -> DiffWaveConfig:
    """Our configuration of a toolkit args.json; samples are clipped after every step, as there.

    Raises:
        ValueError: it is the configuration of another model, or not consistent.
    """
    network = network_of(args, "diffwave", tuple(_NAMES))
    values: dict[str, Any] = {ours: network[theirs] for theirs, ours in _NAMES.items()}
    betas = numbers(network, "noise_schedule_factors")
    if len(betas) != 3:
        raise ConfigError(f"noise_schedule_factors has {len(betas)} numbers; it takes the first, the last, how many")
    values["betas"] = *betas[:2], int(betas[2])
    values |= {"mel": mel_config(section(args, "preprocess")), "clip": "every"}
    return DiffWaveConfig.parse(values, where=WHERE)


def diffwave_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our keys of a released generator."""
    block = r"residual_layers\.(\d+)"
    rules = [
        (r"input_projection\.(.+)", r"input.\1"),
        (r"skip_projection\.(.+)", r"skip.\1"),
        (r"output_projection\.(.+)", r"output.\1"),
        (r"diffusion_embedding\.projection1\.(.+)", r"time.first.\1"),
        (r"diffusion_embedding\.projection2\.(.+)", r"time.second.\1"),
        (r"spectrogram_upsampler\.conv1\.(.+)", r"upsample.0.\1"),
        (r"spectrogram_upsampler\.conv2\.(.+)", r"upsample.1.\1"),
        (rf"{block}\.dilated_conv\.(.+)", r"blocks.\1.dilated.\2"),
        (rf"{block}\.diffusion_projection\.(.+)", r"blocks.\1.time.\2"),
        (rf"{block}\.conditioner_projection\.(.+)", r"blocks.\1.condition.\2"),
        (rf"{block}\.output_projection\.(.+)", r"blocks.\1.output.\2"),
    ]
    return rename_keys(weights, rules)


def load_diffwave(cls: type[DiffWaveT], source: str | Path, args: Mapping[str, Any] | None = None) -> DiffWaveT:
    """A released DiffWave; see `DiffWave.from_released`."""
    model = cls(diffwave_config(released_args(source, args)))
    load_released(model, source, diffwave_weights)
    model.eval()
    return model
