"""WaveRNN: two recurrent layers over the samples, conditioned on the mel.

Source: Kalchbrenner et al., "Efficient Neural Audio Synthesis", 2018, arXiv:1802.08435. Deviation, that of the toolkit
and of the well known alternative: not one layer with a sample in two halves, but two GRUs and a residual network over
frames whose output enters each of four layers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from amphion_vocoders.autoregressive import AutoregressiveConfig, AutoregressiveVocoder, Stretch
from amphion_vocoders.folding import FoldConfig, draw_folded
from amphion_vocoders.generation import Steps
from amphion_vocoders.synthesis import check_mel

__all__ = ["WaveRNN", "WaveRNNConfig"]

GRU = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class WaveRNNConfig(AutoregressiveConfig):
    """Hyperparameters; the defaults are those of the toolkit.

    Attributes:
        mel: what it takes.
        output: distribution of a sample.
        rates: factors of the up-sampling.
        pad: frames of context that the first convolution over frames takes to each side.
        temperature: of drawing.
        seed: of the noise, where no generator is given.
        channels: width of the recurrent layers.
        head_channels: width of the layers after them.
        frame_channels: width of the residual network over frames.
        frame_blocks: its residual blocks.
        aux_channels: its outputs; a quarter of them enters each of four layers.
        batched: where given, `synthesize` cuts a clip into overlapping pieces that it draws side by side.
    """

    channels: int = Field(512, ge=1)
    head_channels: int = Field(512, ge=1)
    frame_channels: int = Field(128, ge=1)
    frame_blocks: int = Field(10, ge=0)
    aux_channels: int = Field(128, ge=4, multiple_of=4)
    batched: FoldConfig | None = None


class WaveRNN(AutoregressiveVocoder[WaveRNNConfig]):
    """Log-mel spectrogram to waveform, sample by sample."""

    config_class = WaveRNNConfig
    name = "wavernn"
    adjustable: ClassVar[tuple[str, ...]] = ("temperature", "batched")

    def __init__(self, config: WaveRNNConfig) -> None:
        super().__init__(config)
        width, head, part = config.channels, config.head_channels, config.aux_channels // 4
        self.frames = FrameNetwork(config)
        self.stretches = nn.ModuleList(Stretch(rate, normed=False) for rate in config.rates)
        self.input = nn.Linear(1 + config.mel.n_mels + part, width)
        self.first = nn.GRU(width, width, batch_first=True)
        self.second = nn.GRU(width + part, width, batch_first=True)
        self.head = nn.ModuleList(
            [
                nn.Linear(width + part, head),
                nn.Linear(head + part, head),
                nn.Linear(head, config.output.channels),
            ]
        )
        self.output.start(self.head[2])

    def forward(self, signal: Tensor, mel: Tensor) -> Tensor:
        """All distributions of a known signal; see `AutoregressiveVocoder.forward`."""
        bands, aux = self.condition(mel).mT.tensor_split([self.config.mel.n_mels], dim=2)
        parts = aux.chunk(4, dim=2)
        x = self.input(torch.cat([signal[:, :, None], bands, parts[0]], dim=2))  # (B, T, channels)
        x = x + self.first(x)[0]
        x = x + self.second(torch.cat([x, parts[1]], dim=2))[0]
        x = F.relu(self.head[0](torch.cat([x, parts[2]], dim=2)))
        x = F.relu(self.head[1](torch.cat([x, parts[3]], dim=2)))
        logits: Tensor = self.head[2](x)
        return self.output.locate(logits.mT, signal[:, None])

    def condition(self, mel: Tensor) -> Tensor:
        """Stretched mel and repeated outputs over frames: (B, n_mels + aux_channels, F * hop_length)."""
        hop = self.config.mel.hop_length
        x = mel
        for stretch in self.stretches:
            x = stretch(x)
        cut = self.config.pad * hop
        aux: Tensor = self.frames(mel)  # (B, aux_channels, F)
        return torch.cat([x[:, :, cut : x.shape[2] - cut], aux.repeat_interleave(hop, -1)], dim=1)

    def steps(self, rows: int) -> WaveRNNSteps:
        """The network prepared to go on sample by sample."""
        return WaveRNNSteps(self, rows)

    @torch.no_grad()
    def synthesize(
        self,
        mel: Tensor,
        f0: Tensor | None = None,
        lengths: Tensor | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        """Waveforms of a batch of mels; see `AutoregressiveVocoder.synthesize`, and `config.batched`."""
        if self.config.batched is None:
            return super().synthesize(mel, f0, lengths, generator)
        check_mel(mel, self.config.mel, lengths)
        with torch.autocast(self.device.type, enabled=False):
            return draw_folded(self, self._placed(mel), lengths, self._noise(generator), self.config.batched)

    @torch.no_grad()
    def stream(self, chunks: Iterable[Tensor], generator: Generator | None = None) -> Iterator[Tensor]:
        """Waveform chunk by chunk; see `AutoregressiveVocoder.stream`.

        Raises:
            ValueError: as there, or the pieces of `config.batched` would need the whole clip.
        """
        if self.config.batched is not None:
            raise ValueError(
                "pieces drawn side by side need the whole clip; set batched to null (--set batched=null) to stream"
            )
        return super().stream(chunks, generator)

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
        from amphion_vocoders.released.wavernn import load_wavernn

        return load_wavernn(cls, source, args)


class FrameNetwork(nn.Module):
    """Residual network over frames; it shortens its input by `pad` at both ends."""

    def __init__(self, config: WaveRNNConfig) -> None:
        super().__init__()
        width = config.frame_channels
        self.input = nn.Conv1d(config.mel.n_mels, width, 2 * config.pad + 1, bias=False)
        self.norm = nn.BatchNorm1d(width)
        self.blocks = nn.ModuleList(FrameBlock(width) for _ in range(config.frame_blocks))
        self.output = nn.Conv1d(width, config.aux_channels, 1)

    def forward(self, mel: Tensor) -> Tensor:
        """(B, n_mels, F + 2 * pad) to (B, aux_channels, F)."""
        x = F.relu(self.norm(self.input(mel)))
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.output(x)
        return out


class FrameBlock(nn.Module):
    """Two convolutions of one frame each, added to their input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Conv1d(width, width, 1, bias=False)
        self.inner_norm = nn.BatchNorm1d(width)
        self.outer = nn.Conv1d(width, width, 1, bias=False)
        self.outer_norm = nn.BatchNorm1d(width)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.relu(self.inner_norm(self.inner(x)))
        out: Tensor = self.outer_norm(self.outer(hidden)) + x
        return out


class WaveRNNSteps(Steps):
    """WaveRNN one sample at a time.

    The input layer is linear, so that its products with the layers behind it are taken beforehand: of the mel for a
    block at once, of the sample as one vector. What is left to a step are the products with the recurrent states, those
    that take the same state joined into one.
    """

    def __init__(self, model: WaveRNN, rows: int) -> None:
        config = model.config
        width, head, part = config.channels, config.head_channels, config.aux_channels // 4
        self.sizes = (width, head, config.mel.n_mels, part)
        weights = {name: weight.detach() for name, weight in model.named_parameters()}
        first, second = ({n: weights[f"{part}.{n}_l0"] for n in GRU} for part in ("first", "second"))
        (outer, outer_bias), (inner, inner_bias), (last, last_bias) = (
            (weights[f"head.{i}.weight"], weights[f"head.{i}.bias"]) for i in range(3)
        )
        before = second["weight_ih"][:, :width], outer[:, :width]  # what takes the residual sum
        # Columns: gates of the first GRU; its hidden bias, so that the product with its state has a place to add it;
        # gates of the second; first layer of the head.
        blank = outer.new_zeros(3 * width, width)
        stack = torch.cat([first["weight_ih"], blank, *before])
        constant = torch.cat([first["bias_ih"], first["bias_hh"], second["bias_ih"], outer_bias])
        entry = stack @ weights["input.weight"]  # (columns, 1 + n_mels + part)
        self.constant = constant + stack @ weights["input.bias"]
        self.sample, self.mel = entry[:, :1].T.contiguous(), entry[:, 1:].T.contiguous()
        self.extra = [weight[:, width:].T.contiguous() for weight in (second["weight_ih"], outer)]
        self.late = inner[:, head:].T.contiguous(), inner_bias
        self.from_first = torch.cat([first["weight_hh"], *before]).T.contiguous()
        self.from_second = second["weight_hh"].T.contiguous()
        self.second_bias = second["bias_hh"][None]
        self.outer, self.inner = outer[:, :width].T.contiguous(), inner[:, :head].T.contiguous()
        self.last = last.T.contiguous(), last_bias[None]
        self.early: tuple[Tensor, ...] = ()
        self.head: tuple[Tensor, ...] = ()
        self.states = [self.sample.new_zeros(rows, width) for _ in range(2)]
        self._buffers(rows)

    def prepare(self, condition: Tensor) -> None:
        rows, _, length = condition.shape
        width, head, bands, part = self.sizes
        joined = condition.permute(2, 0, 1).reshape(length * rows, -1)
        mel, *parts = joined.split_with_sizes([bands, part, part, part, part], dim=1)
        early = torch.addmm(self.constant, torch.cat([mel, parts[0]], dim=1), self.mel)
        early[:, 6 * width : 9 * width].addmm_(parts[1], self.extra[0])
        early[:, 9 * width :].addmm_(parts[2], self.extra[1])
        self.early = early.view(length, rows, -1).unbind(0)
        self.head = torch.addmm(self.late[1], parts[3], self.late[0]).view(length, rows, head).unbind(0)

    def step(self, signal: Tensor, place: int) -> Tensor:
        torch.addmm(self.early[place], signal, self.sample, out=self.base)
        first, second = self.states
        _gru(self.first_input, self.first_hidden, first, self.gates)
        torch.addmm(self.after_first, first, self.from_first, out=self.joined)
        _gru(self.second_input, self.second_hidden, second, self.gates)
        torch.addmm(self.second_bias, second, self.from_second, out=self.second_hidden)
        # The head takes input layer + first state + second state; the first two are in its columns already.
        self.head_sum.addmm_(second, self.outer).relu_()
        torch.addmm(self.head[place], self.head_sum, self.inner, out=self.middle).relu_()
        return torch.addmm(self.last[1], self.middle, self.last[0])

    def keep(self, rows: int) -> None:
        self.states = [state[:rows].contiguous() for state in self.states]
        self._buffers(rows)

    def _buffers(self, rows: int) -> None:
        width, head, _, _ = self.sizes
        new = self.sample.new_empty
        self.base = new(rows, 9 * width + head)
        self.joined = new(rows, 6 * width + head)
        self.first_input = self.base[:, : 3 * width]
        self.after_first = self.base[:, 3 * width :]
        self.first_hidden, self.second_input = self.joined[:, : 3 * width], self.joined[:, 3 * width : 6 * width]
        self.head_sum = self.joined[:, 6 * width :]
        self.second_hidden = torch.addmm(self.second_bias, self.states[1], self.from_second)
        self.gates = new(rows, 2 * width), new(rows, width)
        self.middle = new(rows, head)
        bias = self.constant[3 * width : 6 * width]
        torch.addmm(bias[None], self.states[0], self.from_first[:, : 3 * width], out=self.first_hidden)


def _gru(inputs: Tensor, hidden: Tensor, state: Tensor, buffers: tuple[Tensor, Tensor]) -> None:
    """One step of a GRU in place, of what its gates get from the input and from the state, (rows, 3 * width) each."""
    gates, fresh = buffers
    width = state.shape[1]
    torch.add(inputs[:, : 2 * width], hidden[:, : 2 * width], out=gates).sigmoid_()
    torch.addcmul(inputs[:, 2 * width :], gates[:, :width], hidden[:, 2 * width :], out=fresh).tanh_()
    torch.lerp(fresh, state, gates[:, width:], out=state)
