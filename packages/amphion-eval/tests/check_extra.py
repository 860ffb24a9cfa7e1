"""In an environment with one extra: what it brings works, and all else says which extra it lacks. Run by nox."""

import sys
from importlib.util import find_spec

BRINGS = {
    "perceptual": {"pesq_wb", "pesq_nb", "stoi", "estoi"},
    "mos": {"dnsmos_sig", "dnsmos_bak", "dnsmos_ovrl", "dnsmos_p808"},
    "speaker": {"speaker_similarity", "sim_o", "sim_r", "rawnet3", "wespeaker-resnet34-lm", "speechbrain-ecapa"},
    "embedding": {
        "fad",
        "fd",
        "kl",
        "clap_score",
        "utmos",
        "utmosv2",
        "singmos",
        "squim_stoi",
        "squim_mos",
        "nisqa_mos",
        "audiobox_ce",
    },
    "vad": {"speech_share"},
    "asr": {"whisper-large-v3", "hubert-large-ls960-ft"},
    "faster-whisper": {"faster-whisper-large-v3"},
    "crepe": {"periodicity_rmse", "crepe"},
    "report": set(),
}
MODULES = {
    "perceptual": "pesq", "mos": "onnxruntime", "vad": "silero_vad", "crepe": "torchcrepe",
    "faster-whisper": "faster_whisper", "speaker": "webrtcvad",
}  # fmt: skip
"""What only this extra brings: where it is absent, so is the extra."""


def main(extra: str) -> None:
    """Compare what the doctor says with what this extra promises."""
    from amphion_eval.health import check

    found = {item.name: item for item in check()}
    lacking = {name: item.extras for name, item in found.items() if item.extras}
    broken = {name: lacking[name] for name in BRINGS[extra] if name in lacking}
    assert not broken, f"the extra {extra} leaves out packages of {broken}"
    for other, module in MODULES.items():
        if find_spec(module) is None:
            for name in BRINGS[other] - {"rawnet3", "wespeaker-resnet34-lm", "speechbrain-ecapa"}:
                named = lacking.get(name, ())
                assert f"amphion-eval[{other}]" in named, f"{name} should lack amphion-eval[{other}], it lacks {named}"
    if "torch" not in sys.modules and find_spec("torch") is None:
        assert lacking["utmos"] == ("amphion-eval[embedding]",), lacking["utmos"]
    print(f"{extra}: {len(found) - len(lacking)} of {len(found)} metrics, trackers and networks have their packages")


if __name__ == "__main__":
    main(sys.argv[1])
