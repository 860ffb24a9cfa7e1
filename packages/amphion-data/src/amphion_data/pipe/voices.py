"""A second look at speakers: segments whose voice is not that of the others with their label."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from amphion_data.pipe.segments import Segment
from amphion_data.pipe.spans import Span

if TYPE_CHECKING:
    from amphion_data.pipe.sound import Sound
    from amphion_data.pipe.stages import Embedder

__all__ = ["strangers"]

_LEAST = 3  # segments of a speaker; of two that differ nobody can say which is wrong
_BATCH = 120.0  # s of segments that are embedded at a time


def strangers(sound: Sound, segments: Sequence[Segment], embedder: Embedder, most: float) -> dict[Segment, str]:
    """Segments whose voice lies too far from that of their speaker.

    The speaker's voice is the median of its segments in each dimension, which a few wrong ones among many hardly move.
    Speakers with fewer than three segments are not judged.

    Args:
        sound: of the recording.
        segments: of all speakers.
        embedder: voices to vectors.
        most: distance up to which a segment belongs to its speaker, in thresholds of the embedder.

    Returns:
        Each of them with the distance and the bound in words.
    """
    groups: dict[int, list[Segment]] = defaultdict(list)
    for segment in segments:
        groups[segment.speaker].append(segment)
    judged = [segment for own in groups.values() if len(own) >= _LEAST for segment in own]
    if not judged:
        return {}
    vectors = dict(zip(judged, _vectors(sound, judged, embedder), strict=True))
    found: dict[Segment, str] = {}
    bound = most * embedder.threshold
    for own in (group for group in groups.values() if len(group) >= _LEAST):
        held = np.stack([vectors[segment] for segment in own])
        for segment, distance in zip(own, _distances(held, embedder.metric), strict=True):
            if distance > bound:
                found[segment] = f"voice at {distance:.3f} from that of its speaker, {bound:.3f} allowed"
    return found


def _vectors(sound: Sound, segments: Sequence[Segment], embedder: Embedder) -> NDArray[np.float32]:
    parts = [
        embedder.embed([sound.read_low(Span(segment.start, segment.end)) for segment in batch])
        for batch in _batches(segments)
    ]
    return np.concatenate(parts)


def _batches(segments: Sequence[Segment]) -> Iterator[list[Segment]]:
    batch: list[Segment] = []
    for segment in segments:
        if batch and sum(held.seconds for held in batch) + segment.seconds > _BATCH:
            yield batch
            batch = []
        batch.append(segment)
    if batch:
        yield batch


def _distances(vectors: NDArray[np.float32], metric: str) -> NDArray[np.float64]:
    """(N,) of each vector to their median."""
    held = vectors.astype(np.float64)
    if metric == "cosine":
        held = held / np.maximum(np.linalg.norm(held, axis=1, keepdims=True), 1e-9)
    middle = np.median(held, axis=0)
    if metric == "cosine":
        return np.asarray(1 - held @ middle / max(float(np.linalg.norm(middle)), 1e-9))
    return np.asarray(np.linalg.norm(held - middle, axis=1))
