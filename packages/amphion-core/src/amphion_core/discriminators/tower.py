"""The convolutions that three discriminators of spectrograms share: wide ones that thin out one axis, and logits.

Source: Défossez et al., "High Fidelity Neural Audio Compression", 2022, arXiv:2210.13438 (MS-STFT); Jang et al.,
"UnivNet", 2021, arXiv:2106.07889 (without dilation).
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from amphion_core.losses.adversarial import Verdict
from amphion_core.modules.convolution import weight_norm

__all__ = ["SpectrogramTower"]


class SpectrogramTower(nn.Module):
    """Layers from a spectrogram (B, in_channels, H, W) to a verdict; W is halved by each dilated layer.

    Args:
        in_channels: 1 for a magnitude, 2 for real and imaginary part.
        channels: width of every layer.
        dilations: along H, of the layers in the middle.
        slope: of the leaky rectifiers.
        first_normed: whether the first layer is normed too.
        norm: of the weights.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        dilations: tuple[int, ...],
        *,
        slope: float,
        first_normed: bool,
        norm: Literal["weight", "spectral"] = "weight",
    ) -> None:
        super().__init__()
        self.slope = slope
        normed = spectral_norm if norm == "spectral" else weight_norm
        first = nn.Conv2d(in_channels, channels, (3, 9), padding=(1, 4))
        self.convs = nn.ModuleList([normed(first) if first_normed else first])
        self.convs += [
            normed(nn.Conv2d(channels, channels, (3, 9), (1, 2), (dilation, 4), (dilation, 1)))
            for dilation in dilations
        ]
        self.convs.append(normed(nn.Conv2d(channels, channels, 3, padding=1)))
        self.output = normed(nn.Conv2d(channels, 1, 3, padding=1))

    def forward(self, x: Tensor) -> Verdict:
        """The layers' outputs, the last are the logits (B, 1, H, W')."""
        verdict = []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), self.slope)
            verdict.append(x)
        verdict.append(self.output(x))
        return verdict
