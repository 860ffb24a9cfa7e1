"""Networks of sound by name: embeddings for Fréchet and kernel distances, class posteriors, texts and sounds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from amphion_core.weights import Weights
from amphion_eval.model import Batch, Model
from amphion_eval.settings import Settings

__all__ = [
    "AUDIO_EMBEDDINGS",
    "clap_audio",
    "clap_models",
    "clap_text",
    "class_models",
    "classifier",
    "embedding",
    "fad_models",
    "fd_models",
]

_TORCH = (("torch", "amphion-eval[embedding]"),)
_TRANSFORMERS = (*_TORCH, ("transformers", "amphion-eval[embedding]"))
_VGGISH_SOURCE = "Hershey et al., 2017, arXiv:1609.09430; as a metric: Kilgour et al., Interspeech 2019"
_PANNS_SOURCE = "Kong et al., 2020, arXiv:1912.10211"
_VGGISH = Weights(
    "vggish",
    file="vggish-10086976.pth",
    url="https://github.com/harritaylor/torchvggish/releases/tag/v0.1",
    sha256="10086976",
)
_PCA = Weights(
    "vggish",
    file="vggish_pca_params-970ea276.pth",
    url="https://github.com/harritaylor/torchvggish/releases/tag/v0.1",
    sha256="970ea276",
)
_ZENODO = "https://zenodo.org/records/3987831"


_CNN14_16K = Weights("panns-cnn14-16k", file="Cnn14_16k_mAP=0.438.pth", url=_ZENODO)
_CNN14_32K = Weights("panns-cnn14-32k", file="Cnn14_mAP=0.431.pth", url=_ZENODO)
_ENCODEC = Weights("encodec-24k", repository="facebook/encodec_24khz")
_DAC = Weights("dac-44k", repository="descript/dac_44khz")
_MERT = Weights(
    "mert-v1-95m",
    repository="m-a-p/MERT-v1-95M",
    patterns=("config.json", "pytorch_model.bin"),
    licence="CC-BY-NC-4.0",
)
_MERT_LAYERS = re.compile(r"mert-v1-95m-([1-9]|1[0-2])")


def _vggish(device: str, *, activation: bool = False, pca: bool = False) -> Batch:
    from amphion_eval.models.vggish import load_vggish

    return load_vggish(device, _VGGISH.locate(), activation=activation, pca=_PCA.locate() if pca else None)


def _panns(device: str, *, weights: Weights) -> Batch:
    from amphion_eval.models.panns import CNN14_16K, CNN14_32K, load_panns

    return load_panns(device, weights.locate(), CNN14_16K if weights == _CNN14_16K else CNN14_32K)


def _neural_codec(device: str, *, weights: Weights, sample_rate: int) -> Batch:
    from amphion_eval.models.neural_codec import load_neural_codec

    return load_neural_codec(device, weights.locate(), sample_rate)


def _load_mert(device: str, *, layer: int) -> Batch:
    from amphion_eval.models.mert import load_mert

    return load_mert(device, _MERT.locate(), layer)


def _mert(name: str, layer: int) -> Model:
    return Model(
        name,
        partial(_load_mert, layer=layer),
        sample_rate=24000,
        weights=(_MERT,),
        requires=_TRANSFORMERS,
        parameters={"layer": layer},
        licence="CC-BY-NC-4.0",
        source="Li et al., 2023, arXiv:2306.00107",
    )


AUDIO_EMBEDDINGS: Mapping[str, Model] = {
    model.name: model
    for model in (
        Model(
            "vggish",
            _vggish,
            weights=(_VGGISH,),
            requires=_TORCH,
            parameters={"activation": False, "pca": False},
            licence="Apache-2.0",
            source=_VGGISH_SOURCE,
        ),
        Model(
            "vggish-activation",
            partial(_vggish, activation=True),
            weights=(_VGGISH,),
            requires=_TORCH,
            parameters={"activation": True, "pca": False},
            licence="Apache-2.0",
            source=_VGGISH_SOURCE,
        ),
        Model(
            "vggish-pca",
            partial(_vggish, activation=True, pca=True),
            weights=(_VGGISH, _PCA),
            requires=_TORCH,
            parameters={"activation": True, "pca": True},
            licence="Apache-2.0",
            source=_VGGISH_SOURCE,
        ),
        Model(
            "panns-cnn14-16k",
            partial(_panns, weights=_CNN14_16K),
            weights=(_CNN14_16K,),
            requires=_TORCH,
            licence="CC-BY-4.0",
            source=_PANNS_SOURCE,
        ),
        Model(
            "panns-cnn14-32k",
            partial(_panns, weights=_CNN14_32K),
            sample_rate=32000,
            weights=(_CNN14_32K,),
            requires=_TORCH,
            licence="CC-BY-4.0",
            source=_PANNS_SOURCE,
        ),
        Model(
            "encodec-24k",
            partial(_neural_codec, weights=_ENCODEC, sample_rate=24000),
            sample_rate=24000,
            weights=(_ENCODEC,),
            requires=_TRANSFORMERS,
            licence="CC-BY-NC-4.0",
            source="Défossez et al., 2022, arXiv:2210.13438",
        ),
        Model(
            "dac-44k",
            partial(_neural_codec, weights=_DAC, sample_rate=44100),
            sample_rate=44100,
            weights=(_DAC,),
            requires=_TRANSFORMERS,
            licence="MIT",
            source="Kumar et al., 2023, arXiv:2306.06546",
        ),
        _mert("mert-v1-95m", 12),
    )
}
"""By the names that `fad_model` and `fd_model` take; any CLAP of the hub is one more, by its id, and any layer of
MERT, as `mert-v1-95m-4`."""


def clap_audio(repository: str) -> Model:
    """The network of sounds of a CLAP, by hub id or folder."""
    weights = _clap_weights(repository)

    def load(device: str) -> Batch:
        from amphion_eval.models.clap import load_clap_audio

        return load_clap_audio(device, weights.locate())

    return Model(
        f"clap-audio:{repository}",
        load,
        sample_rate=48000,
        weights=(weights,),
        requires=_TRANSFORMERS,
        source="Wu et al., 2023, arXiv:2211.06687",
    )


def clap_text(repository: str) -> Model:
    """The network of texts of a CLAP, by hub id or folder."""
    weights = _clap_weights(repository)

    def load(device: str) -> Batch:
        from amphion_eval.models.clap import load_clap_text

        return load_clap_text(device, weights.locate())

    return Model(
        f"clap-text:{repository}",
        load,
        sample_rate=0,
        takes="text",
        weights=(weights,),
        requires=_TRANSFORMERS,
        source="Wu et al., 2023, arXiv:2211.06687",
    )


def embedding(name: str) -> Model:
    """A network that gives embeddings.

    Args:
        name: of `AUDIO_EMBEDDINGS`, such a name of a layer of MERT, or a hub id or folder of a CLAP.

    Raises:
        ValueError: there is none of this name.
    """
    if name in AUDIO_EMBEDDINGS:
        return AUDIO_EMBEDDINGS[name]
    if layer := _MERT_LAYERS.fullmatch(name):
        return _mert(name, int(layer[1]))
    if "/" in name:
        return clap_audio(name)
    raise ValueError(f"no network of sound named {name!r}: {', '.join(AUDIO_EMBEDDINGS)}, or a CLAP as OWNER/NAME")


def classifier(name: str) -> Model:
    """A network that gives class logits.

    Raises:
        ValueError: this one gives none.
    """
    if not name.startswith("panns-"):
        able = [other for other in AUDIO_EMBEDDINGS if other.startswith("panns-")]
        raise ValueError(f"{name!r} gives no class logits; fd_model must be {' or '.join(able)} for this metric")
    return embedding(name)


def fad_models(settings: Settings) -> tuple[Model, ...]:
    """The network of `fad` and `fad_infinity`."""
    return (embedding(settings.fad_model),)


def fd_models(settings: Settings) -> tuple[Model, ...]:
    """The network of `fd` and `kid`."""
    return (embedding(settings.fd_model),)


def class_models(settings: Settings) -> tuple[Model, ...]:
    """The network of `kl`, `kl_sigmoid` and `inception_score`."""
    return (classifier(settings.fd_model),)


def clap_models(settings: Settings) -> tuple[Model, ...]:
    """The networks of `clap_score`: of texts, of sounds."""
    return clap_text(settings.clap_model), clap_audio(settings.clap_model)


def _clap_weights(repository: str) -> Weights:
    if Path(repository).is_dir():
        return Weights(Path(repository).name, path=repository)
    return Weights(repository.rpartition("/")[2], repository=repository)
