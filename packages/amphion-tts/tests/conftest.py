"""Options of the tests, and the small things that several of them share."""

import numpy as np
import pytest

from amphion_core import audio
from amphion_core.data import Record, write_shards
from amphion_core.schema import Utterance
from amphion_core.testing.golden import pytest_addoption, pytest_generate_tests

__all__ = ["pytest_addoption", "pytest_generate_tests"]

MEL = {"sample_rate": 8000, "n_fft": 256, "win_length": 256, "hop_length": 64, "n_mels": 12, "f_max": 4000}
MODEL = {
    "mel": MEL,
    "dim": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "filter_size": 16,
    "kernel_sizes": [3, 1],
    "predictor_filter": 8,
    "bins": 8,
    "postnet_layers": 2,
    "postnet_channels": 8,
}
SENTENCES = ["Seven ships sail.", "A cold wind blew.", "Rain fell.", "The old man sang again.", "Stop!", "Who is it?"]


class _Encode:
    """A sentence as a sound of its own, told by its letters."""

    def __init__(self, speakers):
        self.speakers = speakers

    def __call__(self, row):
        number = int(row.id.rpartition("-")[2])
        rng = np.random.default_rng(number)
        time = np.arange(int(8000 * (0.05 * len(row.text) + 0.3))) / 8000
        wav = 0.3 * np.sign(np.sin(2 * np.pi * (110 + 5 * number) * time)) * np.abs(np.sin(7 * time))
        wav = (wav + 0.01 * rng.standard_normal(len(time))).astype(np.float32)
        speaker = self.speakers[number % len(self.speakers)] if self.speakers else None
        values = Utterance(
            id=row.id, duration=len(wav) / 8000, sample_rate=8000, text=row.text, speaker=speaker, language="en"
        )
        return Record(row.id, {"wav": audio.encode(wav, 8000, "wav"), "json": values.to_json().encode()})


@pytest.fixture
def make_shards(tmp_path):
    """A function from texts to a folder of shards."""

    def make(texts=tuple(SENTENCES), name="shards", speakers=()):
        rows = [Utterance(id=f"row-{number:03d}", text=text) for number, text in enumerate(texts)]
        write_shards(rows, _Encode(tuple(speakers)), tmp_path / name, per_shard=4, progress=False)
        return tmp_path / name

    return make


@pytest.fixture
def recipe_values(make_shards):
    """A small recipe over a small corpus, as nested values."""
    shards = str(make_shards())
    return {
        "task": "fastspeech2",
        "name": "tiny",
        "seed": 3,
        "model": MODEL,
        "aligner": {"dim": 8, "binarise_from": 2, "binarise_warmup": 2},
        "feature_workers": 1,
        "data": {
            "train": [{"path": shards}],
            "valid": [{"path": shards}],
            "batch": {"unit": "items", "size": 2, "buckets": 2},
            "valid_batch": {"unit": "items", "size": 4, "buckets": 1, "shuffle": False},
        },
        "optimizers": {"model": {"name": "adamw", "lr": 3e-3, "clip_norm": 1.0}},
        "trainer": {"steps": 6, "log_every": 1, "validate_every": 0, "sample_every": 0, "save_every": 0},
    }
