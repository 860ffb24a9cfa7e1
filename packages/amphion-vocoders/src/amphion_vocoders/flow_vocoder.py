"""Training of vocoders that are invertible: the likelihood of the recordings, no other loss.

Source: Prenger, Valle and Catanzaro, "WaveGlow", 2018, arXiv:1811.00002.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor

from amphion_vocoders.sampling import SeededNoise
from amphion_vocoders.segments import WavBatch
from amphion_vocoders.task import VocoderRecipe, VocoderTask, clips_of
from amphion_vocoders.waveglow import WaveGlow, likelihood_loss

__all__ = ["FlowVocoderRecipe", "FlowVocoderTask"]


class FlowVocoderRecipe(VocoderRecipe):
    """What a recipe of the task `flow-vocoder` says beside that of every vocoder.

    Attributes:
        sigma: standard deviation of the noise that recordings are to become.
        dither: standard deviation of noise added to the recordings. Without any, digital silence has a density
            without bound, and a corpus with much of it makes training diverge.
        copies: whether validation also makes copies of the clips and takes their mel distance.
    """

    sigma: float = Field(1.0, gt=0)
    dither: float = Field(0.0, ge=0)
    copies: bool = True


class FlowVocoderTask(VocoderTask[FlowVocoderRecipe]):
    """A network that turns recordings into noise, and back."""

    recipe_class = FlowVocoderRecipe

    def __init__(self, recipe: FlowVocoderRecipe) -> None:
        super().__init__(recipe)
        if not isinstance(self.generator, WaveGlow):
            raise ValueError(f"the vocoder {recipe.vocoder!r} is no flow; train it by another task")

    def step(self, batch: WavBatch) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """The likelihood of segments."""
        wav = batch.wav
        with torch.no_grad():
            if self.recipe.dither:
                wav = wav + self.recipe.dither * torch.randn_like(wav)
            mel = self.mel(wav)
        yield "generator", {"likelihood": likelihood_loss(self.generator(mel, wav), self.recipe.sigma)}

    def validate(self, batch: WavBatch) -> dict[str, Tensor]:
        """Negative log likelihood of whole clips, nats a sample, and the distance of the mels of copies."""
        hop, sigma = self.recipe.model.mel.hop_length, self.recipe.sigma
        constant = 0.5 * math.log(2 * math.pi * sigma**2)
        found = []
        for _, clip in clips_of(batch):
            noise = SeededNoise(self.recipe.seed, clip.device)(0, clip.shape[0])[0]
            dithered = clip + self.recipe.dither * noise
            mel = self.mel(dithered[None])
            latent = self.generator(mel, dithered[None, : mel.shape[-1] * hop])
            found.append(likelihood_loss(latent, sigma) + constant)
        figures = {"nll": torch.stack(found).mean()}
        return figures | (super().validate(batch) if self.recipe.copies else {})
