"""Which frame of the reference belongs to which frame of the estimate.

`none` wants equal lengths up to one frame, `cut` truncates both to the shorter, `dtw` follows the exact path of least
mel-cepstral distance. A path is found on mel-cepstra only and then applied to every contour: dynamic time warping of
a scalar contour would make any two contours alike.
"""

from __future__ import annotations

import threading
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amphion_eval.values import Undefined

__all__ = ["ALIGNMENTS", "Alignment", "aligned", "cut", "dtw_path", "path_on_grid"]

Alignment = Literal["none", "cut", "dtw"]
ALIGNMENTS: tuple[Alignment, ...] = get_args(Alignment)

MAX_CELLS = 250_000_000
"""Largest product of frame counts that `dtw_path` takes: two files of 79 s at 5 ms, 4 GB."""

KEPT_CELLS = 1 << 22
"""Matrices up to this size share 32 MB in each thread: two files of 10 s at 5 ms."""


def cut(reference: ArrayLike, estimate: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both truncated along their first axis to the shorter.

    Args:
        reference: (F, ...) frames or samples.
        estimate: (G, ...) frames or samples.
    """
    ref, est = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    frames = min(len(ref), len(est))
    return ref[:frames], est[:frames]


def dtw_path(reference: ArrayLike, estimate: ArrayLike) -> NDArray[np.int64]:
    """Exact dynamic time warping: Euclidean distance, steps (1, 1), (1, 0), (0, 1) of equal weight.

    Of steps that cost the same, the first in this order is taken.

    Args:
        reference: (F, D) features.
        estimate: (G, D) features.

    Returns:
        (P, 2) pairs of frames from (0, 0) to (F - 1, G - 1), both columns never falling.

    Raises:
        ValueError: no frames, another number of features, or too many frames for an exact path in memory.
    """
    ref, est = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    if ref.ndim != 2 or est.ndim != 2 or ref.shape[1] != est.shape[1] or not ref.size or not est.size:
        raise ValueError(f"reference has shape {ref.shape}, estimate {est.shape}; both need frames and equal features")
    if len(ref) * len(est) > MAX_CELLS:
        raise ValueError(
            f"an exact path over {len(ref)} x {len(est)} frames needs more memory than the limit of {MAX_CELLS} cells; "
            "cut the files into utterances, or align by cut"
        )
    return _backtrack(_accumulate(_distances(ref, est)), len(ref), len(est))


def path_on_grid(path: ArrayLike, period: float, other: float, frames: tuple[int, int]) -> NDArray[np.int64]:
    """A path found on frames of one period, for contours with frames of another.

    Args:
        path: (P, 2) as `dtw_path` gives.
        period: seconds between the frames of the path.
        other: seconds between the frames of the contours.
        frames: numbers of frames of the two contours.

    Returns:
        (Q, 2) pairs of frames of the contours, each pair once, in order; the path itself where the periods agree.
    """
    pairs = np.rint(np.asarray(path) * (period / other)).astype(np.int64)
    pairs = np.minimum(pairs, np.asarray(frames) - 1)
    fresh = np.ones(len(pairs), bool)
    fresh[1:] = (np.diff(pairs, axis=0) != 0).any(axis=1)
    kept: NDArray[np.int64] = pairs[fresh]
    return kept


def aligned(
    reference: NDArray[np.float64],
    estimate: NDArray[np.float64],
    alignment: Alignment,
    path: NDArray[np.int64] | Undefined | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | Undefined:
    """Two contours on common frames.

    Args:
        reference: (F, ...) frames.
        estimate: (G, ...) frames.
        alignment: how.
        path: pairs of frames of these contours, for `dtw`; or why there is none.

    Returns:
        The two contours with the same number of frames, or why there are none.
    """
    if alignment == "dtw":
        if path is None or isinstance(path, Undefined):
            return path if path is not None else Undefined("there is no path")
        return reference[path[:, 0]], estimate[path[:, 1]]
    if alignment == "none" and abs(len(reference) - len(estimate)) > 1:
        return Undefined(
            f"{len(reference)} frames in the reference, {len(estimate)} in the estimate; align none allows one between"
        )
    return cut(reference, estimate)


def _distances(ref: NDArray[np.float64], est: NDArray[np.float64]) -> NDArray[np.float64]:
    """Euclidean distance of every pair, (F, G)."""
    center = ref.mean(axis=0)  # smaller numbers cancel less in the expansion of the square
    ref, est = ref - center, est - center
    ref_power, est_power = np.einsum("fd,fd->f", ref, ref), np.einsum("fd,fd->f", est, est)
    # |a|^2 - 2 a b + |b|^2 as one product, by blocks that stay in the cache.
    left = np.column_stack([-2.0 * ref, ref_power, np.ones(len(ref))])
    right = np.vstack([est.T, np.ones(len(est)), est_power])
    # What is left of equal frames is rounding, even below 0; as 0 it ties exactly, and ties go to the diagonal.
    rounding = 1e-14 * (ref_power.max() + est_power.max())
    distances = _matrix(len(ref), len(est))
    for start in range(0, len(ref), 64):
        block = distances[start : start + 64]
        np.matmul(left[start : start + 64], right, out=block)
        if block.min() < rounding:
            block *= block >= rounding
        np.sqrt(block, out=block)
    return distances


class _Room(threading.local):
    """Memory of a thread that goes from one path to the next."""

    cells: NDArray[np.float64] = np.empty(0)


_room = _Room()


def _matrix(rows: int, columns: int) -> NDArray[np.float64]:
    """A matrix of unknown content, whose memory is kept unless it is large: fresh pages take longer than the path."""
    size = rows * columns
    if size > KEPT_CELLS:
        return np.empty((rows, columns))
    if _room.cells.size < size:
        _room.cells = np.empty(size)
    return _room.cells[:size].reshape(rows, columns)


def _accumulate(cost: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least cost up to each cell, one anti-diagonal after the other, written over the costs."""
    rows, columns = cost.shape
    flat = cost.reshape(-1)
    stride = columns - 1
    previous = np.full(rows + 2, np.inf)  # entry i + 1 is the cell in row i of the diagonal before
    before_it = np.full(rows + 2, np.inf)
    room = np.empty(rows)
    previous[1] = flat[0]
    for diagonal in range(1, rows + columns - 1):
        low, high = max(0, diagonal - columns + 1), min(rows - 1, diagonal)
        if stride:
            cells = flat[low * stride + diagonal : high * stride + diagonal + 1 : stride]
        else:
            cells = flat[diagonal : diagonal + 1]
        current = before_it  # its own first values are read before they are overwritten
        best = np.minimum(before_it[low : high + 1], previous[low : high + 1], out=room[: high + 1 - low])
        np.minimum(best, previous[low + 1 : high + 2], out=best)
        cells += best
        current[low + 1 : high + 2] = cells
        current[low] = current[high + 2] = np.inf  # the diagonals after look no further
        before_it, previous = previous, current
    return cost


def _backtrack(total: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.int64]:
    i, j = rows - 1, columns - 1
    path = [(i, j)]
    item = total.item
    while i or j:
        if not i:
            j -= 1
        elif not j:
            i -= 1
        else:
            diagonal, up, left = item(i - 1, j - 1), item(i - 1, j), item(i, j - 1)
            if diagonal <= up and diagonal <= left:
                i, j = i - 1, j - 1
            elif up <= left:
                i -= 1
            else:
                j -= 1
        path.append((i, j))
    return np.array(path[::-1], np.int64)
