"""Draws what each discriminator sees of one voice: `python docs/discriminator_figures.py` writes docs/assets/*.png.

The voice sings a note that glides up, with vibrato and a breathy end, beside a copy of it whose harmonics above 2 kHz
have lost their phase and whose vibrato is flattened: what a discriminator shows differently it can teach a generator.
It needs matplotlib, which brings pillow.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import pyplot as plt
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from amphion_core.features import ConstantQ
from amphion_core.features.stft import stft

RATE, SECONDS = 24000, 1.2
ASSETS = Path(__file__).parent / "assets"


def voice(vibrato: float, coherent: bool) -> Tensor:
    """A sung note (T,): harmonics of a gliding pitch, formants, breath at the end."""
    random = np.random.default_rng(0)
    time = np.arange(int(RATE * SECONDS)) / RATE
    pitch = 196 * 2 ** ((4 * time / SECONDS + vibrato * np.sin(2 * np.pi * 5.5 * time)) / 12)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    wav = np.zeros_like(time)
    for k in range(1, 50):
        gain = sum(np.exp(-(((k * pitch - f) / w) ** 2)) for f, w in ((650, 250), (1100, 300), (2900, 600))) + 0.02
        drift = 0.0 if coherent or k * 196 < 2000 else np.cumsum(random.normal(0, 0.05, len(time)))
        wav += np.where(k * pitch < RATE / 2, gain / k**0.5 * np.sin(k * phase + drift), 0)
    breath = 0.05 * random.normal(size=len(time)) * np.clip(time / SECONDS - 0.6, 0, 1)
    wav = (wav / np.abs(wav).max() * 0.5 + breath) * np.minimum(1, np.minimum(time, SECONDS - time) / 0.05)
    return torch.from_numpy(wav).float()


def periods(wav: Tensor) -> dict[str, NDArray[Any]]:
    """The waveform folded by periods, as pictures of one row for each phase."""
    piece = wav[RATE // 2 : RATE // 2 + 1320]
    return {f"period {p}": F.pad(piece, (0, -len(piece) % p)).view(-1, p).T.numpy() for p in (2, 5, 11)}


def scales(wav: Tensor) -> dict[str, NDArray[Any]]:
    """The waveform and its averages."""
    x, found = wav[None, None, RATE // 2 : RATE // 2 + 480], {}
    for number in range(3):
        found[f"rate / {2**number}"] = x[0, 0].numpy()
        x = F.avg_pool1d(x, 4, 2, padding=2)
    return found


def decibels(magnitude: Tensor) -> NDArray[Any]:
    """For the eye; discriminators see it without the logarithm."""
    level = 20 * torch.log10(magnitude.clamp(min=1e-6))
    return (level - level.max()).clamp(min=-70).numpy()


def magnitudes(wav: Tensor) -> dict[str, NDArray[Any]]:
    """Under a rectangular window, as the multi-resolution discriminator takes it."""
    found = {}
    for n_fft, hop, window in ((2048, 240, 1200), (1024, 120, 600), (512, 50, 240)):
        spectrum = torch.stft(wav, n_fft, hop, window, torch.ones(window), return_complex=True)
        found[f"window {window}"] = decibels(spectrum.abs())
    return found


def parts(wav: Tensor) -> dict[str, NDArray[Any]]:
    """Real and imaginary part, as the multi-scale STFT discriminator takes them; here the real one."""
    found = {}
    for n_fft, hop in ((2048, 512), (1024, 256), (512, 256)):
        spectrum = stft(wav, n_fft, hop).real
        bound = float(spectrum.abs().quantile(0.99))
        found[f"window {n_fft}"] = spectrum.clamp(-bound, bound)[: n_fft // 8].numpy()
    return found


def constant_q(wav: Tensor) -> dict[str, NDArray[Any]]:
    """Octaves above each other; lines where one ends."""
    raised = F.interpolate(wav[None, None], scale_factor=2, mode="linear")[0]
    found = {}
    for hop, bins in ((512, 24), (256, 36), (256, 48)):
        found[f"{bins} bins an octave"] = decibels(ConstantQ(2 * RATE, hop, 9, bins)(raised)[0].abs())
    return found


def draw(name: str, title: str, view: Callable[[Tensor], dict[str, NDArray[Any]]]) -> None:
    """One picture: the voice above, the copy below."""
    sounds = {"voice": voice(0.35, True), "copy": voice(0.1, False)}
    figure, axes = plt.subplots(2, 3, figsize=(9, 4.2), dpi=80, layout="constrained")
    for row, (kind, wav) in zip(axes, sounds.items(), strict=True):
        for axis, (label, values) in zip(row, view(wav).items(), strict=True):
            if values.ndim == 1:
                axis.plot(values, linewidth=0.8)
                axis.set_ylim(-0.6, 0.6)
            else:
                colours = "RdBu" if values.min() < 0 < values.max() else "magma"
                axis.imshow(values, origin="lower", aspect="auto", cmap=colours, interpolation="nearest")
            if name == "constant-q":
                for octave in range(1, 9):
                    axis.axhline(octave * len(values) / 9 - 0.5, color="white", linewidth=0.3)
            axis.set_title(f"{kind}, {label}", fontsize=8)
            axis.set_xticks([])
            axis.set_yticks([])
    figure.suptitle(title, fontsize=9)
    ASSETS.mkdir(exist_ok=True)
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]  # type: ignore[attr-defined]
    # A palette of 64 colours is a third of the size.
    Image.fromarray(pixels).quantize(64).save(ASSETS / f"sees-{name}.png", optimize=True)
    plt.close(figure)


def main() -> None:
    """Write all pictures."""
    draw("period", "Period: the waveform folded, one row for each phase", periods)
    draw("scale", "Scale: the waveform and its averages, 20 ms", scales)
    draw("resolution", "Resolution: magnitudes (drawn in dB)", magnitudes)
    draw("stft", "STFT: real part, lowest quarter of the bins", parts)
    draw("constant-q", "Constant Q: nine octaves, each aligned by a convolution of its own (drawn in dB)", constant_q)


if __name__ == "__main__":
    main()
