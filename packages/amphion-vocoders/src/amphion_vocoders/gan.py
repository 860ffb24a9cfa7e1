"""Adversarial training of any generator from mels to waveforms, with discriminators as the recipe lists them.

Source: Kong et al., "HiFi-GAN", 2020, arXiv:2010.05646, for the algorithm: the discriminators first, on a detached
estimate, then the generator on adversarial, feature matching and spectral losses; mels are made from the audio as it
comes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from amphion_core.config import Config
from amphion_core.discriminators import (
    ConstantQConfig,
    DiscriminatorConfig,
    Discriminators,
    PeriodConfig,
    ScaleConfig,
    SpectrogramConfig,
)
from amphion_core.discriminators.ensemble import AnyDiscriminatorConfig
from amphion_core.features import MelConfig
from amphion_core.features.mel import mel_filterbank
from amphion_core.features.stft import stft
from amphion_core.losses import (
    GAN_LOSSES,
    MelLoss,
    MultiResolutionMelLoss,
    MultiResolutionStftLoss,
    Verdict,
    feature_matching_loss,
    relative_feature_matching_loss,
)
from amphion_vocoders.initialization import start_discriminators
from amphion_vocoders.segments import WavBatch
from amphion_vocoders.spectra import SpectraLossConfig, spectra_terms
from amphion_vocoders.task import VocoderRecipe, VocoderTask

__all__ = ["GanLossConfig", "GanVocoderRecipe", "GanVocoderTask"]


class GanLossConfig(Config):
    """Losses and their weights; a weight of 0 leaves the loss out. The defaults are those of HiFi-GAN.

    Attributes:
        kind: of the adversarial loss: `least_squares` (HiFi-GAN), `hinge` (MelGAN), `mean_hinge` (codecs: averaged
            over the sub-discriminators), or `least_squares_spread`.
        adversarial: weight of the adversarial term of the generator.
        feature: weight of feature matching, one for all discriminators or one for each.
        feature_logits: whether the logits count as a feature, one for all discriminators or one for each.
        feature_kind: `absolute` differences (HiFi-GAN), or `relative` to the recording's magnitudes (codecs).
        mel: weight of the log-mel distance.
        mel_config: the mel of that distance; None takes the generator's, without its normalisation.
        multi_resolution_mel: weight of the log10-mel distance summed over seven resolutions.
        stft: weight of spectral convergence plus log magnitude over three resolutions.
        wav_l1: weight of the mean absolute difference of the samples.
        wav_mse: weight of the mean squared difference of the samples.
        magnitude: weight of the distance of log magnitudes before the inverse transform, for generators that have
            `spectrum`; bins count by the density of mel bands. It teaches no phase.
        spectra: weights of APNet's losses of amplitude and phase, for generators that have `spectra`.
        start: step at which the discriminators begin; before it the generator has spectral losses only.
    """

    kind: Literal["least_squares", "hinge", "mean_hinge", "least_squares_spread"] = "least_squares"
    adversarial: float = Field(1.0, ge=0)
    feature: tuple[Annotated[float, Field(ge=0)], ...] = (2.0,)
    feature_logits: bool | tuple[bool, ...] = True
    feature_kind: Literal["absolute", "relative"] = "absolute"
    mel: float = Field(45.0, ge=0)
    mel_config: MelConfig | None = None
    multi_resolution_mel: float = Field(0.0, ge=0)
    stft: float = Field(0.0, ge=0)
    wav_l1: float = Field(0.0, ge=0)
    wav_mse: float = Field(0.0, ge=0)
    magnitude: float = Field(0.0, ge=0)
    spectra: SpectraLossConfig | None = None
    start: int = Field(0, ge=0)

    @property
    def teaches_alone(self) -> bool:
        """Whether there is a loss without discriminators."""
        spectra = self.spectra is not None and self.spectra.teaches
        return bool(self.hears_waveforms or self.magnitude or spectra)

    @property
    def hears_waveforms(self) -> bool:
        """Whether a loss other than the discriminators' is taken of the generator's waveform."""
        return bool(self.mel or self.multi_resolution_mel or self.stft or self.wav_l1 or self.wav_mse)


class GanVocoderRecipe(VocoderRecipe):
    """What a recipe of the task `gan-vocoder` says beside that of every vocoder.

    Attributes:
        discriminators: of what kinds; none trains the generator by its spectral losses alone.
        loss: weights.
    """

    discriminators: tuple[DiscriminatorConfig, ...] = ()
    loss: GanLossConfig = GanLossConfig()

    @model_validator(mode="after")
    def _weights_fit(self) -> Self:
        if self.discriminators and len(self.loss.feature) not in (1, len(self.discriminators)):
            raise ValueError(
                f"loss.feature has {len(self.loss.feature)} weights for {len(self.discriminators)} discriminators; "
                "give one for all or one for each"
            )
        logits = self.loss.feature_logits
        if self.discriminators and isinstance(logits, tuple) and len(logits) != len(self.discriminators):
            raise ValueError(
                f"loss.feature_logits has {len(logits)} values for {len(self.discriminators)} discriminators; "
                "give one for all, without a list, or one for each"
            )
        rate, mel = self.model.mel.sample_rate, self.loss.mel_config
        if mel is not None and mel.sample_rate != rate:
            raise ValueError(
                f"loss.mel_config.sample_rate is {mel.sample_rate}, model.mel.sample_rate {rate}; "
                "the loss hears what the generator makes, so give both the same"
            )
        for config in self.discriminators:
            if isinstance(config, ConstantQConfig):
                config.check_rate(rate)
        if not self.loss.teaches_alone and (not self.discriminators or self.loss.start):
            raise ValueError(
                "without discriminators from the first step on, give at least one of mel, multi_resolution_mel, stft, "
                "magnitude and spectra a weight"
            )
        return self

    def longest_transform(self) -> int:
        """Samples that a segment must exceed: transforms reflect half their length at the ends."""
        longest, mel = [super().longest_transform()], self.loss.mel_config
        if self.loss.mel and mel is not None:
            longest.append(mel.n_fft - 1 if mel.padding == "none" else max(mel.n_fft // 2, mel.hop_length))
        if self.loss.multi_resolution_mel or self.loss.stft:
            longest.append(1024)
        for config in self.discriminators:
            if isinstance(config, SpectrogramConfig):
                longest += [n_fft // 2 for n_fft in config.n_ffts]
            elif not isinstance(config, PeriodConfig | ScaleConfig):
                longest.append(config.reach)
        return max(longest)

    def judges(self) -> tuple[AnyDiscriminatorConfig, ...]:
        """The discriminators, at the sampling rate of the generator."""
        rate = self.model.mel.sample_rate
        return tuple(
            config.updated(sample_rate=rate)
            if isinstance(config, ConstantQConfig) and config.sample_rate is None
            else config
            for config in self.discriminators
        )


class GanVocoderTask(VocoderTask[GanVocoderRecipe]):
    """A generator against its discriminators."""

    recipe_class = GanVocoderRecipe

    def __init__(self, recipe: GanVocoderRecipe) -> None:
        super().__init__(recipe)
        mel, loss = recipe.model.mel, recipe.loss
        judges = Discriminators(recipe.judges(), mel.sample_rate) if recipe.discriminators else None
        self.discriminators = judges
        if loss.magnitude and not hasattr(self.generator, "spectrum"):
            raise ValueError(f"the vocoder {recipe.vocoder!r} makes no spectrum; set loss.magnitude to 0")
        if loss.spectra is not None and not hasattr(self.generator, "spectra"):
            raise ValueError(f"the vocoder {recipe.vocoder!r} predicts no phase; leave loss.spectra out")
        if loss.mel_config is not None:
            self.mel_loss = MelLoss(loss.mel_config)
        self.spectral = nn.ModuleDict()
        if loss.multi_resolution_mel:
            self.spectral["multi_resolution_mel"] = MultiResolutionMelLoss(mel.sample_rate)
        if loss.stft:
            self.spectral["stft"] = MultiResolutionStftLoss(mel.sample_rate)
        self.adversarial = GAN_LOSSES[loss.kind]
        count = len(recipe.discriminators)
        self.feature_weights = loss.feature * count if len(loss.feature) == 1 else loss.feature
        logits = loss.feature_logits
        self.feature_logits = logits if isinstance(logits, tuple) else (logits,) * count

    def phases(self) -> Mapping[str, list[nn.Module]]:
        """The discriminators, if there are any, then the generator."""
        generator = super().phases()
        return generator if self.discriminators is None else {"discriminator": [self.discriminators], **generator}

    def step(self, batch: WavBatch) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Discriminators on a detached estimate, then the generator."""
        loss, wav = self.recipe.loss, batch.wav
        with torch.no_grad():
            mel = self.mel(wav)
        terms = {} if not loss.magnitude else {"magnitude": loss.magnitude * self._magnitude_distance(mel, wav)}
        judges = self.discriminators if self.progress.step >= loss.start else None
        if judges is not None or loss.hears_waveforms or loss.spectra is not None:
            estimate, predicted = self._estimate(mel, batch)
            terms |= predicted | self._spectral_terms(estimate, wav)
        if judges is not None:
            real, fake = judges.apart(wav), judges.apart(estimate.detach())
            yield "discriminator", {"real_fake": self.adversarial.discriminator(_joined(real), _joined(fake))}
            with torch.no_grad():
                real = judges.apart(wav)
            fake = judges.apart(estimate)
            terms["adversarial"] = loss.adversarial * self.adversarial.generator(_joined(fake))
            terms["feature"] = self._feature_distance(real, fake)
        yield "generator", terms

    def start(self) -> list[str]:
        """Load the weights that `init` of the recipe names."""
        init, notes = self.recipe.init, super().start()
        if init is not None and init.discriminators is not None and self.discriminators is not None:
            members = list(self.discriminators.members)
            notes += start_discriminators(members, self.recipe.judges(), init.discriminators)
        return notes

    def _feature_distance(self, real: list[list[Verdict]], fake: list[list[Verdict]]) -> Tensor:
        distance = relative_feature_matching_loss
        if self.recipe.loss.feature_kind == "absolute":
            distance = feature_matching_loss
        settings = zip(self.feature_weights, self.feature_logits, real, fake, strict=True)
        terms = [weight * distance(truth, verdict, logits=logits) for weight, logits, truth, verdict in settings]
        return torch.stack(terms).sum()

    def _estimate(self, mel: Tensor, batch: WavBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The generator's waveform, and the losses of the spectra that it is made of."""
        weights = self.recipe.loss.spectra
        if weights is None:
            return self.generate(mel, batch.f0), {}
        predicted = self.generator.spectra(mel)  # type: ignore[operator]
        return predicted.wav, spectra_terms(predicted, batch.wav, self.recipe.model.mel, weights)

    def _spectral_terms(self, estimate: Tensor, wav: Tensor) -> dict[str, Tensor]:
        loss = self.recipe.loss
        terms = {"mel": loss.mel * self.mel_loss(estimate, wav)} if loss.mel else {}
        if loss.multi_resolution_mel:
            distance = self.spectral["multi_resolution_mel"](estimate, wav)
            terms["multi_resolution_mel"] = loss.multi_resolution_mel * distance
        if loss.stft:
            convergence, magnitude = self.spectral["stft"](estimate, wav)
            terms["stft"] = loss.stft * (convergence + magnitude)
        if loss.wav_l1:
            terms["wav_l1"] = loss.wav_l1 * F.l1_loss(estimate, wav)
        if loss.wav_mse:
            terms["wav_mse"] = loss.wav_mse * F.mse_loss(estimate, wav)
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


def _joined(verdicts: list[list[Verdict]]) -> list[Verdict]:
    return [verdict for member in verdicts for verdict in member]
