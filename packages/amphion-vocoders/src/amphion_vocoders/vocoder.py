"""The inference that all vocoders made of convolutions share: batches, long inputs, streams, folding."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar, Self, TypeVar

import torch
from torch import Generator, Tensor

from amphion_core.config import Config
from amphion_core.features import MelConfig
from amphion_core.hub import PretrainedModule
from amphion_core.modules.convolution import fold_weight_norm
from amphion_vocoders.synthesis import check_chunk, check_mel, synthesize_batch, synthesize_stream

__all__ = ["ConvolutionalVocoder", "MelVocoderConfig", "TrainedVocoder"]


class MelVocoderConfig(Config):
    """What the config of every vocoder has.

    Attributes:
        mel: the spectrogram that it takes.
    """

    mel: MelConfig = MelConfig()


ConfigT = TypeVar("ConfigT", bound=MelVocoderConfig)


class TrainedVocoder(PretrainedModule[ConfigT]):
    """What vocoders with weights have in common, however they make samples of mels.

    Attributes:
        adjustable: fields of the configuration that concern inference alone, see `adjusting`.
    """

    group = "vocoders"
    needs_weights: ClassVar[bool] = True
    adjustable: ClassVar[tuple[str, ...]] = ()

    def fold(self) -> Self:
        """Compute normed weights once, for inference; `train()` and loading weights undo it."""
        return fold_weight_norm(self)

    @classmethod
    def from_pretrained(
        cls, source: str | Path, *, device: str | torch.device = "cpu", revision: str | None = None
    ) -> Self:
        """Load a model in evaluation mode, its weight norm folded; see `PretrainedModule.from_pretrained`."""
        return super().from_pretrained(source, device=device, revision=revision).fold()

    def _checked(self, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        for chunk in chunks:
            check_chunk(chunk, self.config.mel)
            yield self._placed(chunk)

    def _placed(self, mel: Tensor) -> Tensor:
        """On the device and in the precision of the weights."""
        return mel.to(next(self.parameters()))


class ConvolutionalVocoder(TrainedVocoder[ConfigT]):
    """A network from mels to waveforms whose samples depend on a bounded number of frames.

    Subclasses give `forward` from (B, n_mels, F) to (B, F * hop_length), and `context`.
    """

    @property
    @abc.abstractmethod
    def context(self) -> int:
        """Frames to each side of a frame that its samples depend on."""

    @property
    def look_ahead(self) -> float:
        """Seconds of mel that `stream` needs beyond a sample before it can give it."""
        return self.context / self.config.mel.frame_rate

    @torch.no_grad()
    def synthesize(
        self,
        mel: Tensor,
        f0: Tensor | None = None,
        lengths: Tensor | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        """Waveforms of a batch of mels; each item equals the item alone, long ones go in overlapping pieces.

        Args:
            mel: (B, n_mels, F), as `config.mel` computes it, on any device.
            f0: not used.
            lengths: (B,) valid frames; None where all are full.
            generator: not used.

        Returns:
            (B, F * hop_length) in about [-1, 1]; zeros beyond `lengths * hop_length`.

        Raises:
            ValueError: wrong bands, not finite, values of another kind of mel, or lengths that don't fit.
        """
        check_mel(mel, self.config.mel, lengths)
        hop = self.config.mel.hop_length
        return synthesize_batch(self.infer, self._placed(mel), lengths, hop_length=hop, context=self.context)

    def infer(self, mel: Tensor) -> Tensor:
        """What `synthesize` makes of full mels (B, n_mels, F): the forward pass, unless a model does more."""
        wav: Tensor = self(mel)
        return wav

    @torch.no_grad()
    def stream(self, chunks: Iterable[Tensor], generator: Generator | None = None) -> Iterator[Tensor]:
        """Waveform chunk by chunk, `context` frames behind the input.

        Args:
            chunks: mels (n_mels, F_i), F_i of any size.
            generator: not used.

        Yields:
            (T_i,) samples; joined they are what `synthesize` gives for the joined mel.

        Raises:
            ValueError: as `synthesize`.
        """
        hop = self.config.mel.hop_length
        yield from synthesize_stream(self.infer, self._checked(chunks), hop_length=hop, context=self.context)
