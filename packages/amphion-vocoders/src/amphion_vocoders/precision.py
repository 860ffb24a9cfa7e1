"""Inference in half precision, where the numbers stay good: that is measured before anything is written.

Layers run in half precision under autocast; what loses by it (transforms, phases, sums over time) stays in float32 in
the models themselves. Networks that don't bear it are told by the distance of what they make from what they make in
float32.
"""

from __future__ import annotations

import contextlib
from typing import Any, Literal

import torch
from torch import Tensor, nn

from amphion_core.features import MelConfig
from amphion_core.features.mel import mel_spectrogram

__all__ = ["PRECISIONS", "Precision", "autocast", "check_precision"]

Precision = Literal["float32", "bf16", "fp16"]

PRECISIONS: tuple[Precision, ...] = ("float32", "bf16", "fp16")

LARGEST_DISTANCE = 0.1
"""Mean absolute distance of log-mels that is accepted, natural logarithm: just below what is heard."""

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Half precision in what follows, or nothing for float32."""
    return torch.autocast(device.type, _TYPES[precision]) if precision in _TYPES else contextlib.nullcontext()


def check_precision(vocoder: Any, mel: Tensor, f0: Tensor | None, precision: str, device: torch.device) -> float:
    """Make a second of sound both ways.

    Args:
        vocoder: on `device`.
        mel: (n_mels, F), of the first clip.
        f0: (F,) Hz, for vocoders that need it.
        precision: of `PRECISIONS`.
        device: where it runs.

    Returns:
        Mean absolute distance of the log-mels of both.

    Raises:
        ValueError: no such precision, the vocoder has no network, the device lacks the type, or the numbers suffer.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision is {precision!r}; it is one of {', '.join(PRECISIONS)}")
    if precision == "float32":
        return 0.0
    name = getattr(vocoder, "name", type(vocoder).__name__)
    if not isinstance(vocoder, nn.Module) or not any(p.is_floating_point() for p in vocoder.parameters()):
        raise ValueError(f"the vocoder {name!r} has no network; use precision float32")
    if precision == "fp16" and device.type == "cpu":
        raise ValueError("fp16 is for accelerators; the CPU computes it slower than float32, use bf16 or float32")
    network: Any = vocoder
    settings: MelConfig = network.config.mel
    frames = min(mel.shape[-1], int(settings.frame_rate) + 1)
    start = (mel.shape[-1] - frames) // 2
    piece = mel[None, :, start : start + frames]
    contour = None if f0 is None else f0[None, start : start + frames]
    made = []
    for kind in ("float32", precision):
        generator = torch.Generator().manual_seed(0)
        try:
            with autocast(kind, device):
                made.append(network.synthesize(piece, f0=contour, generator=generator).float())
        except (RuntimeError, TypeError) as error:
            first = str(error).splitlines()[0]
            raise ValueError(f"the vocoder {name!r} can't compute in {kind} ({first}); use precision float32") from None
    plain = settings.updated(mean=0.0, std=1.0)
    shortest = settings.n_fft
    one, other = (mel_spectrogram(nn.functional.pad(wav, (0, max(0, shortest - wav.shape[-1]))), plain) for wav in made)
    distance = float((one - other).abs().mean())
    if not distance <= LARGEST_DISTANCE:
        raise ValueError(
            f"in {precision} the log-mel of what {name!r} makes is off by {distance:.2f} (more than "
            f"{LARGEST_DISTANCE}); use precision float32"
        )
    return distance
