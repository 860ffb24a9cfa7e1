"""Convolutions with weight norm that can be folded, and the padding that keeps their length.

Source: Salimans and Kingma, "Weight Normalization", 2016, arXiv:1602.07868.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

__all__ = ["WeightNorm", "fold_weight_norm", "same_padding", "weight_norm"]

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def same_padding(kernel_size: int, dilation: int = 1) -> int:
    """Zeros on each side that keep the length of a convolution of stride 1 with an odd kernel."""
    return dilation * (kernel_size - 1) // 2


def weight_norm(convolution: ModuleT) -> ModuleT:
    """Split the weight of a layer into gain and direction; returns the same layer.

    The norm is over all axes but the first, which of a transposed convolution is that of the inputs. The keys are
    those of torch: `parametrizations.weight.original0` (gain) and `original1` (direction).
    """
    parametrize.register_parametrization(convolution, "weight", WeightNorm())
    return convolution


def fold_weight_norm(module: ModuleT) -> ModuleT:
    """Compute every normed weight of a network once, for inference; returns the same network.

    The state dict stays as it is, so that a folded network can be saved. `train()` and loading weights unfold it.
    """
    for layer in module.modules():
        if isinstance(layer, parametrize.ParametrizationList) and isinstance(layer[0], WeightNorm):
            layer[0].fold(layer.get_parameter("original0"), layer.get_parameter("original1"))
    return module


class WeightNorm(nn.Module):
    """The parametrisation itself: weight = gain * direction / |direction|."""

    folded: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("folded", None, persistent=False)

    def forward(self, gain: Tensor, direction: Tensor) -> Tensor:
        """The weight, of the shape of `direction`; `gain` has ones on all axes but the first."""
        if self.folded is not None:
            return self.folded
        return torch._weight_norm(direction, gain, 0)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Gain and direction that give this weight."""
        return torch.norm_except_dim(weight, 2, 0), weight

    def fold(self, gain: Tensor, direction: Tensor) -> None:
        """Keep the weight of this gain and direction until the next training or loading."""
        with torch.no_grad():
            self.folded = torch._weight_norm(direction, gain, 0)

    def train(self, mode: bool = True) -> WeightNorm:
        """Set the mode; training unfolds."""
        if mode:
            self.folded = None
        return super().train(mode)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self.folded = None
        super()._load_from_state_dict(*args, **kwargs)
