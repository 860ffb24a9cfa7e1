"""Who speaks when, by pyannote.audio: windows of a recording, whose speakers are joined."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from amphion_core.config import Config
from amphion_core.extras import MissingExtraError, require
from amphion_data.pipe.joining import join_windows, read_result, windows_of
from amphion_data.pipe.pyannote_files import find_pipeline
from amphion_data.pipe.spans import RATE, Diarisation, Span, Turn, intersect, joined, subtract

if TYPE_CHECKING:
    from amphion_data.pipe.sound import Sound

__all__ = [
    "Pyannote",
    "exclusive",
    "make_pyannote",
]

log = logging.getLogger(__name__)

Wav = NDArray[np.float32]

_PYANNOTE_EXTRA = "amphion-data[diarize]"


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
