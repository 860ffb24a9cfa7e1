"""WORLD vocoder on arrays: F0, spectral envelope, aperiodicity and resynthesis, through the package pyworld.

Source: Morise, Yokomori and Ozawa, "WORLD: A Vocoder-Based High-Quality Speech Synthesis System", 2016.
"""

from __future__ import annotations

import sys
import threading
from importlib import import_module, metadata
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amphion_core.features.samples import check_samples

__all__ = ["WorldFeatures", "dio_f0", "harvest_f0", "pyworld", "world_analysis", "world_synthesis"]

_IMPORT_LOCK = threading.Lock()


class WorldFeatures(NamedTuple):
    """What WORLD takes a voice apart into.

    Attributes:
        f0: (F,) Hz, 0 = unvoiced.
        envelope: (F, n_fft // 2 + 1) power envelope.
        aperiodicity: (F, n_fft // 2 + 1) share of noise, 0 to 1.
    """

    f0: NDArray[np.float64]
    envelope: NDArray[np.float64]
    aperiodicity: NDArray[np.float64]


def pyworld() -> Any:
    """The module pyworld; the one place that imports it.

    It asks `pkg_resources` for its own version, which setuptools no longer holds since version 82, so a stand-in
    takes that name for the length of the import.
    """
    if "pyworld" in sys.modules:
        return sys.modules["pyworld"]
    with _IMPORT_LOCK:
        present = sys.modules.get("pkg_resources")
        if present is None:
            stand_in: Any = ModuleType("pkg_resources")
            stand_in.get_distribution = lambda name: SimpleNamespace(version=metadata.version(name))
            sys.modules["pkg_resources"] = stand_in
        try:
            return import_module("pyworld")
        finally:
            if present is None:
                sys.modules.pop("pkg_resources", None)


def dio_f0(
    wav: ArrayLike, sample_rate: int, *, hop_length: float, f_min: float = 71.0, f_max: float = 800.0
) -> NDArray[np.float64]:
    """F0 by DIO, refined by StoneMask: fast, median error about 0.25 cents on clean voices.

    Args:
        wav: (T,) samples.
        sample_rate: Hz.
        hop_length: samples between frames; frame i lies at sample i * hop_length.
        f_min: lowest F0, Hz.
        f_max: highest F0, Hz.

    Returns:
        (T // hop_length + 1,) Hz, 0 = unvoiced.

    Raises:
        ValueError: not one dimension, no samples, or NaN.

    Source: Morise, Kawahara and Katayose, "Fast and Reliable F0 Estimation Method Based on the Period Extraction of
    Vocal Fold Vibration of Singing Voice and Speech", 2009.
    """
    samples = check_samples(wav)
    world = pyworld()
    period = 1000 * hop_length / sample_rate
    coarse, times = world.dio(
        samples, sample_rate, f0_floor=f_min, f0_ceil=f_max, channels_in_octave=2, frame_period=period
    )
    fine: NDArray[np.float64] = world.stonemask(samples, coarse, times, sample_rate)
    return fine


def harvest_f0(
    wav: ArrayLike, sample_rate: int, *, hop_length: float, f_min: float = 71.0, f_max: float = 800.0
) -> NDArray[np.float64]:
    """F0 by Harvest: about forty times slower than DIO, voices nearly every frame.

    Arguments, result and errors are those of `dio_f0`.

    Source: Morise, "Harvest: A High-Performance Fundamental Frequency Estimator from Speech Signals", 2017.
    """
    samples = check_samples(wav)
    period = 1000 * hop_length / sample_rate
    f0, _ = pyworld().harvest(samples, sample_rate, f0_floor=f_min, f0_ceil=f_max, frame_period=period)
    return np.asarray(f0, np.float64)


def world_analysis(
    wav: ArrayLike,
    sample_rate: int,
    *,
    frame_period: float = 5.0,
    f_min: float = 71.0,
    f_max: float = 800.0,
    method: str = "dio",
    f0: ArrayLike | None = None,
    n_fft: int | None = None,
) -> WorldFeatures:
    """Take a voice apart into F0, envelope (CheapTrick) and aperiodicity (D4C).

    Args:
        wav: (T,) samples.
        sample_rate: Hz.
        frame_period: ms between frames.
        f_min: lowest F0, Hz.
        f_max: highest F0, Hz.
        method: `dio` (with StoneMask) or `harvest`.
        f0: (F,) contour at this frame period to use instead, Hz, 0 = unvoiced.
        n_fft: size of the transforms; None is WORLD's own for the rate (1024 at 16 to 24 kHz, 2048 at 44.1 kHz).

    Raises:
        ValueError: an unknown method; the samples are as `dio_f0` refuses; `n_fft` is too small for 71 Hz.
    """
    samples = check_samples(wav)
    hop = frame_period * sample_rate / 1000
    if f0 is not None:
        contour = np.ascontiguousarray(f0, np.float64)
    elif method in ("dio", "harvest"):
        track = dio_f0 if method == "dio" else harvest_f0
        contour = track(samples, sample_rate, hop_length=hop, f_min=f_min, f_max=f_max)
    else:
        raise ValueError(f"method must be 'dio' or 'harvest', got {method!r}")
    world = pyworld()
    size = n_fft if n_fft is not None else world.get_cheaptrick_fft_size(sample_rate)
    lowest = world.get_cheaptrick_f0_floor(sample_rate, size)
    if lowest > 71.0 + 1e-6:
        raise ValueError(
            f"n_fft {size} serves no F0 below {lowest:.0f} Hz at {sample_rate} Hz; take a larger one or None"
        )
    times = np.arange(len(contour)) * (frame_period / 1000)
    envelope = world.cheaptrick(samples, contour, times, sample_rate, fft_size=size)
    aperiodicity = world.d4c(samples, contour, times, sample_rate, fft_size=size)
    return WorldFeatures(contour, envelope, aperiodicity)


def world_synthesis(
    f0: ArrayLike, envelope: ArrayLike, aperiodicity: ArrayLike, sample_rate: int, *, frame_period: float = 5.0
) -> NDArray[np.float32]:
    """Waveform of F0, envelope and aperiodicity.

    Args:
        f0: (F,) Hz, 0 = unvoiced.
        envelope: (F, n_fft // 2 + 1) power.
        aperiodicity: (F, n_fft // 2 + 1), 0 to 1.
        sample_rate: Hz.
        frame_period: ms between frames.

    Returns:
        (T,) samples, T about F * frame_period / 1000 * sample_rate.

    Raises:
        ValueError: the three differ in frames, or envelope and aperiodicity in bins.
    """
    parts = [np.ascontiguousarray(part, np.float64) for part in (f0, envelope, aperiodicity)]
    shapes = [part.shape for part in parts]
    if len(shapes[0]) != 1 or len(shapes[1]) != 2 or shapes[1] != shapes[2] or shapes[0][0] != shapes[1][0]:
        raise ValueError(
            f"f0 {shapes[0]}, envelope {shapes[1]} and aperiodicity {shapes[2]} must be (F,), (F, bins), (F, bins)"
        )
    wav = pyworld().synthesize(*parts, sample_rate, frame_period)
    return np.asarray(wav, np.float32)
