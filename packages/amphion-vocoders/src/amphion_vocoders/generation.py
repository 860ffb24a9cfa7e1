"""Drawing waveforms sample by sample: mels in blocks, noise by frames, items side by side.

A clip's mel gets its first and last frame `pad` times more at the ends. Noise is drawn for one frame after the other,
so that neither the length of a clip nor its neighbours, nor the size of chunks, change what a sample is drawn with.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Generator, Tensor

from amphion_core.training.evaluation import evaluating

if TYPE_CHECKING:
    from amphion_vocoders.autoregressive import AutoregressiveVocoder
    from amphion_vocoders.outputs import Output

__all__ = [
    "BLOCK",
    "MelBlocks",
    "Steps",
    "block_frames",
    "condition_of",
    "draw_batch",
    "draw_block",
    "draw_stream",
    "extend",
]

BLOCK = 8
"""Frames of one clip whose conditions are computed at once; they are the largest part of what generation holds."""


def block_frames(rows: int) -> int:
    """Frames whose conditions are computed at once for so many clips side by side."""
    return max(1, BLOCK // rows)


class Steps(abc.ABC):
    """A network prepared for one sample after the other, with all it has to remember of the past.

    Weights are folded, transposed and joined once; what depends on the mel alone is computed for a block at once.
    """

    @abc.abstractmethod
    def prepare(self, condition: Tensor) -> None:
        """Compute all that depends on the mel, for a block of samples.

        Args:
            condition: (rows, D, T) as the network's `condition` gives it.
        """

    @abc.abstractmethod
    def step(self, signal: Tensor, place: int) -> Tensor:
        """The distribution of the next sample.

        Args:
            signal: (rows, 1), the sample at hand.
            place: of that sample in the block that was prepared.

        Returns:
            (rows, channels), overwritten by the next step.
        """

    @abc.abstractmethod
    def keep(self, rows: int) -> None:
        """Go on with the first rows only."""


def extend(mel: Tensor, before: int, after: int) -> Tensor:
    """A mel (n_mels, F) with its first and its last frame so many times more."""
    return torch.cat([mel[:, :1].expand(-1, before), mel, mel[:, -1:].expand(-1, after)], dim=1)


def condition_of(model: AutoregressiveVocoder[Any], padded: Tensor, start: int, stop: int) -> Tensor:
    """The condition of some frames, equal to that part of the whole's.

    Args:
        model: whose `condition` is taken.
        padded: (n_mels, F + 2 * pad).
        start: first of the frames, from 0.
        stop: the frame after the last, at most F.

    Returns:
        (D, (stop - start) * hop_length).
    """
    hop, reach = model.config.mel.hop_length, model.reach
    left = max(0, start - reach)
    piece = padded[:, left : stop + reach + 2 * model.config.pad]
    # Norms of the batch would see blocks instead of the whole, and learn from them.
    with torch.autocast(piece.device.type, enabled=False), evaluating(model):
        condition = model.condition(piece[None])[0]
    return condition[:, (start - left) * hop : (stop - left) * hop]


class MelBlocks:
    """The condition of one clip block by block, of a mel that comes in chunks.

    Args:
        model: whose `condition` is taken.
    """

    def __init__(self, model: AutoregressiveVocoder[Any]) -> None:
        self.model = model
        self.held: Tensor | None = None  # (n_mels, F), the part of the padded mel that is still needed
        self.past = 0  # frames given out whose mel is held
        self.closed = False

    def push(self, mel: Tensor) -> None:
        """Take more frames (n_mels, F)."""
        if mel.shape[1]:
            pad = self.model.config.pad
            self.held = extend(mel, pad, 0) if self.held is None else torch.cat([self.held, mel], dim=1)

    def close(self) -> None:
        """Say that no more frames come."""
        if self.held is not None and not self.closed:
            self.held = extend(self.held, 0, self.model.config.pad)
        self.closed = True

    @property
    def ready(self) -> int:
        """Frames that can be given out now."""
        if self.held is None:
            return 0
        missing: int = 2 * self.model.config.pad + (0 if self.closed else self.model.reach)
        return max(0, self.held.shape[1] - missing - self.past)

    def take(self, frames: int) -> Tensor:
        """The condition (D, frames * hop_length) of the next frames, at most `ready`."""
        assert self.held is not None and frames <= self.ready
        condition = condition_of(self.model, self.held, self.past, self.past + frames)
        done = self.past + frames
        self.past = min(done, self.model.reach)
        self.held = self.held[:, done - self.past :]
        return condition


def draw_batch(model: AutoregressiveVocoder[Any], mel: Tensor, lengths: list[int], generator: Generator) -> Tensor:
    """Waveforms (B, F * hop_length) of mels (B, n_mels, F), each as if it were alone; zeros beyond the lengths."""
    hop = model.config.mel.hop_length
    wav = mel.new_zeros(mel.shape[0], mel.shape[2] * hop)
    order = sorted((i for i, length in enumerate(lengths) if length), key=lambda i: -lengths[i])
    if not order:
        return wav
    sources = []
    for item in order:
        source = MelBlocks(model)
        source.push(mel[item, :, : lengths[item]])
        source.close()
        sources.append(source)
    steps = model.steps(len(order))
    signal = wav.new_zeros(len(order), 1)
    done, rows = 0, len(order)
    while done < lengths[order[0]]:
        active = sum(lengths[item] > done for item in order)
        if active < rows:
            steps.keep(active)
            signal, rows = signal[:active], active
        count = min(block_frames(rows), lengths[order[active - 1]] - done)
        condition = torch.stack([source.take(count) for source in sources[:active]])
        block, signal = draw_block(steps, model.output, condition, signal, _noise(model, count, generator))
        wav[order[:active], done * hop : (done + count) * hop] = model.output.wav(block).to(wav.dtype)
        done += count
    return wav


def draw_stream(model: AutoregressiveVocoder[Any], chunks: Iterable[Tensor], generator: Generator) -> Iterator[Tensor]:
    """Samples (T_i,) of chunks of a mel (n_mels, F_i), `context` frames behind them."""
    source = MelBlocks(model)
    with torch.autocast(model.device.type, enabled=False):
        steps = model.steps(1)
    signal: Tensor | None = None

    def drawn() -> Iterator[Tensor]:
        nonlocal signal
        while source.ready:
            count = min(block_frames(1), source.ready)
            condition = source.take(count)[None]
            if signal is None:
                signal = condition.new_zeros(1, 1)
            block, signal = draw_block(steps, model.output, condition, signal, _noise(model, count, generator))
            yield model.output.wav(block)[0]

    for chunk in chunks:
        source.push(chunk)
        made = list(drawn())
        if made:
            yield torch.cat(made)
    source.close()
    made = list(drawn())
    if made:
        yield torch.cat(made)


def draw_block(
    steps: Steps, output: Output, condition: Tensor, signal: Tensor, uniform: Tensor, logits: list[Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """One block of the signal, drawn sample by sample.

    Args:
        steps: the network, where the block before left it.
        output: the distribution.
        condition: (rows, D, T).
        signal: (rows, 1), the first sample of the block.
        uniform: (T, rows or 1, draws) in [0, 1) to draw with.
        logits: where given, gets the distribution (rows, channels) of each step.

    Returns:
        The signal (rows, T) of the block and (rows, 1), the first sample of the next one.
    """
    rows, _, length = condition.shape
    block = condition.new_empty(length, rows, 1)
    step, draw = steps.step, output.draw
    noise = output.noise(uniform).expand(-1, rows, -1).contiguous()
    # A step is too small to gain by half precision, and its rounding would add up.
    with torch.autocast(condition.device.type, enabled=False):
        steps.prepare(condition)
        for place, numbers in enumerate(noise.unbind(0)):
            block[place] = signal
            found = output.locate(step(signal, place), signal)
            if logits is not None:
                logits.append(found.clone())
            signal = draw(found, numbers)
    return block[:, :, 0].T, signal


def _noise(model: AutoregressiveVocoder[Any], frames: int, generator: Generator) -> Tensor:
    hop = model.config.mel.hop_length
    numbers = torch.cat([model.output.uniform(hop, generator) for _ in range(frames)])
    return numbers.to(model.device)[:, None]  # (T, 1, draws)
