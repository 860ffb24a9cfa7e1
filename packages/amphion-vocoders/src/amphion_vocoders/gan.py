"""Adversarial training of any generator from mels to waveforms, with discriminators as the recipe lists them.

Source: Kong et al., "HiFi-GAN", 2020, arXiv:2010.05646, for the algorithm: the discriminators first, on a detached
estimate, then the generator on adversarial, feature matching and spectral losses; mels are made from the audio as it
comes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self

import torch
from pydantic import Field, SerializeAsAny, ValidationInfo, field_validator, model_validator
from torch import Tensor, nn

from amphion_core import registry
from amphion_core.config import Config
from amphion_core.data import Batches, DataConfig, Loader
from amphion_core.data.reader import open_source
from amphion_core.discriminators import DiscriminatorConfig, Discriminators, SpectrogramConfig
from amphion_core.features import MelConfig
from amphion_core.features.mel import MelSpectrogram, mel_filterbank
from amphion_core.features.stft import stft
from amphion_core.hub import PretrainedModule
from amphion_core.losses import (
    GAN_LOSSES,
    MelLoss,
    MultiResolutionMelLoss,
    MultiResolutionStftLoss,
    Verdict,
    feature_matching_loss,
)
from amphion_core.recipe import Recipe
from amphion_core.training.task import Sample, Task
from amphion_vocoders.segments import ClipReader, SegmentReader, WavBatch, collate_clips, collate_segments
from amphion_vocoders.vocoder import MelVocoderConfig

__all__ = ["GanLossConfig", "GanVocoderRecipe", "GanVocoderTask"]


class GanLossConfig(Config):
    """Losses and their weights; a weight of 0 leaves the loss out. The defaults are those of HiFi-GAN.

    Attributes:
        kind: of the adversarial loss, `least_squares` or `hinge`.
        adversarial: weight of the adversarial term of the generator.
        feature: weight of feature matching, one for all discriminators or one for each.
        feature_logits: whether the logits count as a feature.
        mel: weight of the log-mel distance.
        mel_config: the mel of that distance; None takes the generator's, without its normalisation.
        multi_resolution_mel: weight of the log10-mel distance summed over seven resolutions.
        stft: weight of spectral convergence plus log magnitude over three resolutions.
        magnitude: weight of the distance of log magnitudes before the inverse transform, for generators that have
            `spectrum`; bins count by the density of mel bands. It teaches no phase.
        start: step at which the discriminators begin; before it the generator has spectral losses only.
    """

    kind: Literal["least_squares", "hinge"] = "least_squares"
    adversarial: float = Field(1.0, ge=0)
    feature: tuple[float, ...] = (2.0,)
    feature_logits: bool = True
    mel: float = Field(45.0, ge=0)
    mel_config: MelConfig | None = None
    multi_resolution_mel: float = Field(0.0, ge=0)
    stft: float = Field(0.0, ge=0)
    magnitude: float = Field(0.0, ge=0)
    start: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _spectral(self) -> Self:
        if not self.mel and not self.multi_resolution_mel and not self.stft and not self.magnitude:
            raise ValueError("give at least one of mel, multi_resolution_mel, stft and magnitude a weight")
        return self

    @property
    def hears_waveforms(self) -> bool:
        """Whether a spectral loss is taken of the generator's waveform."""
        return bool(self.mel or self.multi_resolution_mel or self.stft)


class GanVocoderRecipe(Recipe):
    """What a recipe of the task `gan-vocoder` says.

    Attributes:
        vocoder: registry name of the generator.
        model: its configuration.
        discriminators: of what kinds; none trains the generator by its spectral losses alone.
        loss: weights.
        data: shards, and how many segments are in a batch.
        segment: samples of a training segment, a multiple of the hop.
        short: what becomes of clips shorter than a segment: `wrap` repeats them, `pad` adds zeros.
        samples: validation clips that are synthesised for the log.
    """

    vocoder: str
    model: SerializeAsAny[MelVocoderConfig]
    discriminators: tuple[DiscriminatorConfig, ...] = ()
    loss: GanLossConfig = GanLossConfig()
    data: DataConfig
    segment: int = Field(8192, gt=0)
    short: Literal["wrap", "pad"] = "wrap"
    samples: int = Field(4, ge=0)

    @field_validator("model", mode="before")
    @classmethod
    def _of_the_vocoder(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, Mapping) or "vocoder" not in info.data:
            return value
        try:
            config_class = registry.find("vocoders", info.data["vocoder"]).config_class
        except LookupError as error:
            raise ValueError(str(error)) from None
        return config_class.parse(value, where="model")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        mel = self.model.mel
        if self.segment % mel.hop_length:
            raise ValueError(f"segment {self.segment} is no multiple of the hop, {mel.hop_length} samples")
        if self.segment <= self._longest_transform():
            needed = self._longest_transform()
            raise ValueError(f"segment {self.segment}: one of the transforms needs more than {needed} samples")
        if self.discriminators and len(self.loss.feature) not in (1, len(self.discriminators)):
            raise ValueError(
                f"loss.feature has {len(self.loss.feature)} weights for {len(self.discriminators)} discriminators; "
                "give one for all or one for each"
            )
        if mel.padding != "same":
            raise ValueError(f"the mel's padding is {mel.padding!r}; training needs 'same', F * hop_length samples")
        return self

    def _longest_transform(self) -> int:
        """Samples that a segment must exceed: transforms reflect half their length at the ends."""
        longest = [self.model.mel.n_fft - 1]
        if self.loss.multi_resolution_mel or self.loss.stft:
            longest.append(1024)
        for config in self.discriminators:
            longest += [n_fft // 2 for n_fft in config.n_ffts] if isinstance(config, SpectrogramConfig) else []
        return max(longest)


class GanVocoderTask(Task[GanVocoderRecipe, WavBatch]):
    """A generator against its discriminators."""

    recipe_class = GanVocoderRecipe

    def __init__(self, recipe: GanVocoderRecipe) -> None:
        super().__init__(recipe)
        vocoder = registry.find("vocoders", recipe.vocoder)
        if not getattr(vocoder, "needs_weights", True):
            raise ValueError(f"the vocoder {recipe.vocoder!r} has no weights, so there is nothing to train")
        mel, loss = recipe.model.mel, recipe.loss
        self.generator: PretrainedModule[Any] = vocoder(recipe.model)
        self.discriminators = Discriminators(recipe.discriminators) if recipe.discriminators else None
        if loss.magnitude and not hasattr(self.generator, "spectrum"):
            raise ValueError(f"the vocoder {recipe.vocoder!r} makes no spectrum; set loss.magnitude to 0")
        self.mel = MelSpectrogram(mel)
        plain = mel.updated(mean=0.0, std=1.0) if loss.mel_config is None else loss.mel_config
        self.mel_loss = MelLoss(plain)
        self.spectral = nn.ModuleDict()
        if loss.multi_resolution_mel:
            self.spectral["multi_resolution_mel"] = MultiResolutionMelLoss(mel.sample_rate)
        if loss.stft:
            self.spectral["stft"] = MultiResolutionStftLoss(mel.sample_rate)
        self.adversarial = GAN_LOSSES[loss.kind]
        weights = loss.feature * len(recipe.discriminators) if len(loss.feature) == 1 else loss.feature
        self.feature_weights = tuple(weights)

    def phases(self) -> Mapping[str, list[nn.Module]]:
        """The discriminators, if there are any, then the generator."""
        generator: dict[str, list[nn.Module]] = {"generator": [self.generator]}
        return generator if self.discriminators is None else {"discriminator": [self.discriminators], **generator}

    def model(self) -> PretrainedModule[Any]:
        """The generator."""
        return self.generator

    def loader(self, split: str, rank: int, world_size: int) -> Loader[WavBatch] | None:
        """Segments of the training clips, or whole validation clips."""
        data, mel = self.recipe.data, self.recipe.model.mel
        train = split == "train"
        sources = data.train if train else data.valid
        if not sources:
            return None
        sets = [open_source(source) for source in sources]
        weights = [source.weight for source in sources] if len({source.weight for source in sources}) > 1 else None
        batches = Batches(
            sets,
            data.batch if train else data.valid_batch,
            weights=weights if train else None,
            seed=self.recipe.seed,
            rank=rank,
            world_size=world_size,
            epochs=None if train else 1,
        )
        workers = self.recipe.trainer.workers
        if not train:
            reader = ClipReader(sets, mel.sample_rate, mel.n_fft)
            return Loader(reader, batches, collate_clips)
        segments = SegmentReader(sets, mel.sample_rate, self.recipe.segment, self.recipe.short)
        return Loader(segments, batches, collate_segments, workers=workers)

    def step(self, batch: WavBatch) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Discriminators on a detached estimate, then the generator."""
        loss, wav = self.recipe.loss, batch.wav
        with torch.no_grad():
            mel = self.mel(wav)
        terms = {} if not loss.magnitude else {"magnitude": loss.magnitude * self._magnitude_distance(mel, wav)}
        judges = self.discriminators if self.progress.step >= loss.start else None
        if judges is not None or loss.hears_waveforms:
            estimate: Tensor = self.generator(mel)
            terms |= self._spectral_terms(estimate, wav)
        if judges is not None:
            real, fake = judges.apart(wav), judges.apart(estimate.detach())
            yield "discriminator", {"real_fake": self.adversarial.discriminator(_joined(real), _joined(fake))}
            with torch.no_grad():
                real = judges.apart(wav)
            fake = judges.apart(estimate)
            terms["adversarial"] = loss.adversarial * self.adversarial.generator(_joined(fake))
            terms["feature"] = torch.stack(
                [
                    weight * feature_matching_loss(truth, verdict, logits=loss.feature_logits)
                    for weight, truth, verdict in zip(self.feature_weights, real, fake, strict=True)
                ]
            ).sum()
        yield "generator", terms

    def validate(self, batch: WavBatch) -> dict[str, Tensor]:
        """Mean absolute log-mel distance of whole clips, natural log."""
        distances = [self.mel_loss(self._copy(wav)[None], wav[None]) for _, wav in _clips(batch)]
        return {"mel": torch.stack(distances).mean()}

    def sample(self, batch: WavBatch) -> Iterator[Sample]:
        """Copies of the first clips, and their recordings; the pictures are log-mels."""
        rate = self.recipe.model.mel.sample_rate
        for name, wav in _clips(batch)[: self.recipe.samples]:
            for kind, shown in (("copy", self._copy(wav)), ("recording", wav)):
                picture = self.mel(shown[None])[0].cpu().numpy()
                yield Sample(name=f"{name}-{kind}", wav=shown.float().cpu().numpy(), sample_rate=rate, picture=picture)

    def _spectral_terms(self, estimate: Tensor, wav: Tensor) -> dict[str, Tensor]:
        loss = self.recipe.loss
        terms = {"mel": loss.mel * self.mel_loss(estimate, wav)} if loss.mel else {}
        if loss.multi_resolution_mel:
            distance = self.spectral["multi_resolution_mel"](estimate, wav)
            terms["multi_resolution_mel"] = loss.multi_resolution_mel * distance
        if loss.stft:
            convergence, magnitude = self.spectral["stft"](estimate, wav)
            terms["stft"] = loss.stft * (convergence + magnitude)
        return terms

    def _magnitude_distance(self, mel: Tensor, wav: Tensor) -> Tensor:
        settings = self.recipe.model.mel
        with torch.no_grad():
            spectrum = stft(wav, settings.n_fft, settings.hop_length, settings.win_length)
            goal = spectrum.abs().clamp(min=settings.log_floor).log()  # (B, bins, F)
        log_magnitude, _ = self.generator.spectrum(mel)  # type: ignore[operator]
        distance = (log_magnitude.clamp(min=math.log(settings.log_floor)) - goal).abs()
        # The low harmonics carry the pitch and are few of the bins, so bins count by the density of mel bands; the
        # constant is for those above the last band.
        weight = mel_filterbank(settings).to(distance).sum(0)  # (bins,)
        weight = 0.2 + weight / weight.mean()
        mean: Tensor = (distance * (weight / weight.mean())[:, None]).mean()
        return mean

    def _copy(self, wav: Tensor) -> Tensor:
        """The vocoder's version of a clip (T,), cut to whole frames."""
        made: Tensor = self.generator.synthesize(self.mel(wav[None]))[0]  # type: ignore[operator]
        return torch.nn.functional.pad(made, (0, wav.shape[0] - made.shape[0]))


def _joined(verdicts: list[list[Verdict]]) -> list[Verdict]:
    return [verdict for member in verdicts for verdict in member]


def _clips(batch: WavBatch) -> list[tuple[str, Tensor]]:
    return [
        (name, wav[:length]) for name, wav, length in zip(batch.names, batch.wav, batch.lengths.tolist(), strict=True)
    ]
