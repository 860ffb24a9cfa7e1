"""Distances between sets of embeddings or posteriors: the formulas, whatever network the vectors come from."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amphion_eval.gaussian import Gaussian, frechet
from amphion_eval.values import Undefined

__all__ = [
    "cosine_similarity",
    "frechet_distance",
    "inception_score",
    "kernel_distance",
    "kl_divergence",
    "mean_cosine",
]


def frechet_distance(reference: ArrayLike, estimate: ArrayLike) -> float:
    """Fréchet distance of two sets of embeddings, each taken as a Gaussian.

    Args:
        reference: (N, D) embeddings of the recordings.
        estimate: (M, D) embeddings of the generated clips.

    Returns:
        At least 0, lower is better, biased upwards unless N and M are many times D; undefined (nan) with fewer than 2
        vectors on a side.

    Raises:
        ValueError: another D, not two axes, or values that are not finite.

    Source: Kilgour et al., "Fréchet Audio Distance", 2019; see `amphion_eval.gaussian.frechet`.
    """
    ref, est = _vectors(reference, estimate)
    if min(len(ref), len(est)) < 2:
        return Undefined(f"a covariance needs 2 vectors, there are {len(ref)} and {len(est)}")
    return frechet(Gaussian.of([ref]), Gaussian.of([est]))


def kl_divergence(reference: ArrayLike, estimate: ArrayLike, *, independent: bool = False) -> float:
    """Mean Kullback-Leibler divergence KL(reference || estimate) of paired class posteriors, natural log.

    Args:
        reference: (N, K) probabilities of the recordings, above 0.
        estimate: (N, K) probabilities of the generated clips, above 0.
        independent: the classes are independent yes-no decisions (sigmoid) instead of one choice (softmax).

    Returns:
        At least 0, lower is better; undefined (nan) without rows.

    Raises:
        ValueError: the shapes differ, or a value is no probability.
    """
    ref, est = _vectors(reference, estimate)
    if ref.shape != est.shape:
        raise ValueError(f"reference has shape {ref.shape}, estimate {est.shape}; the rows are pairs")
    if not len(ref):
        return Undefined("there is no pair")
    if min(ref.min(), est.min()) < 0 or max(ref.max(), est.max()) > 1 + 1e-6:
        raise ValueError("posteriors must lie in 0 to 1; apply softmax or sigmoid first")
    divergence = _relative_entropy(ref, est)
    if independent:
        divergence = divergence + _relative_entropy(1.0 - ref, 1.0 - est)
    return float(divergence.sum(axis=1).mean())


def inception_score(posteriors: ArrayLike, splits: int = 1) -> tuple[float, float]:
    """Inception score: exp of the mean divergence of each posterior from their mean.

    Args:
        posteriors: (N, K) softmax probabilities of the generated clips.
        splits: the set is cut in order into so many parts, each is scored.

    Returns:
        Mean over the parts, 1 to K, higher is better; and their population standard deviation.

    Raises:
        ValueError: fewer rows than parts.
    """
    values = np.asarray(posteriors, np.float64)
    if values.ndim != 2 or splits < 1 or len(values) < splits:
        raise ValueError(f"posteriors have shape {values.shape}; {splits} parts need as many rows")
    scores = [_inception(part) for part in np.array_split(values, splits)]
    return float(np.mean(scores)), float(np.std(scores))


def kernel_distance(reference: ArrayLike, estimate: ArrayLike) -> float:
    """Kernel distance (KID): unbiased squared maximum mean discrepancy with the kernel (x y / D + 1)^3.

    Args:
        reference: (N, D) embeddings of the recordings.
        estimate: (M, D) embeddings of the generated clips.

    Returns:
        About 0 for equal distributions (it may fall a little below), lower is better; undefined (nan) with fewer than
        2 vectors on a side.

    Raises:
        ValueError: another D, not two axes, or values that are not finite.
    """
    ref, est = _vectors(reference, estimate)
    n, m = len(ref), len(est)
    if min(n, m) < 2:
        return Undefined(f"the unbiased estimate needs 2 vectors, there are {n} and {m}")
    within_ref, within_est, between = _kernel(ref, ref), _kernel(est, est), _kernel(ref, est)
    ref_mean = (within_ref.sum() - np.trace(within_ref)) / (n * (n - 1))
    est_mean = (within_est.sum() - np.trace(within_est)) / (m * (m - 1))
    return float(ref_mean + est_mean - 2.0 * between.mean())


def cosine_similarity(reference: ArrayLike, estimate: ArrayLike) -> NDArray[np.float64]:
    """Cosine of each pair of embeddings.

    Args:
        reference: (N, D) embeddings.
        estimate: (N, D) embeddings, row for row.

    Returns:
        (N,) in -1 to 1, higher is more alike; nan where a vector is all zeros.

    Raises:
        ValueError: the shapes differ.
    """
    ref, est = _vectors(reference, estimate)
    if ref.shape != est.shape:
        raise ValueError(f"reference has shape {ref.shape}, estimate {est.shape}; the rows are pairs")
    cosine: NDArray[np.float64] = np.einsum("nd,nd->n", _unit(ref), _unit(est))
    return cosine


def mean_cosine(reference: ArrayLike, estimate: ArrayLike) -> float:
    """Mean cosine over all pairs of one embedding of each set.

    Args:
        reference: (N, D) embeddings.
        estimate: (M, D) embeddings.

    Returns:
        -1 to 1, higher is more alike; undefined (nan) where a set is empty or has a vector that is all zeros.

    Raises:
        ValueError: another D, not two axes, or values that are not finite.
    """
    ref, est = _vectors(reference, estimate)
    for name, vectors in (("reference", ref), ("estimate", est)):
        if not len(vectors):
            return Undefined(f"the {name} has no vector")
        if not vectors.any(axis=1).all():
            return Undefined(f"the {name} has a vector that is all zeros and points nowhere")
    return float((_unit(ref) @ _unit(est).T).mean())


def _vectors(reference: ArrayLike, estimate: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    ref, est = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    if ref.ndim != 2 or est.ndim != 2 or ref.shape[1] != est.shape[1]:
        raise ValueError(f"reference has shape {ref.shape}, estimate {est.shape}; both must be (vectors, dimensions)")
    for name, values in (("reference", ref), ("estimate", est)):
        if not np.isfinite(values).all():
            raise ValueError(f"the {name} has values that are not finite")
    return ref, est


def _relative_entropy(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        terms: NDArray[np.float64] = np.where(p > 0, p * np.log(p / q), 0.0)
    return terms


def _inception(posteriors: NDArray[np.float64]) -> float:
    mean = np.broadcast_to(posteriors.mean(axis=0), posteriors.shape)
    return float(np.exp(_relative_entropy(posteriors, mean).sum(axis=1).mean()))


def _kernel(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    kernel: NDArray[np.float64] = (x @ y.T / x.shape[1] + 1.0) ** 3
    return kernel


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        unit: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit
