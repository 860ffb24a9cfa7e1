"""MERT, a network that learnt music by itself, as an embedding of sound: the frames of one of its layers.

Source: Li et al., "MERT: Acoustic Music Understanding Model with Large-Scale Self-supervised Training", 2023,
arXiv:2306.00107; as an embedding: Gui et al., 2024, arXiv:2311.01616. The release is a HuBERT that brings code of its
own; that is not run, the weights go into the HuBERT of transformers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from amphion_core.config import read_mapping
from amphion_core.extras import require
from amphion_core.hub import load_weights
from amphion_core.released import read_checkpoint
from amphion_eval.model import Batch
from amphion_eval.models.clips import usable
from amphion_eval.models.wavlm_sv import transformers_keys

__all__ = ["LAYERS", "load_mert"]

EXTRA = "amphion-eval[embedding]"
RATE = 24000
SHORTEST = 0.1  # s
LAYERS = 12
_WINDOW = 100  # s that the network hears at once
_HUBERT = {
    "model_type": "mert_model", "sample_rate": RATE, "feature_extractor_cqt": False, "deepnorm": False,
    "attention_relax": -1.0,
}  # fmt: skip
"""What the release's config states where its network is a HuBERT."""


def load_mert(device: str, folder: Path, layer: int = LAYERS) -> Batch:
    """Clips at 24 kHz to frames (F, D), 75 a second.

    Args:
        device: where it runs.
        folder: with `config.json` and `pytorch_model.bin` or `model.safetensors`.
        layer: whose output is taken, from 1.

    Raises:
        FileNotFoundError: the folder lacks one of them.
        MissingExtraError: transformers is not installed.
        ValueError: the folder holds another network, or one that has no such layer.
    """
    transformers = require("transformers", EXTRA)
    settings = read_mapping(folder / "config.json")
    _refuse_others(settings, folder, layer)
    config = transformers.HubertConfig.from_dict({**settings, "model_type": "hubert"})
    model = transformers.HubertModel(config)
    load_weights(model, transformers_keys(read_checkpoint(folder)), str(folder))
    model.to(device).eval()

    @torch.inference_mode()
    def embed(wav: NDArray[np.float32]) -> NDArray[np.float32]:
        states = model(torch.from_numpy(wav)[None].to(device), output_hidden_states=True).hidden_states
        return np.asarray(states[layer][0].cpu().numpy(), np.float32)

    def infer(clips: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        # clip by clip: the first layer normalises over time, padding would change its output
        return [np.concatenate([embed(part) for part in windows(evened(clip))]) for clip in clips]

    return usable(infer, RATE, SHORTEST)


def evened(clip: NDArray[np.float32]) -> NDArray[np.float32]:
    """A clip with mean 0 and variance 1, as the network learnt them.

    Args:
        clip: (T,).
    """
    return np.asarray((clip - clip.mean()) / math.sqrt(float(clip.var()) + 1e-7), np.float32)


def windows(clip: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Pieces of at most 100 s, all of about one length, so that none is too short to be heard.

    Args:
        clip: (T,) at 24 kHz.
    """
    return np.array_split(clip, max(1, math.ceil(clip.size / (_WINDOW * RATE))))


def _refuse_others(settings: Mapping[str, Any], folder: Path, layer: int) -> None:
    other = [f"{name} {settings.get(name)!r} is not {value!r}" for name, value in _HUBERT.items()
             if settings.get(name) != value]  # fmt: skip
    if other:
        raise ValueError(f"{folder / 'config.json'} is none of a MERT that is a HuBERT: {'; '.join(other)}")
    if not 1 <= layer <= settings["num_hidden_layers"]:
        raise ValueError(f"{folder} has the layers 1 to {settings['num_hidden_layers']}, asked for {layer}")
