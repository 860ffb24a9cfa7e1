"""Whisper through transformers: segments in batches, language and probabilities of each from its own scores.

Source: Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022, arXiv:2212.04356.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from amphion_core.config import Config
from amphion_core.download import fetch
from amphion_core.extras import require
from amphion_data.pipe.spans import RATE
from amphion_data.pipe.stages import Clip, Transcript, named

__all__ = ["Whisper", "WhisperOptions", "make_whisper"]

Wav = NDArray[np.float32]

_FILES = ["config.json", "*.json", "*.txt", "*.safetensors"]


class WhisperOptions(Config):
    """`model`: hub id or folder; `batch`: segments in one call; `language`: of all segments, None for each its own."""

    model: str = "openai/whisper-medium"
    batch: int = Field(8, ge=1)
    beam: int = Field(5, ge=1)
    language: str | None = None


class Whisper:
    """Whisper of transformers; language and log-probability of each segment from its own scores."""

    def __init__(self, options: WhisperOptions, device: str) -> None:
        """Load the checkpoint.

        Raises:
            MissingExtraError: transformers is not installed.
            FileNotFoundError: the checkpoint is not here and can't be fetched.
        """
        if find_spec("transformers") is None or find_spec("torch") is None:
            require("transformers" if find_spec("torch") else "torch", "amphion-data[transformers]")
        try:  # what takes seconds is imported when the files are known to be here
            folder = options.model if Path(options.model).is_dir() else fetch(options.model, patterns=_FILES)
            library = require("transformers", "amphion-data[transformers]")
            self._processor = library.AutoProcessor.from_pretrained(folder)
            self._model = library.WhisperForConditionalGeneration.from_pretrained(folder).to(device).eval()
        except (OSError, ValueError) as error:
            raise FileNotFoundError(
                f"no checkpoint {options.model!r} of Whisper here ({str(error).splitlines()[0]}); name its folder: "
                "--option whisper.model=FOLDER; or take --transcribe given or none"
            ) from None
        # Such as "<|en|>": 50259; checkpoints for English alone have none.
        self._languages: dict[str, int] = getattr(self._model.generation_config, "lang_to_id", None) or {}
        known = self._processor.tokenizer.get_vocab()
        self._silence = next((known[name] for name in ("<|nospeech|>", "<|nocaptions|>") if name in known), None)
        self.options, self.device = options, device
        self.identity = f"whisper {library.__version__} {named(options.model, Path(folder))} beam {options.beam}"

    def transcribe(self, clips: Sequence[Clip]) -> list[Transcript | None]:
        """See `Recogniser.transcribe`."""
        found: list[Transcript | None] = []
        for first in range(0, len(clips), self.options.batch):
            found += self._batch([clip.wav for clip in clips[first : first + self.options.batch]])
        return found

    def _batch(self, wavs: Sequence[Wav]) -> list[Transcript | None]:
        import torch

        from amphion_core.modules.threads import one_thread

        features = self._processor(list(wavs), sampling_rate=RATE, return_tensors="pt").input_features.to(self.device)
        with torch.inference_mode(), one_thread():  # the same sums on every machine
            languages, probabilities, silent = self._first_look(features)
            out = self._model.generate(
                features,
                num_beams=self.options.beam,
                return_dict_in_generate=True,
                output_scores=True,
                **({"language": languages} if self._languages else {}),
            )
            texts = self._processor.batch_decode(out.sequences, skip_special_tokens=True)
            heard = map(Transcript, texts, languages, probabilities, self._logprobs(out), silent)
            return [found if found.text.strip() else None for found in heard]

    def _logprobs(self, out: Any) -> list[float]:
        """Means over the tokens of each; a search in beams has them, a greedy one is asked for each token."""
        scores = getattr(out, "sequences_scores", None)
        if scores is not None:
            return [float(score) for score in scores]
        values = self._model.compute_transition_scores(out.sequences, out.scores, normalize_logits=True)
        ended = out.sequences[:, -values.shape[1] :] == self._model.config.eos_token_id
        own = ended.cumsum(1) - ended.int() == 0  # up to the first end; the longest of the batch goes on
        return [float(row[kept & row.isfinite()].mean()) for row, kept in zip(values, own, strict=True)]

    def _first_look(self, features: Any) -> tuple[list[str], list[float | None], list[float | None]]:
        """Language, its probability, and that of nobody speaking, of each segment, from the first step."""
        import torch

        start = torch.full((len(features), 1), self._model.config.decoder_start_token_id, device=self.device)
        logits = self._model(features, decoder_input_ids=start).logits[:, -1]
        silent: list[float | None] = [None] * len(features)
        if self._silence is not None:
            silent = [float(value) for value in logits.softmax(dim=-1)[:, self._silence]]
        if self.options.language is not None or not self._languages:
            return [self.options.language or "en"] * len(features), [None] * len(features), silent
        names = list(self._languages)
        best = logits[:, [self._languages[name] for name in names]].softmax(dim=-1).max(dim=-1)
        return [names[int(k)].strip("<|>") for k in best.indices], [float(v) for v in best.values], silent


def make_whisper(options: Mapping[str, Any], device: str) -> Whisper:
    """The stage `transcribe-whisper`."""
    return Whisper(WhisperOptions.parse(options, where="options of whisper"), device)
