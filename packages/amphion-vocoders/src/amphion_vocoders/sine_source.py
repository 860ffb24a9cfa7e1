"""The excitation of source-filter vocoders: harmonics of F0 where it is voiced, noise elsewhere.

Source: Wang, Takaki and Yamagishi, "Neural Source-Filter Waveform Models for Statistical Parametric Speech Synthesis",
2019, arXiv:1904.12088. Deviation that released code has: the random phases are added to the frequencies of frame 0, not
to the phases, so the overtones of the very first frame are out of tune.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor, nn

__all__ = ["Excitation", "SineSource"]

NOISE_FRAMES = 64
"""Frames of noise that are drawn at once, so that the noise is the same however a clip is cut."""


class SineSource(nn.Module):
    """F0 to one signal: a learnt mixture of sines with a little noise."""

    def __init__(
        self, sample_rate: int, hop_length: int, overtones: int, *, amplitude: float = 0.1, noise: float = 0.003
    ) -> None:
        """Make the mixture.

        Args:
            sample_rate: Hz.
            hop_length: samples of a frame of F0.
            overtones: harmonics above the fundamental, H.
            amplitude: of each sine; a third of it is that of the noise in unvoiced frames.
            noise: amplitude of the noise in voiced frames.
        """
        super().__init__()
        self.sample_rate, self.hop_length, self.overtones = sample_rate, hop_length, overtones
        self.amplitude, self.noise = amplitude, noise
        self.mix = nn.Linear(overtones + 1, 1)

    def forward(self, f0: Tensor, phase: Tensor | None = None, noise: Tensor | None = None) -> Tensor:
        """The source of whole clips; what isn't given is drawn.

        Args:
            f0: (B, F) Hz, 0 = unvoiced.
            phase: (B, H + 1) random in [0, 1), of each harmonic; that of the fundamental is not used.
            noise: (B, F * hop_length, H + 1) of variance 1.

        Returns:
            (B, F * hop_length) in [-1, 1].
        """
        batch, frames = f0.shape
        if phase is None:
            phase = torch.rand(batch, self.overtones + 1, device=f0.device)
        if noise is None:
            noise = torch.randn(batch, frames * self.hop_length, self.overtones + 1, device=f0.device)
        waves, _ = self.waves(f0, noise, phase=phase)
        return self.mixed(waves)

    def mixed(self, waves: Tensor) -> Tensor:
        """The signal (B, T) of waves (B, T, H + 1)."""
        with torch.autocast(waves.device.type, enabled=False):  # faint overtones would drown in half precision
            signal: Tensor = torch.tanh(self.mix(waves.to(self.mix.weight.dtype)))
        return signal.squeeze(-1)

    @torch.no_grad()
    def waves(
        self, f0: Tensor, noise: Tensor, *, phase: Tensor | None = None, cycles: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Sines with noise of some frames, and where they stand at the end.

        Args:
            f0: (B, F) Hz, 0 = unvoiced.
            noise: (B, F * hop_length, H + 1) of variance 1.
            phase: (B, H + 1) of the start; None where the frames go on from others.
            cycles: (B, H + 1) float64, what was returned for the frames before; None at the start.

        Returns:
            (B, F * hop_length, H + 1), and (B, H + 1) cycles since the start.
        """
        batch, frames = f0.shape
        harmonics = torch.arange(1, self.overtones + 2, device=f0.device)
        step = (f0.float()[..., None] * harmonics / self.sample_rate) % 1  # (B, F, H + 1) cycles a sample
        if phase is not None:
            step[:, 0, 1:] += phase[:, 1:]
        # In double: after minutes a phase in single precision would be off by a good part of a cycle.
        steps = step.double()
        if cycles is None:
            cycles = steps.new_zeros(batch, self.overtones + 1)
        totals = torch.cat([cycles[:, None], steps * self.hop_length], dim=1).cumsum(1)  # (B, F + 1, H + 1)
        offsets = torch.arange(1, self.hop_length + 1, device=f0.device, dtype=torch.float64)
        # Within a frame the frequency is constant, so that the phase is a straight line from the total before.
        turns = totals[:, :-1, None] + steps[:, :, None] * offsets[:, None]  # (B, F, hop_length, H + 1)
        sines = torch.sin(2 * torch.pi * (turns % 1).float())
        voiced = (f0 > 0).float()[..., None, None]
        level = voiced * self.noise + (1 - voiced) * (self.amplitude / 3)
        waves = self.amplitude * voiced * sines + level * noise.reshape(noise.shape[0], frames, self.hop_length, -1)
        return waves.flatten(1, 2), totals[:, -1]


class Excitation:
    """The source of clips that come in pieces: the phases go on, and the noise is the same however they are cut.

    All items of a batch hear the same noise, so that none depends on what stands beside it.
    """

    def __init__(self, source: SineSource, generator: Generator | None) -> None:
        """Begin at the first frame.

        Args:
            source: to take from.
            generator: of phases and noise; None always draws the same ones.
        """
        self.source = source
        self.generator = torch.Generator().manual_seed(0) if generator is None else generator
        self.phase: Tensor | None = self._rand(torch.rand, source.overtones + 1)
        self.cycles: Tensor | None = None
        self.rest = torch.zeros(0, source.overtones + 1)

    def next(self, f0: Tensor) -> Tensor:
        """The next (B, F * hop_length) samples, of F0 (B, F) in Hz."""
        if f0.shape[1] == 0:
            return f0.new_zeros(f0.shape[0], 0)
        noise = self._noise(f0.shape[1] * self.source.hop_length).to(f0.device)
        phase = None if self.phase is None else self.phase.to(f0.device).expand(f0.shape[0], -1)
        waves, self.cycles = self.source.waves(f0, noise[None], phase=phase, cycles=self.cycles)
        self.phase = None
        return self.source.mixed(waves)

    def _noise(self, samples: int) -> Tensor:
        blocks, count = [self.rest], self.rest.shape[0]
        while count < samples:
            block = self._rand(torch.randn, NOISE_FRAMES * self.source.hop_length, self.source.overtones + 1)
            blocks.append(block.to(self.rest.device))
            count += block.shape[0]
        row = torch.cat(blocks)
        self.rest = row[samples:]
        return row[:samples]

    def _rand(self, draw: Callable[..., Tensor], *shape: int) -> Tensor:
        return draw(*shape, generator=self.generator, device=self.generator.device)
