"""Figures of sets of clips from the outputs of networks: Fréchet and kernel distances, inception score, divergences.

The functions take one output for each clip, as the networks of `amphion_eval.models.audio_catalogue` give them: an
embedding (D,), embeddings of its parts (P, D), or a mapping with `embedding` and `logits`. Their intervals come from
the jackknife over 20 groups of clips: resampling with replacement would repeat clips, which a covariance or a kernel
takes for less variety than there is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amphion_eval import distribution
from amphion_eval.gaussian import Gaussian, frechet
from amphion_eval.values import SetFigure, Undefined, reason_of

__all__ = [
    "clap_score",
    "extrapolate",
    "fad",
    "fad_infinity",
    "fd",
    "inception_score",
    "kid",
    "kl",
    "kl_sigmoid",
    "posteriors",
    "vectors",
]

GROUPS = 20
SIZES = 15
_Vectors = list[NDArray[np.float64]]


def fad(reference: Sequence[Any], estimate: Sequence[Any]) -> float:
    """Fréchet audio distance between the embeddings of all parts of the clips (VGGish by default).

    Args:
        reference: outputs for the recordings, in any number.
        estimate: outputs for the generated clips.

    Returns:
        `SetFigure`, at least 0, lower is better; with a note where there are fewer than 2 D embeddings on a side.
        Undefined with fewer than 2 embeddings on a side.

    Source: Kilgour et al., "Fréchet Audio Distance", 2019.
    """
    return _frechet(reference, estimate)


def fd(reference: Sequence[Any], estimate: Sequence[Any]) -> float:
    """Fréchet distance between the embeddings of whole clips (PANNs Cnn14 by default); arguments as `fad`.

    Source: Liu et al., "AudioLDM", 2023, arXiv:2301.12503; Kong et al., "PANNs", 2020, arXiv:1912.10211.
    """
    return _frechet(reference, estimate)


def fad_infinity(reference: Sequence[Any], estimate: Sequence[Any], seed: int = 0) -> float:
    """Fréchet audio distance extrapolated to infinitely many embeddings of the generated clips.

    A line is fitted to the distances of 15 random subsets against 1 / N.

    Args:
        reference: outputs for the recordings.
        estimate: outputs for the generated clips.
        seed: of the subsets.

    Returns:
        `SetFigure` whose details hold `r2` of the line and its `slope`; it may fall below 0 where the line is poor.
        Undefined with fewer than 50 embeddings of the estimates.

    Source: Gui et al., "Adapting Fréchet Audio Distance for Generative Music Evaluation", 2024, arXiv:2311.01616;
    Chong and Forsyth, "Effectively Unbiased FID and Inception Score", 2020, arXiv:1911.07023.
    """
    sides = _sides(reference, estimate)
    if isinstance(sides, Undefined):
        return sides
    refs, ests, notes = sides
    pooled = np.concatenate(ests)
    if len(pooled) < 50:
        return Undefined(f"the extrapolation needs 50 embeddings of the estimates, there are {len(pooled)}")
    goal = Gaussian.of(refs)
    # Below a few times D the distance is no line in 1 / N.
    least = max(len(pooled) // 5, min(4 * pooled.shape[1], len(pooled) // 2))
    sizes = np.unique(np.linspace(least, len(pooled), SIZES).astype(int))
    # One order for all sizes' draws: the figure depends on the clips and the seed, not on their order on the disk.
    rows = pooled[np.lexsort(pooled.T[:4])]
    random = np.random.default_rng(seed)
    distances = [frechet(goal, Gaussian.of([rows[random.permutation(len(rows))[:size]]])) for size in sizes]
    intercept, slope, r2 = extrapolate(sizes, distances)
    return SetFigure(intercept, len(ests), details={"slope": slope, "r2": r2}, notes=notes)


def extrapolate(sizes: Sequence[int] | NDArray[Any], values: Sequence[float]) -> tuple[float, float, float]:
    """Line of values against 1 / size by least squares.

    Args:
        sizes: at least 2, all different.
        values: one for each.

    Returns:
        Value at an infinite size, slope, and the share of the variance that the line explains.
    """
    inverse, target = 1.0 / np.asarray(sizes, np.float64), np.asarray(values, np.float64)
    design = np.stack([np.ones_like(inverse), inverse], axis=1)
    (intercept, slope), *_ = np.linalg.lstsq(design, target, rcond=None)
    left = float(((target - design @ [intercept, slope]) ** 2).sum())
    spread = float(((target - target.mean()) ** 2).sum())
    return float(intercept), float(slope), 1.0 - left / spread if spread > 0 else 1.0


def kid(reference: Sequence[Any], estimate: Sequence[Any]) -> float:
    """Kernel distance between the embeddings of the clips; arguments as `fad`.

    Returns:
        `SetFigure`, about 0 for equal distributions, lower is better; unbiased whatever the number of clips.

    Source: Binkowski et al., "Demystifying MMD GANs", 2018, arXiv:1801.01401.
    """
    sides = _sides(reference, estimate, warn=False)
    if isinstance(sides, Undefined):
        return sides
    refs, ests, notes = sides
    goal = np.concatenate(refs)
    return _figure(lambda chosen: distribution.kernel_distance(goal, np.concatenate(chosen)), ests, notes)


def inception_score(estimate: Sequence[Any]) -> float:
    """Inception score of the class posteriors of the generated clips, in one split.

    Args:
        estimate: outputs with `logits` for the generated clips.

    Returns:
        `SetFigure`, 1 to the number of classes, higher is better.

    Source: Salimans et al., "Improved Techniques for Training GANs", 2016, arXiv:1606.03498.
    """
    usable, notes = _usable(estimate, "estimate")
    if not usable:
        return Undefined("no clip has posteriors")
    rows = [posteriors(output)[None] for output in usable]
    return _figure(lambda chosen: distribution.inception_score(np.concatenate(chosen))[0], rows, notes, low=1.0)


def kl(reference: Any, estimate: Any) -> float:
    """Divergence KL(reference || estimate) of the class posteriors (softmax) of a recording and the generated clip.

    Args:
        reference: output with `logits` (K,).
        estimate: the same.

    Returns:
        At least 0, natural log, lower is better.

    Source: Kreuk et al., "AudioGen", 2022, arXiv:2209.15352; the direction is theirs.
    """
    return distribution.kl_divergence(posteriors(reference)[None], posteriors(estimate)[None])


def kl_sigmoid(reference: Any, estimate: Any) -> float:
    """Divergence KL(reference || estimate) of the class decisions (sigmoid, each class a yes or no), summed.

    Arguments and range as `kl`.

    Source: Liu et al., "AudioLDM", 2023, arXiv:2301.12503, whose evaluation reports both variants.
    """
    sides = (posteriors(output, independent=True)[None] for output in (reference, estimate))
    return distribution.kl_divergence(*sides, independent=True)


def clap_score(text: Any, audio: Any) -> float:
    """Cosine of the embeddings of a text and of the clip that was made for it.

    Args:
        text: (D,) embedding of the text.
        audio: (D,) embedding of the clip.

    Returns:
        -1 to 1, higher is better; undefined where an embedding is zero.

    Source: Wu et al., "Large-Scale Contrastive Language-Audio Pretraining", 2023, arXiv:2211.06687.
    """
    cosine = float(distribution.cosine_similarity(vectors(text), vectors(audio))[0])
    return cosine if cosine == cosine else Undefined("an embedding is zero")


def vectors(output: Any) -> NDArray[np.float64]:
    """(P, D) embeddings in the output of a network for a clip: the array itself, or its `embedding`."""
    values = np.asarray(output["embedding"] if isinstance(output, Mapping) else output, np.float64)
    return values[None] if values.ndim == 1 else values


def posteriors(output: Any, *, independent: bool = False) -> NDArray[np.float64]:
    """(K,) probabilities of the classes from the `logits` of a clip: softmax, or sigmoid where `independent`.

    Raises:
        ValueError: the network gives no logits.
    """
    if not isinstance(output, Mapping) or "logits" not in output:
        raise ValueError("this metric needs a network that gives class logits, such as panns-cnn14-16k")
    logits = np.asarray(output["logits"], np.float64)
    if independent:
        # Away from 0 and 1 by less than a float32 network can tell, so that no logarithm is infinite.
        return np.clip(0.5 * (1.0 + np.tanh(0.5 * logits)), 1e-12, 1.0 - 1e-12)
    shifted = np.exp(logits - logits.max())
    return np.asarray(shifted / shifted.sum())


def _frechet(reference: Sequence[Any], estimate: Sequence[Any]) -> float:
    sides = _sides(reference, estimate)
    if isinstance(sides, Undefined):
        return sides
    refs, ests, notes = sides
    goal = Gaussian.of(refs)
    return _figure(lambda chosen: frechet(goal, Gaussian.of(chosen)), ests, notes, low=0.0)


def _sides(
    reference: Sequence[Any], estimate: Sequence[Any], *, warn: bool = True
) -> tuple[_Vectors, _Vectors, list[str]] | Undefined:
    """Vectors of both sets, and notes; or why there is no figure."""
    notes: list[str] = []
    both: list[_Vectors] = []
    for title, outputs in (("reference", reference), ("estimate", estimate)):
        usable, said = _usable(outputs, title)
        notes += said
        found = [vectors(output) for output in usable]
        count = sum(map(len, found))
        if count < 2:
            return Undefined(f"2 embeddings are needed on each side, the {title} has {count}")
        if warn and count < 2 * found[0].shape[1]:
            notes.append(
                f"only {count} embeddings of the {title} for {found[0].shape[1]} dimensions: the distance is biased "
                "upwards; twice the dimensions or more are wanted"
            )
        both.append(found)
    return both[0], both[1], notes


def _usable(outputs: Sequence[Any], title: str) -> tuple[list[Any], list[str]]:
    """Outputs that are some, in an order that does not depend on that of the clips, and a note on the others."""
    missing = [output for output in outputs if isinstance(output, Undefined)]
    reasons = sorted({str(reason_of(output)) for output in missing})
    notes = [f"{len(missing)} clips of the {title} left out: {'; '.join(reasons)}"] if missing else []
    return [output for output in outputs if not isinstance(output, Undefined)], notes


def _figure(
    function: Callable[[_Vectors], float], clips: _Vectors, notes: Sequence[str], *, low: float = -math.inf
) -> SetFigure:
    """The function of all clips, with the interval of the delete-group jackknife."""
    value = function(clips)
    groups = min(GROUPS, len(clips))
    interval = None
    if groups >= 5:
        # Clips are dealt to the groups by their content, so that their order does not matter.
        dealt = sorted(range(len(clips)), key=lambda i: clips[i].tobytes())
        without = []
        for group in range(groups):
            kept = [clips[i] for place, i in enumerate(dealt) if place % groups != group]
            without.append(function(kept))
        values = np.array(without)
        error = math.sqrt((groups - 1) / groups * float(((values - values.mean()) ** 2).sum()))
        if math.isfinite(error):
            interval = (max(low, value - 1.96 * error), value + 1.96 * error)
    return SetFigure(value, len(clips), interval=interval, notes=notes)
