"""Who speaks when, without a network for it: windows of speech, vectors of their voices, groups of these.

A recording is cut into blocks whose windows are grouped by average linkage; the means of these groups are grouped once
more over the whole recording, so a day of speech costs no more memory than an hour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from amphion_core.config import Config
from amphion_data.pipe.spans import RATE, Diarisation, Span, Turn, joined, subtract

if TYPE_CHECKING:
    from amphion_data.pipe.sound import Sound
    from amphion_data.pipe.stages import Embedder

__all__ = ["OfflineDiariser", "OfflineOptions", "OneSpeaker", "cluster", "make_none", "make_offline", "smoothed"]

_BATCH = 256  # windows that are embedded at a time


class OfflineOptions(Config):
    """Numbers of the windows and groups.

    Attributes:
        window: s of speech that one vector is made of.
        hop: s between two windows.
        least: groups with less speech join the nearest one, s.
        mixed: a group that lies so near to the middle of two larger ones, in thresholds, is none of its own.
        change: what a change of speaker between two windows of a region must gain, in thresholds of the distance.
        overlap: a window counts as two voices at once where the mean of two speakers' vectors lies nearer to it than
            each of the two, by this factor; 0 looks for none.
        block: s of speech that are grouped at a time.
        most: speakers; None for no bound.
    """

    window: float = Field(1.5, gt=0.2)
    hop: float = Field(0.5, gt=0.05)
    least: float = Field(4.0, ge=0)
    mixed: float = Field(0.6, ge=0)
    change: float = Field(0.5, ge=0)
    overlap: float = Field(0.8, ge=0, le=1)
    block: float = Field(1200.0, gt=10)
    most: int | None = Field(None, ge=1)


class OneSpeaker:
    """Everything is said by one person."""

    identity = "none"

    def diarise(self, sound: Sound, speech: Sequence[Span]) -> Diarisation:
        """See `Diariser.diarise`."""
        return Diarisation([Turn(start, end, 0) for start, end in speech], [])


class OfflineDiariser:
    """Vectors of windows, grouped; needs no weights beyond those of the vectors."""

    def __init__(self, options: OfflineOptions, embedder: Embedder) -> None:
        self.options, self.embedder = options, embedder
        self.identity = f"offline 1 ({embedder.identity})"

    def diarise(self, sound: Sound, speech: Sequence[Span]) -> Diarisation:
        """See `Diariser.diarise`."""
        windows = [window for span in speech for window in self._windows(span)]
        if not windows:
            return Diarisation([], [])
        vectors = self._vectors(sound, windows)
        centroids = self._speakers(vectors)
        distances = self._distances(vectors, centroids)
        double = self._double(vectors, centroids, distances)
        turns, overlaps, at = [], [], 0
        for span in speech:
            count = len(self._windows(span))
            own, part = slice(at, at + count), windows[at : at + count]
            edges = _edges(span, part)
            labels = smoothed(distances[own], self.options.change * self.embedder.threshold)
            turns += [Turn(edges[k], edges[k + 1], label) for k, label in enumerate(labels)]
            overlaps += [Span(edges[k], edges[k + 1]) for k, both in enumerate(double[own]) if both]
            at += count
        crossed = joined(overlaps)
        return Diarisation(_exclusive(_numbered(turns), crossed), crossed)

    def _windows(self, span: Span) -> list[Span]:
        size, hop = round(self.options.window * RATE), round(self.options.hop * RATE)
        if span.end - span.start <= size:
            return [span]
        starts = list(range(span.start, span.end - size + 1, hop))
        if starts[-1] + size < span.end:
            starts.append(span.end - size)
        return [Span(start, start + size) for start in starts]

    def _vectors(self, sound: Sound, windows: Sequence[Span]) -> NDArray[np.float32]:
        parts = [windows[k : k + _BATCH] for k in range(0, len(windows), _BATCH)]
        return np.concatenate([self.embedder.embed([sound.read_low(w) for w in part]) for part in parts])

    def _speakers(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """(S, D) the mean vector of each speaker, loudest group first."""
        size = max(2, round(self.options.block / self.options.hop))
        means, weights = [], []
        for first in range(0, len(vectors), size):
            part = vectors[first : first + size]
            for group in cluster(part, self.embedder.metric, self.embedder.threshold):
                means.append(part[group].mean(axis=0))
                weights.append(len(group))
        mean, weight = np.stack(means), np.array(weights, np.float64)
        groups = cluster(mean, self.embedder.metric, self.embedder.threshold)
        groups.sort(key=lambda group: -weight[group].sum())
        least = self.options.least / self.options.hop
        kept = [group for group in groups if weight[group].sum() >= least] or groups[:1]
        found = np.stack([np.average(mean[group], axis=0, weights=weight[group]) for group in kept]).astype(np.float32)
        return self._pure(found)[: self.options.most]

    def _pure(self, centroids: NDArray[np.float32]) -> NDArray[np.float32]:
        """The groups without those that lie between two larger ones: windows in which two voices are mixed."""
        kept = centroids[:2]
        for centroid in centroids[2:]:
            middles = [(kept[a] + kept[b]) / 2 for a in range(len(kept)) for b in range(a)]
            if self._distances(centroid[None], np.stack(middles)).min() > self.options.mixed * self.embedder.threshold:
                kept = np.concatenate([kept, centroid[None]])
        return kept

    def _distances(self, vectors: NDArray[np.float32], centroids: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.embedder.metric == "cosine":
            return np.asarray(1 - _unit(vectors) @ _unit(centroids).T, np.float32)
        return np.asarray(np.linalg.norm(vectors[:, None] - centroids[None], axis=2), np.float32)

    def _double(
        self, vectors: NDArray[np.float32], centroids: NDArray[np.float32], distances: NDArray[np.float32]
    ) -> NDArray[np.bool_]:
        """(N,) whether a window lies between two speakers rather than at one."""
        found = np.zeros(len(vectors), np.bool_)
        if len(centroids) < 2 or not self.options.overlap:
            return found
        nearest = np.argsort(distances, axis=1)[:, :2]
        middle = np.asarray((centroids[nearest[:, 0]] + centroids[nearest[:, 1]]) / 2, np.float32)
        if self.embedder.metric == "cosine":
            between = 1 - np.einsum("nd,nd->n", _unit(vectors), _unit(middle))
        else:
            between = np.linalg.norm(vectors - middle, axis=1)
        return np.asarray(between < self.options.overlap * distances.min(axis=1), np.bool_)


def cluster(vectors: NDArray[np.float32], metric: str, threshold: float) -> list[NDArray[np.int64]]:
    """Groups by average linkage, in the order of their first members.

    Args:
        vectors: (N, D).
        metric: `cosine` or `euclidean`.
        threshold: mean distance up to which two groups are joined.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    if len(vectors) == 1:
        return [np.zeros(1, np.int64)]
    points = _unit(vectors) if metric == "cosine" else vectors
    kind: Any = metric
    tree = linkage(points.astype(np.float64), "average", metric=kind)
    labels = fcluster(tree, threshold, criterion="distance")
    order = {label: k for k, label in enumerate(dict.fromkeys(labels.tolist()))}
    numbers = np.array([order[label] for label in labels.tolist()])
    return [np.flatnonzero(numbers == k) for k in range(len(order))]


def smoothed(distances: NDArray[np.float32], change: float) -> list[int]:
    """The speaker of each window of a region, so that distances and changes together cost least.

    Args:
        distances: (F, S).
        change: cost of another speaker than in the window before.
    """
    cost, back = distances[0].astype(np.float64), []
    for row in distances[1:]:
        best = int(np.argmin(cost))
        stays = cost <= cost[best] + change
        back.append(np.where(stays, np.arange(len(cost)), best))
        cost = np.where(stays, cost, cost[best] + change) + row
    path = [int(np.argmin(cost))]
    for sources in reversed(back):
        path.append(int(sources[path[-1]]))
    return path[::-1]


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9), np.float32)


def _edges(span: Span, windows: Sequence[Span]) -> list[int]:
    """Where the voice of one window ends and that of the next begins: between their middles."""
    middles = [(window.start + window.end) // 2 for window in windows]
    return [span.start, *((a + b) // 2 for a, b in pairwise(middles)), span.end]


def _numbered(turns: Sequence[Turn]) -> list[Turn]:
    """Speakers numbered as they first speak, neighbours of one speaker joined."""
    order = {speaker: k for k, speaker in enumerate(dict.fromkeys(turn.speaker for turn in turns))}
    found: list[Turn] = []
    for start, end, speaker in turns:
        if found and found[-1].end == start and found[-1].speaker == order[speaker]:
            found[-1] = Turn(found[-1].start, end, order[speaker])
        else:
            found.append(Turn(start, end, order[speaker]))
    return found


def _exclusive(turns: Sequence[Turn], overlaps: Sequence[Span]) -> list[Turn]:
    return [
        Turn(start, end, turn.speaker)
        for turn in turns
        for start, end in subtract([Span(turn.start, turn.end)], overlaps)
    ]


def make_offline(options: Mapping[str, Any], device: str) -> OfflineDiariser:
    """The stage `diarise-offline`; `embedder` among the options is what it hears voices with."""
    given = dict(options)
    embedder = given.pop("embedder")
    return OfflineDiariser(OfflineOptions.parse(given, where="options of offline"), embedder)


def make_none(options: Mapping[str, Any], device: str) -> OneSpeaker:
    """The stage `diarise-none`."""
    return OneSpeaker()
