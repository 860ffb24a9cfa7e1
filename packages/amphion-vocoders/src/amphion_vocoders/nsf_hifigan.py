"""NSF-HiFiGAN: HiFi-GAN whose stages also hear an excitation made from F0, so that the pitch is what was asked for.

Source: Wang, Takaki and Yamagishi, "Neural Source-Filter Waveform Models ...", 2019, arXiv:1904.12088, joined to Kong,
Kim and Bae, "HiFi-GAN", 2020, arXiv:2010.05646. Checkpoints of the toolkit were trained without any influence of F0,
the signal of each stage being doubled instead; `compat: upstream` does the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, Self

import torch
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from amphion_core.modules.convolution import weight_norm
from amphion_vocoders.hifigan import LAST_SLOPE, SLOPE, PairBlock, SingleBlock
from amphion_vocoders.residual_blocks import upsampled
from amphion_vocoders.sine_source import Excitation, SineSource
from amphion_vocoders.synthesis import check_chunk, check_f0, check_mel, synthesize_batch, synthesize_stream
from amphion_vocoders.upsampling import UpsamplingConfig, blocks_after, upsampling_layer
from amphion_vocoders.vocoder import ConvolutionalVocoder

__all__ = ["NsfHiFiGAN", "NsfHiFiGANConfig"]

SOURCE_FRAMES = 512
"""Frames whose source is made at once; double precision for all harmonics takes memory."""


class NsfHiFiGANConfig(UpsamplingConfig):
    """Hyperparameters; the defaults are those of HiFi-GAN V1 with eight overtones.

    Attributes:
        overtones: harmonics of the source above the fundamental.
        compat: `upstream`: double the signal of each stage and don't hear F0, as released checkpoints need.
    """

    overtones: int = Field(8, ge=0)
    compat: Literal["none", "upstream"] = "none"


class NsfHiFiGAN(ConvolutionalVocoder[NsfHiFiGANConfig]):
    """Log-mel spectrogram and F0 to waveform."""

    config_class = NsfHiFiGANConfig
    name = "nsf-hifigan"

    def __init__(self, config: NsfHiFiGANConfig) -> None:
        super().__init__(config)
        self.source = SineSource(config.mel.sample_rate, config.mel.hop_length, config.overtones)
        self.input = weight_norm(nn.Conv1d(config.mel.n_mels, config.channels, 7, padding=3))
        self.stages = nn.ModuleList(_Stage(config, number) for number in range(len(config.rates)))
        self.output = weight_norm(nn.Conv1d(config.channels // 2 ** len(config.rates), 1, 7, padding=3))
        if config.compat == "upstream":
            for module in (self.source, *(stage.source for stage in self.stages)):
                module.requires_grad_(False)  # it would never get a gradient

    @property
    def needs_f0(self) -> bool:
        """Whether F0 must be given."""
        return self.config.compat == "none"

    def forward(self, mel: Tensor, f0: Tensor | None = None, source: Tensor | None = None) -> Tensor:
        """Waveforms of a batch; what the source needs is drawn.

        Args:
            mel: (B, n_mels, F).
            f0: (B, F) Hz, 0 = unvoiced.
            source: (B, F * hop_length) to take instead of one made of `f0`.

        Returns:
            (B, F * hop_length) in [-1, 1].

        Raises:
            ValueError: neither `f0` nor `source` is given, and the network needs it.
        """
        samples = mel.shape[-1] * self.config.mel.hop_length
        if self.needs_f0 and source is None:
            if f0 is None:
                raise ValueError("this vocoder needs f0, (B, F) in Hz, 0 where unvoiced")
            source = self.source(f0)
        heard = None if source is None or not self.needs_f0 else source[:, None]  # (B, 1, F * hop_length)
        x = self.input(mel)  # (B, channels, F)
        for stage in self.stages:
            x = stage(x, heard, samples)
        wav = torch.tanh(self.output(F.leaky_relu(x, LAST_SLOPE))).squeeze(1)
        return F.pad(wav, (0, samples - wav.shape[-1]))  # odd rates lose a sample

    @property
    def context(self) -> int:
        """Frames to each side of a frame that its samples depend on."""
        return self.config.context() + 1  # a sample of the source reaches a frame further

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
            f0: (B, F) Hz, 0 = unvoiced, frame i at sample i * hop_length; not needed with `compat: upstream`.
            lengths: (B,) valid frames; None where all are full.
            generator: of phases and noise of the source, the same for all items; None always draws the same ones.

        Returns:
            (B, F * hop_length) in [-1, 1]; zeros beyond `lengths * hop_length`.

        Raises:
            ValueError: wrong bands, not finite, values of another kind of mel, no F0 or one of another length or
                unit, or lengths that don't fit.
        """
        settings = self.config.mel
        check_mel(mel, settings, lengths)
        frames = self._placed(mel)
        if self.needs_f0:
            check_f0(f0, mel, lengths, needed=True)
            assert f0 is not None
            frames = torch.cat([frames, self._source(f0.to(frames), lengths, generator)], dim=1)
        return synthesize_batch(self._of_frames, frames, lengths, hop_length=settings.hop_length, context=self.context)

    @torch.no_grad()
    def stream(self, chunks: Iterable[Any], generator: Generator | None = None) -> Iterator[Tensor]:
        """Waveform chunk by chunk, `context` frames behind the input.

        Args:
            chunks: pairs of a mel (n_mels, F_i) and its F0 (F_i,) in Hz, F_i of any size; mels alone will do with
                `compat: upstream`.
            generator: as `synthesize`.

        Yields:
            (T_i,) samples; joined they are what `synthesize` gives for the joined mel and F0.

        Raises:
            ValueError: as `synthesize`.
        """
        hop = self.config.mel.hop_length
        joined = self._joined(chunks, Excitation(self.source, generator))
        yield from synthesize_stream(self._of_frames, joined, hop_length=hop, context=self.context)

    @classmethod
    def from_released(
        cls,
        source: str | Path,
        args: dict[str, Any] | None = None,
        *,
        compat: Literal["none", "upstream"] = "upstream",
    ) -> Self:
        """Load a checkpoint of the toolkit.

        Args:
            source: an experiment or accelerate folder, or an older single file.
            args: its configuration; None reads the args.json beside it.
            compat: `upstream` gives the samples that it was trained to give; `none` lets F0 in, for fine-tuning.

        Raises:
            FileNotFoundError: no checkpoint or no configuration is there.
            ValueError: the checkpoint is of another model or size.
        """
        from amphion_vocoders.released.nsf_hifigan import load_nsf_hifigan

        return load_nsf_hifigan(cls, source, args, compat=compat)

    def _source(self, f0: Tensor, lengths: Tensor | None, generator: Generator | None) -> Tensor:
        """The source as frames (B, hop_length, F); nothing of F0 beyond the lengths is looked at."""
        if lengths is not None:
            valid = torch.arange(f0.shape[1], device=f0.device) < lengths.to(f0.device)[:, None]
            f0 = torch.where(valid, f0, 0.0)
        excitation = Excitation(self.source, generator)
        made = [excitation.next(piece) for piece in torch.split(f0, SOURCE_FRAMES, dim=1)]
        return _framed(torch.cat(made, dim=1), self.config.mel.hop_length)

    def _of_frames(self, frames: Tensor) -> Tensor:
        """Waveforms of frames that hold the mel and, below it, the samples of the source."""
        bands = self.config.mel.n_mels
        source = frames[:, bands:].mT.flatten(1) if self.needs_f0 else None
        wav: Tensor = self(frames[:, :bands], source=source)
        return wav

    def _joined(self, chunks: Iterable[Any], excitation: Excitation) -> Iterator[Tensor]:
        for chunk in chunks:
            mel, f0 = (chunk, None) if isinstance(chunk, Tensor) else chunk
            check_chunk(mel, self.config.mel)
            mel = self._placed(mel)
            if not self.needs_f0:
                yield mel
                continue
            check_f0(None if f0 is None else f0[None], mel[None], needed=True)
            assert f0 is not None
            source = excitation.next(f0[None].to(mel))
            yield torch.cat([mel, _framed(source, self.config.mel.hop_length)[0]])


class _Stage(nn.Module):
    """One up-sampling, the source at the new rate, and the mean of the residual blocks."""

    def __init__(self, config: NsfHiFiGANConfig, number: int) -> None:
        super().__init__()
        self.upsample = upsampling_layer(config, number)
        self.stride = 1  # samples of the source for one here
        for later in config.rates[number + 1 :]:
            self.stride *= later
        last = number == len(config.rates) - 1
        self.kernel_size = 1 if last else 2 * self.stride
        self.padding = 0 if last else self.stride // 2
        self.source = nn.Conv1d(1, self.upsample.out_channels, self.kernel_size, self.stride, self.padding)
        self.blocks = blocks_after(config, number, PairBlock if config.block == 1 else SingleBlock)

    def forward(self, x: Tensor, source: Tensor | None, samples: int) -> Tensor:
        x = upsampled(self.upsample, F.leaky_relu(x, SLOPE))  # (B, channels / 2, T * rate)
        length = (samples + 2 * self.padding - self.kernel_size) // self.stride + 1  # that of the source here
        x = x[..., :length]
        x = x + (x if source is None else self.source(source)[..., : x.shape[-1]])
        mean: Tensor = self.blocks(x)
        return mean


def _framed(source: Tensor, hop_length: int) -> Tensor:
    """Samples (B, F * hop_length) as frames (B, hop_length, F)."""
    return source.reshape(source.shape[0], -1, hop_length).mT
