"""What an autoregressive network predicts of the next sample: classes or a mixture of logistics.

A network works on a *signal* in [-1, 1]: the waveform itself, or for `mulaw` its companded form; with classes the
signal lies on their grid.

Source: van den Oord et al., "WaveNet: A Generative Model for Raw Audio", 2016, arXiv:1609.03499 (mu-law classes);
Salimans et al., "PixelCNN++", 2017, arXiv:1701.05517 and Shen et al., "Natural TTS Synthesis by Conditioning WaveNet on
Mel Spectrogram Predictions", 2018, arXiv:1712.05884 (mixtures); Hwang et al., "LP-WaveNet: Linear Prediction-based
WaveNet Speech Synthesis", 2018, arXiv:1811.11913 (means moved by a linear prediction).
"""

from __future__ import annotations

from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from amphion_core.config import Config
from amphion_core.features.mu_law import label_to_wav, mu_law_compress, mu_law_expand, wav_to_label
from amphion_core.losses.logistics import choose_from_logistics, mixture_of_logistics_loss

__all__ = ["Output", "OutputConfig"]

EDGE = 1e-5
"""Uniform numbers keep this distance from 0 and 1, where logarithms end."""

FIRST_LOG_SCALE = -3.5
"""Of untrained mixtures: about the spread of speech, so that training need not come down from that of the range."""


class OutputConfig(Config):
    """The distribution of a sample.

    Attributes:
        kind: `mulaw`: classes of the companded sample; `raw`: classes of the sample; `mol`: mixture of logistics.
        classes: of `mulaw` and `raw`, 2 to the power of the bits.
        mixtures: components of `mol`.
        log_scale_min: least logarithm of a component's scale.
        around: what the means of `mol` are counted from: `zero`, or the `last` sample, a linear prediction of order 1.
    """

    kind: Literal["mulaw", "raw", "mol"] = "mulaw"
    classes: int = Field(1024, ge=2)
    mixtures: int = Field(10, ge=1)
    log_scale_min: float = -7.0
    around: Literal["zero", "last"] = "zero"

    @model_validator(mode="after")
    def _means(self) -> Self:
        if self.around == "last" and self.kind != "mol":
            raise ValueError(f"around 'last' moves the means of a mixture, and {self.kind!r} has none; take kind 'mol'")
        return self

    @property
    def channels(self) -> int:
        """What the network gives for each sample."""
        return 3 * self.mixtures if self.kind == "mol" else self.classes

    @property
    def draws(self) -> int:
        """Uniform numbers that a sample is made of."""
        return self.mixtures + 1 if self.kind == "mol" else 1


class Output:
    """The distribution at work: signals of waveforms and back, likelihood, drawing.

    Args:
        config: which one.
        temperature: 1 draws from the distribution; less makes drawing (not the likelihood) more certain.
    """

    def __init__(self, config: OutputConfig, temperature: float = 1.0) -> None:
        self.config = config
        self.temperature = temperature
        # The last one twice, since rounding may leave all cumulative probabilities below a number near 1.
        self.points = label_to_wav(torch.arange(config.classes + 1).clamp(max=config.classes - 1), config.classes)

    def start(self, last: nn.Module) -> None:
        """Give the last layer of a new network the scales to begin with."""
        if self.config.kind == "mol":
            with torch.no_grad():
                last.get_parameter("bias")[2 * self.config.mixtures :] = FIRST_LOG_SCALE

    def locate(self, logits: Tensor, signal: Tensor) -> Tensor:
        """What a network predicts, of what its last layer gives, in place.

        Args:
            logits: (N, channels) or (B, channels, T).
            signal: (N, 1) or (B, 1, T), the samples at hand.
        """
        if self.config.around == "last":
            logits = logits.to(signal.dtype)  # half precision is too coarse for samples
            logits.narrow(1, self.config.mixtures, self.config.mixtures).add_(signal)
        return logits

    def signal(self, wav: Tensor) -> Tensor:
        """What the network works on, of samples in [-1, 1]; others count as the ends."""
        wav = wav.clamp(-1, 1)
        if self.config.kind == "mol":
            return wav
        classes = self.config.classes
        companded = mu_law_compress(wav, classes) if self.config.kind == "mulaw" else wav
        return label_to_wav(wav_to_label(companded, classes), classes, wav.dtype)

    def wav(self, signal: Tensor) -> Tensor:
        """Samples of a signal."""
        return mu_law_expand(signal, self.config.classes) if self.config.kind == "mulaw" else signal

    def loss(self, logits: Tensor, signal: Tensor, reduction: Literal["mean", "none"] = "mean") -> Tensor:
        """Negative log-likelihood.

        Args:
            logits: (B, channels, T).
            signal: (B, T) that they should predict, at the same places.
            reduction: `mean` over all samples, or `none`.

        Returns:
            Nats per sample, a scalar or (B, T). A mixture counts 65536 classes of the sample, so figures of different
            kinds don't compare.
        """
        if self.config.kind == "mol":
            return mixture_of_logistics_loss(
                logits, signal, log_scale_min=self.config.log_scale_min, reduction=reduction
            )
        return F.cross_entropy(logits, wav_to_label(signal, self.config.classes), reduction=reduction)

    def uniform(self, count: int, generator: Generator) -> Tensor:
        """Numbers (count, draws) in [0, 1) to draw samples with, on the generator's device."""
        return torch.rand(count, self.config.draws, generator=generator, device=generator.device)

    def noise(self, uniform: Tensor) -> Tensor:
        """What `draw` takes of uniform numbers (..., draws): those themselves, or deviations of the mixture."""
        if self.config.kind != "mol":
            return uniform
        uniform = uniform.clamp(EDGE, 1 - EDGE)
        gumbel = -torch.log(-torch.log(uniform[..., :-1]))
        spread = torch.log(uniform[..., -1:]) - torch.log1p(-uniform[..., -1:])
        return torch.cat([gumbel, self.temperature * spread], dim=-1)

    def draw(self, logits: Tensor, noise: Tensor) -> Tensor:
        """The next sample of the signal.

        Args:
            logits: (N, channels).
            noise: (N, draws) as `noise` gives it.

        Returns:
            (N, 1).
        """
        if self.config.kind == "mol":
            parts = noise[:, :-1], noise[:, -1:]
            return choose_from_logistics(logits, *parts, log_scale_min=self.config.log_scale_min)
        if self.temperature != 1.0:
            logits = logits / self.temperature
        # The class is the number of cumulative probabilities below the number.
        reached = torch.softmax(logits, -1).cumsum(-1)
        if self.points.device != logits.device or self.points.dtype != logits.dtype:
            self.points = self.points.to(logits)
        return torch.take(self.points, torch.searchsorted(reached, noise))
