"""Probabilistic YIN: F0 and voicing by a hidden Markov model over the pitch candidates of many YIN thresholds.

Source: Mauch and Dixon, "pYIN: A Fundamental Frequency Estimator Using Probabilistic Threshold Distributions", 2014.
The parameters and the contour are those of librosa 0.11, which the tests compare with; numpy and scipy only.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from amphion_core.features.samples import check_samples
from amphion_core.features.yin import PeriodCandidates, period_candidates, period_range

__all__ = ["PyinContour", "pyin", "pyin_f0"]

_TINY = np.finfo(np.float64).tiny
_BLOCK = 2048  # frames whose thresholds and scores are held at once: about 40 MB

_Array = NDArray[np.float64]


class PyinContour(NamedTuple):
    """Result of pYIN, (F,) each.

    Attributes:
        f0: Hz, 0 = unvoiced.
        voiced: bool.
        probability: 0 to 1, that the frame is voiced, before the smoothing in time.
    """

    f0: _Array
    voiced: NDArray[np.bool_]
    probability: _Array


class _Observations(NamedTuple):
    """Probabilities of pitch bins, sparse: those of frame i are the entries first[i] to first[i + 1]."""

    first: NDArray[np.int64]
    bins: NDArray[np.int64]
    log_probability: _Array
    log_unvoiced: _Array


def pyin_f0(wav: ArrayLike, sample_rate: int, *, hop_length: int, f_min: float = 50.0, f_max: float = 1100.0) -> _Array:
    """F0 by pYIN at its defaults, (T // hop_length + 1,) Hz, 0 = unvoiced; see `pyin`."""
    return pyin(wav, sample_rate, hop_length=hop_length, f_min=f_min, f_max=f_max).f0


def pyin(
    wav: ArrayLike,
    sample_rate: int,
    *,
    hop_length: int,
    f_min: float = 50.0,
    f_max: float = 1100.0,
    frame_length: int | None = None,
    n_thresholds: int = 100,
    beta_parameters: tuple[float, float] = (2.0, 18.0),
    boltzmann_parameter: float = 2.0,
    resolution: float = 0.1,
    max_transition_rate: float = 35.92,
    switch_probability: float = 0.01,
    no_trough_probability: float = 0.01,
    center: bool = True,
) -> PyinContour:
    """F0, voicing decision and voicing probability.

    Args:
        wav: (T,) samples.
        sample_rate: Hz.
        hop_length: samples between frames.
        f_min: lowest F0, Hz.
        f_max: highest F0, Hz.
        frame_length: samples of a frame; None is the power of two from 64 ms up (1024 at 16 kHz, 2048 at 24 kHz).
        n_thresholds: YIN thresholds that are tried, equally spaced over 0 to 1.
        beta_parameters: shape of their prior; its mean 0.1 is YIN's usual threshold.
        boltzmann_parameter: how much an earlier trough under the threshold is preferred.
        resolution: width of a pitch bin, semitones.
        max_transition_rate: octaves per second that the pitch may move.
        switch_probability: of going from voiced to unvoiced or back, per frame.
        no_trough_probability: weight of the lowest trough where it lies above the threshold.
        center: frame i is centred at i * hop_length, the ends padded with zeros; else it starts there.

    Returns:
        F = T // hop_length + 1 frames where centred.

    Raises:
        ValueError: bad samples, too few of them where not centred, or a frame too short for `f_min`.
    """
    samples = check_samples(wav)
    length = frame_length if frame_length is not None else 1 << math.ceil(math.log2(0.064 * sample_rate))
    if not 0 < f_min < f_max <= sample_rate / 2:
        raise ValueError(f"f_min {f_min} and f_max {f_max} Hz must lie in order between 0 and {sample_rate / 2} Hz")
    if sample_rate / f_min > length:
        raise ValueError(f"a frame of {length} samples holds no period of {f_min} Hz; raise f_min or frame_length")
    if center:
        samples = np.pad(samples, length // 2)
    elif len(samples) < length:
        raise ValueError(f"wav has {len(samples)} samples, a frame takes {length}; centre the frames or pad the clip")
    shortest, longest = period_range(sample_rate, length, f_min, f_max)
    n_frames = (len(samples) - length) // hop_length + 1
    troughs = period_candidates(samples, length, hop_length, shortest, longest)
    edges = np.searchsorted(troughs.frame, np.arange(0, n_frames + _BLOCK, _BLOCK))
    blocks = [
        PeriodCandidates(troughs.frame[a:b], troughs.period[a:b], troughs.height[a:b]) for a, b in pairwise(edges)
    ]
    settings = (n_thresholds, beta_parameters, boltzmann_parameter, no_trough_probability)
    probability = np.concatenate([_trough_probabilities(block, *settings) for block in blocks])
    bins_per_octave = 12 * math.ceil(1 / resolution)
    n_bins = math.floor(bins_per_octave * math.log2(f_max / f_min)) + 1
    observations, voicing = _observations(
        troughs, probability, n_frames, n_bins, bins_per_octave * np.log2(sample_rate / troughs.period / f_min)
    )
    reach = round(max_transition_rate * 12 * hop_length / sample_rate) * (bins_per_octave // 12) // 2
    states = _Trellis(n_bins, reach, switch_probability).best_path(observations)
    voiced = states < n_bins
    f0 = np.where(voiced, f_min * 2.0 ** ((states % n_bins) / bins_per_octave), 0.0)
    return PyinContour(f0, voiced, voicing)


def _trough_probabilities(
    troughs: PeriodCandidates,
    n_thresholds: int,
    beta_parameters: tuple[float, float],
    boltzmann_parameter: float,
    no_trough_probability: float,
) -> _Array:
    """(K,) probability of each trough, summed over the thresholds that it passes."""
    if len(troughs.frame) == 0:
        return np.zeros(0)
    from scipy.special import betainc  # costs 0.2 s to import

    thresholds = np.linspace(0, 1, n_thresholds + 1)
    prior = np.diff(betainc(*beta_parameters, thresholds))  # (thresholds,) of the beta distribution
    below = troughs.height[:, None] < thresholds[1:]  # (K, thresholds)
    starts = np.flatnonzero(np.r_[True, np.diff(troughs.frame) > 0])  # first trough of each frame that has one
    sizes = np.diff(np.r_[starts, len(troughs.frame)])
    running = np.cumsum(below, axis=0, dtype=np.int32)
    before = np.where(starts[:, None] > 0, running[starts - 1], 0)  # (frames with troughs, thresholds)
    count = running[starts + sizes - 1] - before
    position = running - np.repeat(before, sizes, axis=0) - 1  # rank among the troughs below, from 0
    # Boltzmann distribution over the ranks 0 to count - 1
    decay = np.exp(-boltzmann_parameter * np.arange(count.max() + 1))
    norm = (1 - math.exp(-boltzmann_parameter)) / (1 - np.exp(-boltzmann_parameter * np.maximum(count, 1)))
    weight = decay[np.maximum(position, 0)]
    weight *= np.repeat(norm * prior, sizes, axis=0)
    probability = np.where(below, weight, 0.0).sum(axis=1)
    # thresholds that no trough passes vote for the lowest one
    group = np.repeat(np.arange(len(starts)), sizes)
    order = np.lexsort((troughs.height, group))  # stable: the earliest of equals
    lowest = order[starts]
    passed = below[lowest].argmax(axis=1)
    failed = np.where(below[lowest].any(axis=1), passed, n_thresholds)
    probability[lowest] += no_trough_probability * np.r_[0.0, np.cumsum(prior)][failed]
    return np.asarray(probability)


def _observations(
    troughs: PeriodCandidates, probability: _Array, n_frames: int, n_bins: int, position: _Array
) -> tuple[_Observations, _Array]:
    """Probabilities of bins; of two troughs in one bin the later counts, those above the last bin are left out."""
    bins = np.maximum(np.rint(position), 0).astype(np.int64)
    possible = np.flatnonzero((probability > 0) & (bins < n_bins))
    key = (troughs.frame * n_bins + bins)[possible]
    unique, reverse_index = np.unique(key[::-1], return_index=True)
    chosen = possible[len(key) - 1 - reverse_index]
    frame = unique // n_bins
    kept = probability[chosen]
    voicing: _Array = np.clip(np.bincount(frame, kept, minlength=n_frames), 0.0, 1.0)
    return (
        _Observations(
            np.searchsorted(frame, np.arange(n_frames + 1)),
            unique % n_bins,
            np.log(kept + _TINY),
            np.log((1 - voicing) / n_bins + _TINY),
        ),
        voicing,
    )


class _Trellis:
    """Viterbi over voiced bins (states 0 to n - 1) and unvoiced bins (n to 2 n - 1).

    A step moves at most `reach` bins, with a triangular weight, and keeps or switches voicing. Only that band is
    searched; moves outside have the probability of rounding, so the best state of all stands for all of them.
    """

    def __init__(self, n_bins: int, reach: int, switch_probability: float) -> None:
        self.n_bins, self.reach = n_bins, reach
        triangle = 1 - np.abs(np.arange(-reach, reach + 1)) / (reach + 1)
        inside = np.convolve(np.ones(n_bins), triangle, mode="full")[reach : reach + n_bins]
        self.log_triangle = np.log(triangle)
        self.log_norm = np.log(inside)  # what a row keeps of the triangle: less at the edges
        self.log_stay, self.log_switch = math.log(1 - switch_probability), math.log(switch_probability)
        self.log_tiny = math.log(_TINY)

    def best_path(self, observations: _Observations) -> NDArray[np.int64]:
        """(F,) the most probable states."""
        n_frames = len(observations.log_unvoiced)
        starts = list(range(0, n_frames, _BLOCK))
        score = self._observe(observations, 0) - math.log(2 * self.n_bins)
        checkpoints = [score]
        for start, end in pairwise(starts):
            checkpoints.append(self._forward(checkpoints[-1], observations, start, end + 1)[-1])
        states = np.empty(n_frames, np.int64)
        state = -1
        for start, first in zip(reversed(starts), reversed(checkpoints), strict=True):
            end = min(start + _BLOCK + 1, n_frames)  # one frame of the next block, to step back from
            scores = self._forward(first, observations, start, end)
            if state < 0:
                state = int(scores[-1].argmax())
                states[-1] = state
            for frame in range(end - 2, start - 1, -1):
                state = self._predecessor(scores[frame - start], state)
                states[frame] = state
        return states

    def _forward(self, score: _Array, observations: _Observations, start: int, end: int) -> _Array:
        """(end - start, 2 n) scores from that of frame `start` on."""
        n, reach = self.n_bins, self.reach
        scores = np.empty((end - start, 2 * n))
        scores[0] = score
        padded = np.full((2, n + 2 * reach), -np.inf)
        inner = padded[:, reach : reach + n]
        windows = sliding_window_view(padded, n, axis=1).transpose(1, 0, 2)  # (2 reach + 1, 2, n)
        moved = np.empty((2 * reach + 1, 2, n))
        best = np.empty((2, n))
        for frame in range(start + 1, end):
            np.subtract(score.reshape(2, n), self.log_norm, out=inner)
            np.add(windows, self.log_triangle[:, None, None], out=moved)
            np.maximum.reduce(moved, axis=0, out=best)
            switched = best[::-1] + self.log_switch
            best += self.log_stay
            score = scores[frame - start]
            np.maximum(best, switched, out=score.reshape(2, n))
            np.maximum(score, scores[frame - start - 1].max() + self.log_tiny, out=score)
            score += self._observe(observations, frame)
        return scores

    def _observe(self, observations: _Observations, frame: int) -> _Array:
        log = np.full(2 * self.n_bins, self.log_tiny)
        log[self.n_bins :] = observations.log_unvoiced[frame]
        entries = slice(observations.first[frame], observations.first[frame + 1])
        log[observations.bins[entries]] = observations.log_probability[entries]
        return log

    def _predecessor(self, score: _Array, state: int) -> int:
        """The state before, from the scores of its frame."""
        layer, index = divmod(state, self.n_bins)
        low, high = max(0, index - self.reach), min(self.n_bins, index + self.reach + 1)
        shape = self.log_triangle[low - index + self.reach : high - index + self.reach] - self.log_norm[low:high]
        options = score.reshape(2, self.n_bins)[:, low:high] + shape
        options[layer] += self.log_stay
        options[1 - layer] += self.log_switch
        best = int(options.argmax())
        far = int(score.argmax())
        if score[far] + self.log_tiny > options.flat[best]:
            return far
        return best // (high - low) * self.n_bins + low + best % (high - low)
