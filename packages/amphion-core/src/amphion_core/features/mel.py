"""Mel and linear spectrograms on tensors: one transform and one matrix product, for every variant of `MelConfig`.

The same function serves feature extraction, training on the device (gradients flow through it) and inference.
On the CPU a batch is computed clip by clip, which keeps the frames of one clip in the cache.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor, nn

from amphion_core.features.filterbank import filterbank
from amphion_core.features.mel_config import MelConfig
from amphion_core.features.stft import pad_wav, stft

__all__ = [
    "MelSpectrogram",
    "denormalize_mel",
    "linear_spectrogram",
    "mel_filterbank",
    "mel_spectrogram",
    "normalize_mel",
]

_SPAN = 4096  # frames


class MelSpectrogram(nn.Module):
    """Log-mel front end; without weights or buffers, so it leaves no trace in a state dict and follows its input."""

    def __init__(self, config: MelConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, wav: Tensor) -> Tensor:
        """`mel_spectrogram` with this module's configuration: (B, T) to (B, n_mels, F), (T,) to (n_mels, F)."""
        return mel_spectrogram(wav, self.config)


def mel_spectrogram(wav: Tensor, config: MelConfig) -> Tensor:
    """Log-mel spectrogram.

    Args:
        wav: (B, T) or (T,) samples in about [-1, 1] at `config.sample_rate` Hz. float64 is computed as such,
            half precision in float32. Padding in a batch changes the frames that reach into it;
            `config.frames(length)` says how many belong to a clip.
        config: the variant.

    Returns:
        (B, n_mels, F) or (n_mels, F), F = `config.frames(T)`.

    Raises:
        ValueError: another number of dimensions, too few samples for the padding or for one frame, or NaN or
            infinity in the samples (on the CPU and without gradient; elsewhere they spread into the result).
    """
    _check_finite(wav)
    return _clipwise(wav, config, _mel)


def linear_spectrogram(wav: Tensor, config: MelConfig) -> Tensor:
    """Magnitudes (or powers) before the mel filters.

    Args:
        wav: (B, T) or (T,).
        config: framing, `power`, `root_epsilon`, `root_mode` and `clip` count; mel and log settings do not.

    Returns:
        (B, n_fft // 2 + 1, F) or (n_fft // 2 + 1, F).

    Raises:
        ValueError: as `mel_spectrogram`.
    """
    _check_finite(wav)
    return _clipwise(wav, config, _linear)


def mel_filterbank(config: MelConfig, like: Tensor | None = None) -> Tensor:
    """Mel filters, (n_mels, n_fft // 2 + 1); cached, so don't change it in place.

    Args:
        config: the variant.
        like: its device and dtype are taken (float32 for half precision); None is float32 on the CPU.
    """
    device = torch.device("cpu") if like is None else like.device
    dtype = torch.float64 if like is not None and like.dtype == torch.float64 else torch.float32
    return _filters(config, device, dtype)


def normalize_mel(mel: Tensor, minimum: Tensor, maximum: Tensor) -> Tensor:
    """Map each band linearly to [-1, 1], as diffusion acoustic models take it.

    Args:
        mel: (..., n_mels, F).
        minimum: (n_mels,) smallest value of each band in the training set.
        maximum: (n_mels,) largest value.
    """
    _check_bands(mel, minimum, maximum)
    return (mel - minimum[:, None]) / (maximum - minimum + 1e-12)[:, None] * 2 - 1


def denormalize_mel(mel: Tensor, minimum: Tensor, maximum: Tensor) -> Tensor:
    """Inverse of `normalize_mel`."""
    _check_bands(mel, minimum, maximum)
    return (mel + 1) / 2 * (maximum - minimum + 1e-12)[:, None] + minimum[:, None]


def _mel(wav: Tensor, config: MelConfig) -> Tensor:
    linear = _linear(wav, config)
    with torch.autocast(wav.device.type, enabled=False):  # half precision would cost the quiet bands
        if linear.device.type == "cpu":  # leaves out most of the zeros of the filters: a quarter of the work
            blocks = _filter_blocks(config, linear.dtype)
            mel = torch.cat([filters @ linear[..., low:high, :] for low, high, filters in blocks], dim=-2)
        else:
            mel = mel_filterbank(config, linear) @ linear  # (..., n_mels, F)
    if config.log != "none":
        mel = mel.clamp(min=config.log_floor) if config.floor_mode == "clamp" else mel + config.log_floor
        mel = mel.log() if config.log == "ln" else mel.log10()
    if config.mean != 0 or config.std != 1:
        mel = (mel - config.mean) / config.std
    return mel


def _linear(wav: Tensor, config: MelConfig) -> Tensor:
    if config.clip:
        wav = wav.clamp(-1, 1)
    spectrum = stft(wav, config.n_fft, config.hop_length, config.win_length, padding=config.padding)
    parts = torch.view_as_real(spectrum)
    squares = parts * parts  # one pass over contiguous memory
    power = squares[..., 0] + squares[..., 1]
    if config.power == 2:
        return power
    if config.root_mode == "add" and config.root_epsilon > 0:
        return (power + config.root_epsilon).sqrt()
    # the smallest number keeps the gradient of silence finite: zero, where the root alone has an infinite one
    return power.clamp(min=max(config.root_epsilon, torch.finfo(power.dtype).tiny)).sqrt()


def _clipwise(wav: Tensor, config: MelConfig, compute: Callable[[Tensor, MelConfig], Tensor]) -> Tensor:
    if wav.device.type != "cpu":
        return compute(wav, config)
    if wav.ndim == 2 and len(wav) > 0:
        return torch.stack([_spanwise(clip, config, compute) for clip in wav])
    return _spanwise(wav, config, compute)


def _spanwise(clip: Tensor, config: MelConfig, compute: Callable[[Tensor, MelConfig], Tensor]) -> Tensor:
    """One clip, hours of it in spans, whose frames would otherwise fill the memory."""
    frames = config.frames(clip.shape[-1]) if clip.ndim == 1 else 0
    if frames <= _SPAN:
        return compute(clip, config)
    padded = pad_wav(clip, config.n_fft, config.hop_length, config.padding)
    bare = config.model_copy(update={"padding": "none"})
    starts = range(0, frames, _SPAN)
    ends = [min(start + _SPAN, frames) - 1 for start in starts]
    pieces = [
        padded[a * config.hop_length : b * config.hop_length + config.n_fft] for a, b in zip(starts, ends, strict=True)
    ]
    return torch.cat([compute(piece, bare) for piece in pieces], dim=-1)


def _check_finite(wav: Tensor) -> None:
    # on a device the check would wait for all work before it; in training the trainer's guard sees the loss
    if wav.device.type != "cpu" or wav.requires_grad or torch.isfinite(wav.sum()):  # the sum is the quick test
        return
    if not torch.isfinite(wav).all():
        count = int((~torch.isfinite(wav)).sum())
        raise ValueError(f"wav holds {count} samples that are NaN or infinite; repair or drop the clip")


def _check_bands(mel: Tensor, minimum: Tensor, maximum: Tensor) -> None:
    bands = mel.shape[-2] if mel.ndim >= 2 else 0
    if minimum.shape != (bands,) or maximum.shape != (bands,):
        raise ValueError(
            f"mel of shape {tuple(mel.shape)} needs {bands} minima and maxima, "
            f"got {tuple(minimum.shape)} and {tuple(maximum.shape)}"
        )


@lru_cache(maxsize=64)
def _filters(config: MelConfig, device: torch.device, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(False):  # a tensor of inference mode could not be used in training later
        return torch.tensor(filterbank(config), device=device, dtype=dtype)


@lru_cache(maxsize=64)
def _filter_blocks(config: MelConfig, dtype: torch.dtype) -> list[tuple[int, int, Tensor]]:
    """Filters in four groups of neighbouring bands, each with the range of bins that it covers."""
    blocks = []
    with torch.inference_mode(False):
        for filters in _filters(config, torch.device("cpu"), dtype).chunk(4):
            covered = filters.any(dim=0).nonzero()
            low, high = (int(covered[0]), int(covered[-1]) + 1) if len(covered) else (0, 1)
            blocks.append((low, high, filters[:, low:high].contiguous()))
    return blocks
