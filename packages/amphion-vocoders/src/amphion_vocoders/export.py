"""ONNX files of the vocoders made of convolutions, compared with the network before they are put in their place.

Vocoders that end in an inverse Fourier transform are exported with it: as a transposed convolution, which every runtime
has.
"""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from amphion_core.atomic import atomic_writer
from amphion_core.extras import require
from amphion_core.features.stft import hann_window
from amphion_vocoders.vocoder import ConvolutionalVocoder
from amphion_vocoders.vocos import MAX_MAGNITUDE, Vocos

__all__ = ["ExportReport", "InverseStft", "export_onnx"]

log = logging.getLogger(__name__)

EXTRA = "amphion-vocoders[onnx]"
SHAPES = ((1, 24), (3, 57))
"""Batch and frames of the inputs on which ONNX Runtime and torch are compared."""


class ExportReport(NamedTuple):
    """What was written.

    Attributes:
        path: the ONNX file; beside it lies a .json with the mel and the names of inputs and output.
        difference: largest absolute difference of a sample between ONNX Runtime and torch.
        shapes: (batch, frames) that were compared.
    """

    path: Path
    difference: float
    shapes: tuple[tuple[int, int], ...]


class InverseStft(nn.Module):
    """Inverse Fourier transform and weighted overlap-add by one transposed convolution.

    Args:
        n_fft: samples of one transform; the window is Hann of as many.
        hop_length: samples between frames.
        padding: what is cut at the start, as `inverse_stft` has it.
    """

    kernel: Tensor
    window: Tensor

    def __init__(self, n_fft: int, hop_length: int, padding: str = "same") -> None:
        super().__init__()
        self.n_fft, self.hop_length, self.padding = n_fft, hop_length, padding
        window = hann_window(n_fft, n_fft, torch.zeros(1, dtype=torch.float64))
        angle = 2 * torch.pi / n_fft * torch.outer(torch.arange(n_fft // 2 + 1), torch.arange(n_fft)).double()
        # All bins but the first and the last stand for two of the full transform.
        twice = torch.full((n_fft // 2 + 1, 1), 2.0, dtype=torch.float64)
        twice[0] = 1
        if n_fft % 2 == 0:
            twice[-1] = 1
        parts = torch.cat([twice * angle.cos(), -twice * angle.sin()]) * window / n_fft
        self.register_buffer("kernel", parts.float()[:, None])  # (2 * bins, 1, n_fft)
        self.register_buffer("window", window.square().float()[None, None])

    def forward(self, real: Tensor, imaginary: Tensor) -> Tensor:
        """Waveforms (B, F * hop_length) of spectra (B, n_fft // 2 + 1, F)."""
        spectrum = torch.cat([real, imaginary], dim=1)
        wav = F.conv_transpose1d(spectrum, self.kernel, stride=self.hop_length)
        envelope = F.conv_transpose1d(torch.ones_like(spectrum[:1, :1]), self.window, stride=self.hop_length)
        cut = (self.n_fft - self.hop_length) // 2 if self.padding == "same" else self.n_fft // 2
        last = min(self.hop_length, self.n_fft - cut)  # samples of the last hop that a window covers
        kept = (real.shape[-1] - 1) * self.hop_length + last
        whole = (wav / envelope.clamp(min=1e-11))[:, 0, cut : cut + kept]
        return F.pad(whole, (0, self.hop_length - last)) if last < self.hop_length else whole


def export_onnx(vocoder: Any, path: str | Path, *, tolerance: float = 1e-4) -> ExportReport:
    """Write a vocoder as an ONNX file of any batch and any length.

    Args:
        vocoder: of convolutions, with an inverse Fourier transform at the end or without.
        path: file to write; it appears only once ONNX Runtime has given what torch gives.
        tolerance: largest absolute difference of a sample that is accepted.

    Raises:
        ValueError: the vocoder draws its samples one after the other, or refines its phase, so there is no network to
            export; the results differ; or the path is a folder.
        FileExistsError: the settings would be written over a file that is not of this network.
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
    """
    path = Path(path)
    about_path = path.with_suffix(".json")
    if path.is_dir() or path == about_path:
        raise ValueError(f"{path} can't be the ONNX file; give a name such as {path.with_suffix('') / 'model.onnx'}")
    if about_path.exists() and not path.exists():
        raise FileExistsError(f"{about_path} is there and not of {path}; its settings go there, so give another name")
    for module in ("onnx", "onnxscript", "onnxruntime"):
        require(module, EXTRA)
    network = _network(vocoder)
    path.parent.mkdir(parents=True, exist_ok=True)
    examples = _examples(vocoder, 2, 24)
    batch, frames = torch.export.Dim("batch", min=1, max=4096), torch.export.Dim("frames", min=2, max=1 << 20)
    hop = vocoder.config.mel.hop_length
    sizes = {"mel": frames, "source": hop * frames}
    shapes = tuple({0: batch, example.ndim - 1: sizes[name]} for name, example in examples.items())
    with _quiet(), torch.no_grad(), atomic_writer(path) as file:
        program = torch.onnx.export(
            network,
            tuple(examples.values()),
            input_names=list(examples),
            output_names=["wav"],
            dynamic_shapes=shapes,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        assert program is not None
        content = program.model_proto.SerializeToString()
        difference = _compare(content, vocoder, tolerance)
        file.write(content)
    about = {
        "model": f"{vocoder.group}/{vocoder.name}",
        "mel": vocoder.config.mel.to_dict(),
        "inputs": {name: list(example.shape[1:-1]) for name, example in examples.items()},
        "output": "wav",
    }
    with atomic_writer(about_path) as file:
        file.write((json.dumps(about, indent=2) + "\n").encode())
    return ExportReport(path, difference, SHAPES)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says of names of axes and of every rewriting."""
    loggers = [logging.getLogger(name) for name in ("onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class _Spectral(nn.Module):
    """A network that predicts log magnitude and phase, and the transform."""

    def __init__(self, vocoder: Any) -> None:
        super().__init__()
        self.vocoder = vocoder
        mel = vocoder.config.mel
        self.inverse = InverseStft(mel.n_fft, mel.hop_length, getattr(vocoder.config, "padding", "same"))
        self.limit = MAX_MAGNITUDE if isinstance(vocoder, Vocos) else None

    def forward(self, mel: Tensor) -> Tensor:
        log_magnitude, phase = self.vocoder.spectrum(mel)
        magnitude = log_magnitude.exp()
        if self.limit is not None:
            magnitude = magnitude.clamp(max=self.limit)
        wav: Tensor = self.inverse(magnitude * phase.cos(), magnitude * phase.sin())
        return wav


class _Sourced(nn.Module):
    """A network of mel and excitation, without what makes the excitation."""

    def __init__(self, vocoder: Any) -> None:
        super().__init__()
        self.vocoder = vocoder

    def forward(self, mel: Tensor, source: Tensor) -> Tensor:
        wav: Tensor = self.vocoder(mel, source=source)
        return wav


def _network(vocoder: Any) -> nn.Module:
    """A copy with plain weights, from its inputs to samples."""
    if not isinstance(vocoder, ConvolutionalVocoder):
        raise ValueError(
            f"the vocoder {getattr(vocoder, 'name', type(vocoder).__name__)!r} is no network of convolutions alone "
            "(it draws samples, or iterates), so it has no ONNX file"
        )
    if getattr(vocoder.config, "phase_steps", 0):
        raise ValueError(
            f"this vocoder refines its phase in {vocoder.config.phase_steps} steps, which ONNX does not hold; set "
            "phase_steps to 0 (amphion-vocoders export --set phase_steps=0), which changes its sound"
        )
    plain = copy.deepcopy(vocoder).cpu().float().eval()
    layer: Any
    for layer in list(plain.modules()):
        if parametrize.is_parametrized(layer, "weight"):
            # By hand: torch's own way takes the property from the class, which the vocoder shares with its copy.
            weight = layer.weight.detach().clone()
            layer.__class__ = type(layer).__bases__[0]
            del layer.parametrizations
            layer.weight = nn.Parameter(weight)
    plain.requires_grad_(False)
    if hasattr(plain, "spectrum"):
        return _Spectral(plain)
    return _Sourced(plain) if getattr(plain, "needs_f0", False) else plain


def _examples(vocoder: Any, batch: int, frames: int) -> dict[str, Tensor]:
    """Inputs of a size: a mel in the range of its configuration, and an excitation where one is needed."""
    settings = vocoder.config.mel
    random = torch.Generator().manual_seed(frames)
    mel = (torch.randn(batch, settings.n_mels, frames, generator=random) - 4 - settings.mean) / settings.std
    if not getattr(vocoder, "needs_f0", False):
        return {"mel": mel}
    source = 0.1 * torch.randn(batch, frames * settings.hop_length, generator=random)
    return {"mel": mel, "source": source}


def _compare(content: bytes, vocoder: Any, tolerance: float) -> float:
    """Largest difference between ONNX Runtime and torch on sizes that the export has not seen."""
    runtime = require("onnxruntime", EXTRA)
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    worst = 0.0
    for batch, frames in SHAPES:
        inputs = _examples(vocoder, batch, frames)
        mel, *source = inputs.values()
        expected = (vocoder(mel, source=source[0]) if source else vocoder(mel)).numpy()
        (made,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
        if made.shape != expected.shape:
            raise ValueError(f"ONNX Runtime gives the shape {made.shape}, torch {expected.shape}")
        worst = max(worst, float(np.abs(made - expected).max()))
    if not worst <= tolerance:
        raise ValueError(
            f"ONNX Runtime differs from torch by up to {worst:.2g}, more than {tolerance:.2g}; no file was written"
        )
    return worst
