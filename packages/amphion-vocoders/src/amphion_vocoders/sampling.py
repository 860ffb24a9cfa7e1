"""What vocoders that turn noise into samples share: noise in rows, and networks that hand pieces on to each other.

Noise comes in endless rows that are the same however they are cut, and every item of a batch gets the same: so an item
equals the item alone, pieces equal the whole, and a stream equals both.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import ClassVar, TypeVar

import numpy as np
import torch
from pydantic import Field
from torch import Generator, Tensor

from amphion_vocoders.synthesis import check_mel, synthesize_batch
from amphion_vocoders.vocoder import MelVocoderConfig, TrainedVocoder

__all__ = ["Noise", "Piece", "SamplingConfig", "SamplingVocoder", "SeededNoise", "Stage", "passed_through"]

Noise = Callable[[int, int], Tensor]
"""The next so many standard normal numbers of a row: (row, count) to (1, count), or (B, count)."""

Piece = tuple[Tensor, ...]
"""Some frames of a batch: the mel (B, n_mels, F), and tensors (B, C, F * rate) that go with it."""

PIECE_FRAMES = 512
"""Frames of a long input that go through the networks at once."""


class SamplingConfig(MelVocoderConfig):
    """What the configs of such vocoders have.

    Attributes:
        mel: what it takes.
        seed: of the noise, where no generator is given.
    """

    seed: int = Field(0, ge=0)


ConfigT = TypeVar("ConfigT", bound=SamplingConfig)


class SamplingVocoder(TrainedVocoder[ConfigT]):
    """Mel and noise to a waveform, in several passes through networks of bounded reach.

    Subclasses give `sample` and `context`.

    Attributes:
        trained_by: the task that trains it.
    """

    trained_by: ClassVar[str]

    @property
    @abc.abstractmethod
    def context(self) -> int:
        """Frames to each side of a frame that its samples depend on."""

    @property
    def look_ahead(self) -> float:
        """Seconds of mel that `stream` needs beyond a sample before it can give it; each pass adds its own."""
        return self.context / self.config.mel.frame_rate

    @abc.abstractmethod
    def sample(self, chunks: Iterable[Tensor], noise: Noise, *, eager: bool = False) -> Iterator[Tensor]:
        """Waveforms (B, T_i) piece by piece; joined they are those of the joined mel.

        Args:
            chunks: mels (B, n_mels, F_i).
            noise: where it comes from.
            eager: give samples as soon as they are known, though the mel may end there; costs more passes.
        """

    @torch.no_grad()
    def synthesize(
        self,
        mel: Tensor,
        f0: Tensor | None = None,
        lengths: Tensor | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        """Waveforms of a batch of mels; each item equals the item alone, long ones go in pieces.

        Args:
            mel: (B, n_mels, F), as `config.mel` computes it, on any device.
            f0: not used.
            lengths: (B,) valid frames; None where all are full.
            generator: draws the seed of the noise, which all items share; None takes `config.seed`.

        Returns:
            (B, F * hop_length) in about [-1, 1]; zeros beyond `lengths * hop_length`.

        Raises:
            ValueError: wrong bands, not finite, values of another kind of mel, or lengths that don't fit.
        """
        check_mel(mel, self.config.mel, lengths)
        seed = self._seed(generator)

        def whole(frames: Tensor) -> Tensor:
            pieces = self.sample(torch.split(frames, PIECE_FRAMES, dim=-1), SeededNoise(seed, frames.device))
            return torch.cat(list(pieces), dim=1)

        hop, frames = self.config.mel.hop_length, mel.shape[-1]
        return synthesize_batch(
            whole, self._placed(mel), lengths, hop_length=hop, context=self.context, max_frames=frames
        )

    @torch.no_grad()
    def stream(self, chunks: Iterable[Tensor], generator: Generator | None = None) -> Iterator[Tensor]:
        """Waveform chunk by chunk, `context` frames behind the input: every pass adds its own reach.

        Args:
            chunks: mels (n_mels, F_i), F_i of any size.
            generator: as `synthesize`.

        Yields:
            (T_i,) samples; joined they are what `synthesize` gives for the joined mel.

        Raises:
            ValueError: as `synthesize`.
        """
        noise = SeededNoise(self._seed(generator), self.device)
        for wav in self.sample((chunk[None] for chunk in self._checked(chunks)), noise, eager=True):
            yield wav[0]

    def _seed(self, generator: Generator | None) -> int:
        if generator is None:
            return self.config.seed
        return int(torch.randint(2**62, (), generator=generator, device=generator.device))


class SeededNoise:
    """Standard normal numbers in rows without end, each the same however it is cut."""

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        self.seed, self.device = seed, device
        self._rows: dict[int, np.random.Generator] = {}

    def __call__(self, row: int, count: int) -> Tensor:
        """The next `count` numbers of a row, (1, count)."""
        if row not in self._rows:
            self._rows[row] = np.random.Generator(np.random.Philox(key=[self.seed, row]))
        drawn = self._rows[row].standard_normal((1, count), dtype=np.float32)
        return torch.from_numpy(drawn).to(self.device)


class Stage:
    """A network that pieces pass through, `context` frames behind, so that the seams are those of the whole.

    Attributes:
        network: from a piece to another of as many frames.
        context: frames to each side of a frame that the network's output depends on.
        finish: what is done to the pieces that leave, one after the other.
    """

    def __init__(
        self, network: Callable[[Piece], Piece], context: int, finish: Callable[[Piece], Piece] | None = None
    ) -> None:
        self.network, self.context, self.finish = network, context, finish
        self._held: Piece | None = None
        self._past = 0  # frames of what is held that are out already

    def push(self, piece: Piece | None, *, last: bool) -> Piece | None:
        """Take a piece in and give out what is known by now.

        Args:
            piece: the next one; None where there is none.
            last: nothing comes after it.
        """
        if piece is not None:
            held = self._held
            joined = piece if held is None else tuple(torch.cat(pair, -1) for pair in zip(held, piece, strict=True))
            self._held = joined
        if self._held is None:
            return None
        frames = self._held[0].shape[-1]
        stop = frames if last else frames - self.context
        if stop <= self._past:
            return None
        made = _cut(self.network(self._held), self._past, stop)
        dropped = max(0, stop - self.context)
        # Copies, as a view would keep the whole piece in memory.
        self._held = None if last else tuple(tensor.clone() for tensor in _cut(self._held, dropped, frames))
        self._past = stop - dropped
        return made if self.finish is None else self.finish(made)


def passed_through(stages: Sequence[Stage], pieces: Iterable[Piece], *, eager: bool) -> Iterator[Piece]:
    """Pass pieces through stages, from one to the next.

    Args:
        stages: fresh ones.
        pieces: of any sizes.
        eager: don't wait to see whether a piece is the last one.
    """

    def onward(piece: Piece | None, last: bool) -> Piece | None:
        for stage in stages:
            piece = stage.push(piece, last=last)
            if piece is None and not last:
                return None
        return piece

    waiting: Piece | None = None
    for piece in pieces:
        if piece[0].shape[-1] == 0:
            continue
        ready = piece if eager else waiting
        waiting = None if eager else piece
        made = None if ready is None else onward(ready, False)
        if made is not None:
            yield made
    made = onward(waiting, True)
    if made is not None:
        yield made


def _cut(piece: Piece, start: int, stop: int) -> Piece:
    """Some frames of a piece."""
    frames = piece[0].shape[-1]
    rates = [tensor.shape[-1] // frames for tensor in piece]
    return tuple(tensor[..., start * rate : stop * rate] for tensor, rate in zip(piece, rates, strict=True))
