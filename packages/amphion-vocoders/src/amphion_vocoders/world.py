"""WORLD as a vocoder without weights: an envelope from the mel, pulses and noise from F0.

Source: Morise, Yokomori and Ozawa, "WORLD: A Vocoder-Based High-Quality Speech Synthesis System for Real-Time
Applications", 2016. Deviation: a mel holds neither CheapTrick's envelope nor an aperiodicity, so `synthesize` makes
the first by smoothing the mel's magnitudes over a harmonic, and takes a fixed curve for the second. `resynthesize`
is WORLD proper.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from pydantic import Field
from torch import Generator, Tensor

from amphion_core.features.world import world_analysis, world_synthesis
from amphion_core.hub import PretrainedModule
from amphion_vocoders.mel_inversion import linear_magnitude, smooth_bins
from amphion_vocoders.synthesis import check_chunk, check_f0, check_mel
from amphion_vocoders.vocoder import MelVocoderConfig

__all__ = ["World", "WorldConfig"]


class WorldConfig(MelVocoderConfig):
    """Settings of the synthesis from mels.

    Attributes:
        mel: what it takes.
        unvoiced_width: Hz over which the magnitudes of unvoiced frames are smoothed; voiced ones over their F0.
        breath_frequency: Hz at which the share of noise in voiced frames reaches a half.
        inversion_steps: steps from mel to magnitudes.
    """

    unvoiced_width: float = Field(200.0, gt=0, allow_inf_nan=False)
    breath_frequency: float = Field(5500.0, gt=0, allow_inf_nan=False)
    inversion_steps: int = Field(64, ge=0)


class World(PretrainedModule[WorldConfig]):
    """Log-mel spectrogram and F0 to waveform, without training."""

    config_class = WorldConfig
    group = "vocoders"
    name = "world"
    adjustable = ("unvoiced_width", "breath_frequency", "inversion_steps")
    needs_weights: ClassVar[bool] = False
    takes_f0: ClassVar[bool] = True
    look_ahead: ClassVar[float] = math.inf

    @torch.no_grad()
    def synthesize(
        self,
        mel: Tensor,
        f0: Tensor | None = None,
        lengths: Tensor | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        """Waveforms of a batch of mels; each item equals the item alone.

        Args:
            mel: (B, n_mels, F), as `config.mel` computes it.
            f0: (B, F) Hz, 0 = unvoiced, frame i at sample i * hop_length; None whispers: all frames are unvoiced.
            lengths: (B,) valid frames; None where all are full.
            generator: not used; WORLD's noise is always the same.

        Returns:
            (B, F * hop_length); zeros beyond `lengths * hop_length`.

        Raises:
            ValueError: wrong bands, not finite, values of another kind of mel, or f0 or lengths that don't fit.
        """
        check_mel(mel, self.config.mel, lengths)
        check_f0(f0, mel, lengths)
        hop = self.config.mel.hop_length
        wav = mel.new_zeros(mel.shape[0], mel.shape[2] * hop, dtype=torch.float32)
        for i in range(mel.shape[0]):
            valid = mel.shape[2] if lengths is None else int(lengths[i])
            if valid:
                contour = mel.new_zeros(valid) if f0 is None else f0[i, :valid]
                wav[i, : valid * hop] = self._item(mel[i, :, :valid], contour)
        return wav

    @torch.no_grad()
    def stream(self, chunks: Iterable[Any], generator: Generator | None = None) -> Iterator[Tensor]:
        """Waveform after the last chunk: WORLD's pulses depend on all that came before, so nothing comes earlier.

        Args:
            chunks: mels (n_mels, F_i), F_i of any size, or pairs of a mel and its F0 (F_i,) in Hz.
            generator: not used.

        Yields:
            (T,) samples, once; whispered where there is no F0.
        """
        held, contours = [], []
        for chunk in chunks:
            mel, f0 = (chunk, None) if isinstance(chunk, Tensor) else chunk
            check_chunk(mel, self.config.mel)
            check_f0(None if f0 is None else f0[None], mel[None])
            held.append(mel)
            contours.append(mel.new_zeros(mel.shape[-1]) if f0 is None else f0)
        if sum(mel.shape[-1] for mel in held):
            yield self.synthesize(torch.cat(held, dim=-1)[None], f0=torch.cat(contours)[None])[0]

    def resynthesize(self, wav: ArrayLike, frame_period: float = 5.0) -> NDArray[np.float32]:
        """Take a voice apart into F0, envelope and aperiodicity, and put it together again.

        Args:
            wav: (T,) at `config.mel.sample_rate` Hz.
            frame_period: ms between frames.

        Returns:
            (T,) samples.
        """
        sample_rate = self.config.mel.sample_rate
        features = world_analysis(wav, sample_rate, frame_period=frame_period)
        made = world_synthesis(*features, sample_rate, frame_period=frame_period)
        return _fitted(made, np.asarray(wav).shape[0])

    def _item(self, mel: Tensor, f0: Tensor) -> Tensor:
        settings = self.config.mel
        hop, rate = settings.hop_length, settings.sample_rate
        magnitude = linear_magnitude(mel[None].cpu(), settings, self.config.inversion_steps)[0]  # (bins, F)
        if settings.padding == "same":
            # Frames lie half a hop later than those of F0.
            magnitude = (magnitude + torch.cat([magnitude[:, :1], magnitude[:, :-1]], dim=1)) / 2
        contour = f0.double().cpu()
        bins = magnitude.shape[0]
        width = torch.where(contour > 0, contour, self.config.unvoiced_width) * settings.n_fft / rate / 2
        power = smooth_bins(magnitude.double().square(), width)
        # A window's energy turns the power of a transform into the density that WORLD calls the envelope.
        power = power / torch.hann_window(settings.win_length, dtype=torch.float64).square().sum() + 1e-12
        frequency = torch.linspace(0, rate / 2, bins, dtype=torch.float64)
        breath = torch.sigmoid((frequency - self.config.breath_frequency) / (self.config.breath_frequency / 4))
        noise = torch.where(contour[:, None] > 0, breath.clamp(0.005, 0.995)[None], 1.0)  # (F, bins)
        made = world_synthesis(contour.numpy(), power.mT.numpy(), noise.numpy(), rate, frame_period=1000 * hop / rate)
        return torch.from_numpy(_fitted(made, mel.shape[-1] * hop)).to(mel.device)


def _fitted(wav: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    return np.pad(wav, (0, max(0, length - wav.shape[0])))[:length]
