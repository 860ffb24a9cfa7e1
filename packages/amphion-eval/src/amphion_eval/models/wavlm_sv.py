"""Speaker embeddings over WavLM: the x-vector of transformers, and the ECAPA head over all layers of WavLM-large.

Source: Chen et al., "WavLM", 2021, arXiv:2110.13900; the second is the network behind SIM-o and SIM-r of current
papers, "wavlm_large_finetune" of the speaker verification release of UniSpeech: Desplanques et al., "ECAPA-TDNN",
2020, arXiv:2005.07143, on a learnt mixture of the layers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.extras import require
from amphion_core.hub import load_weights
from amphion_core.released import read_checkpoint
from amphion_eval.model import Batch
from amphion_eval.models.clips import in_groups, trimmed, usable

__all__ = ["EcapaHead", "WavlmEcapa", "load_ecapa", "load_xvector", "transformers_keys"]

EXTRA = "amphion-eval[speaker]"
RATE = 16000
SHORTEST = 1.0  # s; what is left after trimming

_UNILM = (
    (r"^feature_extractor\.conv_layers\.(\d+)\.0\.", r"feature_extractor.conv_layers.\1.conv."),
    (r"^feature_extractor\.conv_layers\.(\d+)\.2(\.1)?\.", r"feature_extractor.conv_layers.\1.layer_norm."),
    (r"^post_extract_proj\.", "feature_projection.projection."),
    (r"^layer_norm\.", "feature_projection.layer_norm."),
    (r"^mask_emb$", "masked_spec_embed"),
    (r"^encoder\.pos_conv\.0\.", "encoder.pos_conv_embed.conv."),
    (r"^(encoder\.layers\.\d+)\.self_attn\.grep_linear\.", r"\1.attention.gru_rel_pos_linear."),
    (r"^(encoder\.layers\.\d+)\.self_attn\.grep_a$", r"\1.attention.gru_rel_pos_const"),
    (r"^(encoder\.layers\.\d+)\.self_attn\.relative_attention_bias\.", r"\1.attention.rel_attn_embed."),
    (r"^(encoder\.layers\.\d+)\.self_attn_layer_norm\.", r"\1.layer_norm."),
    (r"^(encoder\.layers\.\d+)\.self_attn\.", r"\1.attention."),
    (r"^(encoder\.layers\.\d+)\.fc1\.", r"\1.feed_forward.intermediate_dense."),
    (r"^(encoder\.layers\.\d+)\.fc2\.", r"\1.feed_forward.output_dense."),
    (r"\.weight_g$", ".parametrizations.weight.original0"),
    (r"\.weight_v$", ".parametrizations.weight.original1"),
)
"""From the names of the WavLM and wav2vec 2.0 releases to those of transformers, each rule on what the last left."""


class EcapaHead(nn.Module):
    """Mixture of layers to an embedding; frames beyond a clip's end don't count."""

    def __init__(self, layers: int = 25, inputs: int = 1024, channels: int = 512, dim: int = 256) -> None:
        super().__init__()
        merged = 3 * channels
        self.feature_weight = nn.Parameter(torch.zeros(layers))
        self.layer1 = ConvNorm(inputs, channels, 5, 1)
        self.layer2 = Res2Block(channels, 2)
        self.layer3 = Res2Block(channels, 3)
        self.layer4 = Res2Block(channels, 4)
        self.conv = nn.Conv1d(merged, merged, 1)
        self.pooling = AttentivePooling(merged)
        self.bn = nn.BatchNorm1d(2 * merged)
        self.linear = nn.Linear(2 * merged, dim)

    def forward(self, layers: Sequence[Tensor], mask: Tensor) -> Tensor:
        """Embed.

        Args:
            layers: (B, F, D) each.
            mask: (B, F) bool, True = valid.

        Returns:
            (B, dim).
        """
        weights = torch.softmax(self.feature_weight, dim=0)
        mixed = sum(weight * layer for weight, layer in zip(weights, layers, strict=True))
        assert isinstance(mixed, Tensor)
        valid = mask[:, None].to(mixed.dtype)  # (B, 1, F)
        x = (mixed.transpose(1, 2) + 1e-6) * valid  # (B, D, F)
        count = valid.sum(dim=2, keepdim=True)
        x = (x - x.sum(dim=2, keepdim=True) / count) * valid
        x = x / ((x**2).sum(dim=2, keepdim=True) / count + 1e-5).sqrt()
        first = self.layer1(x, valid)
        second = self.layer2(first, valid)
        third = self.layer3(second, valid)
        fourth = self.layer4(third, valid)
        x = torch.relu(self.conv(torch.cat([second, third, fourth], dim=1)))
        embedding: Tensor = self.linear(self.bn(self.pooling(x, mask)))
        return embedding


class ConvNorm(nn.Module):
    """Convolution, rectifier, normalisation."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int, dilation: int) -> None:
        super().__init__()
        padding = dilation * (kernel_size - 1) // 2
        self.conv = nn.Conv1d(inputs, outputs, kernel_size, padding=padding, dilation=dilation)
        self.bn = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """(B, C, F) to (B, C', F), zero where not valid."""
        out: Tensor = self.bn(torch.relu(self.conv(x))) * valid
        return out


class Res2Convs(nn.Module):
    """Eight slices of the channels; each but the last is convolved together with the result of the one before."""

    def __init__(self, channels: int, dilation: int, scale: int = 8) -> None:
        super().__init__()
        self.width = channels // scale
        self.convs = nn.ModuleList(
            nn.Conv1d(self.width, self.width, 3, padding=dilation, dilation=dilation) for _ in range(scale - 1)
        )
        self.bns = nn.ModuleList(nn.BatchNorm1d(self.width) for _ in range(scale - 1))

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """(B, C, F) to the same shape, zero where not valid."""
        *parts, last = torch.split(x, self.width, dim=1)
        outputs: list[Tensor] = []
        for number, (part, conv, norm) in enumerate(zip(parts, self.convs, self.bns, strict=True)):
            outputs.append(norm(torch.relu(conv(part if number == 0 else part + outputs[-1]))) * valid)
        return torch.cat([*outputs, last], dim=1)


class Excitation(nn.Module):
    """Each channel is scaled by what all channels are on average."""

    def __init__(self, channels: int, inner: int = 128) -> None:
        super().__init__()
        self.linear1 = nn.Linear(channels, inner)
        self.linear2 = nn.Linear(inner, channels)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """(B, C, F) to the same shape."""
        mean = x.sum(dim=2) / valid.sum(dim=2)
        return x * torch.sigmoid(self.linear2(torch.relu(self.linear1(mean))))[:, :, None]


class Res2Block(nn.Module):
    """Two pointwise layers around sliced convolutions, excitation, and the way around all of it."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.Conv1dReluBn1 = ConvNorm(channels, channels, 1, 1)
        self.Res2Conv1dReluBn = Res2Convs(channels, dilation)
        self.Conv1dReluBn2 = ConvNorm(channels, channels, 1, 1)
        self.SE_Connect = Excitation(channels)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """(B, C, F) to the same shape, zero where not valid."""
        out = self.Conv1dReluBn2(self.Res2Conv1dReluBn(self.Conv1dReluBn1(x, valid), valid), valid)
        excited: Tensor = self.SE_Connect(out, valid)
        return x + excited


class AttentivePooling(nn.Module):
    """Weighted mean and deviation over the frames."""

    def __init__(self, channels: int, inner: int = 128) -> None:
        super().__init__()
        self.linear1 = nn.Conv1d(channels, inner, 1)
        self.linear2 = nn.Conv1d(inner, channels, 1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, C, F) to (B, 2 C)."""
        scores = self.linear2(torch.tanh(self.linear1(x))).masked_fill(~mask[:, None], float("-inf"))
        weights = torch.softmax(scores, dim=2)
        mean = (weights * x).sum(dim=2)
        variance = (weights * x**2).sum(dim=2) - mean**2
        return torch.cat([mean, variance.clamp(min=1e-9).sqrt()], dim=1)


class WavlmEcapa(nn.Module):
    """WavLM of transformers and the head over all of its layers."""

    def __init__(self, config: Any, channels: int = 512, dim: int = 256) -> None:
        super().__init__()
        self.wavlm = require("transformers", EXTRA).WavLMModel(config)
        self.head = EcapaHead(config.num_hidden_layers + 1, config.hidden_size, channels, dim)

    def forward(self, wav: Tensor, lengths: Tensor) -> Tensor:
        """Embed a padded batch.

        Args:
            wav: (B, T) at 16 kHz, each clip of mean 0 and variance 1 over its own samples, zero behind.
            lengths: (B,) samples.

        Returns:
            (B, dim).
        """
        mask = torch.arange(wav.shape[1], device=wav.device) < lengths[:, None]
        states = self.wavlm(wav, attention_mask=mask.long(), output_hidden_states=True).hidden_states
        frames = self.wavlm._get_feat_extract_output_lengths(lengths)
        valid = torch.arange(states[0].shape[1], device=wav.device) < frames[:, None]
        embedding: Tensor = self.head(states, valid)
        return embedding


def transformers_keys(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """WavLM or wav2vec 2.0 under the names of transformers.

    Args:
        weights: under the names of the release, without a prefix; names that are already new stay.
    """
    renamed = {}
    for name, tensor in weights.items():
        for pattern, replacement in _UNILM:
            name = re.sub(pattern, replacement, name)
        renamed[name] = tensor
    return renamed


def load_ecapa(weights: Path, device: str, *, trim: bool = True) -> Batch:
    """WavLM-large with the ECAPA head, clips at 16 kHz to (256,) embeddings of length 1.

    Args:
        weights: `wavlm_large_finetune.pth`, WavLM and head in one.
        device: where it runs.
        trim: whether silence at the ends is cut away first.

    Raises:
        MissingExtraError: transformers is not installed.
        ValueError: the file holds another network.
    """
    tensors = read_checkpoint(weights)
    model = WavlmEcapa(_large_config())
    load_weights(model, _own_keys(tensors), str(weights))
    return batched(model, device, trim=trim)


def batched(model: WavlmEcapa, device: str, *, trim: bool = True) -> Batch:
    """A network as a function of clips."""
    model.to(device).eval()

    @torch.inference_mode()
    def infer(clips: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        lengths = torch.tensor([clip.size for clip in clips])
        wav = torch.zeros(len(clips), int(lengths.max()))
        for number, clip in enumerate(clips):
            wav[number, : clip.size] = F.layer_norm(torch.from_numpy(clip), (clip.size,))
        return list(F.normalize(model(wav.to(device), lengths.to(device))).cpu().numpy())

    return usable(infer, RATE, SHORTEST, trimmed if trim else None)


def load_xvector(folder: Path, device: str) -> Batch:
    """An x-vector network of transformers, clips at 16 kHz to embeddings of length 1.

    Args:
        folder: config.json and weights, as microsoft/wavlm-base-plus-sv has them.
        device: where it runs.

    Raises:
        MissingExtraError: transformers is not installed.
        ValueError: the folder holds no such network.
    """
    library = require("transformers", EXTRA)
    try:
        model = library.AutoModelForAudioXVector.from_pretrained(folder, local_files_only=True)
        extractor = library.AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{folder} holds no x-vector network of transformers: {error}") from error
    model.to(device).eval()

    @torch.inference_mode()
    def infer(clips: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        # clips of one length only: the first layer normalises over time, padding would change it
        inputs = extractor(list(clips), sampling_rate=RATE, return_tensors="pt")
        return list(F.normalize(model(inputs["input_values"].to(device)).embeddings).float().cpu().numpy())

    return usable(lambda clips: in_groups(infer, clips), RATE, SHORTEST, trimmed)


def _own_keys(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    prefix = re.compile(r"^feature_extract\.(model\.)?")
    wavlm = {prefix.sub("", name): tensor for name, tensor in tensors.items() if prefix.match(name)}
    # the rows of the loss, one a speaker of the training set, are of no use after it
    head = {n: t for n, t in tensors.items() if not prefix.match(n) and not n.startswith("loss_calculator.")}
    renamed = {f"wavlm.{name}": tensor for name, tensor in transformers_keys(wavlm).items()}
    return renamed | {f"head.{name}": tensor for name, tensor in head.items()}


def _large_config() -> Any:
    return require("transformers", EXTRA).WavLMConfig(
        hidden_size=1024,
        num_hidden_layers=24,
        num_attention_heads=16,
        intermediate_size=4096,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        conv_bias=False,
    )
