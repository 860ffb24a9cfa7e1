"""Networks of voices by name: speaker embeddings and recognisers; where their weights are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from amphion_core.speech.releases import GE2E
from amphion_core.weights import Weights
from amphion_eval.model import Batch, Model
from amphion_eval.settings import Settings

__all__ = [
    "RECOGNISERS",
    "SPEAKERS",
    "recogniser",
    "recogniser_models",
    "speaker",
    "speaker_models",
]

_SPEAKER = (("torch", "amphion-eval[speaker]"),)
_SPEAKER_TRANSFORMERS = (*_SPEAKER, ("transformers", "amphion-eval[speaker]"))
_ASR = (("torch", "amphion-eval[asr]"), ("transformers", "amphion-eval[asr]"))
_FASTER = (("faster_whisper", "amphion-eval[faster-whisper]"),)
_TRANSFORMERS_FILES = ("*.json", "*.txt", "*.model", "*.safetensors", "pytorch_model*.bin")
_FASTER_FILES = ("*.json", "*.txt", "model.bin")

_WAVLM_ECAPA = Weights(
    "wavlm-large-ecapa",
    "wavlm_large_finetune.pth",
    url="https://github.com/microsoft/UniSpeech/tree/main/downstreams/speaker_verification",
    licence="MIT",
)
_RAWNET3 = Weights("rawnet3", "model.pt", repository="jungjee/RawNet3", licence="MIT")
_RESNET34 = Weights(
    "wespeaker-resnet34-lm",
    "avg_model.pt",
    repository="Wespeaker/wespeaker-voxceleb-resnet34-LM",
    licence="CC-BY-4.0",
)
_ECAPA = Weights(
    "speechbrain-ecapa",
    "embedding_model.ckpt",
    repository="speechbrain/spkrec-ecapa-voxceleb",
    licence="Apache-2.0",
)


def _load_ge2e(device: str) -> Batch:
    from amphion_eval.models.ge2e import load

    return load(GE2E.locate(), device)


def _load_wavlm_ecapa(device: str, *, trim: bool) -> Batch:
    from amphion_eval.models.wavlm_sv import load_ecapa

    return load_ecapa(_WAVLM_ECAPA.locate(), device, trim=trim)


def _load_rawnet3(device: str) -> Batch:
    from amphion_eval.models.rawnet3 import load

    return load(_RAWNET3.locate(), device)


def _load_resnet34(device: str) -> Batch:
    from amphion_eval.models.resnet34 import load

    return load(_RESNET34.locate(), device)


def _load_ecapa(device: str) -> Batch:
    from amphion_eval.models.ecapa import load

    return load(_ECAPA.locate(), device)


def _load_xvector(device: str, *, weights: Weights) -> Batch:
    from amphion_eval.models.wavlm_sv import load_xvector

    return load_xvector(weights.locate(), device)


def _load_recogniser(device: str, *, weights: Weights, language: str | None, beam: int, prompt: str | None) -> Batch:
    from amphion_eval.models.recogniser import load

    return load(weights.locate(), device, language=language, beam=beam, prompt=prompt)


def _load_faster_whisper(
    device: str, *, weights: Weights, language: str | None, beam: int, prompt: str | None
) -> Batch:
    from amphion_eval.models.faster import load

    return load(weights.locate(), device, language=language, beam=beam, prompt=prompt)


def _xvector(name: str) -> Model:
    weights = _named(name, _TRANSFORMERS_FILES)
    return Model(
        name if name in _XVECTORS else f"xvector:{name}",
        partial(_load_xvector, weights=weights),
        weights=(weights,),
        requires=_SPEAKER_TRANSFORMERS,
        parameters=_TRIMMED,
        source="Chen et al., WavLM, 2021, arXiv:2110.13900",
    )


_TRIMMED = {"trim_db": -40.0}
_XVECTORS = {"wavlm-base-plus-sv": "microsoft/wavlm-base-plus-sv"}
_WAVLM_SOURCE = "Chen et al., WavLM, 2021, arXiv:2110.13900; head: Desplanques et al., 2020, arXiv:2005.07143"
_REPOSITORIES = {
    **_XVECTORS,
    "hubert-large-ls960-ft": "facebook/hubert-large-ls960-ft",
    **{
        f"whisper-{size}": f"openai/whisper-{size}"
        for size in ("tiny", "base", "small", "medium", "large-v2", "large-v3", "large-v3-turbo")
    },
    **{
        f"faster-whisper-{size}": f"Systran/faster-whisper-{size}"
        for size in ("tiny", "base", "small", "medium", "large-v2", "large-v3")
    },
}


def _named(name: str, patterns: tuple[str, ...]) -> Weights:
    """Weights of a name of ours, a hub id, or a folder."""
    if name not in _REPOSITORIES and Path(name).is_dir():
        return Weights(Path(name).name, path=str(Path(name).resolve()))
    repository = _REPOSITORIES.get(name, name)
    return Weights(name.rpartition("/")[2], repository=repository, patterns=patterns)


SPEAKERS: Mapping[str, Model] = {
    model.name: model
    for model in (
        Model(
            "resemblyzer",
            _load_ge2e,
            weights=(GE2E,),
            requires=(*_SPEAKER, ("webrtcvad", "amphion-eval[speaker]")),
            licence="Apache-2.0",
            source="Wan et al., GE2E, 2018, arXiv:1710.10467; package resemblyzer",
        ),
        _xvector("wavlm-base-plus-sv"),
        Model(
            "wavlm-large-ecapa",
            partial(_load_wavlm_ecapa, trim=True),
            weights=(_WAVLM_ECAPA,),
            requires=_SPEAKER_TRANSFORMERS,
            parameters=_TRIMMED,
            licence="MIT",
            source=_WAVLM_SOURCE,
        ),
        Model(
            "wavlm-large-ecapa-untrimmed",
            partial(_load_wavlm_ecapa, trim=False),
            weights=(_WAVLM_ECAPA,),
            requires=_SPEAKER_TRANSFORMERS,
            licence="MIT",
            source=_WAVLM_SOURCE,
        ),
        Model(
            "rawnet3",
            _load_rawnet3,
            weights=(_RAWNET3,),
            requires=_SPEAKER,
            parameters=_TRIMMED,
            licence="MIT",
            source="Jung et al., RawNet3, 2022, arXiv:2203.08488",
        ),
        Model(
            "wespeaker-resnet34-lm",
            _load_resnet34,
            weights=(_RESNET34,),
            requires=_SPEAKER,
            parameters=_TRIMMED,
            licence="CC-BY-4.0",
            source="Wang et al., Wespeaker, 2023, arXiv:2210.17016",
        ),
        Model(
            "speechbrain-ecapa",
            _load_ecapa,
            weights=(_ECAPA,),
            requires=_SPEAKER,
            parameters=_TRIMMED,
            licence="Apache-2.0",
            source="Desplanques et al., ECAPA-TDNN, 2020, arXiv:2005.07143",
        ),
    )
}
"""By the names that `speaker_model` takes; any x-vector network of transformers is one more, by hub id or folder."""


def _recognise(
    settings: Settings, *, name: str, load: Callable[..., Batch], files: tuple[str, ...], beam: int
) -> Model:
    weights = _named(name, files)
    given = {"language": settings.language, "beam": beam, "prompt": None}
    return Model(
        name if name in RECOGNISERS else f"asr:{name}",
        partial(load, weights=weights, **given),
        weights=(weights,),
        requires=_FASTER if load is _load_faster_whisper else _ASR,
        parameters={**given, "temperature": 0.0},
        source="Radford et al., Whisper, 2022, arXiv:2212.04356" if "whisper" in name else "",
    )


RECOGNISERS: Mapping[str, Callable[[Settings], Model]] = {
    name: partial(_recognise, name=name, load=_load_faster_whisper, files=_FASTER_FILES, beam=5)
    if name.startswith("faster-")
    else partial(_recognise, name=name, load=_load_recogniser, files=_TRANSFORMERS_FILES, beam=1)
    for name in _REPOSITORIES
    if name not in _XVECTORS
}
"""By the names that `asr` takes; any recogniser of transformers is one more, by hub id or folder."""


def speaker(name: str) -> Model:
    """A network of speaker embeddings.

    Args:
        name: of `SPEAKERS`, or a hub id or folder of an x-vector network of transformers.

    Raises:
        ValueError: there is none of this name.
    """
    if name in SPEAKERS:
        return SPEAKERS[name]
    if "/" in name or Path(name).is_dir():
        return _xvector(name)
    raise ValueError(
        f"no speaker model {name!r}: {', '.join(SPEAKERS)}, or an x-vector network as OWNER/NAME or folder"
    )


def recogniser(name: str, settings: Settings | None = None) -> Model:
    """A network that writes down what is said.

    Args:
        name: of `RECOGNISERS`, or a hub id or folder of a recogniser of transformers.
        settings: whose language it takes.

    Raises:
        ValueError: there is none of this name.
    """
    settings = settings or Settings()
    if name in RECOGNISERS:
        return RECOGNISERS[name](settings)
    if "/" in name or Path(name).is_dir():
        return _recognise(settings, name=name, load=_load_recogniser, files=_TRANSFORMERS_FILES, beam=1)
    raise ValueError(
        f"no recogniser {name!r}: {', '.join(RECOGNISERS)}, or one of transformers as OWNER/NAME or folder"
    )


def speaker_models(settings: Settings) -> tuple[Model, ...]:
    """The network of the speaker similarities."""
    return (speaker(settings.speaker_model),)


def recogniser_models(settings: Settings) -> tuple[Model, ...]:
    """The network of the error rates; none where only given transcripts count."""
    return (recogniser(settings.asr, settings),) if settings.asr else ()
