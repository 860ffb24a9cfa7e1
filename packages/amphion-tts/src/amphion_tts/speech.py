"""Text to waveform: front end, acoustic model and vocoder behind one call."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from amphion_core.hub import load_pretrained
from amphion_core.interfaces import check_mel_match, load_vocoder
from amphion_tts.text.frontend import encode, make_frontend
from amphion_tts.text.sentences import split_sentences

__all__ = ["TextToSpeech"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A sentence of one of the texts."""

    text: int
    phones: Tensor


class TextToSpeech:
    """Speaks texts with an acoustic model and a vocoder of the same mel.

    Args:
        model: an acoustic model such as `FastSpeech2`.
        vocoder: anything that keeps the `Vocoder` contract.
        lexicon: a lexicon file that stands in for the one the model was trained with.

    Raises:
        ValueError: model and vocoder have different mels; names each differing field.
        FileNotFoundError: the lexicon is not there.
    """

    def __init__(self, model: Any, vocoder: Any, lexicon: str | Path | None = None) -> None:
        check_mel_match(model.config.mel, vocoder.config.mel)
        settings = model.config.frontend
        self.model = model
        self.vocoder = vocoder
        self.frontend = make_frontend(settings if lexicon is None else settings.updated(lexicon=str(lexicon)))

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        vocoder: str | Path = "griffin-lim",
        *,
        device: str = "auto",
        lexicon: str | Path | None = None,
    ) -> Self:
        """Load both parts.

        Args:
            model: checkpoint or run folder, or hub id.
            vocoder: the same, or the name of a vocoder without weights.
            device: `auto` takes a GPU where there is one.
            lexicon: see the class.

        Raises:
            FileNotFoundError: a folder is not there.
            ValueError: the two do not fit.
        """
        place = "cuda" if device == "auto" and torch.cuda.is_available() else "cpu" if device == "auto" else device
        acoustic = load_pretrained(model, group="models", device=place)
        if not hasattr(acoustic.config, "frontend"):
            raise ValueError(
                f"{model} holds {type(acoustic).__name__}, which reads no text; give a text-to-speech model"
            )
        voice = load_vocoder(vocoder, acoustic.config.mel)
        if isinstance(voice, torch.nn.Module):
            voice = voice.to(place).eval()
        return cls(acoustic, voice, lexicon)

    @property
    def sample_rate(self) -> int:
        """Hz of what it speaks."""
        return int(self.model.config.mel.sample_rate)

    @property
    def speakers(self) -> tuple[str, ...]:
        """Names of the voices; empty for a model of one."""
        return tuple(self.model.config.speakers)

    def __call__(self, text: str, **controls: Any) -> NDArray[np.float32]:
        """Speak one text of any length; see `speak` for the controls.

        Returns:
            (T,) samples at `sample_rate` Hz.
        """
        return self.speak([text], **controls)[0]

    @torch.inference_mode()
    def speak(
        self,
        texts: Sequence[str],
        *,
        speaker: str | None = None,
        speed: float = 1.0,
        pitch: float = 1.0,
        energy: float = 1.0,
        pause: float = 0.2,
        batch: int = 8,
        seed: int = 0,
    ) -> list[NDArray[np.float32]]:
        """Speak texts, sentence by sentence in batches; each comes out as it would alone.

        Args:
            texts: any number, each of any length.
            speaker: a name from `speakers`, for a model of several.
            speed: 2 is twice as fast.
            pitch: factor of the pitch in Hz.
            energy: factor of the energy.
            pause: s of silence between the sentences of a text.
            batch: sentences at once.
            seed: of the noise of vocoders that draw any.

        Returns:
            (T,) samples for each text.

        Raises:
            ValueError: a text has nothing to say, an unknown speaker, or a control out of range.
        """
        if batch < 1 or not pause >= 0:
            raise ValueError(f"batch must be 1 or more and pause 0 s or more, got {batch} and {pause}")
        voice = self._speaker(speaker)
        pieces = [piece for number, text in enumerate(texts) for piece in self._pieces(number, text)]
        order = sorted(range(len(pieces)), key=lambda i: len(pieces[i].phones))
        spoken: list[NDArray[np.float32] | None] = [None] * len(pieces)
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            controls = {"speed": speed, "pitch": pitch, "energy": energy}
            waves = self._speak_batch([pieces[i].phones for i in chosen], voice, controls, seed)
            for place, wav in zip(chosen, waves, strict=True):
                spoken[place] = wav
        silence = np.zeros(round(pause * self.sample_rate), np.float32)
        results = []
        for number in range(len(texts)):
            parts = [wav for piece, wav in zip(pieces, spoken, strict=True) if piece.text == number and wav is not None]
            joined = [part for wav in parts for part in (silence, wav)][1:]
            results.append(np.concatenate(joined))
        return results

    def _speaker(self, name: str | None) -> int | None:
        known = self.speakers
        if not known:
            if name is not None:
                raise ValueError(f"the model has one voice; it can't speak as {name!r}")
            return None
        if name is None:
            raise ValueError(f"the model has {len(known)} voices; choose one: {', '.join(known[:20])}")
        if name not in known:
            raise ValueError(f"no voice {name!r}; there are: {', '.join(known[:20])}")
        return known.index(name)

    def _pieces(self, number: int, text: str) -> list[_Piece]:
        """Sentences as phone ids; those without anything to say are left out where others have."""
        pieces, silent = [], []
        for sentence in split_sentences(text):
            try:
                symbols = self.frontend(sentence)
            except ValueError:
                silent.append(sentence)
                continue
            ids = encode(symbols, self.model.config.symbols, strict=False)
            pieces.append(_Piece(number, torch.tensor(ids)))
        if not pieces:
            shown = text.strip()[:60]
            raise ValueError(
                f"nothing to say in {shown!r}: it holds no letter or number that can be read"
                if shown
                else "the text is empty; give at least one word"
            )
        if silent:
            log.warning("left out, nothing to say in %s", ", ".join(repr(sentence[:40]) for sentence in silent[:5]))
        return pieces

    def _speak_batch(
        self, phones: list[Tensor], speaker: int | None, controls: dict[str, float], seed: int
    ) -> list[NDArray[np.float32]]:
        device = self.model.device
        lengths = torch.tensor([len(ids) for ids in phones], device=device)
        padded = torch.nn.utils.rnn.pad_sequence(phones, batch_first=True).to(device)
        speakers = None if speaker is None else torch.full_like(lengths, speaker)
        mel, frames = self.model.generate(padded, lengths, speakers, **controls)
        generator = torch.Generator(device=device).manual_seed(seed)
        wav = self.vocoder.synthesize(mel, lengths=frames, generator=generator).float().cpu()
        hop = self.model.config.mel.hop_length
        return [wav[i, : int(frames[i]) * hop].numpy() for i in range(len(phones))]
