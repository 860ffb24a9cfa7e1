"""Semantic features: a hidden layer of HuBERT, ContentVec, WavLM, w2v-BERT 2.0 or Whisper, batched and masked.

The networks are those of transformers, from a local folder or the hub. An item of a batch gets the features that it
gets alone, also from networks whose first layer normalises over time.

Source: Hsu et al., "HuBERT", 2021, arXiv:2106.07447; Qian et al., "ContentVec", 2022, arXiv:2204.09224; Chen et al.,
"WavLM", 2021, arXiv:2110.13900; Barrault et al., "Seamless", 2023, arXiv:2312.05187 (w2v-BERT 2.0); Radford et al.,
"Robust Speech Recognition via Large-Scale Weak Supervision", 2022, arXiv:2212.04356 (Whisper).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from amphion_core.config import Config
from amphion_core.extras import require
from amphion_core.features.semantic_networks import FrontEnd, make_front_end
from amphion_core.hub import fetch, read_weights
from amphion_core.released import read_checkpoint
from amphion_core.tensor_audio import resample, resampled_lengths

__all__ = ["SAMPLE_RATE", "SEMANTIC_PRESETS", "SemanticConfig", "SemanticEncoder", "SemanticFeatures", "Standardize"]

SAMPLE_RATE = 16000
_EXTRA = "amphion-core[semantic]"
_CLASSES = {
    "hubert": "HubertModel",
    "wavlm": "WavLMModel",
    "wav2vec2-bert": "Wav2Vec2BertModel",
    "whisper": "WhisperModel",
}
_FILES = ["config.json", "preprocessor_config*.json", "*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin"]
"""All but the first may be absent: what has no wildcard has to be in the cache."""


class SemanticConfig(Config):
    """Which network, and which of its layers.

    Attributes:
        source: a folder with config.json and weights in the layout of transformers, or a hub id.
        layer: 0 is the input of the first layer, k the output of the k-th one before any normalisation that follows;
            None is the final output of the network, after its last normalisation.
        project: apply the matrix `final_proj` of the checkpoint (ContentVec of 256 dimensions).
        normalize_epsilon: added to the variance where the waveform is normalised.
    """

    source: str
    layer: int | None = None
    project: bool = False
    normalize_epsilon: float = 1e-7


SEMANTIC_PRESETS: dict[str, SemanticConfig] = {
    # its tokenisers were trained on a layer norm of the waveform, whose epsilon this is
    "hubert-large": SemanticConfig(source="facebook/hubert-large-ll60k", layer=18, normalize_epsilon=1e-5),
    "contentvec": SemanticConfig(source="lengyue233/content-vec-best", layer=12, project=True),
    "w2v-bert-2.0": SemanticConfig(source="facebook/w2v-bert-2.0", layer=17),
    "whisper-medium": SemanticConfig(source="openai/whisper-medium"),
    "wavlm-large": SemanticConfig(source="microsoft/wavlm-large"),
}
"""Networks by name, with the layer that the models of this repository take."""


class SemanticFeatures(NamedTuple):
    """Hidden states and how many of them belong to each clip.

    Attributes:
        values: (B, F, D) float32, zero beyond the length.
        lengths: (B,) int64 frames.
    """

    values: Tensor
    lengths: Tensor


class SemanticEncoder(nn.Module):
    """Frozen network from waveforms at 16 kHz to the hidden states of one layer.

    Attributes:
        dim: D of its features.
        frame_rate: frames per second, 50 for all presets.
    """

    sample_rate = SAMPLE_RATE

    def __init__(
        self,
        network: Any,
        *,
        layer: int | None = None,
        projection: nn.Linear | None = None,
        statistics: Standardize | None = None,
        front_end: FrontEnd | None = None,
    ) -> None:
        """Take a network of transformers; `from_pretrained` loads one.

        Args:
            network: HubertModel, WavLMModel, Wav2Vec2BertModel or WhisperModel; its layers after `layer` are cut off.
            layer: see `SemanticConfig`.
            projection: applied to the hidden states.
            statistics: applied last.
            front_end: what turns samples into the network's input; None is that of the network's kind.

        Raises:
            ValueError: another kind of network, or a layer that it does not have.
        """
        super().__init__()
        self.front_end = front_end if front_end is not None else make_front_end(network.config)
        encoder = network.encoder if self.front_end.kind != "whisper" else network.get_encoder()
        depth = len(encoder.layers)
        if layer is not None and not 0 <= layer <= depth:
            raise ValueError(f"the network has hidden states 0 to {depth}, got layer {layer}")
        self.layer = layer
        if layer is not None:
            encoder.layers = encoder.layers[: max(1, layer)]
        self.network: Any = encoder if self.front_end.kind == "whisper" else network
        self.projection = projection
        self.statistics = statistics
        self.dim = projection.out_features if projection is not None else int(network.config.hidden_size)
        self.frame_rate = SAMPLE_RATE / self.front_end.hop_length
        self.requires_grad_(False)
        self.eval()

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path | SemanticConfig,
        *,
        layer: int | None = None,
        statistics: str | Path | None = None,
        device: str | torch.device = "cpu",
        revision: str | None = None,
    ) -> Self:
        """Load a network.

        Args:
            source: name of a preset, a folder, a hub id, or a config.
            layer: overrides that of the preset.
            statistics: safetensors file with `mean` and `std` or `var`, (D,) each, to standardise by.
            device: where to put it.
            revision: branch, tag or commit on the hub.

        Raises:
            MissingExtraError: transformers is not installed.
            FileNotFoundError: neither a folder nor, without network, in the hub's cache.
            ValueError: the folder holds no such network, or the statistics are of another size.
        """
        transformers = require("transformers", _EXTRA)
        config = source if isinstance(source, SemanticConfig) else SEMANTIC_PRESETS.get(str(source))
        config = config if config is not None else SemanticConfig(source=str(source))
        folder = _folder(config.source, revision)
        network = _load(transformers, folder)
        front_end = make_front_end(network.config, _preprocessor(folder), config.normalize_epsilon)
        projection = _final_projection(folder) if config.project else None
        encoder = cls(
            network,
            layer=config.layer if layer is None else layer,
            projection=projection,
            statistics=None if statistics is None else Standardize.from_file(statistics),
            front_end=front_end,
        )
        if encoder.statistics is not None and len(encoder.statistics.mean) != encoder.dim:
            raise ValueError(
                f"{statistics} is for {len(encoder.statistics.mean)} dimensions, the features have {encoder.dim}"
            )
        return encoder.to(device)

    def train(self, mode: bool = True) -> Self:
        """Stays in evaluation mode: a model that holds this one must not switch its dropout on."""
        return super().train(False)

    @torch.no_grad()
    def forward(
        self, wav: Tensor, lengths: Tensor | None = None, *, sample_rate: int = SAMPLE_RATE
    ) -> SemanticFeatures:
        """Features of a batch.

        Args:
            wav: (B, T) or (T,), which is a batch of one.
            lengths: (B,) samples of each clip; None is T for all. What lies beyond has no effect.
            sample_rate: Hz of `wav`, resampled if it is not 16 kHz.

        Raises:
            ValueError: bad dimensions or lengths, clips shorter than a frame, or longer than 30 s for Whisper.
        """
        batch = wav[None] if wav.ndim == 1 else wav
        lengths = _check(batch, lengths)
        valid = torch.arange(batch.shape[1], device=batch.device) < lengths[:, None]
        batch = batch.float().masked_fill(~valid, 0.0)
        if sample_rate != SAMPLE_RATE:
            batch = resample(batch, sample_rate, SAMPLE_RATE)
            lengths = resampled_lengths(lengths, sample_rate, SAMPLE_RATE)
        device = next(self.network.parameters()).device
        inputs = self.front_end(self.network, batch.to(device), lengths.to(device))
        states = self._hidden_states(inputs.arguments)
        frames = inputs.lengths
        states = states[:, : int(frames.max())]
        if self.projection is not None:
            states = self.projection(states)
        if self.statistics is not None:
            states = self.statistics(states)
        mask = torch.arange(states.shape[1], device=device) < frames[:, None]
        return SemanticFeatures(states.float() * mask[..., None], frames)

    def _hidden_states(self, arguments: dict[str, Tensor]) -> Tensor:
        """(B, F, D) states of the wanted layer: the encoder's result, or what a hook sees."""
        encoder = self.front_end.encoder(self.network)
        if self.layer is None:
            final: Tensor = encoder(**arguments).last_hidden_state
            return final
        caught: list[Tensor] = []
        if self.layer == 0:
            handle = encoder.layers[0].register_forward_pre_hook(
                lambda _, args, kwargs: caught.append(args[0] if args else kwargs["hidden_states"]), with_kwargs=True
            )
        else:
            handle = encoder.layers[-1].register_forward_hook(
                lambda _, args, output: caught.append(output[0] if isinstance(output, tuple) else output)
            )
        try:
            encoder(**arguments)
        finally:
            handle.remove()
        return caught[0]


class Standardize(nn.Module):
    """Subtract a mean and divide by a standard deviation, channel by channel."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        """Take (D,) statistics of a training set."""
        super().__init__()
        if mean.ndim != 1 or mean.shape != std.shape:
            raise ValueError(f"mean and std must be (D,) each, got {tuple(mean.shape)} and {tuple(std.shape)}")
        self.register_buffer("mean", mean.float())
        self.register_buffer("std", std.float())

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read `mean` and `std` (or `var`) from a safetensors file.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it holds other tensors.
        """
        tensors = read_weights(path)
        if "mean" not in tensors or not tensors.keys() & {"std", "var"}:
            raise ValueError(
                f"{path} must hold 'mean' and 'std' or 'var', found {', '.join(sorted(tensors)) or 'nothing'}"
            )
        return cls(tensors["mean"], tensors["std"] if "std" in tensors else tensors["var"].sqrt())

    def forward(self, values: Tensor) -> Tensor:
        """(..., D) to the same shape."""
        return (values - self.mean) / self.std


def _check(wav: Tensor, lengths: Tensor | None) -> Tensor:
    if wav.ndim != 2 or not wav.is_floating_point():
        raise ValueError(f"wav must be floating point (T,) or (B, T), got {wav.dtype} of shape {tuple(wav.shape)}")
    if lengths is None:
        return torch.full((wav.shape[0],), wav.shape[1], dtype=torch.int64, device=wav.device)
    if lengths.shape != (wav.shape[0],) or int(lengths.max()) > wav.shape[1]:
        raise ValueError(
            f"lengths {tuple(lengths.shape)} up to {int(lengths.max())} don't fit wav of shape {tuple(wav.shape)}"
        )
    return lengths.to(wav.device)


def _folder(source: str, revision: str | None) -> Path:
    folder = Path(source)
    if not folder.is_dir():
        if source.startswith((".", "/", "~")) or source.count("/") != 1:
            raise FileNotFoundError(
                f"no folder {source}; give one, a hub id OWNER/NAME or one of {', '.join(SEMANTIC_PRESETS)}"
            )
        return fetch(source, revision=revision, patterns=_FILES)
    return folder


def _load(transformers: Any, folder: Path) -> Any:
    file = folder / "config.json"
    if not file.is_file():
        raise FileNotFoundError(f"{folder} has no config.json; it must hold a network in the layout of transformers")
    kind = json.loads(file.read_text(encoding="utf-8")).get("model_type")
    if kind not in _CLASSES:
        raise ValueError(f"{file}: model_type {kind!r} is none of {', '.join(_CLASSES)}")
    network, report = getattr(transformers, _CLASSES[kind]).from_pretrained(
        folder, local_files_only=True, dtype=torch.float32, output_loading_info=True
    )
    # what only serves the training of the network, or its text side, may be missing
    missing = [name for name in report["missing_keys"] if not name.startswith(("decoder.", "masked_spec_embed"))]
    if missing or report["mismatched_keys"]:
        named = sorted(map(str, [*missing, *report["mismatched_keys"]]))
        raise ValueError(f"weights in {folder} lack {len(named)} tensors of {_CLASSES[kind]}: {', '.join(named[:5])}")
    return network


def _preprocessor(folder: Path) -> dict[str, Any]:
    file = folder / "preprocessor_config.json"
    if not file.is_file():
        return {}
    values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return values


def _final_projection(folder: Path) -> nn.Linear:
    weights = read_checkpoint(folder)
    if "final_proj.weight" not in weights:
        raise ValueError(
            f"the weights in {folder} have no final_proj; set project to false for the plain hidden states"
        )
    matrix, offset = weights["final_proj.weight"], weights["final_proj.bias"]
    projection = nn.Linear(matrix.shape[1], matrix.shape[0])
    projection.load_state_dict({"weight": matrix, "bias": offset})
    return projection
