"""Training of vocoders that predict the noise in a waveform.

Source: Kong et al., "DiffWave", 2021, arXiv:2009.09761, algorithm 1; the distance is the absolute one of the published
code, not the squared one of the paper.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from amphion_vocoders.sampling import SeededNoise
from amphion_vocoders.segments import WavBatch
from amphion_vocoders.task import VocoderRecipe, VocoderTask, clips_of

__all__ = ["DiffusionVocoderRecipe", "DiffusionVocoderTask"]


class DiffusionVocoderRecipe(VocoderRecipe):
    """What a recipe of the task `diffusion-vocoder` says beside that of every vocoder.

    Attributes:
        levels: steps of the schedule, evenly spread, at which validation asks for the noise of each clip.
        copies: whether validation also makes copies of the clips and takes their mel distance; costs a whole
            sampling of each.
    """

    levels: int = Field(8, ge=1)
    copies: bool = True


class DiffusionVocoderTask(VocoderTask[DiffusionVocoderRecipe]):
    """A network that says what of a waveform is noise."""

    recipe_class = DiffusionVocoderRecipe

    def __init__(self, recipe: DiffusionVocoderRecipe) -> None:
        super().__init__(recipe)
        if not hasattr(self.generator, "noisy"):
            raise ValueError(f"the vocoder {recipe.vocoder!r} predicts no noise; train it by another task")

    def step(self, batch: WavBatch) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Noise of a random step in every segment, and how well it is told."""
        wav = batch.wav
        with torch.no_grad():
            mel = self.mel(wav)
        time = torch.randint(self._count, wav.shape[:1], device=wav.device)
        yield "generator", {"epsilon": self._distance(wav, mel, time, torch.randn_like(wav))}

    def validate(self, batch: WavBatch) -> dict[str, Tensor]:
        """Distance of the noise of whole clips, the same noise each time, and of the mels of copies."""
        count = min(self.recipe.levels, self._count)
        times = torch.linspace(0, self._count - 1, count).round().long().to(batch.wav.device)
        distances = []
        for _, clip in clips_of(batch):
            mel = self.mel(clip[None])
            wav = clip[None, : mel.shape[-1] * self.recipe.model.mel.hop_length]
            noise = SeededNoise(self.recipe.seed, wav.device)
            distances += [
                self._distance(wav, mel, time[None], noise(number, wav.shape[1])) for number, time in enumerate(times)
            ]
        figures = {"epsilon": torch.stack(distances).mean()}
        return figures | (super().validate(batch) if self.recipe.copies else {})

    @property
    def _count(self) -> int:
        return len(self.generator.config.training_betas)

    def _distance(self, wav: Tensor, mel: Tensor, time: Tensor, noise: Tensor) -> Tensor:
        """Mean absolute distance between noise and what is taken for it."""
        noisy = self.generator.noisy(wav, time, noise)  # type: ignore[operator]
        return F.l1_loss(self.generator(noisy, time, mel), noise)
