"""What every vocoder does with batches, long inputs and streams, given a network from frames to samples.

A network without memory but with zeros beyond its edges sees `context` frames to each side of a frame. So a piece of a
mel with that many frames of context on both sides gives the samples that the whole would give, whatever the length.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from amphion_core.features import MelConfig
from amphion_vocoders.mel_values import DoubtfulMelWarning, check_values, doubt

__all__ = ["MAX_FRAMES", "check_chunk", "check_f0", "check_mel", "synthesize_batch", "synthesize_stream"]

Network = Callable[[Tensor], Tensor]
"""Frames (B, C, F) to waveforms (B, F * hop_length)."""

LOWEST_F0, HIGHEST_F0 = 20.0, 4000.0
"""Hz that no voice goes beyond."""

HIGHEST_MIDDLE = 1500.0
"""Hz that no voice stays above: whistles alone do, and they do not last."""

MAX_FRAMES = 1024
"""Frames that a network is given at once; longer inputs go in pieces, so that memory stays bounded."""


def synthesize_batch(
    network: Network,
    frames: Tensor,
    lengths: Tensor | None,
    *,
    hop_length: int,
    context: int,
    max_frames: int | None = None,
) -> Tensor:
    """Waveforms of a batch, each as if it were alone.

    Items of one length go through the network together; those of different lengths one after the other: no padding is
    neutral in every layer of every vocoder, and on the CPU padding costs more than going together saves.

    Args:
        network: from frames to samples.
        frames: (B, C, F).
        lengths: (B,) valid frames; None where all are full.
        hop_length: samples of a frame.
        context: frames to each side that a sample depends on.
        max_frames: longer inputs are cut into overlapping pieces of this size and their context; None is MAX_FRAMES.

    Returns:
        (B, F * hop_length), zeros beyond `lengths * hop_length`.
    """
    batch, _, total = frames.shape
    valid = [total] * batch if lengths is None else [int(length) for length in lengths]
    wav = frames.new_zeros(batch, total * hop_length)
    for length in sorted({length for length in valid if length > 0}):
        items = torch.tensor([i for i, own in enumerate(valid) if own == length], device=frames.device)
        piece = frames.index_select(0, items)[:, :, :length]
        # Under autocast a network gives half precision.
        made = _in_pieces(network, piece, hop_length, context, max_frames or MAX_FRAMES).to(wav.dtype)
        wav[items, : length * hop_length] = made
    return wav


def _in_pieces(network: Network, frames: Tensor, hop_length: int, context: int, max_frames: int) -> Tensor:
    total = frames.shape[-1]
    if total <= max_frames + 2 * context:
        return network(frames)
    pieces = []
    for start in range(0, total, max_frames):
        stop = min(start + max_frames, total)
        left, right = max(0, start - context), min(total, stop + context)
        wav = network(frames[:, :, left:right])
        pieces.append(wav[:, (start - left) * hop_length : (stop - left) * hop_length])
    return torch.cat(pieces, dim=1)


def synthesize_stream(network: Network, chunks: Iterable[Tensor], *, hop_length: int, context: int) -> Iterator[Tensor]:
    """Waveform chunk by chunk, `context` frames behind the input.

    Each chunk costs the network its own frames and twice the context, so chunks of a few hundred milliseconds or
    more are economical.

    Args:
        network: from frames to samples.
        chunks: frames (C, F_i).
        hop_length: samples of a frame.
        context: frames to each side that a sample depends on.

    Yields:
        (T_i,) samples; nothing for a chunk that only fills the look-ahead.
    """
    held: Tensor | None = None
    past = 0  # frames of `held` whose samples are out already
    for chunk in chunks:
        if chunk.shape[-1] == 0:
            continue
        held = chunk if held is None else torch.cat([held, chunk], dim=-1)
        ready = held.shape[-1] - past - context
        if ready > 0:
            wav = network(held[None])[0]
            yield wav[past * hop_length : (past + ready) * hop_length]
            past += ready
            dropped = max(0, past - context)
            held, past = held[:, dropped:], past - dropped
    if held is not None and held.shape[-1] > past:
        yield network(held[None])[0, past * hop_length :]


def check_mel(mel: Tensor, config: MelConfig, lengths: Tensor | None = None) -> None:
    """Refuse what is no batch of mels of this configuration.

    Raises:
        ValueError: wrong axes or bands, not finite, values that the configuration can't give, or lengths that
            don't fit.

    Warns:
        DoubtfulMelWarning: the values are possible, but look like those of a mel with log10.
    """
    if mel.ndim != 3:
        raise ValueError(f"mel must be (B, n_mels, F), got shape {tuple(mel.shape)}; add the batch axis with mel[None]")
    if mel.is_complex() or mel.dtype == torch.bool:
        raise ValueError(f"mel holds {str(mel.dtype).removeprefix('torch.')}, not real numbers; give it as float32")
    if mel.shape[1] != config.n_mels:
        hint = "; transpose it" if mel.shape[2] == config.n_mels else "; see its .config.mel"
        raise ValueError(f"mel has {mel.shape[1]} bands, this vocoder takes {config.n_mels}{hint}")
    if mel.shape[2] == 0:
        raise ValueError("mel has no frames; leave empty clips out")
    if lengths is not None:
        _check_lengths(mel, lengths)
        inside = torch.arange(mel.shape[2], device=mel.device) < lengths.to(mel.device)[:, None]  # (B, F)
        mel = mel.transpose(1, 2)[inside]
    if not bool(torch.isfinite(mel).all()):
        raise ValueError("mel holds NaN or infinite values; look at the model or file that it comes from")
    check_values(mel, config)
    doubts = doubt(mel.T if lengths is not None else mel, config)
    if doubts:
        warnings.warn(doubts, DoubtfulMelWarning, stacklevel=3)


def check_chunk(chunk: Tensor, config: MelConfig) -> None:
    """Refuse a chunk of a stream that is no mel (n_mels, F) of this configuration.

    Raises:
        ValueError: as `check_mel`.
    """
    if not isinstance(chunk, Tensor):
        raise ValueError(f"a chunk is a {type(chunk).__name__}; this vocoder takes mels (n_mels, F) alone, without F0")
    if chunk.ndim != 2:
        raise ValueError(f"a chunk must be (n_mels, F), got shape {tuple(chunk.shape)}")
    if chunk.shape[1] or chunk.shape[0] != config.n_mels:
        check_mel(chunk[None], config)


def check_f0(f0: Tensor | None, mel: Tensor, lengths: Tensor | None = None, *, needed: bool = False) -> None:
    """Refuse what is no F0 in Hz for a batch of mels.

    Args:
        f0: (B, F) Hz, 0 = unvoiced, or None.
        mel: (B, n_mels, F) that it goes with.
        lengths: (B,) valid frames; None where all are full. What stands beyond them is not looked at.
        needed: whether it must be given.

    Raises:
        ValueError: it is absent, a mask, of another length, not finite, negative, or in another unit by its range.
    """
    if f0 is None:
        if needed:
            raise ValueError(
                "this vocoder needs f0, (B, F) in Hz and 0 where unvoiced; take it from the recording with "
                "amphion_core.features.pitch.f0, or from the acoustic model"
            )
        return
    if f0.dtype == torch.bool:
        raise ValueError("f0 holds true and false, as a mask of voiced frames does; give Hz, 0 where unvoiced")
    expected = (mel.shape[0], mel.shape[2])
    if tuple(f0.shape) != expected:
        raise ValueError(f"f0 has shape {tuple(f0.shape)}, the mel needs {expected}: one value for each frame")
    if lengths is not None:
        f0 = f0[torch.arange(f0.shape[1], device=f0.device) < lengths.to(f0.device)[:, None]]
    if not bool(torch.isfinite(f0).all()) or bool((f0 < 0).any()):
        raise ValueError("f0 must be Hz, 0 where unvoiced; it holds negative, NaN or infinite values")
    voiced = f0[f0 > 0]
    if voiced.numel() == 0:
        return
    middle, most = float(voiced.median()), float(voiced.max())
    if most > HIGHEST_F0:
        raise ValueError(f"f0 goes up to {most:.0f}, no voice to {HIGHEST_F0:.0f} Hz; is it in cents, not in Hz?")
    if most < LOWEST_F0:
        raise ValueError(f"f0 stays below {most:.2f}, no voice below {LOWEST_F0:.0f} Hz; is it a logarithm, not Hz?")
    if voiced.numel() < 20:  # a chunk of a stream may hold nothing but a whistle or a creak
        return
    if middle > HIGHEST_MIDDLE:
        raise ValueError(
            f"the median f0 of the voiced frames is {middle:.0f}, no voice stays above {HIGHEST_MIDDLE:.0f} Hz; "
            "is it in cents? n cents above a pitch p are p * 2 ** (n / 1200) Hz"
        )
    # MIDI numbers of speech; the deepest basses stay above.
    if middle < 60 and most < 90:
        raise ValueError(
            f"half of the voiced frames have an f0 below {middle:.0f} and all below {most:.0f}, too low for a voice "
            "in Hz; is it in semitones? 69 is 440 Hz, and a semitone a factor of 2 ** (1 / 12)"
        )


def _check_lengths(mel: Tensor, lengths: Tensor) -> None:
    if lengths.shape != mel.shape[:1]:
        raise ValueError(f"lengths has shape {tuple(lengths.shape)} for a batch of {mel.shape[0]}; give one an item")
    if int(lengths.min()) < 0 or int(lengths.max()) > mel.shape[2]:
        raise ValueError(f"lengths are {lengths.tolist()}, the mel has {mel.shape[2]} frames")
