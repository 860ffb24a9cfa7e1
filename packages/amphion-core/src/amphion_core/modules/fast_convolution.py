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
    "REAL_POINTS",
    "UNIT_POINTS",
    "FastConvolution",
    "Phases",
    "Scratch",
    "bilinear_algorithm",
    "direct_cost",
    "is_plain_inference",
]

REAL_POINTS = (1.0, -1.0, 2.0, -2.0, 0.5, -0.5)
"""Points off the unit circle save products."""

UNIT_POINTS = REAL_POINTS[:2]
"""Two products more of some twenty, and a quarter less rounding."""

STEPS = (4, 7, 8, 9, 11, 13, 14)
"""Lengths of output tiles to choose from; a tile and its dilation must have no common factor."""

PIECE = 1 << 18
"""Numbers of an output that are computed at once: enough to hide the calls, few enough for the caches."""

_leaky_relu = torch.ops.aten.leaky_relu.out


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


class Phases:
    """A signal (T, C) with zeros around it, split by the time modulo a step.

    Attributes:
        data: (step, W, C); the sample t is `data[t % step, margin + t // step]`.
        length: T.
    """

    def __init__(self, length: int, channels: int, step: int, margin: int, like: Tensor, planar: bool = True) -> None:
        """Make a silent one.

        Args:
            length: T.
            channels: C.
            step: number of phases.
            margin: columns of zeros on each side.
            like: a tensor with the device and type.
            planar: each phase lies in one piece; otherwise samples lie in their order, and `rows` shows them.
        """
        self.length, self.step, self.margin = length, step, margin
        self.columns = -(-length // step)
        width = self.columns + 2 * margin
        self.rows: Tensor | None = None
        if planar:
            self.data = like.new_zeros(step, width, channels)
        else:
            samples = like.new_zeros(width, step, channels)
            self.data = samples.transpose(0, 1)
            self.rows = samples.view(-1, channels)[margin * step : margin * step + length]

    def put(self, rows: Tensor) -> None:
        """Take the samples (T, C)."""
        for mine, theirs in self._parts(rows):
            mine.copy_(theirs)

    def add_to(self, rows: Tensor) -> None:
        """Add the samples to (T, C)."""
        for mine, theirs in self._parts(rows):
            theirs.add_(mine)

    def clear_outside(self, columns: int) -> None:
        """Put zeros back where there are no samples, up to some columns from them."""
        first, end = self.margin, self.margin + self.columns
        if columns:
            self.data[:, first - columns : first].zero_()
            self.data[:, end : end + columns].zero_()
        self.data[self.length - self.step * (self.columns - 1) :, end - 1].zero_()

    def _parts(self, rows: Tensor) -> list[tuple[Tensor, Tensor]]:
        whole, rest = divmod(self.length, self.step)
        mine = self.data[:, self.margin :]
        shape = (whole, self.step, rows.shape[1])
        parts = [(mine[:, :whole], rows[: whole * self.step].view(shape).transpose(0, 1))]
        if rest:
            parts.append((mine[:rest, whole], rows[whole * self.step :]))
        return parts


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

    It works on `Phases` of its own step; all convolutions between them must have the same.
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
        # Input and output i of the tile at column u are of phase (dilation * i) % step, at a column i * dilation / step
        # further, whatever u: that is what makes one layout fit all dilations.
        self.inputs = _runs([dilation * (i - taps // 2) for i in range(before.shape[1])], step)
        self.outputs = _runs([dilation * i for i in range(step)], step)
        self.spread = dilation * (step - 1) // step
        reach = [abs(column) for _, _, column in self.inputs]
        self.margin = max(*reach, self.spread) + self.spread + 1

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

    def __call__(
        self, source: Phases, target: Phases, scratch: Scratch, *, slope: float = 1.0, add: bool = False
    ) -> None:
        """Convolve.

        Args:
            source: (T, C).
            target: (T, D), overwritten; another one than `source`.
            scratch: room.
            slope: of a leaky ReLU that the source goes through first; 1 leaves it.
            add: add to the target instead.
        """
        columns = target.columns + self.spread
        channels, width = source.data.shape[2], target.data.shape[2]
        pieces = max(1, round(columns * self.step * max(channels, width) / PIECE))
        size = -(-columns // pieces)
        for first in range(0, columns, size):
            self._piece(source, target, scratch, first - self.spread, min(size, columns - first), slope, add)
        target.clear_outside(self.spread)

    def _piece(
        self, source: Phases, target: Phases, scratch: Scratch, first: int, size: int, slope: float, add: bool
    ) -> None:
        """The tiles of some columns."""
        products, inputs = self.before.shape
        channels, width = self.weight.shape[1:]
        x = scratch.take(0, (inputs, size, channels), source.data)
        done = 0
        for count, phase, column in self.inputs:
            start = source.margin + first + column
            taken = source.data[phase : phase + (count - 1) * self.dilation + 1 : self.dilation, start : start + size]
            if slope == 1.0:
                x[done : done + count].copy_(taken)
            else:
                _leaky_relu(taken, slope, out=x[done : done + count])
            done += count
        points = scratch.take(1, (products, size * channels), x)
        torch.mm(self.before, x.view(inputs, -1), out=points)
        result = scratch.take(2, (products, size, width), x)
        torch.bmm(points.view(products, size, channels), self.weight, out=result)
        if self.bias is not None:
            result[0].add_(self.bias)  # the first point is 1, which all outputs take as it is
        y = scratch.take(0, (self.step, size, width), x)
        torch.mm(self.after, result.view(products, -1), out=y.view(self.step, -1))
        done = 0
        for count, phase, column in self.outputs:
            start = target.margin + first + column
            place = target.data[phase : phase + (count - 1) * self.dilation + 1 : self.dilation, start : start + size]
            if add:
                place.add_(y[done : done + count])
            else:
                place.copy_(y[done : done + count])
            done += count


def _runs(times: list[int], step: int) -> list[tuple[int, int, int]]:
    """Times as (count, first phase, column) of runs that lie in one column."""
    runs: list[tuple[int, int, int]] = []
    for time in times:
        column, phase = divmod(time, step)
        if runs and runs[-1][2] == column:
            count, start, _ = runs[-1]
            runs[-1] = (count + 1, start, column)
        else:
            runs.append((1, phase, column))
    return runs
