"""Options of the tests, and a corpus of short voices in shards."""

import json

import pytest

from amphion_core import audio
from amphion_core.data.record import Record
from amphion_core.data.shards import write_shards
from amphion_core.testing.golden import pytest_addoption, pytest_generate_tests
from amphion_core.testing.sounds import glide

__all__ = ["pytest_addoption", "pytest_generate_tests"]

SAMPLE_RATE = 8000


def encode(row):
    wav = glide(row["pitch"], 1.5 * row["pitch"], SAMPLE_RATE, row["duration"]).astype("float32")
    about = {"id": row["id"], "text": "a glide", "speaker": "none", "language": "en"}
    return Record(row["id"], {"flac": audio.encode(wav, SAMPLE_RATE, "flac"), "json": json.dumps(about).encode()})


@pytest.fixture(scope="session")
def shards(tmp_path_factory):
    """Two folders of shards, train and valid, of gliding voices between 0.1 and 0.8 s."""
    root = tmp_path_factory.mktemp("shards")
    for split, count in (("train", 12), ("valid", 3)):
        seconds = [(0.1, 0.45, 0.8)[i % 3] for i in range(count)]
        rows = [{"id": f"{split}-{i}", "pitch": 100 + 15 * i, "duration": s} for i, s in enumerate(seconds)]
        write_shards(rows, encode, root / split, per_shard=5, progress=False)
    return root
