"""Parts that other packages bring: Demucs, pyannote, Whisper of transformers; each named where it is absent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from amphion_core.config import Config
from amphion_core.extras import require
from amphion_data.pipe.spans import RATE, Diarisation, Span, Turn, intersect, joined, subtract
from amphion_data.pipe.stages import Clip, Transcript

if TYPE_CHECKING:
    from amphion_data.pipe.sound import Sound

__all__ = [
    "Demucs",
    "Pyannote",
    "Whisper",
    "exclusive",
    "faded",
    "make_demucs",
    "make_pyannote",
    "make_whisper",
]

Wav = NDArray[np.float32]


class DemucsOptions(Config):
    """`model`: name of a checkpoint; `overlap`: seconds by which the pieces of 30 s are faded into one another."""

    model: str = "htdemucs"
    overlap: float = Field(1.0, gt=0, lt=10)


class Demucs:
    """The stem `vocals`; pieces of 30 s are faded into one another, so memory does not grow."""

    def __init__(self, options: DemucsOptions, device: str) -> None:
        """Load the checkpoint.

        Raises:
            MissingExtraError: demucs is not installed.
            FileNotFoundError: its weights are not here and can't be fetched.
        """
        loader = require("demucs.pretrained", "amphion-data[demucs]")
        self._apply = require("demucs.apply", "amphion-data[demucs]").apply_model
        try:
            self._model = loader.get_model(options.model).to(device).eval()
        except Exception as error:  # of the network and of the store: no common class
            raise FileNotFoundError(
                f"no weights of demucs {options.model!r} here ({error}); fetch them where there is a network, or take "
                "--separate none"
            ) from None
        self.sample_rate: int | None = int(self._model.samplerate)
        self.options, self.device = options, device
        self.identity = f"demucs {options.model}"

    def stream(self, blocks: Iterable[Wav]) -> Iterator[Wav]:
        """See `Separator.stream`."""
        assert self.sample_rate is not None
        yield from faded(blocks, self._voice, 30 * self.sample_rate, round(self.options.overlap * self.sample_rate))

    def _voice(self, wav: Wav) -> Wav:
        import torch

        stereo = wav if wav.shape[0] == 2 else np.repeat(wav.mean(axis=0, keepdims=True), 2, axis=0)
        with torch.inference_mode():
            mixture = torch.from_numpy(np.ascontiguousarray(stereo))[None].to(self.device)
            stems = self._apply(self._model, mixture, split=False, device=self.device)[0]
        voice: Wav = stems[self._model.sources.index("vocals")].cpu().numpy()
        return voice


def faded(blocks: Iterable[Wav], change: Any, size: int, overlap: int) -> Iterator[Wav]:
    """Apply a function to pieces of a stream that fade into one another.

    Args:
        blocks: (C, T) of any lengths.
        change: (C, T) to (D, T).
        size: samples of a piece.
        overlap: samples that two pieces share.
    """
    held: Wav | None = None
    tail: Wav | None = None
    rise = ((np.arange(overlap) + 0.5) / overlap).astype(np.float32)
    for block in blocks:
        held = block if held is None else np.concatenate([held, block], axis=1)
        while held.shape[1] >= size + overlap:
            piece = _faded_in(change(held[:, :size]), tail, rise)
            yield piece[:, : size - overlap]
            tail, held = piece[:, size - overlap :], held[:, size - overlap :]
    if held is not None and held.shape[1]:
        yield _faded_in(change(held), tail, rise)


def _faded_in(piece: Wav, tail: Wav | None, rise: Wav) -> Wav:
    if tail is None:
        return piece
    head = piece[:, : rise.size] * rise + tail * (1 - rise)
    return np.concatenate([head, piece[:, rise.size :]], axis=1)


class PyannoteOptions(Config):
    """`model`: hub id or folder; `token`: of the hub, since the models are gated."""

    model: str = "pyannote/speaker-diarization-3.1"
    token: str | None = None


class Pyannote:
    """pyannote.audio 3 and 4; turns made exclusive, where several speak noted as overlap.

    It hears a recording as a whole, so this is the one part whose memory grows with the length: 230 MB an hour.
    """

    def __init__(self, options: PyannoteOptions, device: str) -> None:
        """Load the models.

        Raises:
            MissingExtraError: pyannote.audio is not installed.
            FileNotFoundError: the models are not here and can't be fetched.
        """
        library = require("pyannote.audio", "amphion-data[diarize]")
        major = int(str(library.__version__).partition(".")[0])
        argument = {"token" if major >= 4 else "use_auth_token": options.token}
        try:
            pipeline = library.Pipeline.from_pretrained(options.model, **argument)
        except Exception as error:  # of the hub, of the network: no common class
            pipeline, why = None, f" ({error})"
        else:
            why = ""
        if pipeline is None:
            raise FileNotFoundError(
                f"{options.model} is not here{why}; it is gated: accept its terms on the hub, log in or pass --option "
                "pyannote.token=TOKEN, once with a network; or take --diarise offline"
            )
        import torch

        self._pipeline = pipeline.to(torch.device(device))
        self.identity = f"pyannote {library.__version__} {options.model}"

    def diarise(self, sound: Sound, speech: Sequence[Span]) -> Diarisation:
        """See `Diariser.diarise`."""
        import torch

        wav = sound.read_low(Span(0, sound.length))
        found = self._pipeline({"waveform": torch.from_numpy(wav)[None], "sample_rate": RATE})
        annotation = getattr(found, "speaker_diarization", found)  # version 4 returns an object
        turns = [
            (round(segment.start * RATE), min(round(segment.end * RATE), sound.length), str(label))
            for segment, _, label in annotation.itertracks(yield_label=True)
        ]
        return exclusive(turns)


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
        library = require("transformers", "amphion-data[transformers]")
        try:
            self._processor = library.AutoProcessor.from_pretrained(options.model)
            self._model = library.WhisperForConditionalGeneration.from_pretrained(options.model).to(device).eval()
        except (OSError, ValueError) as error:
            raise FileNotFoundError(
                f"no checkpoint {options.model!r} of Whisper here ({str(error).splitlines()[0]}); name its folder: "
                "--option whisper.model=FOLDER; or take --transcribe given or none"
            ) from None
        self.options, self.device = options, device
        self.identity = f"whisper {library.__version__} {options.model} beam {options.beam}"

    def transcribe(self, clips: Sequence[Clip]) -> list[Transcript | None]:
        """See `Recogniser.transcribe`."""
        found: list[Transcript | None] = []
        for first in range(0, len(clips), self.options.batch):
            found += self._batch([clip.wav for clip in clips[first : first + self.options.batch]])
        return found

    def _batch(self, wavs: Sequence[Wav]) -> list[Transcript | None]:
        import torch

        features = self._processor(list(wavs), sampling_rate=RATE, return_tensors="pt").input_features.to(self.device)
        with torch.inference_mode():
            languages, probabilities = self._languages(features)
            found = []
            for row in range(len(wavs)):
                out = self._model.generate(
                    features[row : row + 1],
                    language=languages[row],
                    num_beams=self.options.beam,
                    return_dict_in_generate=True,
                    output_scores=True,
                )
                text = self._processor.batch_decode(out.sequences, skip_special_tokens=True)[0]
                scores = getattr(out, "sequences_scores", None)
                score = None if scores is None else float(scores[0])
                found.append(Transcript(text, languages[row], probabilities[row], score) if text.strip() else None)
        return found

    def _languages(self, features: Any) -> tuple[list[str], list[float | None]]:
        import torch

        if self.options.language is not None:
            return [self.options.language] * len(features), [None] * len(features)
        ids = self._model.generation_config.lang_to_id  # such as "<|en|>": 50259
        start = torch.full((len(features), 1), self._model.config.decoder_start_token_id, device=self.device)
        logits = self._model(features, decoder_input_ids=start).logits[:, -1]
        names = list(ids)
        shares = logits[:, [ids[name] for name in names]].softmax(dim=-1)
        best = shares.max(dim=-1)
        return [names[int(k)].strip("<|>") for k in best.indices], [float(v) for v in best.values]


def make_demucs(options: Mapping[str, Any], device: str) -> Demucs:
    """The stage `separate-demucs`."""
    return Demucs(DemucsOptions.parse(options, where="options of demucs"), device)


def make_pyannote(options: Mapping[str, Any], device: str) -> Pyannote:
    """The stage `diarise-pyannote`."""
    return Pyannote(PyannoteOptions.parse(options, where="options of pyannote"), device)


def make_whisper(options: Mapping[str, Any], device: str) -> Whisper:
    """The stage `transcribe-whisper`."""
    return Whisper(WhisperOptions.parse(options, where="options of whisper"), device)
