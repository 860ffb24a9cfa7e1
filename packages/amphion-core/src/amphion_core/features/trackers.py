"""F0 trackers that come as extras: Praat's autocorrelation, CREPE and FCPE, on the frame grid of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import soxr
from numpy.typing import ArrayLike, NDArray

from amphion_core.extras import require
from amphion_core.features.samples import check_samples

if TYPE_CHECKING:
    import torch

__all__ = ["CrepeContour", "crepe_f0", "crepe_periodicity", "fcpe_f0", "praat_f0"]

_RATE = 16000  # what both networks were trained at


class CrepeContour(NamedTuple):
    """F0 and periodicity of CREPE, (F,) each.

    Attributes:
        f0: Hz in every frame, voiced or not.
        periodicity: 0 to 1.
    """

    f0: NDArray[np.float64]
    periodicity: NDArray[np.float64]


def praat_f0(
    wav: ArrayLike,
    sample_rate: int,
    *,
    hop_length: float,
    f_min: float = 50.0,
    f_max: float = 1100.0,
    voicing_threshold: float = 0.6,
    frames: int | None = None,
    compat: bool = False,
) -> NDArray[np.float64]:
    """F0 by Praat's autocorrelation (extra `praat`; the package is under GPL-3).

    Praat's window of 3 / f_min seconds is not padded, so its contour is shorter than the clip and lies in its middle.

    Args:
        wav: (T,) samples.
        sample_rate: Hz.
        hop_length: samples between frames.
        f_min: lowest F0, Hz.
        f_max: highest F0, Hz.
        voicing_threshold: strength from which a frame is voiced.
        frames: frames of the grid to place the contour on; None is T // hop_length + 1.
        compat: return the contour as it comes, without the missing frames at the ends: what old checkpoints were
            trained with, about 1.5 / f_min seconds early.

    Returns:
        (frames,) Hz, 0 = unvoiced and 0 where Praat has no frame.

    Raises:
        MissingExtraError: praat-parselmouth is not installed.
        ValueError: bad samples.

    Source: Boersma, "Accurate Short-Term Analysis of the Fundamental Frequency ...", 1993.
    """
    samples = check_samples(wav)
    parselmouth = require("parselmouth", "amphion-core[praat]")
    total = int(len(samples) // hop_length) + 1 if frames is None else frames
    if (
        len(samples) / sample_rate <= 3 / f_min + hop_length / sample_rate
    ):  # shorter than Praat's window: it would refuse
        contour = np.zeros(0)
    else:
        sound = parselmouth.Sound(samples, float(sample_rate))
        pitch = sound.to_pitch_ac(
            time_step=hop_length / sample_rate,
            voicing_threshold=voicing_threshold,
            pitch_floor=f_min,
            pitch_ceiling=f_max,
        )
        contour = np.asarray(pitch.selected_array["frequency"], np.float64)
    if compat:
        return contour
    left = max(0, total - len(contour)) // 2
    return np.pad(contour, (left, max(0, total - len(contour) - left)))[:total]


def crepe_f0(
    wav: ArrayLike,
    sample_rate: int,
    *,
    hop_length: float,
    f_min: float = 50.0,
    f_max: float = 1100.0,
    model: str = "full",
    threshold: float = 0.21,
    device: str | torch.device = "cpu",
) -> NDArray[np.float64]:
    """F0 by CREPE (extra `crepe`), unvoiced where the periodicity lies under a threshold.

    Args:
        wav: (T,) samples.
        sample_rate: Hz.
        hop_length: samples between frames, at `sample_rate`.
        f_min: lowest F0, Hz.
        f_max: highest F0, Hz.
        model: `full` or `tiny`.
        threshold: smallest periodicity of a voiced frame.
        device: where the network runs.

    Returns:
        (T // hop_length + 1,) Hz, 0 = unvoiced.

    Raises:
        MissingExtraError: torchcrepe is not installed.
        ValueError: bad samples, or an unknown model.

    Source: Kim, Salamon, Li and Bello, "CREPE", 2018, arXiv:1802.06182.
    """
    contour = crepe_periodicity(
        wav, sample_rate, hop_length=hop_length, f_min=f_min, f_max=f_max, model=model, device=device
    )
    return np.where(contour.periodicity >= threshold, contour.f0, 0.0)


def crepe_periodicity(
    wav: ArrayLike,
    sample_rate: int,
    *,
    hop_length: float,
    f_min: float = 50.0,
    f_max: float = 1100.0,
    model: str = "full",
    device: str | torch.device = "cpu",
    batch_size: int = 512,
) -> CrepeContour:
    """F0 and periodicity by CREPE (extra `crepe`).

    The network runs on frames of 10 ms at most; where `hop_length` is no whole number of samples at 16 kHz, the nearest
    frame of a 5 ms grid is taken.

    Arguments and errors are those of `crepe_f0`; `batch_size` is the number of frames in one pass.
    """
    samples = check_samples(wav)
    if model not in ("full", "tiny"):
        raise ValueError(f"model must be 'full' or 'tiny', got {model!r}")
    torchcrepe = require("torchcrepe", "amphion-core[crepe]")
    torch = require("torch", "amphion-core[crepe]")
    total = int(len(samples) // hop_length) + 1
    hop = hop_length * _RATE / sample_rate
    step = int(hop) if hop == int(hop) else 80
    voice = torch.from_numpy(soxr.resample(samples.astype(np.float32), sample_rate, _RATE))[None]
    f0, periodicity = torchcrepe.predict(
        voice,
        _RATE,
        step,
        f_min,
        f_max,
        model,
        batch_size=batch_size,
        device=str(device),
        return_periodicity=True,
    )
    nearest = np.clip(np.rint(np.arange(total) * hop / step).astype(np.int64), 0, f0.shape[1] - 1)
    return CrepeContour(f0[0].double().cpu().numpy()[nearest], periodicity[0].double().cpu().numpy()[nearest])


def fcpe_f0(
    wav: ArrayLike,
    sample_rate: int,
    *,
    hop_length: float,
    f_min: float = 50.0,
    f_max: float = 1100.0,
    threshold: float = 0.006,
    device: str | torch.device = "cpu",
) -> NDArray[np.float64]:
    """F0 by FCPE (extra `fcpe`), a fast network for singing.

    Args:
        wav: (T,) samples.
        sample_rate: Hz.
        hop_length: samples between frames.
        f_min: lowest F0, Hz.
        f_max: highest F0, Hz.
        threshold: smallest confidence of a voiced frame.
        device: where the network runs.

    Returns:
        (T // hop_length + 1,) Hz, 0 = unvoiced.

    Raises:
        MissingExtraError: torchfcpe is not installed.
        ValueError: bad samples.
    """
    samples = check_samples(wav)
    torchfcpe = require("torchfcpe", "amphion-core[fcpe]")
    torch = require("torch", "amphion-core[fcpe]")
    total = int(len(samples) // hop_length) + 1
    network = torchfcpe.spawn_bundled_infer_model(device=str(device))
    voice = torch.from_numpy(soxr.resample(samples.astype(np.float32), sample_rate, _RATE))[None, :, None].to(device)
    with torch.inference_mode():
        f0 = network.infer(
            voice,
            sr=_RATE,
            decoder_mode="local_argmax",
            threshold=threshold,
            f0_min=f_min,
            f0_max=f_max,
            interp_uv=False,
        )
    contour = f0.flatten().double().cpu().numpy()  # one frame every 160 samples of 16 kHz
    nearest = np.clip(np.rint(np.arange(total) * hop_length / sample_rate * 100).astype(np.int64), 0, len(contour) - 1)
    return np.where(contour[nearest] > 0, contour[nearest], 0.0)
