"""Frame energies: from a log-mel, from the waveform, as arrays or as tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amphion_core.features.spectrum import PadMode, stft_magnitude

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["energy_from_mel", "energy_from_wav", "energy_tacotron"]


@overload
def energy_from_mel(mel: Tensor) -> Tensor: ...
@overload
def energy_from_mel(mel: NDArray[np.floating]) -> NDArray[np.floating]: ...
def energy_from_mel(mel: Tensor | NDArray[np.floating]) -> Tensor | NDArray[np.floating]:
    """Energy as models of singing voices take it: sqrt of the sum over bands of exp(mel)^2.

    Args:
        mel: (..., n_mels, F) natural log, not normalised; array or tensor.

    Returns:
        (..., F), of the same kind as `mel`.
    """
    if isinstance(mel, np.ndarray):
        return np.asarray(np.sqrt(np.square(np.exp(mel)).sum(axis=-2)))
    return mel.exp().square().sum(dim=-2).sqrt()


def energy_from_wav(
    wav: ArrayLike,
    *,
    n_fft: int = 1024,
    hop_length: int = 256,
    win_length: int | None = None,
    pad_mode: PadMode = "center_zero",
) -> NDArray[np.float64]:
    """Energy of the waveform: L2 norm over the bins of the magnitude spectrogram.

    Args:
        wav: (T,) samples.
        n_fft: samples of one transform.
        hop_length: samples between frames.
        win_length: samples of the periodic Hann window; None is `n_fft`.
        pad_mode: as `stft_magnitude`.

    Returns:
        (T // hop_length + 1,) where centred: one frame more than a mel of padding `same`.

    Raises:
        ValueError: as `stft_magnitude`.
    """
    magnitude = stft_magnitude(wav, n_fft, hop_length, win_length, pad_mode)
    return np.asarray(np.sqrt(np.square(magnitude).sum(axis=0)))


def energy_tacotron(
    wav: ArrayLike, *, n_fft: int = 1024, hop_length: int = 256, win_length: int | None = None
) -> NDArray[np.float64]:
    """Energy beside the mel `tacotron_22k` (FastSpeech 2): samples clipped to [-1, 1], centred by reflection.

    Arguments, result and errors are those of `energy_from_wav`.
    """
    clipped = np.clip(np.asarray(wav), -1, 1)
    return energy_from_wav(clipped, n_fft=n_fft, hop_length=hop_length, win_length=win_length, pad_mode="center")
