"""DiffWave: dilated convolutions predict the noise in a waveform; noise becomes a waveform step by step.

Source: Kong et al., "DiffWave: A Versatile Diffusion Model for Audio Synthesis", 2021, arXiv:2009.09761.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_vocoders.diffusion_schedule import ReverseStep, linear_betas, noise_levels, reverse_steps
from amphion_vocoders.sampling import Noise, Piece, SamplingConfig, SamplingVocoder, Stage, passed_through

__all__ = ["DiffWave", "DiffWaveConfig"]

EMBEDDING = 128
HIDDEN = 512
MEL_SLOPE = 0.4


class DiffWaveConfig(SamplingConfig):
    """Hyperparameters; the defaults are those of the paper's base model, 22.05 kHz.

    Attributes:
        mel: what it takes.
        channels: width.
        layers: residual layers.
        cycle: layers after which the dilation, doubled at each, begins again at 1.
        rates: factors of the two up-samplings of the mel, even; their product is the hop.
        betas: variances of the noise that training adds, the first, the last, and how many.
        fast_betas: the short schedule.
        steps: schedule of sampling: `full` is that of training, `fast` the short one; or variances of one's own.
        clip: where the samples are clipped to [-1, 1]: after the `last` step, or after `every` step, which the
            checkpoints of the toolkit depend on.
    """

    channels: int = Field(64, ge=1)
    layers: int = Field(30, ge=1)
    cycle: int = Field(10, ge=1)
    rates: tuple[int, int] = (16, 16)
    betas: tuple[float, float, int] = (1e-4, 0.05, 50)
    fast_betas: tuple[float, ...] = Field((1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.5), min_length=1)
    steps: Literal["full", "fast"] | tuple[float, ...] = "full"
    clip: Literal["last", "every"] = "last"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        faults = []
        if math.prod(self.rates) != self.mel.hop_length:
            faults.append(f"the product of rates {math.prod(self.rates)} is not mel.hop_length {self.mel.hop_length}")
        if any(rate < 2 or rate % 2 for rate in self.rates):
            faults.append(f"rates must be even, or the length changes; got {self.rates}")
        first, last, count = self.betas
        if not 0 < first <= last < 1 or count < 1:
            faults.append(f"betas must be (first, last, how many) with 0 < first <= last < 1, got {self.betas}")
        if not self.sampling_betas or any(not 0 < beta < 1 for beta in self.sampling_betas):
            faults.append(f"every beta of steps must lie between 0 and 1, got {self.sampling_betas}")
        if faults:
            raise ValueError("; ".join(faults))
        reverse_steps(self.sampling_betas, self.training_betas)
        return self

    @property
    def training_betas(self) -> tuple[float, ...]:
        """Variances that training adds."""
        return linear_betas(*self.betas)

    @property
    def sampling_betas(self) -> tuple[float, ...]:
        """Variances of the schedule that sampling takes back."""
        if isinstance(self.steps, tuple):
            return self.steps
        return self.training_betas if self.steps == "full" else self.fast_betas


class DiffWave(SamplingVocoder[DiffWaveConfig]):
    """Log-mel spectrogram and noise to waveform."""

    config_class = DiffWaveConfig
    name = "diffwave"
    trained_by = "diffusion-vocoder"
    adjustable = ("steps", "clip")
    levels: Tensor

    def __init__(self, config: DiffWaveConfig) -> None:
        super().__init__(config)
        self.input = nn.Conv1d(1, config.channels, 1)
        self.time = _TimeEmbedding(config.betas[2])
        self.upsample = nn.ModuleList(
            nn.ConvTranspose2d(1, 1, (3, 2 * rate), (1, rate), (1, rate // 2)) for rate in config.rates
        )
        self.blocks = nn.ModuleList(
            _Block(config.channels, config.mel.n_mels, 2 ** (number % config.cycle)) for number in range(config.layers)
        )
        self.skip = nn.Conv1d(config.channels, config.channels, 1)
        self.output = nn.Conv1d(config.channels, 1, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv1d):
                nn.init.kaiming_normal_(layer.weight)
        nn.init.zeros_(self.output.weight)
        self.register_buffer("levels", torch.tensor(noise_levels(config.training_betas)), persistent=False)

    def forward(self, wav: Tensor, time: Tensor, mel: Tensor) -> Tensor:
        """Predict the noise in waveforms.

        Args:
            wav: (B, F * hop_length), with noise.
            time: (B,) or (1,) training step, from 0; fractions are interpolated.
            mel: (B, n_mels, F).

        Returns:
            (B, F * hop_length).
        """
        hidden, condition = self.time(time), self.upsampled(mel)
        x = F.relu(self.input(wav[:, None]))  # (B, channels, T)
        total: Tensor | None = None
        for block in self.blocks:
            x, skip = block(x, hidden, condition)
            total = skip if total is None else total + skip
        assert total is not None
        estimate: Tensor = self.output(F.relu(self.skip(total / math.sqrt(len(self.blocks)))))
        return estimate.squeeze(1)

    def upsampled(self, mel: Tensor) -> Tensor:
        """Mels (B, n_mels, F) at the rate of the samples, (B, n_mels, F * hop_length)."""
        x = mel[:, None]
        for layer in self.upsample:
            x = F.leaky_relu(layer(x), MEL_SLOPE)
        return x.squeeze(1)

    def noisy(self, wav: Tensor, time: Tensor, noise: Tensor) -> Tensor:
        """Waveforms (B, T) with the noise (B, T) of the integer training steps (B,)."""
        level = self.levels[time][:, None]  # (B, 1)
        return level.sqrt() * wav + (1 - level).sqrt() * noise

    def sample(self, chunks: Iterable[Tensor], noise: Noise, *, eager: bool = False) -> Iterator[Tensor]:
        """Waveforms (B, T_i) piece by piece, of mels (B, n_mels, F_i); see `SamplingVocoder.sample`.

        The noise of step n is row n, what it starts from the row after the last step.
        """
        steps = reverse_steps(self.config.sampling_betas, self.config.training_betas)
        hop = self.config.mel.hop_length

        def started() -> Iterator[Piece]:
            for mel in chunks:
                x = noise(len(steps), mel.shape[-1] * hop)  # (1 or B, T)
                yield mel, x[:, None].expand(mel.shape[0], -1, -1)

        stages = [self._stage(steps[number], number, noise) for number in reversed(range(len(steps)))]
        for _, x in passed_through(stages, started(), eager=eager):
            yield x[:, 0]

    def with_steps(self, steps: Literal["full", "fast"] | tuple[float, ...]) -> Self:
        """Sample by another schedule from now on; returns the same model.

        Raises:
            ValueError: a step that training does not know.
        """
        self.config = self.config.updated(steps=steps)
        return self

    @property
    def context(self) -> int:
        """Frames to each side of a frame that its samples depend on."""
        return self._reach * len(self.config.sampling_betas)

    @classmethod
    def from_released(cls, source: str | Path, args: dict[str, Any] | None = None) -> Self:
        """Load a checkpoint of the toolkit; its samples are clipped after every step, as there.

        Args:
            source: an experiment or accelerate folder, or a file.
            args: its configuration; None reads the args.json beside it.

        Raises:
            FileNotFoundError: no checkpoint or no configuration is there.
            ValueError: the checkpoint is of another model or size.
        """
        from amphion_vocoders.released.diffwave import load_diffwave

        return load_diffwave(cls, source, args)

    @property
    def _reach(self) -> int:
        """Frames to each side that one step sees."""
        samples: int = sum(2 ** (number % self.config.cycle) for number in range(self.config.layers))
        return -(-samples // self.config.mel.hop_length) + 2

    def _stage(self, step: ReverseStep, number: int, noise: Noise) -> Stage:
        """One step nearer to the signal."""

        def denoise(piece: Piece) -> Piece:
            mel, x = piece
            estimate = self(x[:, 0], x.new_tensor([step.time]), mel)[:, None]
            return mel, (x - step.estimate * estimate) * step.scale

        def finish(piece: Piece) -> Piece:
            mel, x = piece
            if number:
                x = x + step.noise * noise(number, x.shape[-1])[:, None]
            return mel, x.clamp(-1, 1) if number == 0 or self.config.clip == "every" else x

        return Stage(denoise, self._reach, finish)


class _TimeEmbedding(nn.Module):
    """Training steps to hidden vectors, by sines and cosines of many rates."""

    table: Tensor

    def __init__(self, steps: int) -> None:
        super().__init__()
        half = EMBEDDING // 2
        # In single precision in this order: the arguments reach 10^4 times the step, so their rounding shows in the
        # sines, and released weights have learnt it.
        rates = 10.0 ** (torch.arange(half) * 4.0 / (half - 1))
        angles = torch.arange(steps)[:, None] * rates
        self.register_buffer("table", torch.cat([angles.sin(), angles.cos()], dim=1), persistent=False)
        self.first = nn.Linear(EMBEDDING, HIDDEN)
        self.second = nn.Linear(HIDDEN, HIDDEN)

    def forward(self, time: Tensor) -> Tensor:
        """Vectors (B, 512) of steps (B,), between two entries of the table where they have a fraction."""
        if time.is_floating_point():
            low = time.floor().long()
            share = (time - low)[:, None]
            rows = torch.lerp(self.table[low], self.table[time.ceil().long()], share.to(self.table.dtype))
        else:
            rows = self.table[time]
        return F.silu(self.second(F.silu(self.first(rows))))


class _Block(nn.Module):
    """A dilated convolution, conditioned on step and mel, gated; one half goes on, the other to the output."""

    def __init__(self, channels: int, n_mels: int, dilation: int) -> None:
        super().__init__()
        self.time = nn.Linear(HIDDEN, channels)
        self.dilated = nn.Conv1d(channels, 2 * channels, 3, padding=dilation, dilation=dilation)
        self.condition = nn.Conv1d(n_mels, 2 * channels, 1)
        self.output = nn.Conv1d(channels, 2 * channels, 1)

    def forward(self, x: Tensor, hidden: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """The next x (B, channels, T), and what goes to the output, of the same shape."""
        y = self.dilated(x + self.time(hidden)[:, :, None]) + self.condition(condition)
        gate, content = y.chunk(2, dim=1)
        residual, skip = self.output(torch.sigmoid(gate) * torch.tanh(content)).chunk(2, dim=1)
        return (x + residual) / math.sqrt(2), skip
