"""CLAP: one space for texts and sounds, through transformers.

Source: Wu et al., "Large-Scale Contrastive Language-Audio Pretraining with Feature Fusion and Keyword-to-Caption
Augmentation", 2023, arXiv:2211.06687.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amphion_core.extras import require
from amphion_eval.values import Undefined

__all__ = ["EXTRA", "SAMPLE_RATE", "WINDOW", "load_clap_audio", "load_clap_text", "windows"]

SAMPLE_RATE = 48000
WINDOW = 10 * SAMPLE_RATE
"""Samples that the network hears at once."""
_TAIL = SAMPLE_RATE
"""A rest shorter than this after a whole window is not heard: repeated to 10 s it would be another sound."""
_AT_ONCE = 8
EXTRA = "amphion-eval[embedding]"


def windows(wav: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """A clip (T,) at 48 kHz in pieces of 10 s, the last as long as it is."""
    pieces = [wav[start : start + WINDOW] for start in range(0, len(wav), WINDOW)]
    return pieces[:-1] if len(pieces) > 1 and len(pieces[-1]) < _TAIL else pieces


class _Audio:
    """Clips to embeddings (D,) of length 1: the mean over windows of 10 s."""

    def __init__(self, folder: Path, device: str) -> None:
        transformers = require("transformers", EXTRA)
        self.device = device
        self.network = transformers.ClapModel.from_pretrained(folder).to(device).eval()
        self.features = transformers.ClapFeatureExtractor.from_pretrained(folder)

    def __call__(self, clips: Sequence[NDArray[np.float32]]) -> list[Any]:
        import torch

        pieces = [windows(np.asarray(clip, np.float32)) if len(clip) else [] for clip in clips]
        flat = [piece for own in pieces for piece in own]
        made: list[NDArray[np.float32]] = []
        with torch.inference_mode():
            for start in range(0, len(flat), _AT_ONCE):
                # Pieces never exceed the window, so the extractor has nothing to cut at random.
                inputs = self.features(
                    flat[start : start + _AT_ONCE],
                    sampling_rate=SAMPLE_RATE,
                    truncation="rand_trunc",
                    padding="repeatpad",
                    return_tensors="pt",
                )
                found = self.network.get_audio_features(**{k: v.to(self.device) for k, v in inputs.items()})
                made += [*getattr(found, "pooler_output", found).float().cpu().numpy()]
        results: list[Any] = []
        for own in pieces:
            rows, made = made[: len(own)], made[len(own) :]
            results.append(_unit(np.mean([_unit(row) for row in rows], axis=0)) if rows else Undefined("no samples"))
        return results


class _Text:
    """Texts to embeddings (D,) of length 1."""

    def __init__(self, folder: Path, device: str) -> None:
        transformers = require("transformers", EXTRA)
        self.device = device
        self.network = transformers.ClapModel.from_pretrained(folder).to(device).eval()
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)

    def __call__(self, texts: Sequence[str]) -> list[Any]:
        import torch

        tokens = self.tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
        with torch.inference_mode():
            found = self.network.get_text_features(**{k: v.to(self.device) for k, v in tokens.items()})
        return [_unit(row) for row in getattr(found, "pooler_output", found).float().cpu().numpy()]


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 0 else vector


def load_clap_audio(device: str, folder: Path) -> _Audio:
    """The network of sounds of a folder in the layout of transformers.

    Raises:
        MissingExtraError: transformers is not installed.
    """
    return _Audio(folder, device)


def load_clap_text(device: str, folder: Path) -> _Text:
    """The network of texts of a folder in the layout of transformers.

    Raises:
        MissingExtraError: transformers is not installed.
    """
    return _Text(folder, device)
