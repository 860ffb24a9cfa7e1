"""Voices as vectors: the GE2E encoder, or plain statistics of the spectrum and the pitch, which need no network.

Source: Wan et al., "Generalized End-to-End Loss for Speaker Verification", 2018, arXiv:1710.10467.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from amphion_core.config import Config
from amphion_core.extras import require
from amphion_core.speech.releases import GE2E
from amphion_data.pipe.spans import RATE

__all__ = ["Ge2eEmbedder", "SpectralEmbedder", "choose_embedder", "make_auto", "make_ge2e", "make_spectral"]

Wav = NDArray[np.float32]

_EXTRA = "amphion-data[speaker]"
_MODULES = ("torch", "safetensors")  # other packages bring the first without the second
_LEVEL = 10 ** (-30 / 20)  # to which quiet windows are raised, as the release does
_N_FFT, _HOP = 512, 160
_BANDS, _CEPSTRA = 32, 16


class Ge2eOptions(Config):
    """`threshold`: mean cosine distance up to which groups are one speaker."""

    threshold: float = Field(0.22, gt=0)


class SpectralOptions(Config):
    """`threshold`: mean distance up to which groups are one speaker; 1 is about the spread within a voice."""

    threshold: float = Field(1.4, gt=0)


class Ge2eEmbedder:
    """The encoder of Resemblyzer, 256 numbers of length 1."""

    metric: ClassVar[str] = "cosine"

    def __init__(self, options: Ge2eOptions, device: str) -> None:
        """Load the network.

        Raises:
            MissingExtraError: torch or safetensors is not installed.
            FileNotFoundError: the weights are not here.
        """
        for module in _MODULES:
            require(module, _EXTRA)
        from amphion_core.speech.ge2e import load_encoder

        self.threshold = options.threshold
        self._model = load_encoder(GE2E.locate(), device)
        self.identity = f"ge2e {GE2E.hash()}"

    def embed(self, clips: Sequence[Wav]) -> NDArray[np.float32]:
        """See `Embedder.embed`."""
        from amphion_core.modules.threads import one_thread
        from amphion_core.speech.ge2e import embed

        raised = []
        for clip in clips:
            level = float(np.sqrt(np.mean(clip.astype(np.float64) ** 2))) if clip.size else 0.0
            raised.append(clip * np.float32(_LEVEL / level) if 0 < level < _LEVEL else clip)
        with one_thread():  # the same sums on every machine
            found = embed(self._model, raised)
        return np.stack([np.zeros(256, np.float32) if row is None else row for row in found])


class SpectralEmbedder:
    """Means and spreads of mel cepstra over the loud frames, and the pitch, each over its usual spread in one voice."""

    metric: ClassVar[str] = "euclidean"
    identity: ClassVar[str] = "spectral 1"

    def __init__(self, options: SpectralOptions) -> None:
        self.threshold = options.threshold

    def embed(self, clips: Sequence[Wav]) -> NDArray[np.float32]:
        """See `Embedder.embed`; (B, 17)."""
        return np.stack([self._vector(clip) for clip in clips])

    def _vector(self, clip: Wav) -> NDArray[np.float32]:
        from scipy.fft import dct

        from amphion_core.features.filterbank import filterbank
        from amphion_core.features.mel_config import MelConfig
        from amphion_core.features.spectrum import stft_magnitude

        padded = np.pad(clip.astype(np.float64), (0, max(0, _N_FFT - clip.size)))
        power = stft_magnitude(padded, _N_FFT, _HOP) ** 2
        config = MelConfig(sample_rate=RATE, n_fft=_N_FFT, hop_length=_HOP, win_length=_N_FFT, n_mels=_BANDS)
        mel = np.log(filterbank(config) @ power + 1e-10)  # (32, F)
        energy = power.sum(axis=0)
        loud = energy > 0.05 * np.percentile(energy, 95)
        cepstra = dct(mel[:, loud], axis=0, norm="ortho")[1 : _CEPSTRA + 1].mean(axis=1)
        spread = 3.0 / np.sqrt(np.arange(1, _CEPSTRA + 1))  # of windows of one voice, falling with the order
        pitch = 4.0 * np.log2(_pitch(padded) / 150.0)  # 3 semitones are one unit
        return np.asarray(np.concatenate([cepstra / spread, [pitch]]) / np.sqrt(_CEPSTRA + 1), np.float32)


def _pitch(wav: NDArray[np.float64]) -> float:
    """Median of the pitch over the voiced frames, Hz; 150 where there is none."""
    from amphion_core.features.pitch import f0

    contour = f0(wav, RATE, hop_length=_HOP, method="dio", f_min=60, f_max=500)
    voiced = contour[contour > 0]
    return float(np.median(voiced)) if voiced.size > 5 else 150.0


def choose_embedder(name: str) -> str:
    """What `auto` stands for on this machine: `ge2e` where torch and the weights are, else `spectral`."""
    if name != "auto":
        return name
    return "ge2e" if all(map(find_spec, _MODULES)) and GE2E.present() else "spectral"


def make_ge2e(options: Mapping[str, Any], device: str) -> Ge2eEmbedder:
    """The stage `embed-ge2e`."""
    return Ge2eEmbedder(Ge2eOptions.parse(options, where="options of ge2e"), device)


def make_spectral(options: Mapping[str, Any], device: str) -> SpectralEmbedder:
    """The stage `embed-spectral`."""
    return SpectralEmbedder(SpectralOptions.parse(options, where="options of spectral"))


def make_auto(options: Mapping[str, Any], device: str) -> Ge2eEmbedder | SpectralEmbedder:
    """The stage `embed-auto`."""
    return make_ge2e(options, device) if choose_embedder("auto") == "ge2e" else make_spectral(options, device)
