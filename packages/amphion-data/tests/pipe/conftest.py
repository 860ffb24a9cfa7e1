"""A conversation, made once, and a folder of recordings that the pipeline must survive."""

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile

from amphion_core import registry

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def conversation():
    """Three voices in ten turns, two overlaps, eight seconds of music at the end."""
    if find_spec("espeakng_loader") is None:
        pytest.skip("espeakng-loader is not installed")
    from conversation import converse

    return converse(3, 10, seed=1)


@pytest.fixture(scope="session")
def talk(conversation, tmp_path_factory):
    """The conversation as a file, with its texts beside it."""
    from conversation import RATE

    folder = tmp_path_factory.mktemp("talk")
    soundfile.write(folder / "talk.wav", conversation.wav, RATE)
    lines = "".join(json.dumps(text) + "\n" for text in conversation.texts)
    (folder / "talk.jsonl").write_text(lines, encoding="utf-8")
    return folder


@pytest.fixture
def speechlike():
    """Bursts of noise and tone, speech for the energy detector, as a function of times (s) and rate."""

    def make(spans, seconds, rate=16_000, seed=0):
        generator = np.random.default_rng(seed)
        wav = generator.normal(0, 1e-4, round(seconds * rate)).astype(np.float32)
        time = np.arange(wav.size) / rate
        for start, end in spans:
            own = slice(round(start * rate), round(end * rate))
            wav[own] += 0.1 * np.sin(2 * np.pi * 150 * time[own]) * (1 + 0.3 * np.sin(2 * np.pi * 4 * time[own]))
        return wav

    return make


CHEAP = {"vad": "energy", "diarise": "none", "score": "none", "embed": "spectral", "format": "flac"}
"""Settings without any network."""


@pytest.fixture
def cheap():
    """The pipeline without networks, as a function of further settings."""
    from amphion_data.pipe import PipeSettings

    return lambda **more: PipeSettings.parse({**CHEAP, **more})


@pytest.fixture
def probes(tmp_path, monkeypatch):
    """The parts of probes.py, installed for this process and those that it starts; gives the folder of their notes."""
    place, notes = tmp_path / "site", tmp_path / "notes"
    (place / "probes-1.0.dist-info").mkdir(parents=True)
    notes.mkdir()
    (place / "probes-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: probes\nVersion: 1.0\n")
    points = [f"{kind}-probe = probes:make_{kind}\n" for kind in ("separate", "vad", "score")]
    (place / "probes-1.0.dist-info" / "entry_points.txt").write_text("[amphion.stages]\n" + "".join(points))
    monkeypatch.syspath_prepend(str(place))
    paths = [str(place), str(Path(__file__).parent), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    registry.entries.cache_clear()
    yield notes
    registry.entries.cache_clear()
