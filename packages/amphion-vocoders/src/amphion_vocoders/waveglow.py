"""WaveGlow: an invertible network between waveforms and noise, conditioned on the mel; one pass each way.

Source: Prenger, Valle and Catanzaro, "WaveGlow: A Flow-based Generative Network for Speech Synthesis", 2018,
arXiv:1811.00002.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.modules.convolution import same_padding, weight_norm
from amphion_vocoders.sampling import Noise, Piece, SamplingConfig, SamplingVocoder, Stage, passed_through

__all__ = ["Latent", "WaveGlow", "WaveGlowConfig", "likelihood_loss"]


class WaveGlowConfig(SamplingConfig):
    """Hyperparameters; the defaults are those of the published code (the paper's networks have 512 channels).

    Attributes:
        mel: what it takes.
        group: neighbouring samples that are the channels of the flow, even.
        flows: pairs of a mixing matrix and a coupling.
        early_every: flows after which some channels are finished.
        early_size: channels that are finished then, even.
        layers: dilated convolutions of a coupling's network, of dilations 1, 2, 4 ...
        channels: width of that network.
        kernel_size: of these convolutions, odd.
        upsample_kernel_size: of the transposed convolution from frames to samples.
        sigma: standard deviation of the noise at inference; less than the 1 of training is less noisy.
    """

    group: int = Field(8, ge=2, multiple_of=2)
    flows: int = Field(12, ge=1)
    early_every: int = Field(4, ge=1)
    early_size: int = Field(2, ge=2, multiple_of=2)
    layers: int = Field(8, ge=1)
    channels: int = Field(256, ge=2, multiple_of=2)
    kernel_size: int = Field(3, ge=1)
    upsample_kernel_size: int = Field(1024, ge=1)
    sigma: float = Field(0.6, ge=0)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        hop, faults = self.mel.hop_length, []
        if hop % self.group:
            faults.append(f"mel.hop_length {hop} is no multiple of group {self.group}")
        if self.kernel_size % 2 == 0:
            faults.append(f"kernel_size must be odd, or the length changes; got {self.kernel_size}")
        if self.upsample_kernel_size < hop:
            faults.append(f"upsample_kernel_size {self.upsample_kernel_size} is less than mel.hop_length {hop}")
        if self.widths[-1] < 2:
            faults.append(
                f"{self.flows} flows finish {self.early_size} channels after every {self.early_every}, more than the "
                f"{self.group} of group"
            )
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each flow."""
        return tuple(self.group - number // self.early_every * self.early_size for number in range(self.flows))


class Latent(NamedTuple):
    """What waveforms are in noise.

    Attributes:
        z: (B, group, T / group), the channels in the order in which they were finished.
        log_scales: of each flow, (B, half of its channels, T / group).
        log_determinants: (flows,) of the mixing matrices, over all places of the batch.
    """

    z: Tensor
    log_scales: list[Tensor]
    log_determinants: Tensor


class WaveGlow(SamplingVocoder[WaveGlowConfig]):
    """Log-mel spectrogram and noise to waveform, and back."""

    config_class = WaveGlowConfig
    name = "waveglow"
    trained_by = "flow-vocoder"
    adjustable = ("sigma",)

    def __init__(self, config: WaveGlowConfig) -> None:
        super().__init__(config)
        bands = config.mel.n_mels
        self.upsample = nn.ConvTranspose1d(bands, bands, config.upsample_kernel_size, config.mel.hop_length)
        self.flows = nn.ModuleList(_Flow(width, config) for width in config.widths)

    def forward(self, mel: Tensor, wav: Tensor) -> Latent:
        """From waveforms to noise, for training.

        Args:
            mel: (B, n_mels, F).
            wav: (B, T), T a multiple of `config.group` and at most F * hop_length.

        Raises:
            ValueError: the waveforms have another length.
        """
        most, group = mel.shape[-1] * self.config.mel.hop_length, self.config.group
        if wav.shape[-1] > most or wav.shape[-1] % group:
            raise ValueError(
                f"the waveforms have {wav.shape[-1]} samples; {mel.shape[-1]} frames go with {most}, or fewer by "
                f"multiples of {group}"
            )
        condition = self.condition(mel)[..., : wav.shape[-1] // group]
        x = wav.view(wav.shape[0], -1, group).mT  # (B, group, T / group)
        finished, log_scales, log_determinants = [], [], []
        for flow, early in zip(self.flows, self._early, strict=True):
            if early:
                finished.append(x[:, :early])
                x = x[:, early:]
            x, log_scale, log_determinant = flow(x, condition)
            log_scales.append(log_scale)
            log_determinants.append(log_determinant * (x.shape[0] * x.shape[2]))
        return Latent(torch.cat([*finished, x], dim=1), log_scales, torch.stack(log_determinants))

    def condition(self, mel: Tensor) -> Tensor:
        """Mels (B, n_mels, F) at the rate of the samples, in groups: (B, n_mels * group, T / group)."""
        x: Tensor = self.upsample(mel)[..., : mel.shape[-1] * self.config.mel.hop_length]
        grouped = x.reshape(*x.shape[:2], -1, self.config.group)  # (B, n_mels, T / group, group)
        return grouped.mT.flatten(1, 2)

    def sample(self, chunks: Iterable[Tensor], noise: Noise, *, eager: bool = False) -> Iterator[Tensor]:
        """Waveforms (B, T_i) piece by piece, of mels (B, n_mels, F_i); see `SamplingVocoder.sample`.

        Row 0 of the noise is that of the channels which all flows share, the rows after it those that join on the way.
        """

        def conditioned(piece: Piece) -> Piece:
            return *piece, self.condition(piece[0])

        def started(piece: Piece) -> Piece:
            mel, condition = piece
            return mel, condition, self._noise(noise, 0, self.config.widths[-1], condition)

        stages, row = [Stage(conditioned, self._upsample_reach, started)], 0
        for flow, early in reversed(list(zip(self.flows, self._early, strict=True))):
            row += bool(early)
            stages.append(self._stage(flow, early, row, noise))
        for _, _, x in passed_through(stages, ((mel,) for mel in chunks), eager=eager):
            yield x.mT.flatten(1)

    def with_sigma(self, sigma: float) -> Self:
        """Draw noise of another standard deviation from now on; returns the same model.

        Raises:
            ValueError: it is negative.
        """
        self.config = self.config.updated(sigma=sigma)
        return self

    @property
    def context(self) -> int:
        """Frames to each side of a frame that its samples depend on."""
        return self._upsample_reach + self.config.flows * self._reach

    def fold(self) -> Self:
        """Compute normed weights and the inverse matrices once; `train()` and loading weights undo it."""
        super().fold()
        for flow in self.flows:
            flow.mixing.fold()  # type: ignore[union-attr, operator]
        return self

    @classmethod
    def from_released(cls, source: str | Path, args: dict[str, Any] | None = None) -> Self:
        """Load a checkpoint of the toolkit.

        Args:
            source: an experiment or accelerate folder, or a file.
            args: its configuration, with the older upper-case names or the newer ones; None reads the args.json
                beside it. Where it says nothing of the mel, that is the one of 22.05 kHz.

        Raises:
            FileNotFoundError: no checkpoint or no configuration is there.
            ValueError: the checkpoint is of another model or size.
        """
        from amphion_vocoders.released.waveglow import load_waveglow

        return load_waveglow(cls, source, args)

    @property
    def _early(self) -> list[int]:
        """Channels that are finished before each flow."""
        every, size = self.config.early_every, self.config.early_size
        return [size if number and number % every == 0 else 0 for number in range(self.config.flows)]

    @property
    def _rate(self) -> int:
        """Groups in a frame."""
        return self.config.mel.hop_length // self.config.group

    @property
    def _reach(self) -> int:
        """Frames to each side that one flow sees."""
        places: int = self.config.kernel_size // 2 * (2**self.config.layers - 1)
        return -(-places // self._rate)

    @property
    def _upsample_reach(self) -> int:
        """Frames before a frame that the up-sampling sees."""
        return -(-self.config.upsample_kernel_size // self.config.mel.hop_length) - 1

    def _stage(self, flow: Any, early: int, row: int, noise: Noise) -> Stage:
        """One flow back; then the channels that were finished before it."""

        def invert(piece: Piece) -> Piece:
            mel, condition, x = piece
            return mel, condition, flow.inverse(x, condition)

        def joined(piece: Piece) -> Piece:
            mel, condition, x = piece
            return mel, condition, torch.cat([self._noise(noise, row, early, condition), x], dim=1)

        return Stage(invert, self._reach, joined if early else None)

    def _noise(self, noise: Noise, row: int, channels: int, condition: Tensor) -> Tensor:
        """Noise (B, channels, T / group); that of one place after that of another."""
        drawn = self.config.sigma * noise(row, channels * condition.shape[-1])
        return drawn.view(drawn.shape[0], -1, channels).mT.expand(condition.shape[0], -1, -1)


class _Flow(nn.Module):
    """A mixing matrix, then an affine coupling: one half of the channels scales and shifts the other."""

    def __init__(self, width: int, config: WaveGlowConfig) -> None:
        super().__init__()
        self.mixing = _Mixing(width)
        self.network = _CouplingNetwork(width // 2, config)

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Towards noise: the next x (B, width, T), log scales (B, width / 2, T) and log determinant of a place."""
        x, log_determinant = self.mixing(x)
        kept, changed = x.chunk(2, dim=1)
        shift, log_scale = self._coupling(kept, condition)
        return torch.cat([kept, log_scale.exp() * changed + shift], dim=1), log_scale, log_determinant

    def inverse(self, x: Tensor, condition: Tensor) -> Tensor:
        """Towards the waveform: x (B, width, T) before this flow."""
        kept, changed = x.chunk(2, dim=1)
        shift, log_scale = self._coupling(kept, condition)
        return self.mixing.inverse(torch.cat([kept, (changed - shift) * torch.exp(-log_scale)], dim=1))

    def _coupling(self, kept: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Shift and log scale in the precision of the signal, whatever that of the network."""
        shift, log_scale = self.network(kept, condition)
        return shift.to(kept.dtype), log_scale.to(kept.dtype)


class _Mixing(nn.Module):
    """An invertible matrix over the channels, at first a random rotation."""

    folded: Tensor | None

    def __init__(self, width: int) -> None:
        super().__init__()
        rotation = torch.linalg.qr(torch.randn(width, width))[0]
        rotation[:, 0] *= torch.linalg.det(rotation).sign()
        self.weight = nn.Parameter(rotation.contiguous())
        self.register_buffer("folded", None, persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The channels of (B, width, T) mixed, and the log of the determinant's size."""
        with torch.autocast(x.device.type, enabled=False):  # the signal itself is never rounded to half precision
            return self.weight @ x, torch.linalg.slogdet(self.weight).logabsdet

    def inverse(self, x: Tensor) -> Tensor:
        """The channels of (B, width, T) as they were."""
        with torch.autocast(x.device.type, enabled=False):
            return torch.matmul(self._inverse() if self.folded is None else self.folded, x)

    def fold(self) -> None:
        """Keep the inverse until the next training or loading."""
        with torch.no_grad():
            self.folded = self._inverse()

    def train(self, mode: bool = True) -> Self:
        """Set the mode; training forgets the inverse."""
        if mode:
            self.folded = None
        return super().train(mode)

    def _inverse(self) -> Tensor:
        # In double precision: the errors of twelve inverses add up.
        inverse: Tensor = torch.linalg.inv(self.weight.double())
        return inverse.to(self.weight.dtype)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self.folded = None
        super()._load_from_state_dict(*args, **kwargs)


class _CouplingNetwork(nn.Module):
    """Gated dilated convolutions without causality (WN of the paper)."""

    def __init__(self, half: int, config: WaveGlowConfig) -> None:
        super().__init__()
        channels, layers, kernel = config.channels, config.layers, config.kernel_size
        bands = config.mel.n_mels * config.group
        self.channels = channels
        self.input = weight_norm(nn.Conv1d(half, channels, 1))
        self.condition = weight_norm(nn.Conv1d(bands, 2 * channels * layers, 1))
        self.dilated = nn.ModuleList(
            weight_norm(nn.Conv1d(channels, 2 * channels, kernel, 1, same_padding(kernel, 2**i), 2**i))
            for i in range(layers)
        )
        self.mixed = nn.ModuleList(
            weight_norm(nn.Conv1d(channels, (1 if i == layers - 1 else 2) * channels, 1)) for i in range(layers)
        )
        self.output = nn.Conv1d(channels, 2 * half, 1)
        nn.init.zeros_(self.output.weight)
        assert self.output.bias is not None
        nn.init.zeros_(self.output.bias)

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Shift and log scale (B, half, T), of half of the channels (B, half, T) and the condition."""
        x = self.input(x)  # (B, channels, T)
        # Of one layer at a time, as all at once are the largest tensor by far.
        weights = torch.split(self.condition.weight, 2 * self.channels)
        biases = torch.split(self.condition.bias, 2 * self.channels)  # type: ignore[arg-type]
        total = torch.zeros_like(x)
        for number, (dilated, mixed) in enumerate(zip(self.dilated, self.mixed, strict=True)):
            y = dilated(x) + F.conv1d(condition, weights[number], biases[number])
            first, second = y.chunk(2, dim=1)
            y = mixed(torch.tanh(first) * torch.sigmoid(second))
            if number < len(self.dilated) - 1:
                x = x + y[:, : self.channels]
                y = y[:, self.channels :]
            total = total + y
        shift, log_scale = self.output(total).chunk(2, dim=1)
        return shift, log_scale


def likelihood_loss(latent: Latent, sigma: float = 1.0) -> Tensor:
    """Negative log likelihood a sample, in nats, without the constant of the normal distribution.

    Args:
        latent: of a batch.
        sigma: standard deviation of the noise.
    """
    energy = latent.z.square().sum() / (2 * sigma**2)
    volume = torch.stack([log_scale.sum() for log_scale in latent.log_scales]).sum() + latent.log_determinants.sum()
    return (energy - volume) / latent.z.numel()
