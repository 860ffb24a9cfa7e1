"""In an environment with one extra: the parts that it brings load, all others say which extra they lack. Run by nox."""

import os
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

PARTS = {
    "engine ray": ("ray", ("ray",)),
    "vad silero": ("vad", ("onnxruntime", "silero_vad")),
    "score dnsmos": ("mos", ("onnxruntime", "speechmos")),
    "embed ge2e": ("speaker", ("torch", "safetensors")),
    "transcribe faster-whisper": ("asr", ("faster_whisper",)),
    "transcribe whisper": ("transformers", ("torch", "transformers")),
    "diarise pyannote": ("diarize", ("pyannote",)),
    "separate uvr": ("separate", ("onnxruntime",)),
    "separate demucs": ("demucs", ("demucs",)),
    "export hf-parquet": ("hf", ("pyarrow",)),
}
"""What users ask for by name: the extra that brings it, and the modules without which it can't be."""
FREE = ("separate none", "vad energy", "diarise none", "embed spectral", "transcribe none", "score none")
"""Parts that need no extra."""
SEVERAL = {"pipe": ("vad silero", "score dnsmos")}
"""Extras that bring the parts of others."""


def made(part, folder):
    """The error that a part ends with, or None where it is made."""
    kind, name = part.split()
    try:
        if kind == "engine":
            from amphion_data.engines import make_engine

            make_engine(name)
        elif kind == "export":
            from amphion_data import HubLayout

            HubLayout("parquet").units(None, {}, 1)
        else:
            from amphion_data.pipe.stages import find_stage

            (folder / "no-network.onnx").write_bytes(b"no network")
            find_stage(kind, name, {"path": str(folder / "no-network.onnx")} if name == "uvr" else {})
    except Exception as error:
        return error
    return None


def main(extra: str) -> None:
    """Make every part and compare what it says with what is installed."""
    from amphion_core.extras import MissingExtraError

    os.environ["HF_HUB_OFFLINE"] = "1"
    with tempfile.TemporaryDirectory() as place:
        errors = {part: made(part, Path(place)) for part in (*FREE, *PARTS)}
    broken = {part: errors[part] for part in FREE if errors[part] is not None}
    assert not broken, f"parts that need no extra do not load: {broken}"
    brought = {part for part, (own, _) in PARTS.items() if own == extra} | {*SEVERAL.get(extra, ())}
    for part, (own, modules) in PARTS.items():
        error = errors[part]
        lacking = [module for module in modules if find_spec(module) is None]
        assert not (part in brought and lacking), f"the extra {extra} leaves out {lacking}, which {part} needs"
        if lacking:
            named = isinstance(error, MissingExtraError) and f"amphion-data[{own}]" in str(error)
            if isinstance(error, FileNotFoundError):  # a package that is only weights is asked for by its own name
                named = any(module.replace("_", "-") in str(error) for module in lacking)
            assert named, f"{part} should say that it lacks amphion-data[{own}] ({lacking}); it says {error!r}"
        else:
            # Its packages are here: it loads, or says that its weights are not.
            words = error is None or isinstance(error, FileNotFoundError | ValueError)
            assert words and not isinstance(error, MissingExtraError), f"{part} does not load: {error!r}"
        print(f"  {part:26} {'lacks ' + own if lacking else 'loads' if error is None else f'says: {error}'}"[:150])
    print(f"{extra}: {len(brought)} parts brought")


if __name__ == "__main__":
    main(sys.argv[1])
