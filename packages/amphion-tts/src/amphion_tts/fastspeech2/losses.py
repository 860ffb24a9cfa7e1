"""Losses of FastSpeech 2, each over the valid places only."""

from __future__ import annotations

import torch
from torch import Tensor

from amphion_core.modules.masking import masked_mean
from amphion_tts.fastspeech2.model import FastSpeech2Output

__all__ = ["fastspeech2_losses"]


def fastspeech2_losses(
    output: FastSpeech2Output,
    mel: Tensor,
    durations: Tensor,
    pitch: Tensor,
    energy: Tensor,
) -> dict[str, Tensor]:
    """The terms of the training, not weighted.

    Args:
        output: of a pass with targets.
        mel: (B, n_mels, F) of the recording.
        durations: (B, N) frames.
        pitch: (B, N) or (B, F) normalised.
        energy: likewise.

    Returns:
        `mel` and `postnet_mel`: mean absolute difference before and after the post-net (the second only where there
        is one); `duration`, `pitch`, `energy`: mean squares, of the log of the duration plus one.
    """
    target = mel.transpose(1, 2)
    terms = {"mel": masked_mean((output.mel_before.transpose(1, 2) - target).abs(), output.mel_mask)}
    if output.mel is not output.mel_before:
        terms["postnet_mel"] = masked_mean((output.mel.transpose(1, 2) - target).abs(), output.mel_mask)
    log_durations = torch.log(durations.float() + 1)
    terms["duration"] = masked_mean((output.log_durations - log_durations) ** 2, output.phone_mask)
    for name, estimate, truth in (("pitch", output.pitch, pitch), ("energy", output.energy, energy)):
        mask = output.phone_mask if truth.shape == output.phone_mask.shape else output.mel_mask
        terms[name] = masked_mean((estimate - truth) ** 2, mask)
    return terms
