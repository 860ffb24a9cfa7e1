"""What metrics look at, computed once for each clip: F0, energy, envelopes and mel-cepstra, and their alignment."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amphion_eval.alignment import MAX_CELLS, aligned, cut, dtw_path, path_on_grid
from amphion_eval.cepstrum import FRAME_PERIOD, SHORTEST, envelope, mel_cepstrum
from amphion_eval.energy import HOP_LENGTH, frame_energy
from amphion_eval.periodicity import periodicity
from amphion_eval.settings import Settings
from amphion_eval.spectral import resolution_distances
from amphion_eval.values import Undefined
from amphion_eval.waveform import delay

__all__ = ["Analysis", "Contours", "Keep", "PairAnalysis"]

_T = TypeVar("_T")

Keep: TypeAlias = Callable[[Any, Callable[[], Any]], Any]
"""What an analysis depends on, and how it is computed, to its value: from where it is kept, or computed."""

Contours = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Reference and estimate on common frames or samples."""


class Analysis:
    """One clip; everything is computed at its first use and kept."""

    def __init__(
        self,
        wav: ArrayLike | Callable[[], ArrayLike],
        sample_rate: int,
        settings: Settings | None = None,
        *,
        keep: Keep | None = None,
    ) -> None:
        """Take a clip.

        Args:
            wav: (T,) samples, finite; or what gives them when they are needed.
            sample_rate: Hz.
            settings: parameters of the analyses.
            keep: asked for each analysis, with what it depends on and how it is computed; None computes.
        """
        self._wav = wav
        self.sample_rate = sample_rate
        self.settings = settings or Settings()
        self._keep: Keep = keep or (lambda _, compute: compute())

    @cached_property
    def wav(self) -> NDArray[np.float64]:
        """(T,) samples."""
        return np.asarray(self._wav() if callable(self._wav) else self._wav, np.float64)

    @cached_property
    def f0(self) -> NDArray[np.float64]:
        """(F,) Hz, 0 = unvoiced, every `f0_period` seconds."""
        settings = self.settings
        return self._kept(("f0", settings.f0, settings.f_min, settings.f_max), self._tracked)

    def _tracked(self) -> NDArray[np.float64]:
        from amphion_core.features import pitch, trackers

        low, high = self.settings.f_min, self.settings.f_max
        hop_length = self._f0_hop_length
        if self.settings.f0 == "praat":
            # Without the padding to the ends of the clip: those frames were never looked at, so they can't be right.
            return trackers.praat_f0(
                self.wav, self.sample_rate, hop_length=hop_length, compat=True, f_min=low, f_max=high
            )
        return pitch.f0(
            self.wav, self.sample_rate, hop_length=hop_length, method=self.settings.f0, f_min=low, f_max=high
        )

    @property
    def f0_period(self) -> float:
        """Seconds between two frames of F0."""
        return self._f0_hop_length / self.sample_rate

    @property
    def _f0_hop_length(self) -> float:
        if self.settings.f0 == "praat":
            return 256
        if self.settings.f0 in ("dio", "harvest"):
            return 0.005 * self.sample_rate
        return self.sample_rate // 100

    @cached_property
    def periodicity(self) -> NDArray[np.float64]:
        """(F,) periodicity by CREPE (extra `crepe`), 0 to 1, every 10 ms."""
        low, high, model = self.settings.f_min, self.settings.f_max, self.settings.crepe
        return self._kept(
            ("periodicity", low, high, model),
            lambda: periodicity(self.wav, self.sample_rate, f_min=low, f_max=high, model=model),
        )

    @cached_property
    def energy(self) -> NDArray[np.float64]:
        """(F,) linear energy, every 256 samples."""
        return self._kept(("energy",), lambda: frame_energy(self.wav))

    @cached_property
    def _envelope(self) -> NDArray[np.float64] | Undefined:
        if not self.wav.any():
            return Undefined("a silent signal has no spectral envelope")
        if self.wav.size < SHORTEST * self.sample_rate:
            return Undefined(
                f"{self.wav.size / self.sample_rate:.3f} s are shorter than the {SHORTEST} s of an envelope"
            )
        return envelope(self.wav, self.sample_rate, self.settings.mcd_f0)

    @cached_property
    def cepstra(self) -> NDArray[np.float64] | Undefined:
        """(F, D + 1) mel-cepstra every 5 ms, or why there are none."""
        settings = self.settings

        def computed() -> NDArray[np.float64] | Undefined:
            power = self._envelope
            if isinstance(power, Undefined):
                return power
            return mel_cepstrum(power, self.sample_rate, settings.mcd_order)

        return self._kept(("cepstra", settings.mcd_f0, settings.mcd_order), computed)

    @cached_property
    def loud(self) -> NDArray[np.bool_]:
        """(F,) frames of the mel-cepstra whose power is within `mcd_mask` dB of the clip's mean."""
        if self.settings.mcd_mask is None:
            return np.ones(0 if isinstance(self.cepstra, Undefined) else len(self.cepstra), bool)

        def computed() -> NDArray[np.float64]:
            power = self._envelope
            return np.zeros(0) if isinstance(power, Undefined) else np.asarray(power.mean(axis=1))

        frames = self._kept(("power", self.settings.mcd_f0), computed)
        if not len(frames):
            return np.ones(0, bool)
        return np.asarray(10 * np.log10(frames / frames.mean()) >= -self.settings.mcd_mask)

    def _kept(self, kind: tuple[Any, ...], compute: Callable[[], _T]) -> _T:
        value: _T = self._keep(list(kind), compute)
        return value


class PairAnalysis:
    """Two clips of one rate, aligned as the settings say; what metrics are given."""

    def __init__(
        self,
        reference: Analysis,
        estimate: Analysis,
        *,
        text: str | None = None,
        transcript: str | None = None,
        language: str | None = None,
    ) -> None:
        """Take two clips.

        Args:
            reference: the recording.
            estimate: the output.
            text: what is said.
            transcript: what was recognised in the output.
            language: two letters; None takes that of the settings.

        Raises:
            ValueError: the rates differ.
        """
        if reference.sample_rate != estimate.sample_rate:
            raise ValueError(
                f"reference has {reference.sample_rate} Hz, estimate {estimate.sample_rate} Hz; resample the higher"
            )
        self.reference, self.estimate = reference, estimate
        self.settings, self.sample_rate = reference.settings, reference.sample_rate
        self.text, self.transcript = text, transcript
        self.language = language or self.settings.language

    def f0(self) -> Contours | Undefined:
        """F0 of both in Hz on common frames, (F,) each."""
        return self._contours(self.reference.f0, self.estimate.f0, self.reference.f0_period)

    def periodicity(self) -> Contours | Undefined:
        """Periodicity of both on common frames, (F,) each; cut whatever the alignment, as its source does."""
        return cut(self.reference.periodicity, self.estimate.periodicity)

    def energy(self) -> Contours | Undefined:
        """Linear energy of both on common frames, (F,) each."""
        return self._contours(self.reference.energy, self.estimate.energy, HOP_LENGTH / self.sample_rate)

    def cepstra(self) -> Contours | Undefined:
        """Mel-cepstra of both on common frames, (F, D + 1) each, frames outside the mask left out."""
        ref, est = self.reference.cepstra, self.estimate.cepstra
        for name, side in (("reference", ref), ("estimate", est)):
            if isinstance(side, Undefined):
                return Undefined(f"{name}: {side.reason}")
        assert not isinstance(ref, Undefined) and not isinstance(est, Undefined)
        pair = self._contours(ref, est, FRAME_PERIOD)
        if isinstance(pair, Undefined) or self.settings.mcd_mask is None:
            return pair
        loud = self._contours(self.reference.loud, self.estimate.loud, FRAME_PERIOD)
        assert not isinstance(loud, Undefined)
        kept = loud[0].astype(bool) & loud[1].astype(bool)
        return (pair[0][kept], pair[1][kept]) if kept.any() else Undefined("no frame of both is loud enough")

    def wavs(self) -> Contours | Undefined:
        """Samples of both, cut to the shorter, after the delay was taken out if the settings ask for that."""
        ref, est = self.reference.wav, self.estimate.wav
        if self.settings.align == "none" and abs(len(ref) - len(est)) > self.sample_rate // 100:
            return Undefined(
                f"{len(ref)} samples in the reference, {len(est)} in the estimate; align none allows 10 ms"
            )
        if self.settings.max_delay:
            lag = self.delay
            ref, est = ref[max(0, -lag) :], est[max(0, lag) :]
        return cut(ref, est)

    @cached_property
    def stft_distances(self) -> list[tuple[float, float]] | Undefined:
        """Spectral convergence and log magnitude distance of each resolution; what the metrics `mstft*` share."""
        wavs = self.wavs()
        return wavs if isinstance(wavs, Undefined) else resolution_distances(*wavs)

    @cached_property
    def delay(self) -> int:
        """Samples by which the estimate is late, within `max_delay`."""
        return delay(self.reference.wav, self.estimate.wav, int(self.settings.max_delay * self.sample_rate))

    @cached_property
    def path(self) -> NDArray[np.int64] | Undefined:
        """Exact path between the mel-cepstra 1 to D, frames of 5 ms; or why there is none."""
        ref, est = self.reference.cepstra, self.estimate.cepstra
        for name, side in (("reference", ref), ("estimate", est)):
            if isinstance(side, Undefined):
                return Undefined(f"no alignment: {name}: {side.reason}")
        assert not isinstance(ref, Undefined) and not isinstance(est, Undefined)
        if len(ref) * len(est) > MAX_CELLS:
            return Undefined(f"{len(ref)} x {len(est)} frames are too many for an exact path; cut into utterances")
        return dtw_path(ref[:, 1:], est[:, 1:])

    def _contours(self, ref: NDArray[np.generic], est: NDArray[np.generic], period: float) -> Contours | Undefined:
        left, right = np.asarray(ref, np.float64), np.asarray(est, np.float64)
        if not (len(left) and len(right)):
            return Undefined("a clip is too short for a frame")
        if self.settings.align != "dtw":
            return aligned(left, right, self.settings.align)
        path = self.path
        if not isinstance(path, Undefined):
            path = path_on_grid(path, FRAME_PERIOD, period, (len(left), len(right)))
        return aligned(left, right, "dtw", path)
