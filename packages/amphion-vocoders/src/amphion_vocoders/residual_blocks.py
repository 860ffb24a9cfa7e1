"""The mean of residual blocks that HiFi-GAN and its descendants have in each stage, and its fast form for the CPU.

In inference on the CPU, with folded weights in float32, blocks that gain by it go through `FastConvolution`, the others
keep channels last, which saves the convolutions their reordering. Both equal the plain form up to rounding. Everything
else (training, gradients, accelerators, half precision, export) takes the plain form.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from amphion_core.modules.convolution import WeightNorm
from amphion_core.modules.fast_convolution import FastConvolution, Phases, Scratch, direct_cost

__all__ = ["ResidualBlocks"]

SHORTEST = 1 << 15
"""Numbers of an input below which the plain form is as good."""

GAIN = 0.95
"""Share of the direct cost that a fast block must stay below."""


class ResidualBlock(Protocol):
    """What is asked of a block: x + convolution(activation(...)) for each of its units."""

    def units(self) -> list[list[tuple[float, nn.Conv1d]]]:
        """Pairs of the slope of a leaky ReLU and the convolution after it, unit by unit."""


class ResidualBlocks(nn.ModuleList):
    """Residual blocks on the same input, and their mean."""

    def __init__(self, blocks: Iterable[nn.Module]) -> None:
        super().__init__(blocks)
        self._prepared: tuple[list[Tensor], _PreparedBlocks | None] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Transform (B, C, T); the same shape."""
        prepared = self._prepare(x)
        if prepared is not None:
            return prepared(x)
        total: Tensor = self[0](x)
        for block in self[1:]:
            total = total + block(x)
        return total / len(self)

    def train(self, mode: bool = True) -> ResidualBlocks:
        """Set the mode; training forgets what was prepared."""
        if mode:
            self._prepared = None
        return super().train(mode)

    def _prepare(self, x: Tensor) -> _PreparedBlocks | None:
        """The fast form for this input, made when it is first needed; None where the plain form is due."""
        if torch.is_grad_enabled() or x.device.type != "cpu" or x.dtype != torch.float32:
            return None
        if torch.compiler.is_compiling() or torch.jit.is_tracing() or torch.is_autocast_enabled("cpu"):
            return None
        if x.shape[1] * x.shape[2] < SHORTEST:
            return None
        blocks = [cast(ResidualBlock, block).units() for block in self]
        weights = [_folded(layer) for units in blocks for unit in units for _, layer in unit]
        if any(weight is None or weight.dtype != torch.float32 for weight in weights):
            return None
        held = cast(list[Tensor], weights)
        # Training, loading or folding again gives the layers other tensors, or none.
        if self._prepared is None or any(a is not b for a, b in zip(self._prepared[0], held, strict=True)):
            self._prepared = (held, _PreparedBlocks.of(blocks))
        return self._prepared[1]


class _PreparedBlocks:
    """Blocks with their weights transformed or reordered."""

    def __init__(self, blocks: Sequence[_DirectBlock | _FastBlock]) -> None:
        self.blocks = blocks

    @classmethod
    def of(cls, blocks: Sequence[list[list[tuple[float, nn.Conv1d]]]]) -> _PreparedBlocks | None:
        """Whatever is fastest for each block; None where that is the plain form for all."""
        made: list[_DirectBlock | _FastBlock] = []
        for units in blocks:
            layers = [layer for unit in units for _, layer in unit]
            channels, taps = layers[0].in_channels, layers[0].kernel_size[0]
            step = FastConvolution.step_for(tuple(layer.dilation[0] for layer in layers))
            if step and FastConvolution.cost(channels, taps, step) < GAIN * direct_cost(channels, taps):
                made.append(_FastBlock(units, step))
            else:
                made.append(_DirectBlock(units))
        return cls(made) if any(isinstance(block, _FastBlock) for block in made) else None

    def __call__(self, x: Tensor) -> Tensor:
        """The mean, (B, C, T)."""
        scratch = Scratch()
        total = x.new_zeros(x.shape[0], x.shape[2], x.shape[1])  # (B, T, C)
        for item, sum_ in zip(x, total, strict=True):
            rows = item.T.contiguous()
            for block in self.blocks:
                block.add(rows, sum_, scratch)
        return total.div_(len(self.blocks)).transpose(1, 2)


class _DirectLayer(NamedTuple):
    """A convolution that keeps channels last."""

    slope: float
    weight: Tensor
    bias: Tensor | None
    dilation: int

    def __call__(self, x: Tensor, inplace: bool) -> Tensor:
        padding = self.dilation * (self.weight.shape[3] // 2)
        activated = F.leaky_relu(x, self.slope, inplace=inplace)
        return F.conv2d(activated, self.weight, self.bias, padding=(0, padding), dilation=(1, self.dilation))


class _DirectBlock:
    """A block of direct convolutions with channels last."""

    def __init__(self, units: list[list[tuple[float, nn.Conv1d]]]) -> None:
        self.units = [[self._layer(*pair) for pair in unit] for unit in units]

    @staticmethod
    def _layer(slope: float, layer: nn.Conv1d) -> _DirectLayer:
        weight = layer.weight.detach()[:, :, None].contiguous(memory_format=torch.channels_last)
        return _DirectLayer(slope, weight, None if layer.bias is None else layer.bias.detach(), layer.dilation[0])

    def add(self, rows: Tensor, total: Tensor, scratch: Scratch) -> None:
        """Add what the block makes of (T, C) to `total`."""
        x = rows.view(1, 1, *rows.shape).permute(0, 3, 1, 2)  # (1, C, 1, T), channels last
        for unit in self.units:
            y = x
            for number, layer in enumerate(unit):
                y = layer(y, inplace=number > 0)
            x = y.add_(x)
        total.add_(x.permute(0, 2, 3, 1).view(rows.shape))


class _FastBlock:
    """A block of fast convolutions."""

    def __init__(self, units: list[list[tuple[float, nn.Conv1d]]], step: int) -> None:
        self.step = step
        self.units = [[(slope, self._layer(layer, step)) for slope, layer in unit] for unit in units]
        self.margin = max(layer.margin for unit in self.units for _, layer in unit)

    @staticmethod
    def _layer(layer: nn.Conv1d, step: int) -> FastConvolution:
        bias = None if layer.bias is None else layer.bias.detach()
        return FastConvolution(layer.weight.detach(), bias, layer.dilation[0], step)

    def add(self, rows: Tensor, total: Tensor, scratch: Scratch) -> None:
        """Add what the block makes of (T, C) to `total`."""
        x, y = (Phases(*rows.shape, self.step, self.margin, rows) for _ in range(2))
        x.put(rows)
        for unit in self.units:
            if len(unit) == 2:
                (slope, first), (other, second) = unit
                first(x, y, scratch, slope=slope)
                second(y, x, scratch, slope=other, add=True)
            else:
                ((slope, only),) = unit
                only(x, y, scratch, slope=slope)
                x.data.add_(y.data)
        x.add_to(total)


def _folded(layer: nn.Module) -> Tensor | None:
    """The folded weight of a layer; None where its weight norm is not folded, or it has none."""
    if not parametrize.is_parametrized(layer, "weight"):
        return None
    norm = cast(nn.ModuleDict, layer.parametrizations)["weight"]
    first = cast(nn.ModuleList, norm)[0]
    return first.folded if isinstance(first, WeightNorm) else None
