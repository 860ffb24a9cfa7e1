"""Parts that other packages bring: pyannote and Whisper of transformers; each named where it is absent."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from amphion_core.config import Config
from amphion_core.download import fetch
from amphion_core.extras import MissingExtraError, require
from amphion_data.pipe.joining import join_windows, read_result, windows_of
from amphion_data.pipe.pyannote_files import find_pipeline
from amphion_data.pipe.spans import RATE, Diarisation, Span, Turn, intersect, joined, subtract
from amphion_data.pipe.stages import Clip, Transcript, named

if TYPE_CHECKING:
    from amphion_data.pipe.sound import Sound

__all__ = [
    "Pyannote",
    "Whisper",
    "exclusive",
    "make_pyannote",
    "make_whisper",
]

log = logging.getLogger(__name__)

Wav = NDArray[np.float32]

_PYANNOTE_EXTRA = "amphion-data[diarize]"
_WHISPER_FILES = ["config.json", "*.json", "*.txt", "*.safetensors"]


class PyannoteOptions(Config):
    """How pyannote.audio is run.

    Attributes:
        model: hub id, folder, or `config.yaml` of a pipeline.
        token: of the hub, since the models are gated; for what is not in its cache.
        window: s that it hears at a time.
        overlap: s that two windows share.
        same: cosine distance up to which labels of two windows are one person; 0.25 is what the release's own bound on
            groups, 0.7046 between vectors of length 1, comes to.
    """

    model: str = "pyannote/speaker-diarization-3.1"
    token: str | None = None
    window: float = Field(1200.0, ge=60)
    overlap: float = Field(60.0, gt=0)
    same: float = Field(0.25, gt=0, lt=2)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if 2 * self.overlap > self.window:
            raise ValueError(f"overlap {self.overlap} s is more than half of the window of {self.window} s")
        return self


class Pyannote:
    """pyannote.audio 4; turns made exclusive, where several speak noted as overlap.

    It hears windows of 20 minutes, so its memory does not grow with the length of a recording.

    Args:
        options: how it is run.
        hear: (T,) at 16 kHz to what the library gives for it.
        identity: of library and model.
    """

    def __init__(self, options: PyannoteOptions, hear: Callable[[Wav], Any], identity: str) -> None:
        self.options, self.hear, self.identity = options, hear, identity

    def diarise(self, sound: Sound, speech: Sequence[Span]) -> Diarisation:
        """See `Diariser.diarise`."""
        if sound.length == 0:  # the library refuses it
            return Diarisation([], [])
        size, overlap = round(self.options.window * RATE), round(self.options.overlap * RATE)
        spans = windows_of(sound.length, size, overlap)
        heard = (read_result(self.hear(sound.read_low(span)), span) for span in spans)
        return exclusive(join_windows(heard, self.options.same))


def exclusive(turns: Sequence[tuple[int, int, str]]) -> Diarisation:
    """Turns that may overlap to turns that do not, and the overlaps.

    Args:
        turns: first tick, tick behind the last, label.
    """
    order = {label: k for k, label in enumerate(dict.fromkeys(label for _, _, label in sorted(turns)))}
    own = {k: joined(Span(a, b) for a, b, label in turns if order[label] == k) for k in order.values()}
    crossed: list[Span] = []
    for k, spans in own.items():
        for other in range(k):
            crossed += intersect(spans, own[other])
    overlaps = joined(crossed)
    found = [Turn(start, end, k) for k, spans in own.items() for start, end in subtract(spans, overlaps)]
    return Diarisation(sorted(found), overlaps)


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
            folder = options.model if Path(options.model).is_dir() else fetch(options.model, patterns=_WHISPER_FILES)
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


def make_pyannote(options: Mapping[str, Any], device: str) -> Pyannote:
    """The stage `diarise-pyannote`.

    Raises:
        MissingExtraError: pyannote.audio is not installed, or an older one.
        FileNotFoundError: the models are not here and can't be fetched.
        ValueError: the library can't make this pipeline.
    """
    asked = PyannoteOptions.parse(options, where="options of pyannote")
    try:
        version = metadata.version("pyannote.audio")
    except metadata.PackageNotFoundError:
        version = require("pyannote.audio", _PYANNOTE_EXTRA).__version__
    if int(version.partition(".")[0]) < 4:  # with the versions of torchaudio that core takes it can't be imported
        raise MissingExtraError(f"this needs pyannote.audio 4, not {version}: pip install '{_PYANNOTE_EXTRA}'")
    files = find_pipeline(asked.model, asked.token)  # before the import, which takes ten seconds
    with _quiet():
        library = require("pyannote.audio", _PYANNOTE_EXTRA)
        # It would tell its makers of every start and the length of every recording.
        require("pyannote.audio.telemetry", _PYANNOTE_EXTRA).set_telemetry_metrics(False)
        import torch

        from amphion_core.modules.threads import one_thread

        params = files.config["pipeline"]["params"]
        if "plda" not in params:
            params["plda"] = _no_plda()
        try:
            pipeline = library.Pipeline.from_pretrained(files.config).to(torch.device(device))
        except Exception as error:  # of files and of classes: no common one
            raise ValueError(f"pyannote.audio {version} can't read {asked.model}: {error}") from error

    def hear(wav: Wav) -> Any:
        with _quiet(), one_thread():  # the same sums on every machine
            return pipeline({"waveform": torch.from_numpy(wav)[None], "sample_rate": RATE})

    return Pyannote(asked, hear, f"pyannote {version} {files.identity}")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings: of a decoder of files, which is not used, of speakers without a vector, who are expected.

    What the library prints, as its grouping does, is logged: the output of a command is for results.
    """
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()) as printed:
        warnings.simplefilter("ignore")
        yield
    if text := printed.getvalue().strip():
        log.debug("pyannote.audio: %s", text)


def _no_plda() -> Any:
    """One that does nothing, for groupings without any: the library makes one always, of another gated repository."""
    files = [io.BytesIO(), io.BytesIO()]
    np.savez(files[0], mean1=np.zeros(1), mean2=np.zeros(1), lda=np.eye(1))
    np.savez(files[1], mu=np.zeros(1), tr=np.eye(1), psi=np.ones(1))
    for file in files:
        file.seek(0)
    return require("pyannote.audio.core.plda", _PYANNOTE_EXTRA).PLDA(*files)


def make_whisper(options: Mapping[str, Any], device: str) -> Whisper:
    """The stage `transcribe-whisper`."""
    return Whisper(WhisperOptions.parse(options, where="options of whisper"), device)
