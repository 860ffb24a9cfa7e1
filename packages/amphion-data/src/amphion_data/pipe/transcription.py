"""What is said: nothing, texts that are given, faster-whisper, or Whisper of transformers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from amphion_core.config import Config
from amphion_core.extras import require
from amphion_data.engines.store import Store, open_store
from amphion_data.pipe.spans import RATE
from amphion_data.pipe.stages import Clip, Transcript, named

__all__ = ["FasterWhisper", "GivenTexts", "NoText", "make_faster_whisper", "make_given", "make_none", "text_names"]

Wav = NDArray[np.float32]

_WINDOW = 30  # s that Whisper hears at a time
_SLOT = _WINDOW + 1  # s apart in the sound that a batch is handed over in

TEXT_SUFFIXES = (".jsonl", ".json", ".srt")
"""Endings of files of given texts, the first that is there counts."""

_MARKUP = re.compile(r"</?(?:b|i|u|s|font)\b[^<>]*>|\{\\[^{}]*\}", re.IGNORECASE)
"""How subtitles are shown, `<i>` and `{\\an8}`: nobody says it."""

_TIME = re.compile(r"(\d+):(\d+):(\d+)[,.](\d+)\s*-->\s*(\d+):(\d+):(\d+)[,.](\d+)")


class NoText:
    """No text; what the text decides is not asked."""

    identity = "none"

    def transcribe(self, clips: Sequence[Clip]) -> list[Transcript | None]:
        """See `Recogniser.transcribe`."""
        return [None] * len(clips)


class GivenOptions(Config):
    """`folder`: where the texts are, beside the recordings or elsewhere under the same names."""

    folder: str


class GivenTexts:
    """Texts that stand in `NAME.jsonl`, `NAME.json` (start, end, text and maybe language) or `NAME.srt`.

    `NAME` is that of the recording with or without its ending. A text belongs to the segment that its middle lies in.
    """

    identity = "given"

    def __init__(self, options: GivenOptions) -> None:
        self._store = open_store(options.folder)
        self._texts = lru_cache(maxsize=16)(self._read)

    def transcribe(self, clips: Sequence[Clip]) -> list[Transcript | None]:
        """See `Recogniser.transcribe`."""
        return [self._one(clip) for clip in clips]

    def _one(self, clip: Clip) -> Transcript | None:
        texts = self._texts(clip.source)
        if isinstance(texts, str):
            return Transcript("", damaged=texts)
        own = [text for text in texts if clip.start <= (text[0] + text[1]) / 2 < clip.end]
        if not own:
            return None
        languages = {language for *_, language in own if language}
        return Transcript(" ".join(text for _, _, text, _ in own), languages.pop() if len(languages) == 1 else None)

    def _read(self, source: str) -> list[tuple[float, float, str, str | None]] | str:
        """What is given for a recording; words where its file is damaged, which costs this recording alone."""
        try:
            return given_texts(self._store, source)
        except ValueError as error:
            return str(error)


def given_texts(store: Store, source: str) -> list[tuple[float, float, str, str | None]]:
    """Start and end, s, text and language of what is given for a recording; empty where nothing is.

    Raises:
        ValueError: a file of texts is damaged.
    """
    for name in text_names(source):
        data = store.read(name)
        if data is None:
            continue
        try:
            return _parsed(data.decode("utf-8-sig"), PurePosixPath(name).suffix)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{name}: no list of start, end and text: {type(error).__name__}: {error}") from None
    return []


def text_names(source: str) -> list[str]:
    """Files that may hold the texts of a recording; the first that is there counts."""
    stem = str(PurePosixPath(source).with_suffix(""))
    return [base + suffix for base in (source, stem) for suffix in TEXT_SUFFIXES]


def _parsed(text: str, suffix: str) -> list[tuple[float, float, str, str | None]]:
    if suffix == ".srt":
        return [_subtitle(block) for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n").strip()) if block.strip()]
    rows = [json.loads(line) for line in text.splitlines() if line.strip()] if suffix == ".jsonl" else json.loads(text)
    return [_given(row) for row in rows]


def _given(row: Any) -> tuple[float, float, str, str | None]:
    text, language = row["text"], row.get("language")
    if not isinstance(text, str) or not isinstance(language, str | None):
        raise TypeError(f"text and language must be strings, got {text!r} and {language!r}")
    return *_times(float(row["start"]), float(row["end"])), text, language


def _times(start: float, end: float) -> tuple[float, float]:
    if not -math.inf < start <= end < math.inf:
        raise ValueError(f"times must be numbers in order, got {start:g} to {end:g} s")
    return start, end


def _subtitle(block: str) -> tuple[float, float, str, None]:
    lines = block.splitlines()
    at = next((k for k, line in enumerate(lines) if _TIME.search(line)), None)
    if at is None:
        raise ValueError(f"no times in {block[:60]!r}")
    found = _TIME.search(lines[at])
    assert found is not None
    hours = [int(part) for part in found.groups()]
    start, end = (h * 3600 + m * 60 + s + ms / 1000 for h, m, s, ms in (hours[:4], hours[4:]))
    text = " ".join(line.strip() for line in lines[at + 1 :])
    return *_times(start, end), _MARKUP.sub("", text), None


class FasterWhisperOptions(Config):
    """How faster-whisper is asked.

    Attributes:
        model: name or folder of a converted checkpoint.
        beam: width of the search.
        batch: segments in one call.
        precision: of the numbers; None is float16 on a GPU and int8 on the CPU.
        language: of all segments; None lets it say for each.
        prompts: text to begin with, by language; none by default, since words of it get into the transcripts.
        words: whether times of words are kept.
    """

    model: str = "medium"
    beam: int = Field(5, ge=1)
    batch: int = Field(16, ge=1)
    precision: str | None = None
    language: str | None = None
    prompts: dict[str, str] = Field(default_factory=dict)
    words: bool = False


class FasterWhisper:
    """Whisper through CTranslate2; segments of one language are decoded together, none knows of another."""

    def __init__(self, options: FasterWhisperOptions, device: str) -> None:
        """Load the checkpoint.

        Raises:
            MissingExtraError: faster-whisper is not installed.
            FileNotFoundError: the checkpoint is not here and can't be fetched.
        """
        library = require("faster_whisper", "amphion-data[asr]")
        where = _checkpoint(library, options.model)
        kind = "cuda" if device.startswith("cuda") else "cpu"
        precision = options.precision or ("float16" if kind == "cuda" else "int8")
        try:
            self._model = library.WhisperModel(where, device=kind, compute_type=precision)
        except Exception as error:  # of the hub, of the network, of CTranslate2: no common class
            raise _absent(options.model, str(error)) from None
        self._library, self.options = library, options
        name = named(options.model, Path(where))
        self.identity = f"faster-whisper {library.__version__} {name} {precision} beam {options.beam}"

    def transcribe(self, clips: Sequence[Clip]) -> list[Transcript | None]:
        """See `Recogniser.transcribe`."""
        wavs = [np.asarray(clip.wav, np.float32) for clip in clips]
        found: list[Transcript | None] = [None] * len(wavs)
        heard = [k for k, wav in enumerate(wavs) if wav.size]
        said = dict(zip(heard, self._languages([wavs[k] for k in heard]), strict=True))
        for language in sorted({language for language, _ in said.values()}):
            own = [k for k in heard if said[k][0] == language]
            for k in own:
                if wavs[k].size > _WINDOW * RATE:
                    found[k] = self._transcript(self._long(wavs[k], language), *said[k])
            short = [k for k in own if wavs[k].size <= _WINDOW * RATE]
            for first in range(0, len(short), self.options.batch):
                group = short[first : first + self.options.batch]
                for k, segments in zip(group, self._batch([wavs[k] for k in group], language), strict=True):
                    found[k] = self._transcript(segments, *said[k])
        return found

    def _languages(self, wavs: Sequence[Wav]) -> list[tuple[str, float | None]]:
        """Language of each, by its first 30 s, and its probability."""
        if self.options.language is not None or not self._model.model.is_multilingual:
            return [(self.options.language or "en", None)] * len(wavs)
        found: list[tuple[str, float | None]] = []
        for first in range(0, len(wavs), self.options.batch):
            parts = [wav[: _WINDOW * RATE] for wav in wavs[first : first + self.options.batch]]
            features = np.stack([self._features(part) for part in parts])
            for ranked in self._model.model.detect_language(self._model.encode(features)):
                token, probability = ranked[0]
                found.append((token.strip("<|>"), float(probability)))
        return found

    def _features(self, wav: Wav) -> Any:
        """(bands, frames) of 30 s."""
        return self._library.audio.pad_or_trim(self._model.feature_extractor(wav))

    def _batch(self, wavs: Sequence[Wav], language: str) -> list[list[Any]]:
        """Segments of each, times from its beginning. The library takes one sound with the stretches to transcribe."""
        sound = np.zeros(len(wavs) * _SLOT * RATE, np.float32)
        stretches, found = [], [list[Any]() for _ in wavs]
        for k, wav in enumerate(wavs):
            sound[k * _SLOT * RATE :][: wav.size] = wav
            stretches.append({"start": k * _SLOT, "end": k * _SLOT + (wav.size + 0.5) / RATE})  # it rounds down
        pipeline = self._library.BatchedInferencePipeline(self._model)
        segments, _ = pipeline.transcribe(
            sound, clip_timestamps=stretches, batch_size=len(wavs), vad_filter=False, **self._asked(language)
        )
        for segment in segments:
            k = int(segment.start) // _SLOT
            # Left out as by the library in a single recording: no text, or unsure of it where nobody seems to speak.
            if segment.text.strip() and (segment.no_speech_prob <= 0.6 or segment.avg_logprob > -1.0):
                found[k].append(replace(segment, words=_words(segment, k * _SLOT)))
        return found

    def _long(self, wav: Wav, language: str) -> list[Any]:
        """Segments of more than 30 s, one window after another."""
        segments, _ = self._model.transcribe(wav, condition_on_previous_text=False, **self._asked(language))
        return [replace(segment, words=_words(segment)) for segment in segments]

    def _asked(self, language: str) -> dict[str, Any]:
        options = self.options
        return {
            "language": language,
            "beam_size": options.beam,
            "temperature": 0.0,  # it would draw at random where it is not sure; such texts are dropped instead
            "without_timestamps": not options.words,
            "word_timestamps": options.words,
            "initial_prompt": options.prompts.get(language),
        }

    @staticmethod
    def _transcript(found: list[Any], language: str, probability: float | None) -> Transcript | None:
        if not found:
            return None
        lengths = [max(1, len(segment.tokens)) for segment in found]
        mean = sum(s.avg_logprob * n for s, n in zip(found, lengths, strict=True)) / sum(lengths)
        words = tuple(word for segment in found for word in segment.words)
        silent = max(segment.no_speech_prob for segment in found)
        text = "".join(segment.text for segment in found)
        return Transcript(text, language, probability, float(mean), float(silent), words)


def _words(segment: Any, origin: int = 0) -> list[tuple[float, float, str]]:
    """Start and end, s from an origin, and text; the library gives hundredths."""
    return [(round(float(w.start) - origin, 2), round(float(w.end) - origin, 2), w.word) for w in segment.words or ()]


def _checkpoint(library: Any, model: str) -> str:
    """The folder of a checkpoint, which is fetched if need be; without a network it says so at once."""
    from amphion_core.download import why_offline

    if Path(model).is_dir():
        return model
    try:
        return str(library.download_model(model, local_files_only=True))
    except ValueError as error:  # no name that the library knows
        raise _absent(model, str(error)) from None
    except Exception:  # the hub's client has a dozen errors for what is not there
        why = why_offline()
    if why:
        raise _absent(model, f"not in the hub's cache, and {why}")
    try:
        return str(library.download_model(model))
    except Exception as error:  # of the hub and of the network: no common class
        raise _absent(model, str(error)) from None


def _absent(model: str, why: str) -> FileNotFoundError:
    return FileNotFoundError(
        f"no checkpoint {model!r} for faster-whisper here ({why}); fetch it where there is a network, and name its "
        "folder: --option faster-whisper.model=FOLDER; or take --transcribe given or none"
    )


def make_none(options: Mapping[str, Any], device: str) -> NoText:
    """The stage `transcribe-none`."""
    return NoText()


def make_given(options: Mapping[str, Any], device: str) -> GivenTexts:
    """The stage `transcribe-given`."""
    return GivenTexts(GivenOptions.parse(options, where="options of given"))


def make_faster_whisper(options: Mapping[str, Any], device: str) -> FasterWhisper:
    """The stage `transcribe-faster-whisper`."""
    return FasterWhisper(FasterWhisperOptions.parse(options, where="options of faster-whisper"), device)
