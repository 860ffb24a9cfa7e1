"""From rows of shards to batches: phones of the text, mel, pitch and energy of the audio, durations of TextGrids."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from amphion_core.data.collate import pad_stack
from amphion_core.data.reader import ShardSet
from amphion_core.features.mel import linear_spectrogram, mel_spectrogram
from amphion_core.features.mel_config import MelConfig
from amphion_core.features.pitch import f0, interpolate_f0
from amphion_core.features.store import FeatureStore, StoredFeatures
from amphion_tts.fastspeech2.config import FastSpeech2Config, PitchConfig, VarianceConfig
from amphion_tts.text.frontend import FrontEnd, encode
from amphion_tts.textgrid import PhoneDurations, phone_durations, read_textgrid

__all__ = ["Batch", "Corpus", "Item", "ProsodyConfig", "collate", "find_textgrids"]

log = logging.getLogger(__name__)


class ProsodyConfig(PitchConfig):
    """What the stored features depend on.

    Attributes:
        mel: framing of the energy and of the mel.
        with_mel: also keep the mel.
        method: inherited.
        f_min: inherited.
        f_max: inherited.
    """

    mel: MelConfig
    with_mel: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """One utterance, ready for a batch.

    Attributes:
        key: of its row.
        phones: (N,) int64.
        mel: (n_mels, F).
        pitch: (F,) normalised, interpolated over unvoiced frames.
        energy: (F,) normalised.
        durations: (N,) int64 of its TextGrid, or None where they are learned.
        speaker: id.
    """

    key: str
    phones: Tensor
    mel: Tensor
    pitch: Tensor
    energy: Tensor
    durations: Tensor | None
    speaker: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Utterances of one step.

    Attributes:
        keys: of the rows.
        phones: (B, N) int64, 0 at padding.
        lengths: (B,) phones.
        mel: (B, n_mels, F).
        mel_lengths: (B,) frames.
        pitch: (B, F) normalised.
        energy: (B, F) normalised.
        durations: (B, N) int64, or None where they are learned.
        speakers: (B,) int64, or None for one voice.
    """

    keys: list[str]
    phones: Tensor
    lengths: Tensor
    mel: Tensor
    mel_lengths: Tensor
    pitch: Tensor
    energy: Tensor
    durations: Tensor | None
    speakers: Tensor | None


class Corpus:
    """The usable rows of one set of shards, with their phones and their stored features.

    Args:
        shards: rows with audio and text.
        frontend: of the model.
        textgrids: file of each row by the last part of its id; None where durations are learned.
        prosody: how pitch and energy are measured.

    Raises:
        ValueError: no row is usable; says why, with counts.
    """

    def __init__(
        self,
        shards: ShardSet,
        frontend: FrontEnd,
        textgrids: dict[str, Path] | None,
        prosody: ProsodyConfig,
    ) -> None:
        self.prosody = prosody
        self.texts: list[list[str]] = []
        self.alignments: list[PhoneDurations] | None = None if textgrids is None else []
        self.dropped: Counter[str] = Counter()
        kept = []
        for row, key in enumerate(shards.keys):
            reason = self._read(shards, row, key, frontend, textgrids)
            if reason:
                self.dropped[reason.partition(":")[0]] += 1
                log.debug("row %s left out: %s", key, reason)
            else:
                kept.append(row)
        if self.dropped:
            reasons = ", ".join(f"{count} {reason}" for reason, count in self.dropped.most_common())
            log.warning("%d of %d rows left out: %s", self.dropped.total(), len(shards), reasons)
            if not kept:
                raise ValueError(f"none of {len(shards)} rows can be used: {reasons}")
        self.shards = shards if len(kept) == len(shards) else shards.take(kept)
        self.keys = self.shards.keys  # the set would join them anew each time
        self.features: StoredFeatures | None = None

    def __len__(self) -> int:
        return len(self.shards)

    def store(self, folder: Path, workers: int) -> None:
        """Compute pitch and energy of all rows, or take those that are there."""
        compute = _Measure(self.prosody, self.alignments)
        kind = "prosody" if self.alignments is None else "prosody-aligned"
        store = FeatureStore(folder, kind, self.prosody, compute)
        self.features = store.build(self.shards, workers=workers, per_shard=100)

    def values(self, name: str) -> list[NDArray[np.float32]]:
        """`f0` or `energy` of every row; pitch interpolated, rows without a voiced frame are left out."""
        assert self.features is not None, "values before store"
        rows = [self.features.array(row, name) for row in range(len(self))]
        return [_filled(row) for row in rows if row.any()] if name == "f0" else rows

    def _read(
        self, shards: ShardSet, row: int, key: str, frontend: FrontEnd, textgrids: dict[str, Path] | None
    ) -> str | None:
        """Phones of one row, or why it has none."""
        mel = self.prosody.mel
        if textgrids is not None and self.alignments is not None:
            name = key.rpartition("/")[2]
            if name not in textgrids:
                return "without TextGrid"
            try:
                alignment = phone_durations(read_textgrid(textgrids[name]), mel.sample_rate, mel.hop_length)
            except (ValueError, LookupError) as error:
                return f"with a TextGrid that can't be used: {error}"
            self.alignments.append(alignment)
            self.texts.append(list(alignment.phones))
            return None
        text = shards.utterance(row).text
        if not text or not text.strip():
            return "without text"
        try:
            phones = frontend(text)
        except ValueError as error:
            return f"with a text that can't be read: {error}"
        frames = mel.frames(int(shards.durations[row] * mel.sample_rate))
        if len(phones) > frames:
            return "with more phones than frames"
        self.texts.append(phones)
        return None


@dataclass(frozen=True)
class _Measure:
    """Pitch and energy of one row; goes to worker processes."""

    config: ProsodyConfig
    alignments: Sequence[PhoneDurations] | None

    def __call__(self, shards: ShardSet, row: int) -> dict[str, NDArray[np.float32]]:
        mel = self.config.mel
        alignment = None if self.alignments is None else self.alignments[row]
        wav = read_wav(shards, row, mel, alignment)
        tensor = torch.from_numpy(wav)
        energy = linear_spectrogram(tensor, mel).norm(dim=0).numpy()
        settings = self.config
        contour = f0(
            wav,
            mel.sample_rate,
            hop_length=mel.hop_length,
            method=settings.method,
            f_min=settings.f_min,
            f_max=settings.f_max,
            frames=len(energy),
        )
        arrays = {"f0": contour.astype(np.float32), "energy": energy.astype(np.float32)}
        if settings.with_mel:
            arrays["mel"] = mel_spectrogram(tensor, mel).numpy()
        return arrays


class ItemReader:
    """Makes the items of some corpora; called with the number of the set and the row."""

    def __init__(self, corpora: Sequence[Corpus], config: FastSpeech2Config) -> None:
        self._corpora = corpora
        self._config = config
        table = config.symbols
        self._ids = [[np.array(encode(_spelled(text, table), table)) for text in c.texts] for c in corpora]
        self._speakers = {name: number for number, name in enumerate(config.speakers)}

    def __call__(self, number: int, row: int, generator: np.random.Generator) -> Item:
        corpus, config = self._corpora[number], self._config
        assert corpus.features is not None, "items before store"
        alignment = None if corpus.alignments is None else corpus.alignments[row]
        if corpus.prosody.with_mel:
            mel = torch.from_numpy(corpus.features.array(row, "mel"))
        else:
            mel = mel_spectrogram(torch.from_numpy(read_wav(corpus.shards, row, config.mel, alignment)), config.mel)
        pitch = _filled(corpus.features.array(row, "f0"))
        energy = corpus.features.array(row, "energy")
        durations = None
        if alignment is not None:
            durations = torch.tensor(alignment.durations)
            mel, pitch, energy, durations = _fitted(mel, pitch, energy, durations)
        return Item(
            key=corpus.keys[row],
            phones=torch.from_numpy(self._ids[number][row]),
            mel=mel,
            pitch=_normalised(pitch, config.pitch),
            energy=_normalised(energy, config.energy),
            durations=durations,
            speaker=self._speakers.get(corpus.shards.speakers[row] or "", 0),
        )


@dataclass(frozen=True)
class collate:  # noqa: N801 - called like a function, but picklable with its setting
    """Joins items into a padded batch.

    Attributes:
        silence: value of the mel at padding.
        speakers: whether the model has several.
    """

    silence: float
    speakers: bool

    def __call__(self, items: list[Item]) -> Batch:
        """Pad and stack."""
        phones, lengths = pad_stack([item.phones for item in items])
        mel, mel_lengths = pad_stack([item.mel for item in items], value=self.silence)
        durations = None
        if items[0].durations is not None:
            durations = pad_stack([item.durations for item in items])[0]
        return Batch(
            keys=[item.key for item in items],
            phones=phones,
            lengths=lengths,
            mel=mel,
            mel_lengths=mel_lengths,
            pitch=pad_stack([item.pitch for item in items])[0],
            energy=pad_stack([item.energy for item in items])[0],
            durations=durations,
            speakers=torch.tensor([item.speaker for item in items]) if self.speakers else None,
        )


def find_textgrids(folder: str | Path) -> dict[str, Path]:
    """TextGrid files below a folder by their names without extension.

    Raises:
        FileNotFoundError: there is none.
    """
    found = {path.stem: path for path in sorted(Path(folder).rglob("*.TextGrid"))}
    if not found:
        raise FileNotFoundError(f"no *.TextGrid below {folder}; run a forced aligner, or set durations: learned")
    return found


def read_wav(shards: ShardSet, row: int, mel: MelConfig, alignment: PhoneDurations | None) -> NDArray[np.float32]:
    """Samples of a row at the rate of the mel, without the silence around the phones of an alignment."""
    wav, _ = shards.audio(row, sample_rate=mel.sample_rate)
    if alignment is not None:
        first, last = alignment.samples(mel.sample_rate)
        wav = wav[first:last]
    short = mel.n_fft - len(wav)
    return np.pad(wav, (0, short)) if short > 0 else wav


def _normalised(values: NDArray[np.float32], config: VarianceConfig) -> Tensor:
    """Within the range of the bins: what lies outside is an error of the pitch tracker, and its square is huge."""
    return torch.from_numpy((np.clip(values, config.min, config.max) - config.mean) / config.std).float()


def _filled(contour: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(interpolate_f0(contour), np.float32) if contour.any() else contour


def _fitted(
    mel: Tensor, pitch: NDArray[np.float32], energy: NDArray[np.float32], durations: Tensor
) -> tuple[Tensor, NDArray[np.float32], NDArray[np.float32], Tensor]:
    """Frames and durations of one length: the shorter of the two; the last phones give way."""
    total = int(durations.sum())
    frames = min(total, mel.shape[1])
    surplus = total - frames
    for place in range(len(durations) - 1, -1, -1):
        taken = min(surplus, int(durations[place]))
        durations[place] -= taken
        surplus -= taken
    return mel[:, :frames], pitch[:frames], energy[:frames], durations


def _spelled(symbols: Sequence[str], table: Sequence[str]) -> list[str]:
    """Labels of an aligner as the table of the released checkpoints spells them, with `@`: its `N` is a letter."""
    known = set(table)
    return [f"@{symbol}" if f"@{symbol}" in known else symbol for symbol in symbols]
