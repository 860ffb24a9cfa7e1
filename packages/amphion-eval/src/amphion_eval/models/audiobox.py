"""Aesthetics of speech, music and sound in four ratings, without a reference: Audiobox Aesthetics.

Source: Tjandra et al., "Meta Audiobox Aesthetics: Unified Automatic Quality Assessment for Speech, Music, and Sound",
2025, arXiv:2502.05139; weights: facebook/audiobox-aesthetics of the hub, whose config states what can vary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.config import Config, read_mapping
from amphion_core.extras import require
from amphion_core.hub import load_weights
from amphion_core.released import read_checkpoint, read_content
from amphion_eval.model import Batch
from amphion_eval.models.clips import usable
from amphion_eval.models.wavlm_sv import transformers_keys

__all__ = ["AXES", "Aesthetics", "AestheticsConfig", "Scale", "batched", "load", "own_keys", "windows"]

EXTRA = "amphion-eval[embedding]"
RATE = 16000
SHORTEST = 0.1  # s
WINDOW = 10 * RATE
TOGETHER = 8  # windows of a batch

AXES = ("CE", "CU", "PC", "PQ")
"""Content enjoyment, content usefulness, production complexity, production quality."""

_FRAME, _RECEPTIVE = 320, 400  # samples from one frame of WavLM to the next, and under one
_PREFIX = "wavlm_model."


class Scale(Config):
    """How the ratings of an axis were normalised before training."""

    mean: float
    std: float


class AestheticsConfig(Config):
    """What the release's config states, under its names; the defaults are those that hold where it is silent.

    Attributes:
        target_transform: scale of each axis.
        proj_num_layer: linear layers of a head.
        proj_ln: whether all but the last of them are normalised.
        proj_act_fn: what follows them.
        proj_dropout: of the training; it moves the names of the layers behind it.
        nth_layer: layers of WavLM that are mixed, its input counted.
        use_weighted_layer_sum: whether they are mixed with learnt weights.
        normalize_embed: whether the mean over time is brought to length 1.
        output_dim: numbers of a head.
    """

    target_transform: dict[Literal["CE", "CU", "PC", "PQ"], Scale]
    proj_num_layer: int = 1
    proj_ln: bool = False
    proj_act_fn: Literal["gelu"] = "gelu"
    proj_dropout: float = 0.0
    nth_layer: int = 13
    use_weighted_layer_sum: Literal[True] = True
    normalize_embed: bool = True
    output_dim: Literal[1] = 1

    @classmethod
    def of_release(cls, settings: Mapping[str, Any], where: str) -> AestheticsConfig:
        """From the values of a release; what only training or speed need is left aside.

        Args:
            settings: names to values.
            where: what an error calls them.

        Raises:
            ValueError: they describe a network of another form.
        """
        config = cls.parse({name: settings[name] for name in cls.model_fields if name in settings}, where)
        lacking = [axis for axis in AXES if axis not in config.target_transform]
        if lacking:
            raise ValueError(f"{where}: target_transform has no {', '.join(lacking)}")
        return config


class Aesthetics(nn.Module):
    """Windows to four ratings: layers of WavLM mixed for each axis, their mean over time, a head."""

    mean: Tensor
    std: Tensor

    def __init__(self, wavlm: Any, config: AestheticsConfig) -> None:
        super().__init__()
        layers = wavlm.num_hidden_layers + 1
        if config.nth_layer != layers:
            raise ValueError(f"nth_layer is {config.nth_layer}, this network mixes all {layers} of WavLM")
        self.normalize = config.normalize_embed
        self.wavlm = require("transformers", EXTRA).WavLMModel(wavlm)
        self.layer_weights = nn.ParameterDict({axis: nn.Parameter(torch.zeros(layers)) for axis in AXES})
        self.proj_layer = nn.ModuleDict({axis: head(wavlm.hidden_size, config) for axis in AXES})
        scales = [config.target_transform[axis] for axis in AXES]  # type: ignore[index]
        self.register_buffer("mean", torch.tensor([scale.mean for scale in scales]), persistent=False)
        self.register_buffer("std", torch.tensor([scale.std for scale in scales]), persistent=False)

    def forward(self, wav: Tensor, lengths: Tensor) -> Tensor:
        """Rate windows.

        Args:
            wav: (B, T) at 16 kHz, zero behind each end.
            lengths: (B,) samples, at least 1.

        Returns:
            (B, 4) in the order of `AXES`, about 1 to 10.
        """
        most = (wav.shape[1] - _RECEPTIVE) // _FRAME + 1
        frames = (-(-lengths // _FRAME)).clamp(max=most)  # a frame counts from its first sample on, as in the release
        samples = torch.arange(wav.shape[1], device=wav.device)
        seen = samples < (_RECEPTIVE + (frames - 1) * _FRAME)[:, None]  # what makes just that many frames
        states = self.wavlm(wav, attention_mask=seen.long(), output_hidden_states=True).hidden_states
        layers = torch.stack(states)  # (L, B, F, D)
        valid = (torch.arange(most, device=wav.device) < frames[:, None])[..., None]  # (B, F, 1)
        means = (layers * valid).sum(dim=2) / frames[:, None]  # (L, B, D)
        rows = []
        for axis in AXES:
            mixed = torch.tensordot(torch.softmax(self.layer_weights[axis], dim=0), means, dims=1)  # (B, D)
            rows.append(self.proj_layer[axis](F.normalize(mixed) if self.normalize else mixed))
        return torch.cat(rows, dim=1) * self.std + self.mean


def head(dim: int, config: AestheticsConfig) -> nn.Sequential:
    """Linear layers with what lies between them, under the numbers that the release gives them."""
    layers: list[nn.Module] = []
    for _ in range(config.proj_num_layer - 1):
        layers.append(nn.Linear(dim, dim))
        layers += [nn.LayerNorm(dim)] if config.proj_ln else []
        layers.append(nn.GELU())
        layers += [nn.Dropout(config.proj_dropout)] if config.proj_dropout > 0 else []
    return nn.Sequential(*layers, nn.Linear(dim, config.output_dim))


def windows(clip: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """10 s at a time, the last one as long as what is left.

    Args:
        clip: (T,) at 16 kHz.
    """
    for start in range(0, clip.size, WINDOW):
        yield clip[start : start + WINDOW]


def load(weights: Path, device: str, wavlm: Any = None) -> Batch:
    """Clips at 16 kHz to the four ratings.

    Args:
        weights: folder with `config.json` and `model.safetensors`, or with `checkpoint.pt`.
        device: where it runs.
        wavlm: config of transformers with the sizes of the body; those of WavLM-base where none is given.

    Raises:
        FileNotFoundError: the folder holds neither.
        MissingExtraError: transformers is not installed.
        ValueError: the files hold another network.
    """
    tensors, settings, where = _read(weights)
    sizes = wavlm or require("transformers", EXTRA).WavLMConfig()
    model = Aesthetics(sizes, AestheticsConfig.of_release(settings, where))
    load_weights(model, own_keys(tensors), where)
    return batched(model, device)


def batched(model: Aesthetics, device: str) -> Batch:
    """A network as a function of clips."""
    model.to(device).eval()

    @torch.inference_mode()
    def rate(parts: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
        # all are filled to 10 s: the first layer normalises over time, and the network learnt it with those zeros
        wav = torch.zeros(len(parts), WINDOW)
        for row, part in zip(wav, parts, strict=True):
            row[: part.size] = torch.from_numpy(part)
        lengths = torch.tensor([part.size for part in parts])
        return np.asarray(model(wav.to(device), lengths.to(device)).cpu().double().numpy())

    def infer(clips: Sequence[NDArray[np.float32]]) -> list[dict[str, float]]:
        parts = [list(windows(clip)) for clip in clips]
        flat = [part for own in parts for part in own]
        rows = np.concatenate([rate(flat[n : n + TOGETHER]) for n in range(0, len(flat), TOGETHER)])  # (N, 4)
        ends = np.cumsum([len(own) for own in parts])
        return [
            dict(zip(AXES, np.average(own, axis=0, weights=[part.size for part in of]).tolist(), strict=True))
            for own, of in zip(np.split(rows, ends[:-1]), parts, strict=True)
        ]

    return usable(infer, RATE, SHORTEST)


def own_keys(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A checkpoint under our names: those inside WavLM become those of transformers.

    Args:
        tensors: under the names of the release.
    """
    inner = {name.removeprefix(_PREFIX): tensor for name, tensor in tensors.items() if name.startswith(_PREFIX)}
    outer = {name: tensor for name, tensor in tensors.items() if not name.startswith(_PREFIX)}
    return outer | {f"wavlm.{name}": tensor for name, tensor in transformers_keys(inner).items()}


def _read(folder: Path) -> tuple[dict[str, Tensor], Mapping[str, Any], str]:
    """Tensors and settings, and what an error calls them."""
    file, whole = folder / "model.safetensors", folder / "checkpoint.pt"
    if file.is_file() and (folder / "config.json").is_file():
        return read_checkpoint(file), read_mapping(folder / "config.json"), str(folder)
    if not whole.is_file():
        raise FileNotFoundError(f"{folder} holds neither config.json with model.safetensors, nor checkpoint.pt")
    content = read_content(whole)
    if not isinstance(content, Mapping) or not {"model_cfg", "target_transform"} <= set(content):
        raise ValueError(f"{whole} is no checkpoint of Audiobox Aesthetics: no model_cfg or no target_transform in it")
    settings = {**content["model_cfg"], "target_transform": content["target_transform"]}
    return read_checkpoint(whole, "state_dict"), settings, str(whole)
