"""EfficientNetV2-S without its classifier: pictures to maps of features, under the names of its public checkpoints.

Source: Tan and Le, "EfficientNetV2: Smaller Models and Faster Training", 2021, arXiv:2104.00298, table 4; padding and
the epsilon of the norms are those of the checkpoints that were trained with TensorFlow (`tf_efficientnetv2_s`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["V2_S", "EfficientNet", "FusedBlock", "PlainBlock", "SameConv", "Squeeze", "SqueezedBlock", "Stage"]


@dataclass(frozen=True)
class Stage:
    """Blocks of one kind and width, of which the first may halve the size.

    Attributes:
        kind: a convolution alone, one that expands and one that projects, or the same over channels one by one with
            a gate on each.
        layers: number of blocks.
        width: channels after each.
        stride: of the first.
        expansion: channels inside, as a multiple of those that come in.
    """

    kind: Literal["plain", "fused", "squeezed"]
    layers: int
    width: int
    stride: int = 1
    expansion: int = 1


V2_S = (
    Stage("plain", 2, 24),
    Stage("fused", 4, 48, 2, 4),
    Stage("fused", 4, 64, 2, 4),
    Stage("squeezed", 6, 128, 2, 4),
    Stage("squeezed", 9, 160, 1, 6),
    Stage("squeezed", 15, 256, 2, 6),
)


class EfficientNet(nn.Module):
    """Pictures to maps of features, a thirty-second of the size."""

    def __init__(self, stages: Sequence[Stage] = V2_S, stem: int = 24, head: int = 1280) -> None:
        super().__init__()
        self.conv_stem = SameConv(3, stem, 3, stride=2)
        self.bn1 = norm(stem)
        blocks, width = [], stem
        for stage in stages:
            row = []
            for number in range(stage.layers):
                row.append(block(stage, width, stage.stride if number == 0 else 1))
                width = stage.width
            blocks.append(nn.Sequential(*row))
        self.blocks = nn.Sequential(*blocks)
        self.conv_head = nn.Conv2d(width, head, 1, bias=False)
        self.bn2 = norm(head)

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, head, H / 32, W / 32), sizes rounded up."""
        x = F.silu(self.bn1(self.conv_stem(pictures)))
        return F.silu(self.bn2(self.conv_head(self.blocks(x))))


def block(stage: Stage, inputs: int, stride: int) -> nn.Module:
    """One block of a stage."""
    if stage.kind == "plain":
        return PlainBlock(inputs, stage.width, stride)
    kind = FusedBlock if stage.kind == "fused" else SqueezedBlock
    return kind(inputs, stage.expansion * inputs, stage.width, stride)


def norm(channels: int) -> nn.BatchNorm2d:
    """Normalisation over the batch, with TensorFlow's epsilon."""
    return nn.BatchNorm2d(channels, eps=1e-3)


class SameConv(nn.Conv2d):
    """Convolution without bias to ceil(size / stride) rows and columns; an odd zero goes below and to the right."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int, stride: int = 1, groups: int = 1) -> None:
        # with a stride of 1 both sides get the same, which the convolution can do without a copy
        padding = kernel_size // 2 if stride == 1 else 0
        super().__init__(inputs, outputs, kernel_size, stride, padding, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H / stride, W / stride), sizes rounded up."""
        stride, kernel = self.stride[0], self.kernel_size[0]
        if stride > 1:
            missing = [max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in (x.shape[3], x.shape[2])]
            x = F.pad(x, [part for total in missing for part in (total // 2, total - total // 2)])
        return super().forward(x)


class PlainBlock(nn.Module):
    """Convolution, with a way around it where the shape stays."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv = SameConv(inputs, outputs, 3, stride)
        self.bn1 = norm(outputs)
        self.around = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H / stride, W / stride)."""
        out = F.silu(self.bn1(self.conv(x)))
        return x + out if self.around else out


class FusedBlock(nn.Module):
    """Convolution to more channels, projection, and a way around where the shape stays."""

    def __init__(self, inputs: int, inner: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv_exp = SameConv(inputs, inner, 3, stride)
        self.bn1 = norm(inner)
        self.conv_pwl = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn2 = norm(outputs)
        self.around = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H / stride, W / stride)."""
        out: Tensor = self.bn2(self.conv_pwl(F.silu(self.bn1(self.conv_exp(x)))))
        return x + out if self.around else out


class SqueezedBlock(nn.Module):
    """More channels, each convolved by itself and gated, projection, and a way around where the shape stays."""

    def __init__(self, inputs: int, inner: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv_pw = nn.Conv2d(inputs, inner, 1, bias=False)
        self.bn1 = norm(inner)
        self.conv_dw = SameConv(inner, inner, 3, stride, groups=inner)
        self.bn2 = norm(inner)
        self.se = Squeeze(inner, inputs // 4)
        self.conv_pwl = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn3 = norm(outputs)
        self.around = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H / stride, W / stride)."""
        inner = F.silu(self.bn1(self.conv_pw(x)))
        inner = self.se(F.silu(self.bn2(self.conv_dw(inner))))
        out: Tensor = self.bn3(self.conv_pwl(inner))
        return x + out if self.around else out


class Squeeze(nn.Module):
    """A gate on each channel, by what all channels are on average."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.conv_reduce = nn.Conv2d(channels, inner, 1)
        self.conv_expand = nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        mean = x.mean(dim=(2, 3), keepdim=True)
        return x * torch.sigmoid(self.conv_expand(F.silu(self.conv_reduce(mean))))
