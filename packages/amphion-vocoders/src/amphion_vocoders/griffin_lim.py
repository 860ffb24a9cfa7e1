"""Griffin-Lim: a phase that is consistent with given magnitudes, found by going back and forth. It has no weights.

Source: Griffin and Lim, "Signal estimation from modified short-time Fourier transform", 1984; Perraudin, Balazs and
Soendergaard, "A fast Griffin-Lim algorithm", 2013 (the momentum). The magnitudes come from the mel by non-negative
least squares.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

import torch
from pydantic import Field, field_validator
from torch import Generator, Tensor
from torch.nn import functional as F

from amphion_core.features import MelConfig
from amphion_core.features.stft import inverse_stft, stft
from amphion_core.hub import PretrainedModule
from amphion_vocoders.mel_inversion import linear_magnitude
from amphion_vocoders.synthesis import MAX_FRAMES, check_chunk, check_mel, synthesize_batch, synthesize_stream
from amphion_vocoders.vocoder import MelVocoderConfig

__all__ = ["GriffinLim", "GriffinLimConfig", "check_refinable", "refine_context", "refine_phase"]

NOISE_FRAMES = 64
"""Phases are drawn for so many frames at once, always: the first frames' do not depend on how many follow."""


class GriffinLimConfig(MelVocoderConfig):
    """Settings of the algorithm.

    Attributes:
        mel: what it takes.
        iterations: times back and forth.
        momentum: 0 is the algorithm of 1984; near 1 is best (2013).
        inversion_steps: steps from mel to magnitudes.
        seed: of the phases it starts with, where no generator is given.
    """

    iterations: int = Field(32, ge=0)
    momentum: float = Field(0.99, ge=0)
    inversion_steps: int = Field(64, ge=0)
    seed: int = Field(0, ge=0)

    @field_validator("mel")
    @classmethod
    def _framed(cls, value: MelConfig) -> MelConfig:
        check_refinable(value)
        return value


class GriffinLim(PretrainedModule[GriffinLimConfig]):
    """Log-mel spectrogram to waveform, without training."""

    config_class = GriffinLimConfig
    group = "vocoders"
    name = "griffin-lim"
    adjustable = ("iterations", "momentum", "inversion_steps")
    needs_weights: ClassVar[bool] = False

    def forward(self, mel: Tensor, phase: Tensor) -> Tensor:
        """Waveforms of one batch.

        Args:
            mel: (B, n_mels, F).
            phase: (B, n_fft // 2 + 1, F) to start with, radians.

        Returns:
            (B, F * hop_length).
        """
        config, settings = self.config, self.config.mel
        magnitude = linear_magnitude(mel, settings, config.inversion_steps)
        return refine_phase(magnitude, phase, settings, config.iterations, config.momentum)

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
            mel: (B, n_mels, F), as `config.mel` computes it.
            f0: not used.
            lengths: (B,) valid frames; None where all are full.
            generator: draws the first phases, the same for all items; None draws them from `config.seed`.

        Returns:
            (B, F * hop_length); zeros beyond `lengths * hop_length`.

        Raises:
            ValueError: wrong bands, not finite, values of another kind of mel, or lengths that don't fit.
        """
        check_mel(mel, self.config.mel, lengths)
        source = self._generator(generator)
        if mel.shape[-1] > MAX_FRAMES + 2 * self.context:
            return self._long(mel, lengths, source)
        noise = _Phases(source, self.config.mel.n_fft // 2 + 1, mel.device)
        phase = noise.draw(mel.shape[-1]).expand(mel.shape[0], -1, -1)
        hop = self.config.mel.hop_length
        joined = torch.cat([mel.float(), phase], dim=1)
        return synthesize_batch(self._network, joined, lengths, hop_length=hop, context=self.context)

    @torch.no_grad()
    def stream(self, chunks: Iterable[Tensor], generator: Generator | None = None) -> Iterator[Tensor]:
        """Waveform chunk by chunk, `context` frames behind the input.

        Args:
            chunks: mels (n_mels, F_i), F_i of any size.
            generator: as `synthesize`.

        Yields:
            (T_i,) samples; joined they are what `synthesize` gives for the joined mel.
        """
        yield from self._stream(chunks, self._generator(generator))

    @property
    def context(self) -> int:
        """Frames to each side of a frame that its samples depend on."""
        return refine_context(self.config.mel, self.config.iterations)

    @property
    def look_ahead(self) -> float:
        """Seconds of mel that `stream` needs beyond a sample before it can give it."""
        return self.context / self.config.mel.frame_rate

    def _network(self, joined: Tensor) -> Tensor:
        bands = self.config.mel.n_mels
        wav: Tensor = self(joined[:, :bands], joined[:, bands:])
        return wav

    def _long(self, mel: Tensor, lengths: Tensor | None, generator: Generator) -> Tensor:
        """Item by item as streams, so that the phases of the whole never exist at once."""
        hop, start = self.config.mel.hop_length, generator.get_state()
        wav = mel.new_zeros(mel.shape[0], mel.shape[2] * hop, dtype=torch.float32)
        for i in range(mel.shape[0]):
            generator.set_state(start)  # the same phases for all items
            valid = mel.shape[2] if lengths is None else int(lengths[i])
            place = 0
            for piece in self._stream(torch.split(mel[i, :, :valid], MAX_FRAMES, dim=1), generator):
                wav[i, place : place + piece.shape[0]] = piece
                place += piece.shape[0]
        return wav

    def _stream(self, chunks: Iterable[Tensor], generator: Generator) -> Iterator[Tensor]:
        hop, joined = self.config.mel.hop_length, self._with_phase(chunks, generator)
        return synthesize_stream(self._network, joined, hop_length=hop, context=self.context)

    def _with_phase(self, chunks: Iterable[Tensor], generator: Generator) -> Iterator[Tensor]:
        noise: _Phases | None = None
        for chunk in chunks:
            check_chunk(chunk, self.config.mel)
            if noise is None:
                noise = _Phases(generator, self.config.mel.n_fft // 2 + 1, chunk.device)
            yield torch.cat([chunk.float(), noise.draw(chunk.shape[-1])[0]])

    def _generator(self, given: Generator | None) -> Generator:
        return torch.Generator().manual_seed(self.config.seed) if given is None else given


def refine_phase(
    magnitude: Tensor, phase: Tensor, settings: MelConfig, iterations: int, momentum: float = 0.99
) -> Tensor:
    """Waveforms whose transform has about the given magnitudes.

    Args:
        magnitude: (B, n_fft // 2 + 1, F).
        phase: of the same shape, to start with, radians.
        settings: framing.
        iterations: times back and forth.
        momentum: 0 is the algorithm of 1984.

    Returns:
        (B, F * hop_length).
    """
    frames, hop = magnitude.shape[-1], settings.hop_length
    # Silence at both ends, so that the transforms are consistent to the last sample.
    edge = -(-settings.n_fft // hop) + 1
    magnitude = F.pad(magnitude, (edge, edge))
    spectrum = torch.polar(magnitude, F.pad(phase, (edge, edge)))
    before = torch.zeros_like(spectrum)
    weight = momentum / (1 + momentum)
    for _ in range(iterations):
        wav = inverse_stft(spectrum, settings.n_fft, hop, settings.win_length)
        rebuilt = stft(wav, settings.n_fft, hop, settings.win_length)
        direction = rebuilt - weight * before
        spectrum = magnitude * direction / direction.abs().clamp(min=1e-8)
        before = rebuilt
    wav = inverse_stft(spectrum, settings.n_fft, hop, settings.win_length)
    start = edge * hop + _offset(settings.padding, settings.n_fft, hop)
    return wav[:, start : start + frames * hop]


def check_refinable(settings: MelConfig) -> None:
    """Refuse settings whose frames `refine_phase` can't rebuild.

    Raises:
        ValueError: windows can't lie in the middle of their hop.
    """
    if (settings.n_fft - settings.hop_length) % 2:
        raise ValueError(
            f"Griffin-Lim needs n_fft - hop_length to be even; got {settings.n_fft} and {settings.hop_length}; make "
            "one of them 1 more or 1 less"
        )


def refine_context(settings: MelConfig, iterations: int) -> int:
    """Frames to each side that `refine_phase` sees: an iteration carries a change one window further."""
    return (iterations + 1) * -(-settings.n_fft // settings.hop_length) + 2


class _Phases:
    """An endless row of random phases, the same however it is cut."""

    def __init__(self, generator: Generator, bins: int, device: torch.device) -> None:
        self.generator, self.bins, self.device = generator, bins, device
        self.rest = torch.zeros(0, bins, device=device)

    def draw(self, frames: int) -> Tensor:
        """The next phases, (1, bins, frames), in radians."""
        blocks = [self.rest]
        count = self.rest.shape[0]
        while count < frames:
            drawn = torch.rand(NOISE_FRAMES, self.bins, generator=self.generator, device=self.generator.device)
            blocks.append(drawn.to(self.device))
            count += NOISE_FRAMES
        row = torch.cat(blocks)
        self.rest = row[frames:]
        return (row[:frames].mT * (2 * torch.pi))[None]


def _offset(padding: str, n_fft: int, hop_length: int) -> int:
    """Samples by which frames of this padding come later than those of `same`."""
    if padding == "same":
        return 0
    # The centre of frame 0 lies at sample 0 with `center`, at n_fft / 2 with `none`, and at hop / 2 with `same`.
    return hop_length // 2 - (n_fft // 2 if padding == "none" else 0)
