"""What the networks share in taking clips: which have an output at all, and batches in which none changes another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amphion_eval.values import Undefined

__all__ = ["at_rate", "fault_of", "in_groups", "rating", "trimmed", "usable"]

Clip = NDArray[np.float32]


def at_rate(wav: NDArray[np.floating[Any]], from_rate: int, to_rate: int) -> Clip:
    """A clip at the rate of a network.

    A last sample that is only begun is kept, filled with zero, as librosa does: networks that repeat short clips
    (DNSMOS) hear the difference at the seam, and published values were made so.

    Args:
        wav: (T,) samples.
        from_rate: Hz.
        to_rate: Hz.

    Returns:
        (U,) with U = T * to_rate / from_rate, rounded up.
    """
    from amphion_core import audio

    samples = np.asarray(wav, np.float32)
    if from_rate == to_rate:
        return samples
    resampled = audio.resample(samples, from_rate, to_rate, quality="VHQ")
    wanted = -(-samples.size * to_rate // from_rate)
    return np.pad(resampled, (0, max(0, wanted - resampled.size)))[:wanted]


def fault_of(clip: Clip, sample_rate: int, shortest: float) -> Undefined | None:
    """Why a network has no output for a clip; None where it has one.

    Args:
        clip: (T,) samples.
        sample_rate: Hz.
        shortest: seconds that it needs.
    """
    if not clip.size or np.ptp(clip) == 0.0:
        return Undefined("the clip is silent: its samples are all the same" if clip.size else "there is no sample")
    if clip.size < round(shortest * sample_rate):
        return Undefined(f"{clip.size / sample_rate:.3f} s are shorter than the {shortest:g} s that the network needs")
    return None


def usable(
    infer: Callable[[list[Clip]], Sequence[Any]],
    sample_rate: int,
    shortest: float,
    prepare: Callable[[Clip, int], Clip] | None = None,
) -> Callable[[Sequence[Clip]], list[Any]]:
    """A batch function that gives `Undefined` for clips without output, and the others to `infer`.

    Args:
        infer: clips to outputs, one each.
        sample_rate: Hz.
        shortest: seconds that the network needs.
        prepare: what is done to each clip first, such as `trimmed`.
    """

    def batch(clips: Sequence[Clip]) -> list[Any]:
        arrays = [np.asarray(clip, np.float32) for clip in clips]
        if prepare is not None:
            arrays = [prepare(clip, sample_rate) for clip in arrays]
        outputs: list[Any] = [fault_of(clip, sample_rate, shortest) for clip in arrays]
        kept = [number for number, output in enumerate(outputs) if output is None]
        for number, output in zip(kept, infer([arrays[n] for n in kept]) if kept else (), strict=True):
            outputs[number] = output
        return outputs

    return batch


def trimmed(clip: Clip, sample_rate: int) -> Clip:
    """The clip without the silence at its ends: what lies 40 dB below the loudest 20 ms, but for 50 ms.

    Args:
        clip: (T,) samples.
        sample_rate: Hz.
    """
    from amphion_core import audio

    return np.asarray(audio.trim_silence(clip, sample_rate)[0], np.float32)


def in_groups(infer: Callable[[NDArray[np.float32]], Sequence[Any]], clips: Sequence[Clip]) -> list[Any]:
    """Outputs of a network that has no mask: clips of one length share a batch, nothing is padded.

    Args:
        infer: (B, T) clips to B outputs.
        clips: (T,) each, of any lengths.
    """
    groups: dict[int, list[int]] = {}
    for number, clip in enumerate(clips):
        groups.setdefault(clip.size, []).append(number)
    outputs: list[Any] = [None] * len(clips)
    for numbers in groups.values():
        for number, output in zip(numbers, infer(np.stack([clips[n] for n in numbers])), strict=True):
            outputs[number] = output
    return outputs


def rating(
    model: Any, device: str, name: str, sample_rate: int, shortest: float
) -> Callable[[Sequence[Clip]], list[Any]]:
    """A network that gives one number a clip, and has no mask, as a batch function.

    Args:
        model: torch module, (B, T) clips of one length to (B,).
        device: where it runs.
        name: of the number in the outputs.
        sample_rate: Hz.
        shortest: seconds that it needs.
    """
    import torch

    model.to(device).eval()

    @torch.inference_mode()
    def infer(clips: NDArray[np.float32]) -> list[dict[str, float]]:
        return [{name: float(score)} for score in model(torch.from_numpy(clips).to(device)).cpu()]

    # clips of one length only: the first layers of such networks normalise over time, padding would change them
    return usable(lambda clips: in_groups(infer, clips), sample_rate, shortest)
