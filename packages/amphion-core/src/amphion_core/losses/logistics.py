"""Mixtures of discretised logistics: the likelihood of samples on a grid, and drawing from the mixture.

Source: Salimans et al., "PixelCNN++: Improving the PixelCNN with Discretized Logistic Mixture Likelihood and Other
Modifications", 2017, arXiv:1701.05517; for waveforms: van den Oord et al., "Parallel WaveNet", 2017, arXiv:1711.10433.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["choose_from_logistics", "mixture_of_logistics_loss", "sample_mixture_of_logistics"]


def mixture_of_logistics_loss(
    parameters: Tensor,
    target: Tensor,
    *,
    classes: int = 65536,
    log_scale_min: float = -7.0,
    reduction: Literal["mean", "sum", "none"] = "mean",
) -> Tensor:
    """Negative log-likelihood of samples under a mixture of logistics on a grid over [-1, 1].

    Args:
        parameters: (B, 3 * K, T): K logits, K means, K logarithms of scales.
        target: (B, T) samples in [-1, 1].
        classes: points of the grid; 65536 for 16 bits.
        log_scale_min: smaller logarithms of scales count as this.
        reduction: `mean` over samples; `sum` over batch and time, as the well known helper; `none`.

    Returns:
        Nats, a scalar or (B, T).

    Raises:
        ValueError: the channels are no multiple of 3, or the shapes don't fit.
    """
    logits, means, log_scales = _parts(parameters, 1)
    if target.shape != (parameters.shape[0], parameters.shape[2]):
        raise ValueError(f"parameters {tuple(parameters.shape)} need samples (B, T), got {tuple(target.shape)}")
    log_scales = log_scales.clamp(min=log_scale_min)
    value = target[:, None].expand_as(means)  # (B, K, T)
    inverse = torch.exp(-log_scales)
    half = 1 / (classes - 1)
    upper, lower = inverse * (value - means + half), inverse * (value - means - half)
    middle = inverse * (value - means)
    share = torch.sigmoid(upper) - torch.sigmoid(lower)
    # Far from a component its share of a bin vanishes in float32; there the density times the width stands for it.
    density = middle - log_scales - 2 * F.softplus(middle) - math.log((classes - 1) / 2)
    inside = torch.where(share > 1e-5, share.clamp(min=1e-12).log(), density)
    below, above = upper - F.softplus(upper), -F.softplus(lower)  # the ends take all that lies beyond
    log_shares = torch.where(value < -0.999, below, torch.where(value > 0.999, above, inside))
    loss = -torch.logsumexp(log_shares + F.log_softmax(logits, dim=1), dim=1)  # (B, T)
    if reduction == "none":
        return loss
    return loss.sum() if reduction == "sum" else loss.mean()


def sample_mixture_of_logistics(
    parameters: Tensor, mixture: Tensor, logistic: Tensor, *, log_scale_min: float | None = -7.0
) -> Tensor:
    """Samples of a mixture of logistics, made of given uniform numbers.

    Args:
        parameters: (..., 3 * K): K logits, K means, K logarithms of scales.
        mixture: (..., K) in (0, 1); chooses the component, by Gumbel's maximum.
        logistic: (...) in (0, 1); the quantile within the component.
        log_scale_min: smaller logarithms of scales count as this; None keeps them.

    Returns:
        (...) clamped to [-1, 1].

    Raises:
        ValueError: the channels are no multiple of 3.
    """
    gumbel, spread = -torch.log(-torch.log(mixture)), logistic.log() - torch.log1p(-logistic)
    return choose_from_logistics(parameters, gumbel, spread[..., None], log_scale_min=log_scale_min)[..., 0]


def choose_from_logistics(
    parameters: Tensor, gumbel: Tensor, spread: Tensor, *, log_scale_min: float | None = -7.0
) -> Tensor:
    """Samples of a mixture of logistics, made of deviations that were drawn beforehand.

    Args:
        parameters: (..., 3 * K): K logits, K means, K logarithms of scales.
        gumbel: (..., K) of the standard Gumbel distribution; chooses the component.
        spread: (..., 1) of the standard logistic distribution; the deviation within it.
        log_scale_min: smaller logarithms of scales count as this; None keeps them.

    Returns:
        (..., 1) clamped to [-1, 1].

    Raises:
        ValueError: the channels are no multiple of 3.
    """
    logits, means, log_scales = _parts(parameters, -1)
    chosen = torch.add(logits, gumbel).argmax(-1, keepdim=True)
    log_scale = log_scales.gather(-1, chosen)
    if log_scale_min is not None:
        log_scale = log_scale.clamp_(min=log_scale_min)
    return torch.addcmul(means.gather(-1, chosen), log_scale.exp_(), spread).clamp_(-1.0, 1.0)


def _parts(parameters: Tensor, axis: int) -> tuple[Tensor, Tensor, Tensor]:
    channels = parameters.shape[axis]
    if channels % 3:
        raise ValueError(f"a mixture of logistics has 3 channels a component; {channels} is no multiple of 3")
    logits, means, log_scales = parameters.chunk(3, dim=axis)
    return logits, means, log_scales
