"""Sets of vectors as Gaussians: mean and covariance, gathered piece by piece, and the Fréchet distance of two."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Gaussian", "frechet"]


@dataclass(frozen=True)
class Gaussian:
    """Mean and covariance of a set of vectors, which need not be kept.

    Attributes:
        n: how many vectors.
        mean: (D,).
        scatter: (D, D) sum of the outer products of the deviations from the mean.
    """

    n: int
    mean: NDArray[np.float64]
    scatter: NDArray[np.float64]

    @classmethod
    def of(cls, pieces: Iterable[ArrayLike]) -> Self:
        """Gather pieces of (N_i, D) vectors; the result does not depend on how the set is cut, up to rounding.

        Args:
            pieces: arrays of any lengths, 0 included; a single (N, D) array is a list of one.

        Raises:
            ValueError: no vector, another D, not two axes, or values that are not finite.

        Source: Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances",
        1979: exact means and no loss of digits by subtraction.
        """
        n = 0
        mean = scatter = np.zeros(0)
        for piece in pieces:
            vectors = np.asarray(piece, np.float64)
            if vectors.ndim != 2:
                raise ValueError(f"a piece has shape {vectors.shape}; it must be (vectors, dimensions)")
            if not np.isfinite(vectors).all():
                raise ValueError("a piece has values that are not finite")
            if not len(vectors):
                continue
            own = vectors.mean(axis=0)
            deviations = vectors - own
            if n == 0:
                n, mean, scatter = len(vectors), own, deviations.T @ deviations
                continue
            if own.shape != mean.shape:
                raise ValueError(f"a piece has {own.shape[0]} dimensions, those before it {mean.shape[0]}")
            total = n + len(vectors)
            offset = own - mean
            scatter = scatter + deviations.T @ deviations + np.outer(offset, offset) * (n * len(vectors) / total)
            mean = mean + offset * (len(vectors) / total)
            n = total
        if n == 0:
            raise ValueError("there is no vector")
        return cls(n, mean, scatter)

    @property
    def covariance(self) -> NDArray[np.float64]:
        """(D, D), divisor N - 1.

        Raises:
            ValueError: fewer than 2 vectors.
        """
        if self.n < 2:
            raise ValueError(f"a covariance needs 2 vectors, there is {self.n}")
        return self.scatter / (self.n - 1)

    @cached_property
    def root(self) -> NDArray[np.float64]:
        """(D, D) symmetric root of the covariance."""
        values, vectors = np.linalg.eigh(self.covariance)
        return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)

    def save(self, path: str | Path) -> None:
        """Write to an .npz file, so that a reference set is analysed once."""
        from amphion_core.atomic import atomic_writer

        with atomic_writer(path) as file:
            np.savez(file, n=np.int64(self.n), mean=self.mean, scatter=self.scatter)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote; nothing in it is executed.

        Raises:
            FileNotFoundError: no such file.
            ValueError: it holds something else.
        """
        with np.load(path, allow_pickle=False) as arrays:
            absent = [name for name in ("n", "mean", "scatter") if name not in arrays]
            if absent:
                raise ValueError(f"{path} holds {', '.join(arrays)}; {', '.join(absent)} missing")
            return cls(int(arrays["n"]), arrays["mean"], arrays["scatter"])


def frechet(reference: Gaussian, estimate: Gaussian) -> float:
    """Fréchet distance of two Gaussians.

    Args:
        reference: of the recordings; its root is computed once for any number of distances.
        estimate: of the generated clips.

    Returns:
        At least 0.

    Raises:
        ValueError: another D, or fewer than 2 vectors on a side.

    Source: Kilgour et al., "Fréchet Audio Distance", 2019. The trace of the root of the product is the sum of the
    square roots of the eigenvalues of S1^1/2 S2 S1^1/2, which is symmetric: never complex, no epsilon.
    """
    if reference.mean.shape != estimate.mean.shape:
        raise ValueError(
            f"the reference has {reference.mean.shape[0]} dimensions, the estimate {estimate.mean.shape[0]}"
        )
    offset = reference.mean - estimate.mean
    covariance = estimate.covariance
    eigenvalues = np.linalg.eigvalsh(reference.root @ covariance @ reference.root)
    cross = np.sqrt(np.maximum(eigenvalues, 0.0)).sum()
    distance = offset @ offset + np.trace(reference.covariance) + np.trace(covariance) - 2.0 * cross
    return max(0.0, float(distance))  # what is below 0 is rounding
