"""Convolutions over time with fewer multiplications, for inference on the CPU in float32.

An output tile of `outputs` samples of a convolution with `taps` taps is a product of polynomials. Evaluated at points,
it is one small matrix over channels a point, where the direct way has `outputs * taps`. The points are few real ones
and pairs on the unit circle, so that the rounding is nearly that of the direct way. The transforms to the points and
back are matrix products too, and all of it goes in pieces that stay in the cache.

Source: Winograd, "Arithmetic Complexity of Computations", 1980; Lavin and Gray, "Fast Algorithms for Convolutional
Neural Networks", 2016, arXiv:1509.09308. The complex pairs take three real products, as Gauss found.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = [
    "CAREFUL_POINTS",
    "REAL_POINTS",
    "FastConvolution",
    "Padded",
    "Scratch",
    "bilinear_algorithm",
    "direct_cost",
    "is_plain_inference",
]

REAL_POINTS = (1.0, -1.0, 2.0, -2.0, 0.5, -0.5)
"""Points off the unit circle save products."""

CAREFUL_POINTS = (1.0, -1.0, 2.0, -0.5)
"""A product more of some twenty than with the six, and an eighth to a third less rounding, by the taps."""

STEPS = (4, 7, 8, 9, 11, 13, 14)
"""Lengths of output tiles to choose from; a tile and its dilation must have no common factor."""

PIECE = 1 << 17
"""Numbers of an output that are computed at once: enough to hide the calls, few enough for a core's own cache."""

USES = 8
"""Samples of a piece for each channel of a wide layer, whose weights are read once a piece."""


def bilinear_algorithm(
    outputs: int, taps: int, real_points: tuple[float, ...] = REAL_POINTS
) -> tuple[Tensor, Tensor, Tensor]:
    """Matrices of a correlation: y = A ((G w) * (B x)), with few rows of products.

    Args:
        outputs: length of y.
        taps: length of w; x has `outputs + taps - 1`.
        real_points: as many of them are taken as there is need for.

    Returns:
        B (R, outputs + taps - 1), A (outputs, R) and G (R, taps), float64. The first column of A is all ones.
    """
    inputs = outputs + taps - 1
    points = list(real_points[: max(2, min(len(real_points), inputs - 1))])
    if (inputs - len(points)) % 2 == 0:
        points.append(0.0)
    pairs = (inputs - len(points) - 1) // 2  # one more point is infinity, where only the last coefficient counts
    if pairs < 0:
        raise ValueError(f"outputs {outputs} and taps {taps} are too few for a fast convolution")
    known = len(points) + 1

    def evaluated(length: int, sums: bool) -> Tensor:
        powers = torch.arange(length, dtype=torch.float64)
        rows = [torch.tensor(point, dtype=torch.float64) ** powers for point in points]
        rows.append((powers == length - 1).double())
        for number in range(1, pairs + 1):
            angle = math.pi * number / (pairs + 1)
            real, imaginary = torch.cos(angle * powers), torch.sin(angle * powers)
            rows += [real, imaginary, real + imaginary] if sums else [real, imaginary]
        return torch.stack(rows)

    weights, tile = evaluated(taps, True), evaluated(outputs, True)
    # Products of evaluations to evaluations of the product: (a + bi)(c + di) from ac, bd and (a + b)(c + d).
    joined = torch.zeros(inputs, tile.shape[0], dtype=torch.float64)
    joined[:known, :known] = torch.eye(known)
    for number in range(pairs):
        row, column = known + 2 * number, known + 3 * number
        joined[row : row + 2, column : column + 3] = torch.tensor([[1.0, -1.0, 0.0], [-1.0, -1.0, 1.0]])
    # By the principle of transposition, what interpolates a product transforms the input of a correlation.
    interpolated = torch.linalg.solve(evaluated(inputs, False), joined)
    return interpolated.T.contiguous(), tile.T.contiguous(), weights


def is_plain_inference(x: Tensor) -> bool:
    """Whether forms that only compute may be taken: on the CPU in float32, no gradients, nothing that traces."""
    if torch.is_grad_enabled() or x.device.type != "cpu" or x.dtype != torch.float32:
        return False
    return not (torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu"))


def direct_cost(channels: int, taps: int) -> float:
    """Nanoseconds a number of the output that the direct way takes on a core with 512 bit vectors, about."""
    return 2 * channels * taps / 95 + 0.4


class Padded:
    """A signal (T, C) with zeros around it.

    Attributes:
        rows: the signal.
        margin: zeros on each side, samples.
    """

    def __init__(self, data: Tensor, margin: int) -> None:
        """Take the room (T + 2 * margin, C), whose content is unknown; the rows still are, afterwards."""
        self._data, self.margin = data, margin
        self.rows = data[margin : len(data) - margin]
        self.clear_outside()

    def clear_outside(self) -> None:
        """Put the zeros back."""
        self._data[: self.margin].zero_()
        self._data[len(self._data) - self.margin :].zero_()

    def tiles(self, start: int, count: int, step: int, length: int, dilation: int) -> Tensor:
        """Tiles (count, length, C), which may overlap: of tile u the samples `start + step * u + dilation * i`."""
        channels = self._data.shape[1]
        offset = self._data.storage_offset() + (self.margin + start) * channels
        return self._data.as_strided((count, length, channels), (step * channels, dilation * channels, 1), offset)


class Scratch:
    """Room for what is computed on the way, kept from one convolution to the next."""

    def __init__(self) -> None:
        self._held: list[Tensor] = []

    def take(self, number: int, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """The `number`-th room, with this shape and unknown content."""
        size = math.prod(shape)
        while len(self._held) <= number:
            self._held.append(like.new_empty(0))
        if self._held[number].numel() < size:
            self._held[number] = like.new_empty(size)
        return self._held[number][:size].view(shape)


class FastConvolution:
    """A convolution that keeps the length, its weight transformed.

    The tile at column u has the outputs `step * u + dilation * i`, i < step. With no common factor of the two these are
    all samples, each once, and the tiles lie in memory with fixed strides, whatever the dilation.

    Attributes:
        margin: zeros that it wants around what it reads and writes, samples.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        dilation: int,
        step: int,
        real_points: tuple[float, ...] = REAL_POINTS,
    ) -> None:
        """Transform a weight.

        Args:
            weight: (D, C, K), K odd.
            bias: (D,).
            dilation: without a common factor with `step`.
            step: samples of an output tile.
            real_points: of the algorithm.

        Raises:
            ValueError: `dilation` and `step` have a common factor, or the kernel is even.
        """
        if math.gcd(dilation, step) != 1:
            raise ValueError(f"dilation {dilation} and step {step} have a common factor; see FastConvolution.step_for")
        taps = weight.shape[2]
        if taps % 2 == 0:
            raise ValueError(f"kernel size must be odd, or the length changes; got {taps}")
        before, after, points = bilinear_algorithm(step, taps, real_points)
        self.dilation, self.step, self.bias = dilation, step, bias
        self.before, self.after = before.to(weight), after.to(weight)
        ordered = weight.permute(2, 1, 0).reshape(taps, -1)  # (K, C * D)
        made = torch.mm(points, ordered.double()).to(weight)
        self.weight = made.view(-1, weight.shape[1], weight.shape[0])  # (R, C, D)
        self.reach = dilation * (taps // 2)
        self.spread = dilation * (step - 1) // step  # columns before the first sample whose tiles have outputs in it
        self.margin = dilation * (step - 1) + self.reach

    @staticmethod
    def step_for(channels: int, taps: int, dilations: tuple[int, ...]) -> int | None:
        """The cheapest step that all dilations allow; None where there is none.

        Args:
            channels: C.
            taps: K.
            dilations: of the convolutions that go one after the other.
        """
        fit = [step for step in STEPS if all(math.gcd(step, dilation) == 1 for dilation in dilations)]
        return min(fit, key=lambda step: FastConvolution.cost(channels, taps, step), default=None)

    @staticmethod
    def cost(channels: int, taps: int, step: int) -> float:
        """Nanoseconds a number of the output, as `direct_cost` has them; infinite where it can't be done."""
        if taps < 3 or taps % 2 == 0:
            return math.inf
        before, _, _ = bilinear_algorithm(step, taps)
        products, inputs = before.shape
        transforms = products * inputs / step + products
        return 2 * channels * products / step / 80 + 2 * transforms / 62 + 1.1

    def __call__(self, source: Padded, target: Padded, scratch: Scratch, *, add: bool = False) -> None:
        """Convolve.

        Args:
            source: (T, C).
            target: (T, D), overwritten; another one than `source`.
            scratch: room.
            add: add to the target instead.
        """
        columns = -(-len(source.rows) // self.step) + self.spread
        width = max(self.weight.shape[1:])
        pieces = max(1, round(columns * self.step * width / max(PIECE, USES * width**2)))
        size = -(-columns // pieces)
        for first in range(0, columns, size):
            self._piece(source, target, scratch, first - self.spread, min(size, columns - first), add)
        target.clear_outside()

    def _piece(self, source: Padded, target: Padded, scratch: Scratch, first: int, count: int, add: bool) -> None:
        """The tiles of some columns."""
        products, inputs = self.before.shape
        channels, width = self.weight.shape[1:]
        start = first * self.step
        x = source.tiles(start - self.reach, count, self.step, inputs, self.dilation)
        points = scratch.take(0, (count, products, channels), x)
        torch.bmm(self.before.expand(count, -1, -1), x, out=points)
        result = scratch.take(1, (products, count, width), x)
        torch.bmm(points.transpose(0, 1), self.weight, out=result)
        if self.bias is not None:
            result[0].add_(self.bias)  # the first point is 1, which all outputs take as it is
        y = scratch.take(0, (self.step, count, width), x)
        torch.mm(self.after, result.view(products, -1), out=y.view(self.step, -1))
        place = target.tiles(start, count, self.step, self.step, self.dilation).transpose(0, 1)
        if add:
            place.add_(y)
        else:
            place.copy_(y)
