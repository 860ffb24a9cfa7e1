"""WaveNet: gated dilated convolutions over the samples so far, conditioned on the mel.

Source: van den Oord et al., "WaveNet: A Generative Model for Raw Audio", 2016, arXiv:1609.03499; on mels as Tamamori et
al., "Speaker-dependent WaveNet vocoder", 2017; mixtures of logistics as Shen et al., "Natural TTS Synthesis by
Conditioning WaveNet on Mel Spectrogram Predictions", 2018, arXiv:1712.05884. Deviations, those of the toolkit:
residuals are scaled by the root of a half, and the mel is stretched and smoothed instead of convolved transposed.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.features.mu_law import wav_to_label
from amphion_core.modules.convolution import weight_norm
from amphion_vocoders.autoregressive import AutoregressiveConfig, AutoregressiveVocoder, Stretch
from amphion_vocoders.generation import Steps
from amphion_vocoders.outputs import OutputConfig

__all__ = ["WaveNet", "WaveNetConfig"]


class WaveNetConfig(AutoregressiveConfig):
    """Hyperparameters; the defaults are those of the toolkit.

    Attributes:
        mel: what it takes.
        output: distribution of a sample.
        rates: factors of the up-sampling.
        pad: frames of context that the first convolution over frames takes to each side.
        temperature: of drawing.
        seed: of the noise, where no generator is given.
        input: `scalar` takes the sample itself, `one_hot` its class.
        layers: dilated convolutions.
        stacks: times that the dilation starts at 1 again; it doubles from layer to layer.
        kernel_size: of the dilated convolutions.
        channels: width between the layers.
        gate_channels: width of a dilated convolution; half of them gates the other half.
        skip_channels: width of what the layers pass to the output.
        dropout: before each dilated convolution, in training.
    """

    output: OutputConfig = OutputConfig(kind="mol")
    rates: tuple[int, ...] = (4, 4, 4, 4)
    input: Literal["scalar", "one_hot"] = "scalar"
    layers: int = Field(24, ge=1)
    stacks: int = Field(4, ge=1)
    kernel_size: int = Field(3, ge=1)
    channels: int = Field(128, ge=1)
    gate_channels: int = Field(256, ge=2, multiple_of=2)
    skip_channels: int = Field(128, ge=1)
    dropout: float = Field(0.05, ge=0, lt=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        faults = []
        if self.layers % self.stacks:
            faults.append(f"{self.layers} layers can't be divided into {self.stacks} stacks")
        if self.input == "one_hot" and self.output.kind == "mol":
            faults.append("input one_hot needs classes; set output.kind to mulaw or raw, or input to scalar")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def dilations(self) -> tuple[int, ...]:
        """Of each layer."""
        return tuple(2 ** (i % (self.layers // self.stacks)) for i in range(self.layers))

    @property
    def receptive_field(self) -> int:
        """Samples that a prediction depends on."""
        return sum(self.dilations) * (self.kernel_size - 1) + 1


class WaveNet(AutoregressiveVocoder[WaveNetConfig]):
    """Log-mel spectrogram to waveform, sample by sample."""

    config_class = WaveNetConfig
    name = "wavenet"

    def __init__(self, config: WaveNetConfig) -> None:
        super().__init__(config)
        bands = config.mel.n_mels
        self.frames = nn.Conv1d(bands, bands, 2 * config.pad + 1, padding=config.pad, bias=False)
        self.stretches = nn.ModuleList(Stretch(rate, normed=True) for rate in config.rates)
        inputs = 1 if config.input == "scalar" else config.output.classes
        self.first = weight_norm(nn.Conv1d(inputs, config.channels, 1))
        self.layers = nn.ModuleList(WaveNetLayer(config, dilation) for dilation in config.dilations)
        self.head = nn.ModuleList(
            weight_norm(nn.Conv1d(config.skip_channels, width, 1))
            for width in (config.skip_channels, config.output.channels)
        )
        self.output.start(self.head[1])

    def forward(self, signal: Tensor, mel: Tensor) -> Tensor:
        """All distributions of a known signal; see `AutoregressiveVocoder.forward`."""
        condition = self.condition(mel)
        x: Tensor = self.first(self.encode(signal))  # (B, channels, T)
        skips: Tensor | None = None
        for layer in self.layers:
            x, skip = layer(x, condition)
            skips = skip if skips is None else skips + skip
        assert skips is not None
        hidden = self.head[0](F.relu(skips * math.sqrt(1 / len(self.layers))))
        return self.output.locate(self.head[1](F.relu(hidden)), signal[:, None])

    def condition(self, mel: Tensor) -> Tensor:
        """The mel at each sample: (B, n_mels, F + 2 * pad) to (B, n_mels, F * hop_length)."""
        x: Tensor = self.frames(mel)
        for stretch in self.stretches:
            x = stretch(x)
        cut = self.config.pad * self.config.mel.hop_length
        return x[:, :, cut : x.shape[2] - cut]

    def encode(self, signal: Tensor) -> Tensor:
        """What the first layer takes of a signal (B, T): (B, 1 or classes, T)."""
        if self.config.input == "scalar":
            return signal[:, None]
        classes = self.config.output.classes
        return F.one_hot(wav_to_label(signal, classes), classes).mT.to(signal.dtype)

    def steps(self, rows: int) -> WaveNetSteps:
        """The network prepared to go on sample by sample."""
        return WaveNetSteps(self, rows)

    @classmethod
    def from_released(cls, source: str | Path, args: dict[str, Any] | None = None) -> Self:
        """Load a checkpoint of the toolkit.

        Args:
            source: an experiment or accelerate folder, or a file.
            args: its configuration; None reads the args.json or config.json beside it.

        Raises:
            FileNotFoundError: no checkpoint or no configuration is there.
            ValueError: the checkpoint is of another model or size.
        """
        from amphion_vocoders.released.wavenet import load_wavenet

        return load_wavenet(cls, source, args)


class WaveNetLayer(nn.Module):
    """One gated dilated convolution with its residual and skip outputs."""

    def __init__(self, config: WaveNetConfig, dilation: int) -> None:
        super().__init__()
        half = config.gate_channels // 2
        self.history = (config.kernel_size - 1) * dilation
        self.dropout = config.dropout
        self.dilated = weight_norm(
            nn.Conv1d(config.channels, config.gate_channels, config.kernel_size, dilation=dilation)
        )
        self.condition = weight_norm(nn.Conv1d(config.mel.n_mels, config.gate_channels, 1, bias=False))
        self.skip = weight_norm(nn.Conv1d(half, config.skip_channels, 1))
        self.residual = weight_norm(nn.Conv1d(half, config.channels, 1))

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Residual (B, channels, T) and skip (B, skip_channels, T)."""
        past = F.pad(F.dropout(x, self.dropout, self.training), (self.history, 0))
        filtered, gate = (self.dilated(past) + self.condition(condition)).chunk(2, dim=1)
        hidden = torch.tanh(filtered) * torch.sigmoid(gate)
        return (x + self.residual(hidden)) * math.sqrt(0.5), self.skip(hidden)


class WaveNetSteps(Steps):
    """WaveNet one sample at a time; each layer remembers its past inputs, so nothing is computed twice.

    All runs in place in buffers. Between the layers go the residuals without their factors of the root of a half, which
    stand in the weights, so that a layer's residual and skip are one product added to one buffer.
    """

    def __init__(self, model: WaveNet, rows: int) -> None:
        config = model.config
        self.classes = config.output.classes if config.input == "one_hot" else 0
        channels, skips, gates = config.channels, config.skip_channels, config.gate_channels
        first, layers = model.first, [layer for layer in model.layers if isinstance(layer, WaveNetLayer)]
        self.like = first.weight.detach()
        start = torch.cat([_bias(first), _bias(first).new_zeros(skips)])
        self.start = start[None]  # (1, channels + skips)
        into = first.weight.detach()[:, :, 0].T  # (1 or classes, channels)
        self.first = F.pad(into, (0, skips)).contiguous()
        self.dilated, self.out = [], []
        scale = 1.0
        for layer in layers:
            taps = layer.dilated.weight.detach() * scale  # (gates, channels, kernel)
            self.dilated.append(taps.permute(2, 1, 0).reshape(-1, gates).contiguous())
            residual, skip = (_with_bias(part) for part in (layer.residual, layer.skip))
            self.out.append(torch.cat([residual / scale, skip], dim=1).contiguous())  # (gates / 2 + 1, ...)
            scale *= math.sqrt(0.5)
        self.condition = torch.cat([_weight(layer.condition) for layer in layers], dim=1)  # (D, layers * gates)
        self.condition_bias = torch.cat([_bias(layer.dilated) for layer in layers])
        self.head = [(_weight(part), _bias(part)[None]) for part in model.head]
        self.head[0] = (self.head[0][0] * math.sqrt(1 / len(layers)), self.head[0][1])
        self.widths = (channels, skips, gates, config.kernel_size)
        self.dilations = config.dilations
        self.conditions: list[tuple[Tensor, ...]] = []
        self.time = 0
        self.past = [self.like.new_zeros(d, rows, 2, config.kernel_size, channels) for d in self.dilations]
        self._views(rows)

    def prepare(self, condition: Tensor) -> None:
        rows, _, length = condition.shape
        joined = condition.permute(2, 0, 1).reshape(length * rows, -1)
        every = torch.addmm(self.condition_bias, joined, self.condition)
        parts = every.view(length, rows, len(self.dilations), -1).permute(0, 2, 1, 3).contiguous()
        self.conditions = [place.unbind(0) for place in parts.unbind(0)]

    def step(self, signal: Tensor, place: int) -> Tensor:
        state, residual, gated, glu = self.state, self.residual, self.gated, torch._C._nn.glu
        if self.classes:
            label = wav_to_label(signal[:, 0], self.classes)
            torch.add(self.start, self.first.index_select(0, label), out=state)
        else:
            torch.addmm(self.start, signal, self.first, out=state)
        time, kernel = self.time, self.widths[3]
        self.time = time + 1
        filtered, hidden, joined = self.filtered, self.hidden, self.joined
        for condition, dilation, slots, windows, dilated, out in zip(
            self.conditions[place], self.dilations, self.slots, self.windows, self.dilated, self.out, strict=True
        ):
            turn, phase = divmod(time, dilation)
            turn %= kernel
            slots[phase][turn].copy_(residual)
            torch.addmm(condition, windows[phase][turn], dilated, out=gated)
            filtered.tanh_()
            glu(gated, 1, out=hidden)  # type: ignore[call-arg]
            state.addmm_(joined, out)
        torch.clamp(self.skips, min=0, out=self.rectified)
        (first, first_bias), (last, last_bias) = self.head
        middle = torch.addmm(first_bias, self.rectified, first).relu_()
        return torch.addmm(last_bias, middle, last)

    def keep(self, rows: int) -> None:
        self.past = [past[:, :rows].contiguous() for past in self.past]
        self._views(rows)

    def _views(self, rows: int) -> None:
        channels, skips, gates, kernel = self.widths
        new = self.like.new_empty
        self.state = new(rows, channels + skips)
        self.residual, self.skips = self.state[:, None, :channels], self.state[:, channels:]
        self.rectified = new(rows, skips)
        self.gated = new(rows, gates)
        self.filtered = self.gated[:, : gates // 2]
        # A column of ones beside the gated values brings the bias of the layer's outputs.
        self.joined = self.like.new_ones(rows, gates // 2 + 1)
        self.hidden = self.joined[:, : gates // 2]
        # The inputs that a convolution takes are `dilation` apart. They are kept in a ring for each phase, twice in a
        # row, so that the last `kernel` of them, oldest first, are always one piece.
        self.slots, self.windows = [], []
        for past in self.past:
            flat = past.view(past.shape[0], rows, 2 * kernel * channels)
            self.slots.append([[ring[:, :, turn] for turn in range(kernel)] for ring in past.unbind(0)])
            ends = [(turn + 1) * channels for turn in range(kernel)]
            self.windows.append([[ring[:, end : end + kernel * channels] for end in ends] for ring in flat.unbind(0)])


def _weight(layer: nn.Module) -> Tensor:
    """(inputs, outputs) of a convolution of width 1."""
    assert isinstance(layer, nn.Conv1d)
    return layer.weight.detach()[:, :, 0].T.contiguous()


def _bias(layer: nn.Module) -> Tensor:
    assert isinstance(layer, nn.Conv1d) and layer.bias is not None
    return layer.bias.detach()


def _with_bias(layer: nn.Module) -> Tensor:
    """(inputs + 1, outputs): the bias is the last row."""
    return torch.cat([_weight(layer), _bias(layer)[None]])
