"""Short-time Fourier transform and its inverse on tensors, with the paddings that released models use.

Source: Griffin and Lim, "Signal Estimation from Modified Short-Time Fourier Transform", 1984 (weighted overlap-add);
Siuzdak, "Vocos", 2023, arXiv:2306.00814 ("same" padding).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from amphion_core.features.mel_config import MelConfig

__all__ = ["AmplitudePhase", "Padding", "amplitude_phase", "hann_window", "inverse_stft", "pad_wav", "stft"]

Padding = Literal["same", "center", "center_zero", "none"]

# below this the overlap-added squared window can't be divided by
_SMALLEST_ENVELOPE = 1e-11


class AmplitudePhase(NamedTuple):
    """Log amplitude, phase and the two parts of a spectrum, (B, n_fft // 2 + 1, F) each.

    Attributes:
        log_amplitude: natural log of the magnitude + 1e-5.
        phase: radians in [-pi, pi].
        real: real part.
        imaginary: imaginary part.
    """

    log_amplitude: Tensor
    phase: Tensor
    real: Tensor
    imaginary: Tensor


def stft(
    wav: Tensor, n_fft: int, hop_length: int, win_length: int | None = None, *, padding: Padding = "same"
) -> Tensor:
    """Complex spectrogram under a periodic Hann window.

    Args:
        wav: (B, T) or (T,) real samples; half precision is computed in float32.
        n_fft: samples of one transform.
        hop_length: samples between frames.
        win_length: samples of the window, centred in `n_fft`; None is `n_fft`.
        padding: `same`: reflect (n_fft - hop_length) // 2, T // hop_length frames; `center`: reflect n_fft // 2,
            T // hop_length + 1 frames; `center_zero`: the same with zeros; `none`.

    Returns:
        (B, n_fft // 2 + 1, F) or (n_fft // 2 + 1, F), complex.

    Raises:
        ValueError: another number of dimensions, or too few samples for the padding or for one frame.
    """
    frames = _frames(wav, n_fft, hop_length, padding) * hann_window(win_length or n_fft, n_fft, wav)
    spectrum: Tensor = torch.fft.rfft(frames)
    return spectrum.mT


def pad_wav(wav: Tensor, n_fft: int, hop_length: int, padding: Padding) -> Tensor:
    """Extend (B, T) or (T,) samples at both ends as `stft` does.

    Raises:
        ValueError: too few samples to be reflected.
    """
    if padding == "none":
        return wav
    amount = (n_fft - hop_length) // 2 if padding == "same" else n_fft // 2
    if padding == "center_zero":
        return F.pad(wav, (amount, amount))
    if wav.shape[-1] <= amount:
        raise ValueError(
            f"wav has {wav.shape[-1]} samples, reflecting {amount} at each end needs {amount + 1}; "
            "leave such clips out or pad them with zeros"
        )
    return F.pad(wav[None], (amount, amount), mode="reflect")[0]


def hann_window(win_length: int, n_fft: int, like: Tensor) -> Tensor:
    """Periodic Hann window of `win_length`, centred in `n_fft` zeros; device and dtype of `like`."""
    return _hann_window(win_length, n_fft, like.device, like.dtype if like.dtype == torch.float64 else torch.float32)


def inverse_stft(
    spectrum: Tensor,
    n_fft: int,
    hop_length: int,
    win_length: int | None = None,
    *,
    padding: Literal["same", "center"] = "same",
    length: int | None = None,
) -> Tensor:
    """Waveform of a complex spectrogram: the least-squares estimate, by weighted overlap-add.

    Args:
        spectrum: (B, n_fft // 2 + 1, F) or (n_fft // 2 + 1, F), complex64 or complex128.
        n_fft: samples of one transform.
        hop_length: samples between frames.
        win_length: samples of the periodic Hann window; None is `n_fft`.
        padding: what the analysis added and is cut here.
        length: samples wanted; None is F * hop_length for `same`, (F - 1) * hop_length for `center`.

    Returns:
        (B, length) or (length,) samples.

    Raises:
        ValueError: another number of bins, no complex numbers, or frames that leave a sample uncovered.
    """
    if not spectrum.is_complex():
        raise ValueError(f"spectrum must be complex, got {spectrum.dtype}; join magnitude and phase by torch.polar")
    if spectrum.ndim not in (2, 3) or spectrum.shape[-2] != n_fft // 2 + 1:
        raise ValueError(
            f"spectrum has shape {tuple(spectrum.shape)}, expected (B, {n_fft // 2 + 1}, F) for n_fft {n_fft}"
        )
    frames = spectrum.shape[-1]
    cut = (n_fft - hop_length) // 2 if padding == "same" else n_fft // 2
    total = (frames - 1) * hop_length + n_fft
    wanted = (frames * hop_length if padding == "same" else (frames - 1) * hop_length) if length is None else length
    kept = min(wanted, total - cut)
    window_length = win_length or n_fft
    # beyond two windows the envelope only repeats, so a few frames show its smallest value
    _check_envelope(
        n_fft, hop_length, window_length, min(frames, 2 * -(-n_fft // hop_length) + 1), cut, total - cut - kept
    )
    batched = spectrum if spectrum.ndim == 3 else spectrum[None]
    window = hann_window(window_length, n_fft, batched.real)
    pieces = torch.fft.irfft(batched, n=n_fft, dim=1) * window[:, None]  # (B, n_fft, F)
    wav = _overlap_add(pieces, hop_length)[:, cut : cut + kept]
    envelope = _overlap_add(window.square()[None, :, None].expand(1, n_fft, frames), hop_length)[:, cut : cut + kept]
    wav = F.pad(wav / envelope, (0, wanted - kept))
    return wav if spectrum.ndim == 3 else wav[0]


def amplitude_phase(wav: Tensor, config: MelConfig) -> AmplitudePhase:
    """Log amplitude, phase, real and imaginary part of the spectrogram that `config` describes.

    Args:
        wav: (B, T) or (T,).
        config: framing; its mel and log settings have no effect.

    Raises:
        ValueError: as `stft`.
    """
    spectrum = stft(wav, config.n_fft, config.hop_length, config.win_length, padding=config.padding)
    log_amplitude = torch.log(spectrum.abs() + 1e-5)
    return AmplitudePhase(log_amplitude, torch.atan2(spectrum.imag, spectrum.real), spectrum.real, spectrum.imag)


def _frames(wav: Tensor, n_fft: int, hop_length: int, padding: Padding) -> Tensor:
    """(B, F, n_fft) or (F, n_fft) views of the padded samples."""
    if wav.ndim not in (1, 2) or not wav.is_floating_point():
        raise ValueError(f"wav must be floating point (T,) or (B, T), got {wav.dtype} of shape {tuple(wav.shape)}")
    if wav.dtype in (torch.float16, torch.bfloat16):
        wav = wav.float()
    padded = pad_wav(wav, n_fft, hop_length, padding)
    if padded.shape[-1] < n_fft:
        raise ValueError(
            f"wav has {wav.shape[-1]} samples, too few for one frame of {n_fft} with padding {padding!r}; "
            "leave such clips out or pad them with zeros"
        )
    return padded.unfold(-1, n_fft, hop_length)


def _overlap_add(pieces: Tensor, hop_length: int) -> Tensor:
    """(B, n, F) windowed pieces to (B, (F - 1) * hop_length + n)."""
    size = (1, (pieces.shape[2] - 1) * hop_length + pieces.shape[1])
    return F.fold(pieces, size, kernel_size=(1, pieces.shape[1]), stride=(1, hop_length))[:, 0, 0]


@lru_cache(maxsize=64)
def _hann_window(win_length: int, n_fft: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    if not 0 < win_length <= n_fft:
        raise ValueError(f"win_length must lie between 1 and n_fft {n_fft}, got {win_length}")
    with torch.inference_mode(False):  # a tensor of inference mode could not be used in training later
        # made in its own precision, as the originals do: in quiet bins the last bit of the window shows in the log-mel
        window = torch.hann_window(win_length, periodic=True, dtype=dtype, device="cpu")
        left = (n_fft - win_length) // 2
        return F.pad(window, (left, n_fft - win_length - left)).to(device)


@lru_cache(maxsize=64)
def _check_envelope(n_fft: int, hop_length: int, win_length: int, frames: int, cut: int, cut_right: int) -> None:
    with torch.inference_mode(False):
        window = _hann_window(win_length, n_fft, torch.device("cpu"), torch.float64)
        envelope = _overlap_add(window.square()[None, :, None].expand(1, n_fft, frames).contiguous(), hop_length)[0]
        kept = envelope[cut : envelope.shape[0] - cut_right]
        if kept.numel() and kept.min() <= _SMALLEST_ENVELOPE:
            raise ValueError(
                f"windows of {win_length} samples every {hop_length} leave samples uncovered: "
                f"the transform has no inverse; take a hop of at most {win_length // 2}"
            )
