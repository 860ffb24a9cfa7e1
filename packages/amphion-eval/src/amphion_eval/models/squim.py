"""Quality without a matching reference, by the networks of torchaudio: objective measures estimated, and opinion.

Source: Kumar et al., "TorchAudio-Squim", 2023, arXiv:2304.01448; weights: the torchaudio model store.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from amphion_core.extras import require
from amphion_core.hub import load_weights
from amphion_core.released import read_checkpoint
from amphion_eval.model import Batch
from amphion_eval.models.clips import fault_of, in_groups, usable
from amphion_eval.values import Undefined

__all__ = ["load_objective", "load_subjective", "objective", "subjective"]

EXTRA = "amphion-eval[embedding]"
RATE = 16000
SHORTEST = 0.25  # s


def load_objective(weights: Path, device: str) -> Batch:
    """Clips at 16 kHz to the estimates `stoi`, `pesq` and `si_sdr`.

    Args:
        weights: `squim_objective_dns2020.pth`.
        device: where it runs.

    Raises:
        MissingExtraError: torchaudio is not installed.
        ValueError: the file holds another network.
    """
    model = require("torchaudio", EXTRA).models.squim_objective_base()
    load_weights(model, read_checkpoint(weights), str(weights))
    return objective(model, device)


def objective(model: Any, device: str) -> Batch:
    """A network of torchaudio as a function of clips."""
    model.to(device).eval()

    @torch.inference_mode()
    def infer(clips: NDArray[np.float32]) -> Sequence[dict[str, float]]:
        rows = torch.stack(model(torch.from_numpy(clips).to(device)), dim=1).cpu().tolist()  # (B, 3)
        return [dict(zip(("stoi", "pesq", "si_sdr"), row, strict=True)) for row in rows]

    return usable(lambda clips: in_groups(infer, clips), RATE, SHORTEST)


def load_subjective(weights: Path, device: str) -> Batch:
    """Pairs of a clean recording and an output, at 16 kHz, to the opinion `mos` of the output.

    Args:
        weights: `squim_subjective_bvcc_daps.pth`.
        device: where it runs.

    Raises:
        MissingExtraError: torchaudio is not installed.
        ValueError: the file holds another network.
    """
    model = require("torchaudio", EXTRA).models.squim_subjective_base()
    load_weights(model, read_checkpoint(weights), str(weights))
    return subjective(model, device)


def subjective(model: Any, device: str) -> Batch:
    """A network of torchaudio as a function of pairs, reference first."""
    model.to(device).eval()

    @torch.inference_mode()
    def rate(reference: Any, estimate: Any) -> dict[str, float] | Undefined:
        clips = [np.asarray(clip, np.float32) for clip in (reference, estimate)]
        for name, clip in zip(("reference", "estimate"), clips, strict=True):
            fault = fault_of(clip, RATE, SHORTEST)
            if fault is not None:
                return Undefined(f"the {name}: {fault.reason}")
        clean, heard = (torch.from_numpy(clip)[None].to(device) for clip in clips)
        return {"mos": float(model(heard, clean)[0])}

    # pair by pair: the network normalises over time, padding would change its output
    return lambda pairs: [rate(*pair) for pair in pairs]
