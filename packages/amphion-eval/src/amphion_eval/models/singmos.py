"""Quality of singing without a reference: SingMOS, wav2vec 2.0 and a linear layer, trained on ratings of singing.

Source: Tang et al., "SingMOS: An Extensive Open-Source Singing Voice Dataset for MOS Prediction", 2024,
arXiv:2406.10911; network: Cooper et al., "Generalization Ability of MOS Prediction Networks", 2022, arXiv:2110.02635;
weights: `singmos_v1` of the releases of South-Twilight/SingMOS.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from amphion_core.extras import require
from amphion_core.hub import load_weights
from amphion_core.released import read_checkpoint
from amphion_eval.model import Batch
from amphion_eval.models.clips import rating
from amphion_eval.models.wavlm_sv import transformers_keys

__all__ = ["SingMos", "batched", "load", "own_keys"]

EXTRA = "amphion-eval[embedding]"
RATE = 16000
SHORTEST = 0.1  # s

_PRETRAINING = ("quantizer.", "project_q.", "final_proj.")


class SingMos(nn.Module):
    """Waveform to a mean opinion score: the mean of the last layer's frames, and a linear layer."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.wav2vec2 = require("transformers", EXTRA).Wav2Vec2Model(config)
        self.output_layer = nn.Linear(config.hidden_size, 1)
        self.hop_length = math.prod(config.conv_stride)

    def forward(self, wav: Tensor) -> Tensor:
        """Score clips of one length.

        Args:
            wav: (B, T) at 16 kHz.

        Returns:
            (B,) about 1 to 5.
        """
        frames = self.wav2vec2(wav).last_hidden_state  # (B, F, D)
        # s3prl, which the release stands on, repeats the last frame until there is one for every hop that has begun
        count = -(-wav.shape[1] // self.hop_length)
        mean = (frames.sum(dim=1) + (count - frames.shape[1]) * frames[:, -1]) / count
        score: Tensor = self.output_layer(mean)[:, 0]
        return score


def load(weights: Path, device: str) -> Batch:
    """The network of a checkpoint, clips at 16 kHz to the mapping `singmos`.

    Args:
        weights: `ft_wav2vec2_base_960_23steps.pt`.
        device: where it runs.

    Raises:
        MissingExtraError: transformers is not installed.
        ValueError: the file holds another network.
    """
    tensors = read_checkpoint(weights)
    model = SingMos(require("transformers", EXTRA).Wav2Vec2Config())
    load_weights(model, own_keys(tensors), str(weights))
    return batched(model, device)


def batched(model: SingMos, device: str) -> Batch:
    """A network as a function of clips."""
    return rating(model, device, "singmos", RATE, SHORTEST)


def own_keys(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A checkpoint under our names, without what only served to train wav2vec 2.0.

    Args:
        tensors: under the names of the release: wav2vec 2.0 with those of fairseq below some prefix, and the layer.
    """
    prefix = next((name.removesuffix("mask_emb") for name in tensors if name.endswith(".mask_emb")), "ssl_model.")
    inner = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    outer = {name: tensor for name, tensor in tensors.items() if not name.startswith(prefix)}
    kept = {name: tensor for name, tensor in inner.items() if not name.startswith(_PRETRAINING)}
    return outer | {f"wav2vec2.{name}": tensor for name, tensor in transformers_keys(kept).items()}
