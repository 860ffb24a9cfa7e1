"""Networks that rate a clip by name: quality, and voice activity; where their weights are."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from amphion_core.speech.releases import DNSMOS_P835, DNSMOS_P835_PERSONALIZED
from amphion_core.weights import Weights
from amphion_eval.model import Batch, Model
from amphion_eval.settings import Settings

__all__ = ["QUALITY", "VOICE_ACTIVITY", "quality_models"]

_TORCH = (("torch", "amphion-eval[embedding]"),)
_ONNX = (("onnxruntime", "amphion-eval[mos]"),)

_MOS_INSTALL = "pip install 'amphion-eval[mos]'"
_SPEECHMOS = partial(Weights, "speechmos", package="speechmos", licence="MIT", install=_MOS_INSTALL)
_P808 = _SPEECHMOS(
    "dnsmos_models/model_v8.onnx", sha256="9246480c58567bc6affd4200938e77eef49468c8bc7ed3776d109c07456f6e91"
)
_UTMOS = Weights(
    "utmos22-strong",
    "utmos22_strong_step7459_v1.pt",
    url="https://github.com/tarepan/SpeechMOS/releases/tag/v1.0.0",
    licence="MIT",
)
_UTMOSV2 = Weights(
    "utmosv2",
    "fold0_s42_best_model.pth",
    repository="sarulab-speech/UTMOSv2",
    sha256="c8149d988e4bbf3f347e6966b5d769de347a5f8c59ffca1dc4bd4bf5b8585e57",
    licence="MIT",
)
_UTMOSV2_LISTENERS = {"dataset": "sarulab"}
_SINGMOS = Weights(
    "singmos",
    "ft_wav2vec2_base_960_23steps.pt",
    url="https://github.com/South-Twilight/SingMOS/releases/download/ckpt_s3prl/ft_wav2vec2_base_960_23steps.pt",
    licence="MIT",
)
_NISQA = Weights(
    "nisqa",
    "nisqa.tar",
    url="https://github.com/gabrielmittag/NISQA/tree/master/weights",
    licence="CC-BY-NC-SA-4.0",
)
_AUDIOBOX = Weights(
    "audiobox-aesthetics",
    repository="facebook/audiobox-aesthetics",
    patterns=("config.json", "model.safetensors"),
    licence="CC-BY-4.0",
)
_SQUIM_STORE = "https://download.pytorch.org/torchaudio/models/"
_SQUIM_OBJECTIVE = Weights(
    "squim-objective",
    "squim_objective_dns2020.pth",
    url=f"{_SQUIM_STORE}squim_objective_dns2020.pth",
    licence="CC-BY-4.0",
)
_SQUIM_SUBJECTIVE = Weights(
    "squim-subjective",
    "squim_subjective_bvcc_daps.pth",
    url=f"{_SQUIM_STORE}squim_subjective_bvcc_daps.pth",
    licence="CC-BY-NC-4.0",
)


def _load_p835(device: str, *, personalized: bool) -> Batch:
    from amphion_eval.models.dnsmos import load

    return load((DNSMOS_P835_PERSONALIZED if personalized else DNSMOS_P835).locate(), device, personalized=personalized)


def _load_p808(device: str) -> Batch:
    from amphion_eval.models.dnsmos import load_p808

    return load_p808(_P808.locate(), device)


def _load_utmos(device: str) -> Batch:
    from amphion_eval.models.utmos import load

    return load(_UTMOS.locate(), device)


def _load_utmosv2(device: str) -> Batch:
    from amphion_eval.models.utmosv2 import load

    return load(_UTMOSV2.locate(), device, **_UTMOSV2_LISTENERS)


def _load_singmos(device: str) -> Batch:
    from amphion_eval.models.singmos import load

    return load(_SINGMOS.locate(), device)


def _load_nisqa(device: str) -> Batch:
    from amphion_eval.models.nisqa import load

    return load(_NISQA.locate(), device)


def _load_audiobox(device: str) -> Batch:
    from amphion_eval.models.audiobox import load

    return load(_AUDIOBOX.locate(), device)


def _load_squim_objective(device: str) -> Batch:
    from amphion_eval.models.squim import load_objective

    return load_objective(_SQUIM_OBJECTIVE.locate(), device)


def _load_squim_subjective(device: str) -> Batch:
    from amphion_eval.models.squim import load_subjective

    return load_subjective(_SQUIM_SUBJECTIVE.locate(), device)


def _load_silero(device: str) -> Batch:
    from amphion_eval.models.silero import load

    return load(device)


VOICE_ACTIVITY = Model(
    "silero-vad",
    _load_silero,
    requires=(("torch", "amphion-eval[vad]"), ("silero_vad", "amphion-eval[vad]")),
    licence="MIT",
    source="Silero team, Silero VAD, 2021 to 2025",
)

QUALITY: Mapping[str, Model] = {
    model.name: model
    for model in (
        Model(
            "dnsmos-p835",
            partial(_load_p835, personalized=False),
            weights=(DNSMOS_P835,),
            requires=_ONNX,
            licence="MIT",
            source="Reddy et al., 2022, arXiv:2110.01763",
        ),
        Model(
            "dnsmos-p835-personalized",
            partial(_load_p835, personalized=True),
            weights=(DNSMOS_P835_PERSONALIZED,),
            requires=_ONNX,
            licence="MIT",
            source="Reddy et al., 2022, arXiv:2110.01763",
        ),
        Model(
            "dnsmos-p808",
            _load_p808,
            weights=(_P808,),
            requires=_ONNX,
            licence="MIT",
            source="Reddy et al., 2021, arXiv:2010.15258",
        ),
        Model(
            "utmos22-strong",
            _load_utmos,
            weights=(_UTMOS,),
            requires=(*_TORCH, ("transformers", "amphion-eval[embedding]")),
            licence="MIT",
            source="Saeki et al., 2022, arXiv:2204.02152",
        ),
        Model(
            "utmosv2",
            _load_utmosv2,
            weights=(_UTMOSV2,),
            requires=(*_TORCH, ("transformers", "amphion-eval[embedding]")),
            parameters={**_UTMOSV2_LISTENERS, "crops": 5},
            licence="MIT",
            source="Baba et al., 2024, arXiv:2409.09305",
        ),
        Model(
            "singmos",
            _load_singmos,
            weights=(_SINGMOS,),
            requires=(*_TORCH, ("transformers", "amphion-eval[embedding]")),
            licence="MIT",
            source="Tang et al., 2024, arXiv:2406.10911",
        ),
        Model(
            "nisqa",
            _load_nisqa,
            sample_rate=48000,
            weights=(_NISQA,),
            requires=_TORCH,
            licence="CC-BY-NC-SA-4.0",
            source="Mittag et al., 2021, arXiv:2104.09494",
        ),
        Model(
            "audiobox-aesthetics",
            _load_audiobox,
            weights=(_AUDIOBOX,),
            requires=(*_TORCH, ("transformers", "amphion-eval[embedding]")),
            licence="CC-BY-4.0",
            source="Tjandra et al., 2025, arXiv:2502.05139",
        ),
        Model(
            "squim-objective",
            _load_squim_objective,
            weights=(_SQUIM_OBJECTIVE,),
            requires=(*_TORCH, ("torchaudio", "amphion-eval[embedding]")),
            licence="CC-BY-4.0",
            source="Kumar et al., 2023, arXiv:2304.01448",
        ),
        Model(
            "squim-subjective",
            _load_squim_subjective,
            takes="pair",
            weights=(_SQUIM_SUBJECTIVE,),
            requires=(*_TORCH, ("torchaudio", "amphion-eval[embedding]")),
            licence="CC-BY-NC-4.0",
            source="Kumar et al., 2023, arXiv:2304.01448",
        ),
        VOICE_ACTIVITY,
    )
}
"""Networks that rate a clip, by name."""


def quality_models(_: Settings, *, name: str) -> tuple[Model, ...]:
    """The network of a rating."""
    return (QUALITY[name],)
