"""How alike two voices are, by embeddings that a network of speakers gave."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amphion_eval import distribution
from amphion_eval.values import SetFigure, Undefined

__all__ = ["sim_o", "sim_r", "speaker_similarity", "speaker_similarity_all_pairs"]


def speaker_similarity(reference: ArrayLike, estimate: ArrayLike) -> float:
    """Cosine of the speaker embeddings of recording and output.

    Args:
        reference: (D,) embedding of the recording.
        estimate: (D,) embedding of the output, by the same network.

    Returns:
        -1 to 1, in practice 0 to 1, higher is better; undefined (nan) where one is zero or not finite. Figures of
        different networks can't be compared.

    Raises:
        ValueError: the embeddings differ in length.
    """
    ref, est = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    if ref.shape != est.shape or ref.ndim != 1:
        raise ValueError(f"embeddings have the shapes {ref.shape} and {est.shape}; both must come from one network")
    for name, vector in (("reference", ref), ("estimate", est)):
        if not np.isfinite(vector).all() or not vector.any():
            return Undefined(f"the embedding of the {name} is zero or not finite")
    return float(np.clip(distribution.cosine_similarity(ref[None], est[None])[0], -1.0, 1.0))


def sim_o(prompt: ArrayLike, estimate: ArrayLike) -> float:
    """Cosine of the speaker embeddings of the original prompt and the output (SIM-o).

    Args:
        prompt: (D,) embedding of the recording whose voice was to be taken on.
        estimate: (D,) embedding of the output.

    Returns:
        As `speaker_similarity`.

    Source: Le et al., "Voicebox", 2023, arXiv:2306.15687.
    """
    return speaker_similarity(prompt, estimate)


def sim_r(reconstruction: ArrayLike, estimate: ArrayLike) -> float:
    """Cosine of the speaker embeddings of the prompt as the system's codec gives it back, and the output (SIM-r).

    Args:
        reconstruction: (D,) embedding of the prompt after the codec of the system.
        estimate: (D,) embedding of the output.

    Returns:
        As `speaker_similarity`; it doesn't count against a system what its codec loses.

    Source: Wang et al., "VALL-E", 2023, arXiv:2301.02111.
    """
    return speaker_similarity(reconstruction, estimate)


def speaker_similarity_all_pairs(reference: Sequence[ArrayLike], estimate: Sequence[ArrayLike]) -> float:
    """Mean cosine of the speaker embeddings over all pairs of a recording and an output.

    Args:
        reference: (D,) each, embeddings of the recordings, in any number.
        estimate: (D,) each, embeddings of the outputs.

    Returns:
        `SetFigure`, -1 to 1, higher is better, for sets of one speaker each; clips without embedding are left out and
        noted. Undefined (nan) where a side has none.
    """
    sides: list[NDArray[np.float64]] = []
    notes = []
    for name, vectors in (("reference", reference), ("estimate", estimate)):
        kept = [np.asarray(vector, np.float64) for vector in vectors if not isinstance(vector, Undefined)]
        if not kept:
            return Undefined(f"no {name} has an embedding")
        if len(kept) < len(vectors):
            notes.append(f"{len(vectors) - len(kept)} of {len(vectors)} clips of the {name} have no embedding")
        sides.append(np.stack(kept))
    return SetFigure(float(distribution.mean_cosine(*sides)), len(sides[1]), notes=notes)
