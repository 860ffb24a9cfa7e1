"""What the training of every vocoder shares: random segments, mels made on the device, copies of held-out clips."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Generic, Literal, Self, TypeVar

import torch
from pydantic import Field, SerializeAsAny, ValidationInfo, field_validator, model_validator
from torch import Tensor, nn

from amphion_core import registry
from amphion_core.data import Batches, DataConfig, Loader
from amphion_core.data.reader import open_source
from amphion_core.features.mel import MelSpectrogram
from amphion_core.hub import PretrainedModule
from amphion_core.losses import MelLoss
from amphion_core.recipe import Recipe
from amphion_core.training.task import Sample, Task
from amphion_vocoders.initialization import InitConfig, start_generator
from amphion_vocoders.segments import (
    ClipReader,
    F0Config,
    SegmentReader,
    WavBatch,
    collate_clips,
    collate_segments,
)
from amphion_vocoders.vocoder import MelVocoderConfig

__all__ = ["VocoderRecipe", "VocoderTask", "clips_of"]


class VocoderRecipe(Recipe):
    """What the recipe of every vocoder says.

    Attributes:
        vocoder: registry name of the generator.
        model: its configuration.
        data: shards, and how many segments are in a batch.
        segment: samples of a training segment, a multiple of the hop.
        short: what becomes of clips shorter than a segment: `wrap` repeats them, `pad` adds zeros.
        f0: how F0 is made from the audio, for vocoders that need it.
        samples: validation clips that are synthesised for the log.
        init: published weights that the networks start from; `init_from` is for checkpoints of our own.
    """

    vocoder: str
    model: SerializeAsAny[MelVocoderConfig]
    data: DataConfig
    segment: int = Field(8192, gt=0)
    short: Literal["wrap", "pad"] = "wrap"
    f0: F0Config = F0Config()
    samples: int = Field(4, ge=0)
    init: InitConfig | None = None

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
    def _segments_fit(self) -> Self:
        mel = self.model.mel
        if self.segment % mel.hop_length:
            raise ValueError(f"segment {self.segment} is no multiple of the hop, {mel.hop_length} samples")
        if self.segment <= self.longest_transform():
            needed = self.longest_transform()
            raise ValueError(f"segment {self.segment}: one of the transforms needs more than {needed} samples")
        if mel.padding != "same":
            raise ValueError(f"the mel's padding is {mel.padding!r}; training needs 'same', F * hop_length samples")
        return self

    @model_validator(mode="after")
    def _one_start(self) -> Self:
        if self.init is not None and self.init_from is not None:
            raise ValueError("init and init_from both say what to start from; give one of them")
        if self.init is not None and self.init.discriminators is not None and not getattr(self, "discriminators", ()):
            raise ValueError("init.discriminators is given, but the recipe has no discriminators")
        return self

    def longest_transform(self) -> int:
        """Samples that a segment must exceed: transforms reflect half their length at the ends."""
        return self.model.mel.n_fft - 1


RecipeT = TypeVar("RecipeT", bound=VocoderRecipe)


class VocoderTask(Task[RecipeT, WavBatch], Generic[RecipeT]):
    """A generator from mels to waveforms; subclasses give `step`, and `validate` where the mel distance is no figure.

    Attributes:
        generator: the vocoder.
        mel: what it takes, of waveforms on its device.
        mel_loss: mean absolute log-mel distance, natural log, without normalisation.
    """

    def __init__(self, recipe: RecipeT) -> None:
        """Build the generator.

        Raises:
            ValueError: the vocoder has no weights, or is trained by another task.
        """
        super().__init__(recipe)
        vocoder = registry.find("vocoders", recipe.vocoder)
        if not getattr(vocoder, "needs_weights", True):
            raise ValueError(f"the vocoder {recipe.vocoder!r} has no weights, so there is nothing to train")
        trained_by = getattr(vocoder, "trained_by", recipe.task)
        if trained_by != recipe.task:
            raise ValueError(
                f"the vocoder {recipe.vocoder!r} is trained by the task {trained_by!r}, not {recipe.task!r}"
            )
        self.generator: PretrainedModule[Any] = vocoder(recipe.model)
        self.mel = MelSpectrogram(recipe.model.mel)
        self.mel_loss = MelLoss(recipe.model.mel.updated(mean=0.0, std=1.0))

    def phases(self) -> Mapping[str, list[nn.Module]]:
        """The generator alone."""
        return {"generator": [self.generator]}

    def model(self) -> PretrainedModule[Any]:
        """The generator."""
        return self.generator

    def start(self) -> list[str]:
        """Load the weights of the generator that `init` of the recipe names."""
        init = self.recipe.init
        return [] if init is None or init.generator is None else start_generator(self.generator, init.generator)

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
        f0 = self.recipe.f0 if getattr(self.generator, "needs_f0", False) else None
        if not train:
            reader = ClipReader(sets, mel.sample_rate, mel.n_fft, f0, mel.hop_length)
            return Loader(reader, batches, collate_clips)
        segments = SegmentReader(sets, mel.sample_rate, self.recipe.segment, self.recipe.short, f0, mel.hop_length)
        return Loader(segments, batches, collate_segments, workers=workers)

    def validate(self, batch: WavBatch) -> dict[str, Tensor]:
        """Mean absolute log-mel distance of whole clips, natural log."""
        distances = [self.mel_loss(copy[None], wav[None]) for _, wav, copy in self.copies(batch)]
        return {"mel": torch.stack(distances).mean()}

    def sample(self, batch: WavBatch) -> Iterator[Sample]:
        """Copies of the first clips, and their recordings; the pictures are log-mels."""
        rate = self.recipe.model.mel.sample_rate
        for name, wav, copy in itertools.islice(self.copies(batch), self.recipe.samples):
            for kind, shown in (("copy", copy), ("recording", wav)):
                picture = self.mel(shown[None])[0].cpu().numpy()
                yield Sample(name=f"{name}-{kind}", wav=shown.float().cpu().numpy(), sample_rate=rate, picture=picture)

    def copies(self, batch: WavBatch) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Name, samples (T,) and the vocoder's version (T,) of each clip of a batch."""
        for number, (name, wav) in enumerate(clips_of(batch)):
            yield name, wav, self.copy(wav, None if batch.f0 is None else batch.f0[number])

    def copy(self, wav: Tensor, f0: Tensor | None = None) -> Tensor:
        """The vocoder's version of a clip (T,), cut to whole frames, with F0 (F,) or longer where it needs it."""
        mel = self.mel(wav[None])
        contour = None if f0 is None else f0[None, : mel.shape[-1]]
        made: Tensor = self.generator.synthesize(mel, f0=contour)[0]  # type: ignore[operator]
        return torch.nn.functional.pad(made, (0, wav.shape[0] - made.shape[0]))

    def generate(self, mel: Tensor, f0: Tensor | None = None) -> Tensor:
        """Waveforms of a batch with gradients: the generator's forward pass on all that it takes."""
        wav: Tensor = self.generator(mel) if f0 is None else self.generator(mel, f0)
        return wav


def clips_of(batch: WavBatch) -> list[tuple[str, Tensor]]:
    """Names and samples (T,) of the clips of a batch, without their padding."""
    return [
        (name, wav[:length]) for name, wav, length in zip(batch.names, batch.wav, batch.lengths.tolist(), strict=True)
    ]
