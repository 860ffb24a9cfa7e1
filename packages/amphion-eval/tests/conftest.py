"""Options of the tests, and sounds that they share."""

import json
from pathlib import Path

import numpy as np
import pytest

from amphion_core.testing import golden
from amphion_core.testing.extra_marks import ExtraMarks

EXTRAS = ExtraMarks(
    Path(__file__).parent,
    {
        "perceptual": ("pesq", "pystoi"),
        "mos": ("onnxruntime", "speechmos"),
        "faster-whisper": ("faster_whisper",),
        "asr": ("torch", "transformers"),
        "speaker": ("torch", "transformers", "webrtcvad"),
        "embedding": ("torch", "torchaudio", "transformers"),
        "vad": ("torch", "silero_vad"),
        "crepe": ("torch", "torchcrepe"),
        "report": ("tensorboard",),
    },
)
pytest_configure = EXTRAS.pytest_configure
pytest_collection_modifyitems = EXTRAS.pytest_collection_modifyitems


def pytest_addoption(parser):
    golden.pytest_addoption(parser)
    EXTRAS.pytest_addoption(parser)


def noise(seconds, rate=16000, seed=0, gain=0.1):
    """White noise, (T,) float32."""
    return (gain * np.random.default_rng(seed).standard_normal(round(seconds * rate))).astype(np.float32)


@pytest.fixture(name="noise")
def noise_fixture():
    """The function that makes it: seconds, rate, seed, gain."""
    return noise


@pytest.fixture
def keys():
    """The function that reads the names and shapes of a released checkpoint."""
    return lambda name: json.loads((Path(__file__).parent / "keys" / f"{name}.json").read_text())


@pytest.fixture
def random_weights(keys):
    """The function that makes random weights of a released layout that keep signals in bounds."""

    def made(name):
        import torch

        generator = torch.Generator().manual_seed(0)
        tensors = {}
        for key, shape in keys(name).items():
            size = max(1, int(np.prod(shape[1:])))
            tensors[key] = torch.randn(shape, generator=generator) / size**0.5
            if key.endswith(("running_var", "weight_g")):
                tensors[key] = tensors[key].abs() + 0.5
            if key.endswith("num_batches_tracked"):
                tensors[key] = torch.tensor(1)
        return tensors

    return made


RATE = 16000

DEFINITION = {
    "label": "m", "version": 1, "unit": "dB", "low": 0.0, "high": None, "best": "lower", "rate": False,
    "description": "What it says.", "source": "", "parameters": {},
}  # fmt: skip


def tone(f0=150.0, seconds=0.5, rate=RATE, gain=0.1):
    """Harmonics of a gliding pitch with a beginning and an end: voiced, and with a spectrum that moves."""
    t = np.arange(int(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(f0 * (1 + 0.1 * np.sin(2 * np.pi * 1.5 * t))) / rate
    wav = sum(np.sin(k * phase) / k for k in range(1, 12) if k * f0 * 1.2 < rate / 2)
    return gain * wav * np.clip(np.minimum(t, seconds - t) * 20, 0, 1)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """No test takes anything from the cache of another, or of the user."""
    monkeypatch.setenv("AMPHION_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(name="tone")
def tone_fixture():
    """The function that makes it: pitch in Hz, seconds, rate, gain."""
    return tone


@pytest.fixture
def voice():
    """Half a second of it, (T,) at 16 kHz."""
    return tone()


@pytest.fixture
def folders(tmp_path):
    """Two folders with three clips each; the estimate is transposed up by a semitone."""
    from amphion_core import audio

    for name, factor in (("ref", 1.0), ("est", 2 ** (1 / 12))):
        (tmp_path / name).mkdir()
        for clip, f0 in (("a", 120.0), ("b", 180.0), ("c", 240.0)):
            audio.save(tmp_path / name / f"{clip}.wav", tone(f0 * factor).astype(np.float32), RATE)
    return tmp_path / "ref", tmp_path / "est"


def made_report(*values, name="system", **definition):
    """A result of one metric with these values."""
    from amphion_eval.report import ClipRecord, Item, Report

    items = [
        Item(
            id=f"clip {number} ü",
            metrics={"m": value},
            undefined={} if value is not None else {"m": "silence"},
            counts={},
            reference=ClipRecord(f"r{number}.wav"),
            estimate=ClipRecord(f"e{number}.wav"),
        )
        for number, value in enumerate(values)
    ]
    provenance = {
        "metrics": {"m": {**DEFINITION, **definition}},
        "settings": {},
        "alignment": "cut",
        "sample_rates": {"16000": len(items)},
        "bootstrap": {"resamples": 100, "seed": 0},
        "versions": {"amphion-eval": "0"},
    }
    return Report(items, provenance, name)


@pytest.fixture(name="report")
def report_fixture():
    """The function that makes it."""
    return made_report
