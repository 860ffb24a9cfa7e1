"""Durations learned during training: a small network that says which frame sounds like which phone.

Source: Badlani et al., "One TTS Alignment To Rule Them All", 2021, arXiv:2108.10447, with the Euclidean distance of
Lim et al., "JETS", 2022, arXiv:2203.16852. It is trained beside the model and not part of what is exported.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.modules.alignment import (
    beta_binomial_prior,
    binarisation_loss,
    forward_sum_loss,
    monotonic_alignment,
)
from amphion_core.modules.masking import length_mask
from amphion_tts.fastspeech2.recipe import AlignerConfig

__all__ = ["Aligner", "aligner_losses"]


class Aligner(nn.Module):
    """Log-probabilities of phones at frames.

    Args:
        config: sizes.
        rows: of the phone embedding.
        n_mels: bands of the spectrogram.
        silence: the value of a silent band, the lowest that the spectrogram takes.
    """

    def __init__(self, config: AlignerConfig, rows: int, n_mels: int, silence: float) -> None:
        super().__init__()
        dim = config.dim
        self.config = config
        self.embed = nn.Embedding(rows, dim, padding_idx=0)
        self.text_convs = nn.ModuleList([nn.Conv1d(dim, dim, 3, padding=1), nn.Conv1d(dim, dim, 1)])
        self.mel_convs = nn.ModuleList(
            [nn.Conv1d(n_mels, dim, 3, padding=1), nn.Conv1d(dim, dim, 3, padding=1), nn.Conv1d(dim, dim, 1)]
        )
        self.silence = silence

    def forward(self, phones: Tensor, lengths: Tensor, mel: Tensor, mel_lengths: Tensor) -> Tensor:
        """Align.

        Args:
            phones: (B, N) ids.
            lengths: (B,) phones of each item.
            mel: (B, n_mels, F) of the recordings.
            mel_lengths: (B,) frames of each item.

        Returns:
            (B, F, N) log-probabilities times the prior, minus infinity beyond the lengths.
        """
        text = self._encode(self.text_convs, self.embed(phones).transpose(1, 2), lengths)  # (B, D, N)
        scaled = mel / max(abs(self.silence), 1.0) * 2 + 1
        frames = self._encode(self.mel_convs, scaled, mel_lengths)  # (B, D, F)
        distance = torch.cdist(frames.transpose(1, 2), text.transpose(1, 2))  # (B, F, N)
        scores = -self.config.temperature * distance
        scores = scores.masked_fill(~length_mask(lengths, phones.shape[1])[:, None, :], -torch.inf)
        prior = beta_binomial_prior(lengths, mel_lengths, self.config.prior_scale)
        return scores.log_softmax(-1) + prior

    def durations(self, log_probability: Tensor, lengths: Tensor, mel_lengths: Tensor) -> Tensor:
        """The best path, (B, N) frames of each phone."""
        return monotonic_alignment(log_probability, lengths, mel_lengths, ties="move")

    def _encode(self, convs: nn.ModuleList, x: Tensor, lengths: Tensor) -> Tensor:
        keep = length_mask(lengths, x.shape[2])[:, None, :].to(x.dtype)
        for number, conv in enumerate(convs):
            x = conv(x * keep)
            if number < len(convs) - 1:
                x = F.relu(x)
        return x


def aligner_losses(
    aligner: Aligner, log_probability: Tensor, durations: Tensor, lengths: Tensor, mel_lengths: Tensor, step: int
) -> dict[str, Tensor]:
    """The two terms of the alignment.

    Args:
        aligner: for its course.
        log_probability: (B, F, N) that it gave.
        durations: (B, N) of the best path.
        lengths: (B,) phones.
        mel_lengths: (B,) frames.
        step: steps done.

    Returns:
        `forward_sum`, and `binarise` times its warm-up factor, zero before it begins.
    """
    config = aligner.config
    factor = min(1.0, max(0.0, (step - config.binarise_from) / config.binarise_warmup))
    terms = {"forward_sum": forward_sum_loss(log_probability, lengths, mel_lengths)}
    if factor:
        terms["binarise"] = factor * binarisation_loss(log_probability, durations, mel_lengths)
    else:
        terms["binarise"] = torch.zeros_like(terms["forward_sum"])
    return terms
