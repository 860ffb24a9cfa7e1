"""Phones to mel, all frames at once: durations, pitch and energy are predicted and can be controlled.

Source: Ren et al., "FastSpeech 2", 2020, arXiv:2006.04558, in the form of the released checkpoints: pitch is a
contour (no wavelet), energy is predicted after the pitch embedding was added, and a post-net refines the mel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.features.mel_config import MelConfig
from amphion_core.hub import PretrainedModule
from amphion_core.modules.embedding import sinusoidal_positions
from amphion_core.modules.length_regulator import regulate_length
from amphion_core.modules.masking import length_mask
from amphion_core.modules.transformer import FFTBlock
from amphion_tts.fastspeech2.config import FastSpeech2Config, VarianceConfig

__all__ = ["Controls", "FastSpeech2", "FastSpeech2Output", "silence_value", "variance_boundaries"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FastSpeech2Output:
    """What a pass gives; P is N where the level is phone, F where it is frame.

    Attributes:
        mel: (B, n_mels, F) after the post-net, zeros are not written at padding.
        mel_before: (B, n_mels, F) before it.
        pitch: (B, P) normalised, times the control in inference.
        energy: (B, P) likewise.
        log_durations: (B, N) logarithm of frames plus one.
        durations: (B, N) frames used; in inference rounded, then times the control.
        mel_lengths: (B,) frames.
        mel_mask: (B, F) bool.
        phone_mask: (B, N) bool.
    """

    mel: Tensor
    mel_before: Tensor
    pitch: Tensor
    energy: Tensor
    log_durations: Tensor
    durations: Tensor
    mel_lengths: Tensor
    mel_mask: Tensor
    phone_mask: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """Factors of the predictions.

    Attributes:
        duration: of the frames of each phone.
        pitch: of the pitch in Hz.
        energy: of the energy.
        normalised: apply pitch and energy to the normalised values, as the original did.
    """

    duration: float = 1.0
    pitch: float = 1.0
    energy: float = 1.0
    normalised: bool = False


class FastSpeech2(PretrainedModule[FastSpeech2Config]):
    """Phone ids to log-mel spectrogram."""

    config_class = FastSpeech2Config
    name = "fastspeech2"

    def __init__(self, config: FastSpeech2Config) -> None:
        super().__init__(config)
        self.encoder = Encoder(config)
        if config.speakers:
            self.speaker_embedding = nn.Embedding(len(config.speakers), config.dim)
        self.variance = VarianceAdaptor(config)
        self.decoder = Decoder(config)
        self.mel_linear = nn.Linear(config.dim, config.mel.n_mels)
        self.postnet = PostNet(config) if config.postnet_layers else None

    @classmethod
    def from_released(cls, source: str | Path, symbols: tuple[str, ...] | None = None) -> Self:
        """Load a checkpoint of the original toolkit; see `amphion_tts.fastspeech2.released.load`."""
        from amphion_tts.fastspeech2.released import load

        return load(cls, source, symbols)

    def forward(
        self,
        phones: Tensor,
        lengths: Tensor,
        speakers: Tensor | None = None,
        *,
        durations: Tensor | None = None,
        pitch: Tensor | None = None,
        energy: Tensor | None = None,
        frames: int | None = None,
        controls: Controls | None = None,
    ) -> FastSpeech2Output:
        """Predict a batch of mels; with targets, as in training, from them instead of from the predictions.

        Args:
            phones: (B, N) ids, 0 at padding.
            lengths: (B,) phones of each item, at least 1.
            speakers: (B,) ids; needed by, and only by, a model of several speakers.
            durations: (B, N) frames of each phone; None predicts them.
            pitch: normalised target, (B, N) or (B, F) by its level; None predicts it.
            energy: likewise.
            frames: frames of the result; None takes the longest item's.
            controls: factors of what is predicted.

        Raises:
            ValueError: ids outside the table, or speakers missing or not expected.
        """
        self._check(phones, lengths, speakers)
        phone_mask = length_mask(lengths, phones.shape[1])
        x = self.encoder(phones, phone_mask)  # (B, N, D)
        if speakers is not None:
            x = x + self.speaker_embedding(speakers)[:, None, :]
        varied = self.variance(x, phone_mask, durations, pitch, energy, frames, controls or Controls())
        hidden = self.decoder(varied.hidden, varied.mel_mask)
        before = self.mel_linear(hidden).transpose(1, 2)  # (B, n_mels, F)
        mel = before if self.postnet is None else before + self.postnet(before, varied.mel_mask)
        return FastSpeech2Output(
            mel=mel,
            mel_before=before,
            pitch=varied.pitch,
            energy=varied.energy,
            log_durations=varied.log_durations,
            durations=varied.durations,
            mel_lengths=varied.mel_lengths,
            mel_mask=varied.mel_mask,
            phone_mask=phone_mask,
        )

    @torch.inference_mode()
    def generate(
        self,
        phones: Tensor,
        lengths: Tensor,
        speakers: Tensor | None = None,
        *,
        speed: float = 1.0,
        pitch: float = 1.0,
        energy: float = 1.0,
    ) -> tuple[Tensor, Tensor]:
        """Mels of a batch; each item equals the item alone.

        Args:
            phones: (B, N) ids, 0 at padding.
            lengths: (B,) phones of each item.
            speakers: (B,) ids for a model of several speakers.
            speed: 2 speaks twice as fast.
            pitch: factor of the pitch in Hz.
            energy: factor of the energy.

        Returns:
            (B, n_mels, F) with the log of silence beyond each item's frames, and the frames (B,).

        Raises:
            ValueError: a control is not above 0.
        """
        for name, value in (("speed", speed), ("pitch", pitch), ("energy", energy)):
            if not 0 < value < float("inf"):
                raise ValueError(f"{name} is a factor above 0, 1 changes nothing; got {value}")
        controls = Controls(duration=1.0 / speed, pitch=pitch, energy=energy)
        result = self(phones, lengths, speakers, controls=controls)
        floor = silence_value(self.config.mel)
        return result.mel.masked_fill(~result.mel_mask[:, None, :], floor), result.mel_lengths

    def _check(self, phones: Tensor, lengths: Tensor, speakers: Tensor | None) -> None:
        rows = self.config.rows
        if phones.dim() != 2 or lengths.shape != phones.shape[:1]:
            raise ValueError(
                f"phones (B, N) and lengths (B,) expected, got {tuple(phones.shape)}, {tuple(lengths.shape)}"
            )
        if phones.numel() == 0 or not int(lengths.min()) >= 1 or int(lengths.max()) > phones.shape[1]:
            raise ValueError(f"each item needs 1 to {phones.shape[1]} phones, lengths are {lengths.tolist()}")
        if int(phones.min()) < 0 or int(phones.max()) >= rows:
            raise ValueError(f"phone ids go from 0 to {rows - 1}, got {int(phones.min())} to {int(phones.max())}")
        count = len(self.config.speakers)
        if bool(count) != (speakers is not None):
            raise ValueError(
                f"the model has {count} speakers; speaker ids are {'missing' if count else 'not expected'}"
            )
        if speakers is not None and not 0 <= int(speakers.min()) <= int(speakers.max()) < count:
            raise ValueError(f"speaker ids go from 0 to {count - 1}, got {speakers.tolist()}")


class Encoder(nn.Module):
    """Phone embedding, positions, feed-forward transformer blocks."""

    positions: Tensor

    def __init__(self, config: FastSpeech2Config) -> None:
        super().__init__()
        self.embed = nn.Embedding(config.rows, config.dim, padding_idx=0)
        self.register_buffer("positions", sinusoidal_positions(config.max_length + 1, config.dim)[None])
        self.dropout = config.encoder_dropout
        self.layers = _blocks(config, config.encoder_layers, config.encoder_heads, config.encoder_dropout)

    def forward(self, phones: Tensor, mask: Tensor) -> Tensor:
        x = self.embed(phones) + _positions(self.positions, phones.shape[1])  # (B, N, D)
        for layer in self.layers:
            x = layer(x, mask)
        return torch.as_tensor(x)


class Decoder(nn.Module):
    """Positions, feed-forward transformer blocks."""

    positions: Tensor

    def __init__(self, config: FastSpeech2Config) -> None:
        super().__init__()
        self.register_buffer("positions", sinusoidal_positions(config.max_length + 1, config.dim)[None])
        self.layers = _blocks(config, config.decoder_layers, config.decoder_heads, config.decoder_dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = x + _positions(self.positions, x.shape[1])  # (B, F, D)
        for layer in self.layers:
            x = layer(x, mask)
        return x


@dataclass(frozen=True, slots=True, kw_only=True)
class _Varied:
    """What the variance adaptor gives; names as in `FastSpeech2Output`."""

    hidden: Tensor
    pitch: Tensor
    energy: Tensor
    log_durations: Tensor
    durations: Tensor
    mel_lengths: Tensor
    mel_mask: Tensor


class VarianceAdaptor(nn.Module):
    """Durations, pitch and energy: predicted, embedded, and the sequence stretched to frames."""

    pitch_bins: Tensor
    energy_bins: Tensor

    def __init__(self, config: FastSpeech2Config) -> None:
        super().__init__()
        self.config = config
        self.duration_predictor = VariancePredictor(config)
        self.pitch_predictor = VariancePredictor(config)
        self.energy_predictor = VariancePredictor(config)
        self.register_buffer("pitch_bins", variance_boundaries(config.pitch, config.bins))
        self.register_buffer("energy_bins", variance_boundaries(config.energy, config.bins))
        self.pitch_embedding = nn.Embedding(config.bins, config.dim)
        self.energy_embedding = nn.Embedding(config.bins, config.dim)

    def forward(
        self,
        x: Tensor,
        phone_mask: Tensor,
        durations: Tensor | None,
        pitch: Tensor | None,
        energy: Tensor | None,
        frames: int | None,
        controls: Controls,
    ) -> _Varied:
        config = self.config
        log_durations = self.duration_predictor(x, phone_mask)  # (B, N)
        found: dict[str, Tensor] = {}
        targets = {"pitch": pitch, "energy": energy}
        levels = {"pitch": config.pitch.level, "energy": config.energy.level}
        for name in [n for n in levels if levels[n] == "phone"]:
            x, found[name] = self._add(name, x, phone_mask, targets[name], controls)
        if durations is None:
            durations = ((log_durations.exp() - 1).round() * controls.duration).clamp(min=0)
            durations = durations * phone_mask
        x, mel_lengths = regulate_length(x, durations, frames)  # (B, F, D)
        if x.shape[1] == 0:  # an untrained predictor may give no frame at all
            x, mel_lengths = x.new_zeros(len(x), 1, x.shape[2]), mel_lengths.clamp(min=1)
        mel_mask = length_mask(mel_lengths.clamp(min=1), x.shape[1])
        for name in [n for n in levels if levels[n] == "frame"]:
            x, found[name] = self._add(name, x, mel_mask, targets[name], controls)
        return _Varied(
            hidden=x,
            log_durations=log_durations,
            durations=durations,
            mel_lengths=mel_lengths.clamp(max=x.shape[1]),
            mel_mask=mel_mask,
            **found,
        )

    def _add(
        self, name: str, x: Tensor, mask: Tensor, target: Tensor | None, controls: Controls
    ) -> tuple[Tensor, Tensor]:
        """Predict one variance and add the embedding of the target, or without one of the prediction."""
        settings: VarianceConfig = getattr(self.config, name)
        value = getattr(self, f"{name}_predictor")(x, mask)
        if target is None:
            factor = getattr(controls, name)
            offset = 0.0 if controls.normalised else settings.mean / settings.std
            value = (value + offset) * factor - offset if factor != 1.0 else value
        bins: Tensor = getattr(self, f"{name}_bins")
        index = torch.bucketize(value if target is None else target, bins)
        return x + getattr(self, f"{name}_embedding")(index), value


class VariancePredictor(nn.Module):
    """Two convolutions and a linear layer: one number for each place."""

    def __init__(self, config: FastSpeech2Config) -> None:
        super().__init__()
        width, kernel = config.predictor_filter, config.predictor_kernel
        self.conv_1 = nn.Conv1d(config.dim, width, kernel, padding=(kernel - 1) // 2)
        self.norm_1 = nn.LayerNorm(width)
        self.conv_2 = nn.Conv1d(width, width, kernel, padding=(kernel - 1) // 2)
        self.norm_2 = nn.LayerNorm(width)
        self.out = nn.Linear(width, 1)
        self.dropout = config.predictor_dropout
        self.legacy_padding = config.legacy_padding

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, N, D) to (B, N), zeros at padding."""
        keep = 1.0 if self.legacy_padding else mask[..., None].to(x.dtype)
        for conv, norm in ((self.conv_1, self.norm_1), (self.conv_2, self.norm_2)):
            x = F.relu(conv((x * keep).transpose(1, 2))).transpose(1, 2)
            x = F.dropout(norm(x), self.dropout, self.training)
        return torch.as_tensor(self.out(x)).squeeze(-1).masked_fill(~mask, 0.0)


class PostNet(nn.Module):
    """Convolutions over the mel that give what to add to it."""

    def __init__(self, config: FastSpeech2Config) -> None:
        super().__init__()
        bands, width, count = config.mel.n_mels, config.postnet_channels, config.postnet_layers
        sizes = [bands, *[width] * (count - 1), bands]
        self.layers = nn.ModuleList(NormedConv(sizes[i], sizes[i + 1], config.postnet_kernel) for i in range(count))
        self.dropout = config.postnet_dropout
        self.legacy_padding = config.legacy_padding

    def forward(self, mel: Tensor, mask: Tensor) -> Tensor:
        """(B, n_mels, F) to (B, n_mels, F)."""
        keep = 1.0 if self.legacy_padding else mask[:, None, :].to(mel.dtype)
        for number, layer in enumerate(self.layers, 1):
            mel = layer(mel * keep)
            if number < len(self.layers):
                mel = mel.tanh()
            mel = F.dropout(mel, self.dropout, self.training)
        return mel


class NormedConv(nn.Module):
    """A convolution and a batch normalisation."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, padding=(kernel - 1) // 2)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, F) to (B, outputs, F)."""
        return torch.as_tensor(self.norm(self.conv(x)))


def variance_boundaries(config: VarianceConfig, bins: int) -> Tensor:
    """The (bins - 1) boundaries between the bins of the normalised values."""
    low, high = (config.min - config.mean) / config.std, (config.max - config.mean) / config.std
    if config.quantization == "log":
        ends = torch.tensor([low, high], dtype=torch.float64).log()
        return torch.linspace(float(ends[0]), float(ends[1]), bins - 1, dtype=torch.float64).exp().float()
    return torch.linspace(low, high, bins - 1, dtype=torch.float64).float()


def _blocks(config: FastSpeech2Config, count: int, heads: int, dropout: float) -> nn.ModuleList:
    return nn.ModuleList(
        FFTBlock(config.dim, heads, config.filter_size, config.kernel_sizes, dropout, not config.legacy_padding)
        for _ in range(count)
    )


def _positions(table: Tensor, length: int) -> Tensor:
    """(1, length, D); a table of its own for what is longer than the stored one."""
    if length < table.shape[1]:
        return table[:, :length]
    return sinusoidal_positions(length, table.shape[2])[None].to(table)


def silence_value(mel: MelConfig) -> float:
    """The value of a silent band."""
    floor = {"ln": math.log, "log10": math.log10, "none": float}[mel.log](mel.log_floor)
    return (floor - mel.mean) / mel.std
