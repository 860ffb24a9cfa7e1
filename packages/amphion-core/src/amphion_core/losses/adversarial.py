"""Losses between a generator and its discriminators.

A discriminator judges a batch of waveforms by a list of verdicts, one of each sub-discriminator; a verdict is the list
of its layers' outputs, the last of which is the logits (see `amphion_core.discriminators`). All losses take such lists.

Source: Mao et al., "Least Squares Generative Adversarial Networks", 2016, arXiv:1611.04076; Lim and Ye, "Geometric
GAN", 2017, arXiv:1705.02894 (hinge); Larsen et al., "Autoencoding beyond pixels", 2015, arXiv:1512.09300 (features).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = [
    "GAN_LOSSES",
    "GanLoss",
    "Verdict",
    "feature_matching_loss",
    "hinge_discriminator_loss",
    "hinge_generator_loss",
    "least_squares_discriminator_loss",
    "least_squares_generator_loss",
    "mean_hinge_discriminator_loss",
    "mean_hinge_generator_loss",
    "relative_feature_matching_loss",
    "spread_discriminator_loss",
    "spread_generator_loss",
]

Verdict = list[Tensor]
"""Outputs of the layers of one sub-discriminator, of any shapes; the last one is the logits."""


def least_squares_discriminator_loss(real: Sequence[Verdict], fake: Sequence[Verdict]) -> Tensor:
    """Mean of (1 - D(real))^2 plus mean of D(fake)^2, summed over the sub-discriminators."""
    return _sum([(1 - r[-1]).square().mean() + f[-1].square().mean() for r, f in zip(real, fake, strict=True)])


def least_squares_generator_loss(fake: Sequence[Verdict]) -> Tensor:
    """Mean of (1 - D(fake))^2, summed over the sub-discriminators."""
    return _sum([(1 - f[-1]).square().mean() for f in fake])


def hinge_discriminator_loss(real: Sequence[Verdict], fake: Sequence[Verdict]) -> Tensor:
    """Mean of max(0, 1 - D(real)) plus mean of max(0, 1 + D(fake)), summed over the sub-discriminators."""
    return _sum([F.relu(1 - r[-1]).mean() + F.relu(1 + f[-1]).mean() for r, f in zip(real, fake, strict=True)])


def hinge_generator_loss(fake: Sequence[Verdict]) -> Tensor:
    """Mean of -D(fake), summed over the sub-discriminators."""
    return _sum([-f[-1].mean() for f in fake])


def mean_hinge_discriminator_loss(real: Sequence[Verdict], fake: Sequence[Verdict]) -> Tensor:
    """`hinge_discriminator_loss`, averaged over the sub-discriminators."""
    return hinge_discriminator_loss(real, fake) / len(fake)


def mean_hinge_generator_loss(fake: Sequence[Verdict]) -> Tensor:
    """Mean of max(0, 1 - D(fake)), averaged over the sub-discriminators."""
    return _sum([F.relu(1 - f[-1]).mean() for f in fake]) / len(fake)


def spread_discriminator_loss(real: Sequence[Verdict], fake: Sequence[Verdict]) -> Tensor:
    """Mean plus standard deviation of the squares of `least_squares_discriminator_loss`."""
    return _sum([_spread((1 - r[-1]).square()) + _spread(f[-1].square()) for r, f in zip(real, fake, strict=True)])


def spread_generator_loss(fake: Sequence[Verdict]) -> Tensor:
    """Mean plus standard deviation of (1 - D(fake))^2, summed over the sub-discriminators."""
    return _sum([_spread((1 - f[-1]).square()) for f in fake])


def feature_matching_loss(real: Sequence[Verdict], fake: Sequence[Verdict], *, logits: bool = True) -> Tensor:
    """Mean absolute difference of each layer's output, summed over layers and sub-discriminators.

    Args:
        real: verdicts on the recordings; no gradient goes into them.
        fake: verdicts on the estimates.
        logits: count the logits as a layer too, as HiFi-GAN does and Vocos does not.
    """
    terms = []
    for r, f in zip(real, fake, strict=True):
        layers = len(r) if logits else len(r) - 1
        terms += [F.l1_loss(estimate, goal.detach()) for estimate, goal in zip(f[:layers], r[:layers], strict=True)]
    return _sum(terms)


def relative_feature_matching_loss(real: Sequence[Verdict], fake: Sequence[Verdict], *, logits: bool = True) -> Tensor:
    """Mean absolute difference of each layer's output over the mean magnitude of the recording's, averaged.

    Layers of large and of small values count alike. The sum is divided by the number of sub-discriminators times the
    layers of the first, as published; that is the mean where all have as many.

    Source: Zeghidour et al., "SoundStream", 2021, arXiv:2107.03312; Défossez et al., 2022, arXiv:2210.13438.

    Args:
        real: verdicts on the recordings; no gradient goes into them.
        fake: verdicts on the estimates.
        logits: count the logits as a layer too.
    """
    terms: list[Tensor] = []
    first = 0
    for r, f in zip(real, fake, strict=True):
        layers = len(r) if logits else len(r) - 1
        first = first or layers
        terms += [
            F.l1_loss(estimate, goal.detach()) / goal.detach().abs().mean().clamp(min=1e-8)
            for estimate, goal in zip(f[:layers], r[:layers], strict=True)
        ]
    return _sum(terms) / (len(fake) * first)


class GanLoss(NamedTuple):
    """The two sides of one kind of adversarial loss."""

    discriminator: Callable[[Sequence[Verdict], Sequence[Verdict]], Tensor]
    generator: Callable[[Sequence[Verdict]], Tensor]


GAN_LOSSES: Mapping[str, GanLoss] = {
    "least_squares": GanLoss(least_squares_discriminator_loss, least_squares_generator_loss),
    "hinge": GanLoss(hinge_discriminator_loss, hinge_generator_loss),
    "mean_hinge": GanLoss(mean_hinge_discriminator_loss, mean_hinge_generator_loss),
    "least_squares_spread": GanLoss(spread_discriminator_loss, spread_generator_loss),
}
"""The kinds of adversarial loss that a recipe can name."""


def _spread(values: Tensor) -> Tensor:
    return values.mean() + values.std()


def _sum(terms: Sequence[Tensor]) -> Tensor:
    if not terms:
        raise ValueError("no sub-discriminator gave a verdict; name at least one discriminator in the recipe")
    return torch.stack(list(terms)).sum()
