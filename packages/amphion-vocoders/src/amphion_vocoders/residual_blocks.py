"""The mean of residual blocks that HiFi-GAN and its descendants have in each stage, and its fast form for the CPU.

In inference on the CPU, with folded weights in float32, blocks that gain by it go through `FastConvolution`, the others
keep channels last, which saves the convolutions their reordering. Both equal the plain form up to rounding. Everything
else (training, gradients, accelerators, half precision, export) takes the plain form.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from amphion_core.modules.anti_alias import AntiAliasedActivation, FastActivation
from amphion_core.modules.convolution import WeightNorm, same_padding, weight_norm
from amphion_core.modules.fast_convolution import (
    CAREFUL_POINTS,
    REAL_POINTS,
    FastConvolution,
    Padded,
    Scratch,
    direct_cost,
    is_plain_inference,
)
from amphion_core.modules.threads import on_threads

__all__ = ["Activation", "ResidualBlock", "ResidualBlocks", "Unit", "dilated_convolutions", "upsampled"]

PART = 1 << 19
"""Numbers of an input that a thread takes through all blocks at once."""

SHORTEST = 1 << 16
"""Numbers of an input below which the plain form is as good."""

GAIN = 0.88
"""Share of the direct cost that a fast block must stay below."""

_leaky_relu = torch.ops.aten.leaky_relu.out

Activation = float | AntiAliasedActivation
"""The slope of a leaky ReLU, or an activation that sees its neighbours."""

Unit = list[tuple[Activation, nn.Conv1d]]
"""Activations and the convolutions after them, whose result is added to what went in."""


class ResidualBlock(Protocol):
    """What is asked of a block."""

    def units(self) -> list[Unit]:
        """What it does, one after the other."""


class ResidualBlocks(nn.ModuleList):
    """Residual blocks on the same input, and their mean."""

    def __init__(self, blocks: Iterable[nn.Module]) -> None:
        super().__init__(blocks)
        self._prepared: tuple[list[Tensor], _PreparedBlocks] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Transform (B, C, T); the same shape."""
        prepared = self._prepare(x)
        if prepared is not None:
            return prepared(x)
        x = x.contiguous()  # after a fast stage the channels are last, which each convolution would undo for itself
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
        if not is_plain_inference(x) or x.shape[1] * x.shape[2] < SHORTEST:
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
        self.reach = max(block.reach for block in blocks)

    @classmethod
    def of(cls, blocks: Sequence[list[Unit]]) -> _PreparedBlocks:
        """Whatever is fastest for each block."""
        made: list[_DirectBlock | _FastBlock] = []
        for units in blocks:
            layers = [layer for unit in units for _, layer in unit]
            channels, taps = layers[0].in_channels, layers[0].kernel_size[0]
            dilations = tuple(layer.dilation[0] for layer in layers)
            step = FastConvolution.step_for(channels, taps, dilations)
            fast = step is not None and FastConvolution.cost(channels, taps, step) < GAIN * direct_cost(channels, taps)
            made.append(_FastBlock(units, cast(int, step)) if fast else _DirectBlock(units))
        return cls(made)

    def __call__(self, x: Tensor) -> Tensor:
        """The mean, (B, C, T)."""
        mean = x.new_empty(x.shape[0], x.shape[2], x.shape[1])  # (B, T, C)
        batch, channels, length = x.shape
        least = 32 * self.reach  # what is done twice at the edges must stay little
        size = max(PART // channels, least)
        threads = torch.get_num_threads()
        even = threads // math.gcd(threads, batch)  # parts in which every thread has as many
        if length < even * least:  # so short an item goes as a whole; a single one has its operations split
            even = 1
        parts = even * max(1, round(length / (even * size)))
        edges = [length * number // parts for number in range(parts + 1)]
        jobs = [(number, start, stop) for number in range(batch) for start, stop in pairwise(edges)]
        on_threads(jobs, functools.partial(self._part, x, mean), _Room)
        return mean.transpose(1, 2)

    def _part(self, x: Tensor, mean: Tensor, part: tuple[int, int, int], room: _Room) -> None:
        """Put the mean in a range of an item of (B, C, T) into (B, T, C)."""
        number, start, stop = part
        low, high = max(0, start - self.reach), min(x.shape[2], stop + self.reach)
        rows = x[number, :, low:high].T.contiguous()  # what is wrong at its ends does not reach the range
        total = torch.zeros_like(rows)
        for block in self.blocks:
            block.add(rows, total, room)
        torch.div(total[start - low : stop - low], len(self.blocks), out=mean[number, start:stop])


class _Room:
    """Signals and scratch that blocks take over from each other."""

    def __init__(self) -> None:
        self.scratch = Scratch()
        self._signals = Scratch()

    def signal(self, number: int, rows: Tensor, margin: int) -> Padded:
        """The `number`-th signal of the size of (T, C); what it holds is of an earlier block."""
        return Padded(self._signals.take(number, (len(rows) + 2 * margin, rows.shape[1]), rows), margin)


class _DirectLayer(NamedTuple):
    """A convolution that keeps channels last, and what goes before it."""

    activation: float | FastActivation
    weight: Tensor
    bias: Tensor | None
    dilation: int

    def __call__(self, rows: Tensor, scratch: Scratch, inplace: bool) -> Tensor:
        """From (T, C) to (T, D)."""
        if isinstance(self.activation, float):
            x = F.leaky_relu(rows, self.activation, inplace=inplace)
        else:
            x = torch.empty_like(rows)
            self.activation(rows, x, scratch)
        image = x[None, None].permute(0, 3, 1, 2)  # (1, C, 1, T), channels last
        padding = self.dilation * (self.weight.shape[3] // 2)
        y = F.conv2d(image, self.weight, self.bias, padding=(0, padding), dilation=(1, self.dilation))
        return y[0, :, 0].T.contiguous()


class _DirectBlock:
    """A block of direct convolutions with channels last."""

    def __init__(self, units: list[Unit]) -> None:
        self.units = [[self._layer(*pair) for pair in unit] for unit in units]
        self.reach = _reach(units)

    @staticmethod
    def _layer(activation: Activation, layer: nn.Conv1d) -> _DirectLayer:
        weight = layer.weight.detach()[:, :, None].contiguous(memory_format=torch.channels_last)
        return _DirectLayer(_prepared(activation), weight, _detached(layer.bias), layer.dilation[0])

    def add(self, rows: Tensor, total: Tensor, room: _Room) -> None:
        """Add what the block makes of (T, C) to `total`."""
        x = rows
        for unit in self.units:
            y = x
            for number, layer in enumerate(unit):
                y = layer(y, room.scratch, inplace=number > 0)
            x = y.add_(x)
        total.add_(x)


class _FastBlock:
    """A block of fast convolutions."""

    def __init__(self, units: list[Unit], step: int) -> None:
        smooth = any(not isinstance(before, float) for unit in units for before, _ in unit)
        # Periodic activations let rounding grow, so there it is not made more for speed.
        points = CAREFUL_POINTS if smooth else REAL_POINTS
        self.units = [[(_prepared(first), self._layer(layer, step, points)) for first, layer in unit] for unit in units]
        self.margin = max(layer.margin for unit in self.units for _, layer in unit)
        self.reach = _reach(units)

    @staticmethod
    def _layer(layer: nn.Conv1d, step: int, points: tuple[float, ...]) -> FastConvolution:
        return FastConvolution(layer.weight.detach(), _detached(layer.bias), layer.dilation[0], step, points)

    def add(self, rows: Tensor, total: Tensor, room: _Room) -> None:
        """Add what the block makes of (T, C) to `total`."""
        x, y, activated = (room.signal(number, rows, self.margin) for number in range(3))
        x.rows.copy_(rows)
        for unit in self.units:
            source = x
            for number, (before, layer) in enumerate(unit):
                if isinstance(before, float):
                    _leaky_relu(source.rows, before, out=activated.rows)
                else:
                    before(source.rows, activated.rows, room.scratch)
                last = number == len(unit) - 1
                layer(activated, x if last else y, room.scratch, add=last)
                source = y
        total.add_(x.rows)


def _reach(units: list[Unit]) -> int:
    """Samples to each side that an output of a block depends on."""
    total = 0
    for activation, layer in (pair for unit in units for pair in unit):
        total += layer.dilation[0] * (layer.kernel_size[0] // 2)
        if isinstance(activation, AntiAliasedActivation):
            total += max(a + b for a, b in zip(activation.up_reach, activation.down_reach, strict=True))
    return total


def _prepared(activation: Activation) -> float | FastActivation:
    return activation if isinstance(activation, float) else FastActivation(activation)


def _detached(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else bias.detach()


def dilated_convolutions(channels: int, kernel_size: int, dilations: tuple[int, ...]) -> nn.ModuleList:
    """Convolutions (B, C, T) to the same shape, with weight norm."""
    return nn.ModuleList(
        weight_norm(nn.Conv1d(channels, channels, kernel_size, 1, same_padding(kernel_size, dilation), dilation))
        for dilation in dilations
    )


def upsampled(layer: nn.ConvTranspose1d, x: Tensor) -> Tensor:
    """The layer's output; where the input (B, C, T) has its channels last in memory, so has the output."""
    if not is_plain_inference(x) or x.stride(1) != 1 or x.stride(2) != x.shape[1]:
        made: Tensor = layer(x)
        return made
    image, weight = x[:, :, None], layer.weight[:, :, None].contiguous(memory_format=torch.channels_last)
    stride, padding = (1, layer.stride[0]), (0, cast(int, layer.padding[0]))
    return F.conv_transpose2d(image, weight, layer.bias, stride, padding)[:, :, 0]


def _folded(layer: nn.Module) -> Tensor | None:
    """The folded weight of a layer; None where its weight norm is not folded, or it has none."""
    if not parametrize.is_parametrized(layer, "weight"):
        return None
    norm = cast(nn.ModuleDict, layer.parametrizations)["weight"]
    first = cast(nn.ModuleList, norm)[0]
    return first.folded if isinstance(first, WeightNorm) else None
