"""What WaveNet and WaveRNN share: settings, the way from frames to samples of condition, and drawing sample by sample.

Source: van den Oord et al., "WaveNet: A Generative Model for Raw Audio", 2016, arXiv:1609.03499; conditioned on mels as
in Tamamori et al., "Speaker-dependent WaveNet vocoder", 2017, and Shen et al., "Natural TTS Synthesis by Conditioning
WaveNet on Mel Spectrogram Predictions", 2018, arXiv:1712.05884.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Iterable, Iterator
from typing import ClassVar, Self, TypeVar

import torch
from pydantic import Field, model_validator
from torch import Generator, Tensor, nn

from amphion_core.modules.convolution import weight_norm
from amphion_vocoders.generation import Steps, draw_batch, draw_stream
from amphion_vocoders.outputs import Output, OutputConfig
from amphion_vocoders.synthesis import check_mel
from amphion_vocoders.vocoder import MelVocoderConfig, TrainedVocoder

__all__ = ["AutoregressiveConfig", "AutoregressiveVocoder", "Stretch", "stretch_reach"]


class AutoregressiveConfig(MelVocoderConfig):
    """What the configs of both have.

    Attributes:
        mel: what it takes.
        output: distribution of a sample.
        rates: factors of the up-sampling from frames to samples; their product is the hop.
        pad: frames to each side of the mel that the first convolution over frames takes.
        temperature: of drawing; 1 is the distribution that was trained, less is less noisy.
        seed: of the noise that samples are drawn with, where no generator is given.
    """

    output: OutputConfig = OutputConfig()
    rates: tuple[int, ...] = (4, 8, 8)
    pad: int = Field(2, ge=0)
    temperature: float = Field(1.0, gt=0)
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _rates_make_the_hop(self) -> Self:
        if not self.rates or math.prod(self.rates) != self.mel.hop_length:
            raise ValueError(
                f"the product of rates {math.prod(self.rates)} is not mel.hop_length {self.mel.hop_length}"
            )
        return self


ConfigT = TypeVar("ConfigT", bound=AutoregressiveConfig)


class AutoregressiveVocoder(TrainedVocoder[ConfigT]):
    """A network that predicts each sample from those before it and from the mel.

    Subclasses give `forward`, `condition` and `steps`. The first sample of a clip is 0; the network's output at a
    sample is the distribution of the next one.
    """

    trained_by: ClassVar[str] = "autoregressive-vocoder"
    adjustable: ClassVar[tuple[str, ...]] = ("temperature",)

    def __init__(self, config: ConfigT) -> None:
        super().__init__(config)
        self._output = Output(config.output, config.temperature)

    @abc.abstractmethod
    def forward(self, signal: Tensor, mel: Tensor) -> Tensor:
        """All distributions at once, of a known signal.

        Args:
            signal: (B, F * hop_length) in [-1, 1], see `outputs`.
            mel: (B, n_mels, F + 2 * pad).

        Returns:
            (B, channels, F * hop_length); those at sample t are of sample t + 1.
        """

    @abc.abstractmethod
    def condition(self, mel: Tensor) -> Tensor:
        """What the network takes of the mel (B, n_mels, F + 2 * pad), at each sample: (B, D, F * hop_length)."""

    @abc.abstractmethod
    def steps(self, rows: int) -> Steps:
        """The network prepared to go on sample by sample, from the start of `rows` clips."""

    @property
    def reach(self) -> int:
        """Frames beyond `pad` that a frame's samples depend on; only up-sampling reaches so far."""
        return stretch_reach(self.config.rates)

    @property
    def context(self) -> int:
        """Frames after a frame that its samples depend on, and that `stream` is behind its input."""
        return self.config.pad + self.reach

    @property
    def look_ahead(self) -> float:
        """Seconds of mel that `stream` needs beyond a sample before it can give it."""
        return self.context / self.config.mel.frame_rate

    @property
    def output(self) -> Output:
        """The distribution of a sample, at the temperature of the configuration."""
        if self._output.temperature != self.config.temperature:
            self._output = Output(self.config.output, self.config.temperature)
        return self._output

    @torch.no_grad()
    def synthesize(
        self,
        mel: Tensor,
        f0: Tensor | None = None,
        lengths: Tensor | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        """Waveforms of a batch of mels, drawn sample by sample; each item equals the item alone.

        The mel goes in blocks, so that memory beside the waveform does not grow with its length.

        Args:
            mel: (B, n_mels, F), as `config.mel` computes it, on any device.
            f0: not used.
            lengths: (B,) valid frames; None where all are full.
            generator: of the noise, the same for all items; None takes `config.seed`.

        Returns:
            (B, F * hop_length) in [-1, 1]; zeros beyond `lengths * hop_length`.

        Raises:
            ValueError: wrong bands, not finite, values of another kind of mel, or lengths that don't fit.
        """
        check_mel(mel, self.config.mel, lengths)
        valid = [mel.shape[2]] * mel.shape[0] if lengths is None else [int(length) for length in lengths]
        with torch.autocast(self.device.type, enabled=False):
            return draw_batch(self, self._placed(mel), valid, self._noise(generator))

    @torch.no_grad()
    def stream(self, chunks: Iterable[Tensor], generator: Generator | None = None) -> Iterator[Tensor]:
        """Waveform chunk by chunk, `context` frames behind the input.

        Args:
            chunks: mels (n_mels, F_i), F_i of any size.
            generator: as `synthesize`.

        Yields:
            (T_i,) samples; joined they are what `synthesize` gives for the joined mel.

        Raises:
            ValueError: as `synthesize`.
        """
        yield from draw_stream(self, self._checked(chunks), self._noise(generator))

    def _noise(self, generator: Generator | None) -> Generator:
        return torch.Generator().manual_seed(self.config.seed) if generator is None else generator


class Stretch(nn.Module):
    """Each value repeated, then smoothed by one kernel for all channels that starts as their mean.

    Args:
        rate: times that a value is repeated; the kernel has 2 * rate + 1 taps.
        normed: with weight norm.
    """

    def __init__(self, rate: int, *, normed: bool) -> None:
        super().__init__()
        self.rate = rate
        self.smooth = nn.Conv1d(1, 1, 2 * rate + 1, padding=rate, bias=False)
        nn.init.constant_(self.smooth.weight, 1 / (2 * rate + 1))
        if normed:
            weight_norm(self.smooth)

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, T) to (B, D, T * rate)."""
        batch, channels, length = x.shape
        stretched = x.reshape(batch * channels, 1, length).repeat_interleave(self.rate, -1)
        smoothed: Tensor = self.smooth(stretched)
        return smoothed.view(batch, channels, length * self.rate)


def stretch_reach(rates: Iterable[int]) -> int:
    """Frames to each side that a chain of `Stretch` sees."""
    reach, rate = 0.0, 1
    for factor in rates:
        reach += 1 / rate  # `factor` samples at the rate after it
        rate *= factor
    return math.ceil(reach)
