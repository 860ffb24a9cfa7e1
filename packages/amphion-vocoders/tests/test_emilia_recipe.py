"""Training on Emilia's tars as they are published, from a folder and over http, mixed with other shards."""

import json
import os
import socket
from pathlib import Path

import numpy as np
import pytest
import yaml

from amphion_core import audio
from amphion_core.data import Batches, Record, ShardSet, open_source, write_shards
from amphion_core.data.tar import END, header, padding
from amphion_core.recipe import load_recipe
from amphion_core.testing.kill import start
from amphion_core.testing.resume import differing, train_losses
from amphion_core.testing.server import serve
from amphion_core.testing.sounds import glide
from amphion_core.training.checkpoint import whole_checkpoints

CHILD = f"{Path(__file__).with_name('emilia_training.py')}:train_as"
RATE = 24_000
SMALL = [
    "model.mel.n_fft=256",
    "model.mel.win_length=256",
    "model.mel.hop_length=64",
    "model.mel.n_mels=8",
    "model.dim=8",
    "model.intermediate_dim=16",
    "model.num_layers=1",
    "loss.feature=[2]",
    "loss.mel=10",
    "loss.multi_resolution_mel=0",
    "discriminators=[{name: period, channels: [2, 2, 2, 2, 2], output_kernel_size: 2}]",
    "segment=2048",
    "data.batch.size=3",
    "data.batch.buckets=3",
    "trainer.workers=0",
    "trainer.validate_every=0",
    "trainer.sample_every=0",
    "trainer.log_every=1",
    "trainer.save_every=2",
    "trainer.steps=6",
]


def write_emilia(folder):
    """Two tars in the published layout; 6 of their 14 clips pass the filters of the recipe."""
    for language, first in (("EN", 0), ("FR", 10)):
        path = folder / language / f"{language}-B000000.tar"
        path.parent.mkdir(parents=True)
        with path.open("wb") as tar:
            for k in range(first, first + (10 if language == "EN" else 4)):
                key = f"{language}_B00000_S00000_W{k:06d}"
                seconds = 2.0 if k in (7, 8) else 3.1 + 0.2 * (k % 4)
                wav = glide(100 + 10 * k, 150 + 10 * k, RATE, seconds).astype(np.float32)
                fields = {
                    "id": key,
                    "wav": f"{key}.mp3",
                    "text": f" clip {k}",
                    "duration": seconds,
                    "speaker": f"{language}_B00000_S00000",
                    "language": language.lower(),
                    "dnsmos": 3.0 if k in (1, 2) else 3.4,
                }
                for name, data in (("json", json.dumps(fields).encode()), ("mp3", audio.encode(wav, RATE, "mp3"))):
                    tar.write(header(f"{key}.{name}", len(data)) + data + padding(len(data)))
            tar.write(END)


def encode(row):
    wav = glide(90 + row["pitch"], 80 + row["pitch"], RATE, row["duration"]).astype(np.float32)
    values = {"id": row["id"], "text": "read", "speaker": "14", "language": "en"}
    return Record(row["id"], {"flac": audio.encode(wav, RATE, "flac"), "json": json.dumps(values).encode()})


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpora")
    write_emilia(root / "emilia")
    for split, count in (("train", 5), ("valid", 2)):
        rows = [{"id": f"{split}-{k}", "pitch": 20 * k, "duration": 0.5 + 0.1 * k} for k in range(count)]
        write_shards(rows, encode, root / "libritts" / split, per_shard=2, progress=False)
    return root


def recipe_of(corpora, emilia=None):
    """The recipe with its data here and its network small."""
    values = load_recipe("vocoders/vocos-24k-emilia", SMALL).to_dict()
    train, valid = values["data"]["train"], values["data"]["valid"]
    train[0]["path"] = str(emilia or corpora / "emilia")
    train[1]["path"], valid[0]["path"] = str(corpora / "libritts" / "train"), str(corpora / "libritts" / "valid")
    return values


def sources(values):
    from amphion_core import registry

    recipe = registry.find("tasks", "gan-vocoder").recipe_class.parse(values)
    return recipe.data, [open_source(source) for source in recipe.data.train]


def test_the_filters_of_the_recipe_take_languages_lengths_and_quality(corpora):
    _, (emilia, libritts) = sources(recipe_of(corpora))
    assert len(ShardSet.open(corpora / "emilia")) == 14
    assert [key[-1] for key in emilia.keys] == ["0", "3", "4", "5", "6", "9"]
    assert set(emilia.languages) == {"en"} and set(emilia.speakers) == {"emilia:EN_B00000_S00000"}
    assert len(libritts) == 5


def test_the_sets_are_mixed_three_to_one_in_batches_of_similar_length(corpora):
    data, sets = sources(recipe_of(corpora))
    batches = Batches(sets, data.batch, weights=[source.weight for source in data.train], seed=1, epochs=40)
    taken = [item for batch in batches for item in batch.items]
    assert np.mean([which == 0 for which, _ in taken]) == pytest.approx(0.75, abs=0.02)
    assert {index for which, index in taken if which == 0} == set(range(6))


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def begin(values, folder, name):
    """Start both processes of a training."""
    path, port = folder / f"{name}.yaml", free_port()
    path.write_text(yaml.safe_dump(values))
    cache = str(folder / "cache")
    return [start(CHILD, rank, 2, port, str(path), str(folder / name), cache) for rank in range(2)]


def finish(children):
    statuses = [child.wait() for child in children]
    assert statuses == [0, 0], "\n".join(child.stderr()[-3000:] for child in children)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="kills are those of POSIX systems")
def test_killed_over_http_it_ends_as_undisturbed_from_a_folder_bit_for_bit(corpora, tmp_path):
    finish(begin(recipe_of(corpora), tmp_path, "folder"))
    faults = [503, ("cut", 50_000), ("stall", 30_000), None, 500, ("cut", 0)]
    with serve(corpora / "emilia" / "EN", faults) as server:
        values = recipe_of(corpora, f"{server.address}/EN-B{{000000..000000}}.tar")
        out = tmp_path / "http"
        children = begin(values, tmp_path, "http")
        children[0].wait_until(lambda: bool(whole_checkpoints(out)) and max(train_losses(out), default=0) >= 3)
        for child in children:
            child.kill()
        assert max(train_losses(out)) < 6
        finish(begin(values, tmp_path, "http"))
        assert [path for path, _ in server.asked] == ["/EN-B000000.tar"] * 4  # both processes share what was fetched
        assert [asked is not None for _, asked in server.asked] == [False, False, True, True]
    assert differing(tmp_path / "folder", out) == []
