"""Encoders of neural codecs as embeddings of sound, before their quantisers, through transformers.

Source: Défossez et al., "High Fidelity Neural Audio Compression", 2022, arXiv:2210.13438 (EnCodec); Kumar et al.,
"High-Fidelity Audio Compression with Improved RVQGAN", 2023, arXiv:2306.06546 (DAC). As embeddings: Gui et al., 2024,
arXiv:2311.01616.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amphion_core.extras import require
from amphion_eval.models.clap import EXTRA
from amphion_eval.values import Undefined

__all__ = ["load_neural_codec"]

SHORTEST = 0.1
"""Seconds below which the encoder's padding would be most of what it hears."""


class _Encoder:
    """Clips to the encoder's frames (F, D)."""

    def __init__(self, network: Any, device: str, sample_rate: int) -> None:
        self.encoder, self.device, self.sample_rate = network.encoder.to(device).eval(), device, sample_rate

    def __call__(self, clips: Sequence[NDArray[np.float32]]) -> list[Any]:
        import torch

        results: list[Any] = []
        with torch.inference_mode():
            # One by one: a padded clip's last frames would hear the padding.
            for clip in clips:
                if len(clip) < SHORTEST * self.sample_rate:
                    results.append(
                        Undefined(f"{len(clip) / self.sample_rate:.3f} s are shorter than the {SHORTEST} s of a frame")
                    )
                    continue
                wav = torch.from_numpy(np.ascontiguousarray(clip)).float().to(self.device)
                results.append(self.encoder(wav[None, None])[0].T.cpu().numpy())
        return results


def load_neural_codec(device: str, folder: Path, sample_rate: int) -> _Encoder:
    """The encoder of an EnCodec or DAC in the layout of transformers.

    Raises:
        MissingExtraError: transformers is not installed.
        ValueError: the folder holds another model, or one of another rate or of several channels.
    """
    transformers = require("transformers", EXTRA)
    config = transformers.AutoConfig.from_pretrained(folder)
    classes = {"encodec": "EncodecModel", "dac": "DacModel"}
    if config.model_type not in classes:
        raise ValueError(f"{folder} holds {config.model_type!r}; an encoder of {' or '.join(classes)} is needed")
    if config.sampling_rate != sample_rate or getattr(config, "audio_channels", 1) != 1:
        raise ValueError(f"{folder} is of {config.sampling_rate} Hz; {sample_rate} Hz and one channel are needed")
    return _Encoder(getattr(transformers, classes[config.model_type]).from_pretrained(folder), device, sample_rate)
