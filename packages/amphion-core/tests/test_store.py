"""The feature store: computed once, read by row, never stale, never half."""

import io
import json
import multiprocessing
import os
import pickle
import random
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from amphion_core.audio import encode
from amphion_core.config import Config
from amphion_core.data import Record, ShardSet, write_shards
from amphion_core.features.store import FeatureStore


class EnvelopeConfig(Config):
    frame: int = 160


@dataclass(frozen=True)
class Envelope:
    """Largest sample of each frame, and the length."""

    config: EnvelopeConfig

    def __call__(self, shards, row):
        wav, _ = shards.audio(row)
        frames = wav[: len(wav) // self.config.frame * self.config.frame].reshape(-1, self.config.frame)
        return {"envelope": np.abs(frames).max(axis=1), "samples": np.array([len(wav)])}


def make_corpus(folder, *, rows=23, seed=0):
    def clip(row):
        rng = np.random.default_rng([seed, row])
        wav = (0.1 * rng.standard_normal(800 + 160 * row)).astype(np.float32)
        text = {"id": f"clip{row:03d}", "text": "la", "speaker": f"s{row % 3}"}
        return Record(f"clip{row:03d}", {"wav": encode(wav, 16000, "wav"), "json": json.dumps(text).encode()})

    write_shards(range(rows), clip, folder, per_shard=5, progress=False)
    return ShardSet.open(folder)


@pytest.fixture
def corpus(tmp_path):
    return make_corpus(tmp_path / "corpus")


def store_in(folder, frame=160, **options):
    config = EnvelopeConfig(frame=frame)
    return FeatureStore(folder, "envelope", config, options.pop("compute", Envelope(config)), **options)


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_features_are_read_by_row_as_they_were_computed(tmp_path, corpus):
    stored = store_in(tmp_path / "cache").build(corpus, per_shard=4, progress=False)
    assert len(stored) == len(corpus)
    assert stored.names == ("envelope", "samples")
    for row in range(len(corpus)):
        expected = Envelope(EnvelopeConfig())(corpus, row)
        for name in stored.names:
            array = stored.array(row, name)
            assert array.dtype == expected[name].dtype
            assert np.array_equal(array, expected[name])


class CountedEnvelope(Envelope):
    def __call__(self, shards, row):
        with Path(os.environ["COUNTED"]).open("a") as file:
            file.write(f"{row}\n")
        return super().__call__(shards, row)


def test_a_finished_store_is_not_computed_again(tmp_path, corpus, monkeypatch):
    monkeypatch.setenv("COUNTED", str(tmp_path / "counted"))
    for _ in range(3):
        store_in(tmp_path / "cache", compute=CountedEnvelope(EnvelopeConfig())).build(corpus, progress=False)
    assert sorted((tmp_path / "counted").read_text().split(), key=int) == [str(row) for row in range(23)]


@pytest.mark.slow
def test_bytes_do_not_depend_on_the_number_of_processes(tmp_path, corpus):
    folders = []
    for workers in (1, 3):
        store_in(tmp_path / str(workers)).build(corpus, workers=workers, per_shard=4, progress=False)
        folders.append(contents(tmp_path / str(workers)))
    assert folders[0] == folders[1]
    assert len([name for name in folders[0] if name.endswith(".tar")]) == 6


def test_the_shards_are_plain_tars_of_npy_files(tmp_path, corpus):
    store = store_in(tmp_path / "cache")
    store.build(corpus, progress=False)
    with tarfile.open(next(store.path(corpus).rglob("*.tar"))) as tar:
        assert tar.getnames()[:2] == ["clip000.envelope.npy", "clip000.samples.npy"]
        data = tar.extractfile("clip001.samples.npy").read()
    assert np.load(io.BytesIO(data), allow_pickle=False).tolist() == [960]


def test_another_config_version_or_corpus_is_another_store(tmp_path, corpus):
    cache = tmp_path / "cache"
    other = make_corpus(tmp_path / "other", seed=1)  # the same ids and durations, another sound
    assert other.keys[3] == corpus.keys[3]
    paths = {
        store_in(cache).path(corpus),
        store_in(cache, frame=80).path(corpus),
        store_in(cache, version="2").path(corpus),
        store_in(cache).path(other),
        store_in(cache).path(corpus.select(speakers=["s1"])),
    }
    assert len(paths) == 5


def test_the_place_of_the_corpus_does_not_matter(tmp_path, corpus):
    moved = make_corpus(tmp_path / "moved")
    assert store_in(tmp_path).path(moved) == store_in(tmp_path).path(corpus)


def test_opening_what_was_not_built_says_how_the_others_differ(tmp_path, corpus):
    store_in(tmp_path / "cache").build(corpus, progress=False)
    with pytest.raises(FileNotFoundError, match=r"does not exist.*config.frame is 160 there and 80 here"):
        store_in(tmp_path / "cache", frame=80).open(corpus)


def test_a_store_put_under_the_name_of_another_is_refused(tmp_path, corpus):
    cache = tmp_path / "cache"
    store_in(cache).build(corpus, progress=False)
    store_in(cache).path(corpus).rename(store_in(cache, frame=80).path(corpus))
    with pytest.raises(ValueError, match=r"does not hold what its name says: config\.frame is 160 there and 80 here"):
        store_in(cache, frame=80).build(corpus, progress=False)


@pytest.mark.parametrize("damage", ["", "[]", "{", '{"features": 3}'])
def test_a_damaged_description_is_refused(tmp_path, corpus, damage):
    store = store_in(tmp_path / "cache")
    store.build(corpus, progress=False)
    (store.path(corpus) / "store.json").write_text(damage)
    with pytest.raises(ValueError, match=r"store\.json.* build it again"):
        store.open(corpus)


def test_a_missing_shard_is_noticed(tmp_path, corpus):
    store = store_in(tmp_path / "cache")
    store.build(corpus, per_shard=4, progress=False)
    next(store.path(corpus).rglob("*2.tar")).unlink()
    with pytest.raises(FileNotFoundError, match="is missing"):
        store.open(corpus)


def test_a_selection_reads_the_store_of_the_whole_set(tmp_path, corpus):
    stored = store_in(tmp_path / "cache").build(corpus, progress=False)
    selection = corpus.select(speakers=["s1"])
    aligned = stored.aligned(selection)
    assert len(aligned) == len(selection) == 8
    for row in range(len(selection)):
        assert np.array_equal(aligned.array(row, "samples"), [len(selection.audio(row)[0])])


def test_rows_that_are_not_in_the_store_are_named(tmp_path, corpus):
    stored = store_in(tmp_path / "cache").build(corpus.take([0, 1]), progress=False)
    with pytest.raises(LookupError, match="21 of 23 rows are not in this store, the first is 'clip002'"):
        stored.aligned(corpus)
    with pytest.raises(LookupError, match="no feature 'mel' in this store; it has envelope, samples"):
        stored.array(0, "mel")


def test_stored_features_travel_to_processes(tmp_path, corpus):
    stored = store_in(tmp_path / "cache").build(corpus, progress=False)
    copy = pickle.loads(pickle.dumps(stored.aligned(corpus.take([5, 3]))))
    assert copy.array(1, "samples").tolist() == [800 + 3 * 160]


def fails_at_nine(shards, row):
    if row == 9:
        raise ZeroDivisionError("no energy")
    return {"row": np.array([row])}


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_row_that_fails_ends_the_build_by_name_and_the_rest_is_kept(tmp_path, corpus, workers):
    with pytest.raises(ValueError, match=r"row 9 \('clip009'\): ZeroDivisionError: no energy"):
        store_in(tmp_path, compute=fails_at_nine).build(corpus, per_shard=4, workers=workers, progress=False)
    with pytest.raises(FileNotFoundError, match="is not finished"):
        store_in(tmp_path, compute=fails_at_nine).open(corpus)
    assert len(list(tmp_path.rglob("envelope-00000[01].tar"))) == 2


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ({}, "no features were computed"),
        ({"mel": [1, 2]}, "the feature 'mel' is list; features are numpy arrays"),
        ({"mel": np.array([None])}, "the feature 'mel' is an array of object"),
        ({"Mel Bands": np.zeros(2)}, "field name 'Mel Bands.npy'"),
    ],
)
def test_only_arrays_of_numbers_are_kept(tmp_path, corpus, made, words):
    with pytest.raises(ValueError, match=words):
        store_in(tmp_path, compute=lambda shards, row: made).build(corpus, progress=False)


def test_an_empty_set_is_refused(tmp_path, corpus):
    with pytest.raises(ValueError, match="no rows to compute 'envelope' of"):
        store_in(tmp_path).build(corpus.take([]), progress=False)


class Bomb:
    def __reduce__(self):
        return os.system, (f"touch {os.environ['BOMB']}",)


def test_a_planted_pickle_is_refused_and_not_run(tmp_path, corpus, monkeypatch):
    monkeypatch.setenv("BOMB", str(tmp_path / "exploded"))
    store = store_in(tmp_path / "cache")
    store.build(corpus, progress=False)
    buffer = io.BytesIO()
    np.save(buffer, np.array([Bomb()], object), allow_pickle=True)
    place = store.path(corpus)
    for leftover in (place / "shards").iterdir():
        leftover.unlink()
    rows = range(len(corpus))
    write_shards(
        rows,
        lambda row: Record(corpus.keys[row], {"envelope.npy": buffer.getvalue()}),
        place / "shards",
        progress=False,
    )
    stored = store.open(corpus)
    with pytest.raises(ValueError, match=r"[Oo]bject arrays|allow_pickle"):
        stored.array(0, "envelope")
    assert not (tmp_path / "exploded").exists()


SLOW_BUILD = """
import sys, time
from pathlib import Path
import numpy as np
from amphion_core.config import Config
from amphion_core.data import ShardSet
from amphion_core.features.store import FeatureStore

class Settings(Config):
    pause: float = 0.004

def compute(shards, row):
    time.sleep(0.004)
    wav, _ = shards.audio(row)
    with Path(sys.argv[3]).open("a") as file:
        file.write(f"{row}\\n")
    return {"wav": wav}

if __name__ == "__main__":
    store = FeatureStore(sys.argv[2], "slow", Settings(), compute)
    stored = store.build(ShardSet.open(sys.argv[1]), per_shard=3, workers=int(sys.argv[4]), progress=False)
    print(len(stored), stored.array(22, "wav").sum())
"""


def slow_build(tmp_path, cache, workers):
    script = tmp_path / "slow_build.py"
    script.write_text(SLOW_BUILD)
    command = [sys.executable, script, tmp_path / "corpus", cache, tmp_path / f"{cache.name}.rows", str(workers)]
    return subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)


def finished(process):
    """Its exit code and what it printed."""
    output, _ = process.communicate(timeout=120)
    return process.returncode, output


@pytest.mark.slow
def test_two_processes_that_build_at_once_compute_each_row_once(tmp_path, corpus):
    both = [slow_build(tmp_path, tmp_path / "cache", workers=1) for _ in range(2)]
    first, second = [finished(process) for process in both]
    assert first == second
    assert first[0] == 0
    assert sorted((tmp_path / "cache.rows").read_text().split(), key=int) == [str(row) for row in range(23)]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_build_killed_at_any_moment_is_continued_to_the_same_bytes(tmp_path, corpus, workers):
    whole = finished(slow_build(tmp_path, tmp_path / "whole", workers=1))
    assert whole[0] == 0
    moments = random.Random(workers)
    killed = 0
    for _ in range(12):
        process = slow_build(tmp_path, tmp_path / "killed", workers=workers)
        done = tmp_path / "killed.rows"
        before = done.stat().st_size if done.exists() else 0
        while process.poll() is None and (not done.exists() or done.stat().st_size == before):
            time.sleep(0.002)  # starting up is not what is to be interrupted
        time.sleep(moments.uniform(0, 0.03))
        process.send_signal(signal.SIGKILL)
        killed += finished(process)[0] == -signal.SIGKILL
        if killed == 4:
            break
    assert finished(slow_build(tmp_path, tmp_path / "killed", workers=workers)) == whole
    assert killed >= 2
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def build_as_nobody(store, corpus, messages):
    if os.geteuid() == 0:
        os.setuid(65534)  # root may write anywhere
    try:
        messages.put(len(store.build(corpus, progress=False)))
    except Exception as error:
        messages.put(f"{type(error).__name__}: {error}")


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_a_read_only_cache_is_read_and_otherwise_named():
    context = multiprocessing.get_context("fork")
    messages = context.Queue()
    with tempfile.TemporaryDirectory() as place:  # not tmp_path, which nobody but its owner may enter
        Path(place).chmod(0o755)
        corpus, cache = make_corpus(Path(place) / "corpus"), Path(place) / "cache"
        store_in(cache).build(corpus, progress=False)
        cache.chmod(0o555)
        for store in (store_in(cache), store_in(cache, frame=80)):
            process = context.Process(target=build_as_nobody, args=(store, corpus, messages))
            process.start()
            process.join(60)
        cache.chmod(0o755)
    assert messages.get(timeout=10) == 23
    said = messages.get(timeout=10)
    assert said.startswith("PermissionError: the features of 'envelope' are not in")
    assert "give another cache folder" in said
