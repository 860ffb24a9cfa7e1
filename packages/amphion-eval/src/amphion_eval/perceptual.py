"""Quality and intelligibility beside a reference: PESQ and STOI (extra `perceptual`).

Both say something of speech whose timing is that of the reference: output of codecs, vocoders, enhancement. For
synthesis with a timing of its own they mean nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amphion_core import audio
from amphion_core.extras import require
from amphion_eval.values import Undefined

__all__ = ["estoi", "pesq_nb", "pesq_wb", "stoi"]

EXTRA = "amphion-eval[perceptual]"

_WIDE, _NARROW = 16000, 8000
_TOO_FEW_FRAMES = 1e-5  # pystoi's answer where there is none


def pesq_wb(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """Wide-band PESQ, the predicted mean opinion score of speech of up to 8 kHz (P.862.2).

    Args:
        reference: (T,) samples of the recording.
        estimate: (T,) samples of the output.
        sample_rate: Hz, at least 16000; higher rates are resampled to that.

    Returns:
        1.02 to 4.64, higher is better; undefined (nan) where the library finds no utterance, for silence, under
        0.25 s and below 16 kHz.

    Raises:
        MissingExtraError: the package pesq is not installed.
        ValueError: the lengths differ, or there is more than one channel.

    Source: ITU-T P.862.2, "Wideband extension to Recommendation P.862", 2007.
    """
    if sample_rate < _WIDE:
        return Undefined(f"wide-band PESQ compares up to 8 kHz; the pair has a rate of {sample_rate} Hz, take pesq_nb")
    return _pesq(reference, estimate, sample_rate, _WIDE, "wb")


def pesq_nb(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """Narrow-band PESQ, the predicted mean opinion score over a telephone (P.862.1).

    Args:
        reference: (T,) samples of the recording.
        estimate: (T,) samples of the output.
        sample_rate: Hz, at least 8000; other rates than 8000 are resampled to 16000.

    Returns:
        1.02 to 4.55, higher is better; undefined (nan) where the library finds no utterance, for silence, under
        0.25 s and below 8 kHz.

    Raises:
        MissingExtraError: the package pesq is not installed.
        ValueError: the lengths differ, or there is more than one channel.

    Source: ITU-T P.862.1, "Mapping function for transforming P.862 raw result scores to MOS-LQO", 2003.
    """
    if sample_rate < _NARROW:
        return Undefined(f"PESQ compares up to 4 kHz; the pair has a rate of {sample_rate} Hz")
    return _pesq(reference, estimate, sample_rate, _NARROW if sample_rate == _NARROW else _WIDE, "nb")


def stoi(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """Short-time objective intelligibility.

    Args:
        reference: (T,) samples of the recording.
        estimate: (T,) samples of the output.
        sample_rate: Hz; the library resamples to 10 kHz itself.

    Returns:
        About 0 to 1, higher is better; undefined (nan) for silence and where less than 384 ms of the reference are
        not silent.

    Raises:
        MissingExtraError: the package pystoi is not installed.
        ValueError: the lengths differ, or there is more than one channel.

    Source: Taal et al., "An Algorithm for Intelligibility Prediction of Time-Frequency Weighted Noisy Speech", 2011.
    """
    return _stoi(reference, estimate, sample_rate, extended=False)


def estoi(reference: ArrayLike, estimate: ArrayLike, sample_rate: int) -> float:
    """Extended short-time objective intelligibility, which hears fluctuating noise as well.

    Args:
        reference: (T,) samples of the recording.
        estimate: (T,) samples of the output.
        sample_rate: Hz; the library resamples to 10 kHz itself.

    Returns:
        About 0 to 1, can be slightly negative, higher is better; undefined (nan) as for `stoi`.

    Raises:
        MissingExtraError: the package pystoi is not installed.
        ValueError: the lengths differ, or there is more than one channel.

    Source: Jensen and Taal, "An Algorithm for Predicting the Intelligibility of Speech Masked by Modulated Noise
    Maskers", 2016.
    """
    return _stoi(reference, estimate, sample_rate, extended=True)


def _pesq(reference: ArrayLike, estimate: ArrayLike, sample_rate: int, rate: int, mode: Literal["wb", "nb"]) -> float:
    library = require("pesq", EXTRA)
    pair = _samples(reference, estimate)
    if isinstance(pair, Undefined):
        return pair
    ref, est = (audio.resample(wav.astype(np.float32), sample_rate, rate, quality="VHQ") for wav in pair)
    try:
        value = float(library.pesq(rate, ref, est, mode))
    except library.NoUtterancesError:
        return Undefined("PESQ finds no utterance")
    except library.BufferTooShortError:
        return Undefined(f"{len(ref) / rate:.3f} s are too short for PESQ, which needs 0.25 s")
    except library.PesqError as error:
        return Undefined(f"PESQ gives no value: {error.args[0] if error.args else type(error).__name__}")
    return value if np.isfinite(value) else Undefined("PESQ gives no number for these signals")


def _stoi(reference: ArrayLike, estimate: ArrayLike, sample_rate: int, *, extended: bool) -> float:
    library = require("pystoi", EXTRA)
    pair = _samples(reference, estimate)
    if isinstance(pair, Undefined):
        return pair
    ref, est = pair
    if len(ref) * 10000 < 4096 * sample_rate:  # 30 frames of 256 samples at 10 kHz, half overlapped
        return Undefined(f"{len(ref) / sample_rate:.3f} s are too short for STOI")
    with warnings.catch_warnings(), _seeded():
        warnings.simplefilter("ignore", RuntimeWarning)
        value = float(library.stoi(ref, est, sample_rate, extended=extended))
    if value == _TOO_FEW_FRAMES:
        return Undefined("less than 384 ms of the reference are not silent")
    return value if np.isfinite(value) else Undefined("STOI gives no number for these signals")


@contextmanager
def _seeded() -> Iterator[None]:
    """The library adds noise of the size of rounding to silent bands; the same pair shall give the same number."""
    before = np.random.get_state()  # noqa: NPY002 (the library draws from it)
    np.random.seed(0)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


def _samples(reference: ArrayLike, estimate: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]] | Undefined:
    ref, est = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    if ref.shape != est.shape or ref.ndim != 1:
        raise ValueError(
            f"reference has shape {ref.shape}, estimate {est.shape}; cut both to one length and one channel"
        )
    for name, wav in (("reference", ref), ("estimate", est)):
        if not wav.size:
            return Undefined("there is no sample")
        if np.ptp(wav) == 0.0:
            return Undefined(f"the {name} is silent: its samples are all the same")
    return ref, est
