"""Training of FastSpeech 2, with durations from TextGrids or learned beside it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from amphion_core.config import read_mapping
from amphion_core.data import Batches, Loader
from amphion_core.data.reader import open_source
from amphion_core.features.mel import mel_spectrogram
from amphion_core.hub import CONFIG_FILE, PretrainedModule, resolve
from amphion_core.interfaces import load_vocoder
from amphion_core.modules.alignment import average_by_duration
from amphion_core.training.task import Sample, Task
from amphion_tts.fastspeech2.aligner import Aligner, aligner_losses
from amphion_tts.fastspeech2.config import FastSpeech2Config
from amphion_tts.fastspeech2.data import Batch, Corpus, ItemReader, ProsodyConfig, collate, find_textgrids, read_wav
from amphion_tts.fastspeech2.losses import fastspeech2_losses
from amphion_tts.fastspeech2.model import FastSpeech2, silence_value
from amphion_tts.fastspeech2.recipe import FastSpeech2Recipe
from amphion_tts.prosody import variance_statistics
from amphion_tts.text.frontend import make_frontend, symbol_table

__all__ = ["FastSpeech2Task"]

log = logging.getLogger(__name__)

_REACH = 5.0  # deviations that the bins cover; a few octave errors would else stretch them over empty values


class FastSpeech2Task(Task[FastSpeech2Recipe, Batch]):
    """FastSpeech 2 and, where durations are learned, the aligner that learns them."""

    recipe_class = FastSpeech2Recipe

    def __init__(self, recipe: FastSpeech2Recipe) -> None:
        super().__init__(recipe)
        self._frontend = make_frontend(recipe.model.frontend)
        self._train = self._corpora("train")
        config = self._completed(recipe.model)
        self.network = FastSpeech2(config)
        with torch.no_grad():
            self.network.mel_linear.bias.copy_(self._mean_mel(config))
        self.aligner: Aligner | None = None
        if recipe.durations == "learned":
            self.aligner = Aligner(recipe.aligner, config.rows, config.mel.n_mels, silence_value(config.mel))

    def phases(self) -> Mapping[str, list[nn.Module]]:
        """One: the model, and the aligner beside it."""
        return {"model": [self.network] if self.aligner is None else [self.network, self.aligner]}

    def model(self) -> PretrainedModule[Any]:
        """The network without the aligner."""
        return self.network

    def loader(self, split: str, rank: int, world_size: int) -> Loader[Batch] | None:
        """Padded batches of whole utterances."""
        recipe, config = self.recipe, self.network.config
        train = split == "train"
        corpora = self._train if train else self._valid
        if not corpora:
            return None
        settings = recipe.data.batch if train else recipe.data.valid_batch
        mel = config.mel
        lengths = [c.shards.durations * (mel.frame_rate if settings.unit == "frames" else 1.0) for c in corpora]
        weights = [source.weight for source in recipe.data.train]
        batches = Batches(
            [c.shards for c in corpora],
            settings,
            weights=weights if train and len(set(weights)) > 1 else None,
            lengths=lengths if settings.unit == "frames" else None,
            seed=recipe.seed,
            rank=rank,
            world_size=world_size,
            epochs=None if train else 1,
        )
        join = collate(silence_value(mel), bool(config.speakers))
        workers = recipe.trainer.workers if train else 0
        return Loader(ItemReader(corpora, config), batches, join, workers=workers)

    def step(self, batch: Batch) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Align, then predict from the targets; at first only align, where the recipe says so."""
        durations, terms = self._align(batch)
        if self.aligner is None or self.progress.step >= self.aligner.config.alone:
            terms |= self._predict(batch, durations)
        weights = self.recipe.loss
        yield "model", {name: getattr(weights, name) * value for name, value in terms.items()}

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """The loss terms without weights, from the targets."""
        durations, terms = self._align(batch)
        return terms | self._predict(batch, durations)

    def sample(self, batch: Batch) -> Iterator[Sample]:
        """Sentences of the validation set by Griffin-Lim, beside their recordings."""
        mel_config = self.network.config.mel
        count = min(self.recipe.samples, len(batch.keys))
        if not count:
            return
        speakers = None if batch.speakers is None else batch.speakers[:count]
        made, frames = self.network.generate(batch.phones[:count], batch.lengths[:count], speakers)
        vocoder = load_vocoder("griffin-lim", mel_config)
        pairs = (("spoken", made, frames), ("recording", batch.mel[:count], batch.mel_lengths[:count]))
        for number, key in enumerate(batch.keys[:count]):
            for kind, mels, lengths in pairs:
                mel = mels[number, :, : int(lengths[number])].detach().float().cpu()
                wav = vocoder.synthesize(mel[None])[0].cpu().numpy()
                name = f"{key.replace('/', '_')}-{kind}"
                yield Sample(name=name, wav=wav, sample_rate=mel_config.sample_rate, picture=mel.numpy())

    @cached_property
    def _valid(self) -> list[Corpus]:
        return self._corpora("valid")

    def _align(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Durations and, where they are learned, the losses of the aligner."""
        if self.aligner is None:
            assert batch.durations is not None, "TextGrid batches carry durations"
            return batch.durations, {}
        scores = self.aligner(batch.phones, batch.lengths, batch.mel, batch.mel_lengths)
        durations = self.aligner.durations(scores, batch.lengths, batch.mel_lengths)
        step = self.progress.step
        return durations, aligner_losses(self.aligner, scores, durations, batch.lengths, batch.mel_lengths, step)

    def _predict(self, batch: Batch, durations: Tensor) -> dict[str, Tensor]:
        config = self.network.config
        targets = {
            name: average_by_duration(values, durations) if getattr(config, name).level == "phone" else values
            for name, values in (("pitch", batch.pitch), ("energy", batch.energy))
        }
        frames = batch.mel.shape[2]
        output = self.network(
            batch.phones, batch.lengths, batch.speakers, durations=durations, frames=frames, **targets
        )
        return fastspeech2_losses(output, batch.mel, durations, **targets)

    def _corpora(self, split: str) -> list[Corpus]:
        """The sets of a split, with stored features."""
        recipe = self.recipe
        sources = recipe.data.train if split == "train" else recipe.data.valid
        grids = find_textgrids(recipe.textgrids) if recipe.durations == "textgrid" and recipe.textgrids else None
        extraction = recipe.model.pitch_extraction
        prosody = ProsodyConfig(mel=recipe.model.mel, with_mel=recipe.store_mel, **extraction.to_dict())
        corpora = []
        for source in sources:
            corpus = Corpus(open_source(source), self._frontend, grids, prosody)
            corpus.store(self._features_folder(), recipe.feature_workers)
            corpora.append(corpus)
        return corpora

    def _features_folder(self) -> Path:
        first = self.recipe.data.train[0].path
        if self.recipe.features is not None:
            return Path(self.recipe.features)
        return Path("features") if "://" in first else Path(first).absolute().parent / "features"

    def _completed(self, config: FastSpeech2Config) -> FastSpeech2Config:
        """The config with symbols, speakers and statistics of the training data, or of what a fine-tune starts from."""
        changes: dict[str, Any] = {}
        if self.recipe.init_from is not None:
            config = config.updated(**_inherited(config, resolve(self.recipe.init_from)))
        if not config.symbols:
            texts = [text for corpus in self._train for text in corpus.texts]
            changes["symbols"] = self._frontend.symbols or symbol_table(texts)
        named = {speaker for corpus in self._train for speaker in corpus.shards.speakers if speaker}
        if not config.speakers and len(named) > 1:
            changes["speakers"] = sorted(named)
        for name, feature in (("pitch", "f0"), ("energy", "energy")):
            settings = getattr(config, name)
            if settings.mean == 0 and settings.std == 1:
                values = (value for corpus in self._train for value in corpus.values(feature))
                found = variance_statistics(values)
                log.info("%s of the training set: mean %.1f, deviation %.1f", name, found["mean"], found["std"])
                reach = _REACH * found["std"]
                found["min"] = max(found["min"], found["mean"] - reach)
                found["max"] = min(found["max"], found["mean"] + reach)
                changes[name] = {**settings.to_dict(), **found}
        return config.updated(**changes)

    def _mean_mel(self, config: FastSpeech2Config) -> Tensor:
        """Mean of each band over some training utterances: where an untrained output should start."""
        corpus = self._train[0]
        mels = []
        for row in range(0, len(corpus), max(1, len(corpus) // 50)):
            wav = read_wav(corpus.shards, row, config.mel, None)
            mels.append(mel_spectrogram(torch.from_numpy(wav), config.mel).numpy())
        return torch.from_numpy(np.concatenate(mels, axis=1).mean(axis=1))


def _inherited(config: FastSpeech2Config, folder: Path) -> dict[str, Any]:
    """Tables and statistics of an earlier model, where the recipe gives none: its embeddings mean just these."""
    values = read_mapping(folder / CONFIG_FILE)
    values.pop("model", None)
    before = FastSpeech2Config.parse(values, where=str(folder / CONFIG_FILE))
    changes: dict[str, Any] = {}
    for name in ("symbols", "vocabulary", "speakers"):
        if not getattr(config, name):
            changes[name] = getattr(before, name)
    for name in ("pitch", "energy"):
        if getattr(config, name).mean == 0 and getattr(config, name).std == 1:
            changes[name] = getattr(before, name).to_dict()
    return changes
