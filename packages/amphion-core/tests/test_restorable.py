"""The completeness matrix: everything that gives rows or batches, and whether a position in it can be restored.

`exact`: a position, kept as JSON, goes on with exactly what would have come, at a cost that does not depend on it.
`replay`: it always gives the same from its beginning; a position is reached by counting.
`unsupported`: neither; asking for it is an error.
"""

import functools
import importlib
import inspect
import itertools
import json
import os
import pickle
import pkgutil
import signal
import subprocess
import sys
import time

import numpy as np
import pydantic
import pytest

import amphion_core.data
from amphion_core.audio import encode
from amphion_core.config import Config
from amphion_core.data import Batches, Drop, Loader, Record, ShardSet, read_drops, write_drops, write_shards
from amphion_core.data.config import BatchConfig
from amphion_core.data.mixing import Mix
from amphion_core.data.remote import stream
from amphion_core.data.tar import members
from amphion_core.features.store import FeatureStore
from amphion_core.schema import Utterance, read_manifest, write_manifest

ROWS = 37


@functools.cache
def corpus_in(folder):
    def clip(row):
        rng = np.random.default_rng(row)
        wav = (0.1 * rng.standard_normal(int(rng.integers(400, 3000)))).astype(np.float32)
        text = {"id": f"clip{row:03d}", "text": "la", "speaker": f"s{row % 3}", "language": "en"}
        return Record(f"clip{row:03d}", {"wav": encode(wav, 16000, "wav"), "json": json.dumps(text).encode()})

    write_shards(range(ROWS), clip, folder, per_shard=5, progress=False)
    return ShardSet.open(folder)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return corpus_in(tmp_path_factory.mktemp("corpus"))


class Reading:
    """Loads a row: its name, a sample, and a draw."""

    def __init__(self, corpus):
        self.corpus = corpus

    def __call__(self, which, index, generator):
        wav, _ = self.corpus.audio(index)
        return self.corpus.keys[index], float(wav[0]), generator.random()


def in_processes(corpus, workers, **options):
    return Loader(Reading(corpus), batches(corpus, **options), list, workers=workers, start_method="fork")


def batches(corpus, epochs=None, weights=None, rank=0, world_size=1, **config):
    settings = BatchConfig(**{"unit": "seconds", "size": 0.5, "buckets": 3, **config})
    sets = [corpus] if weights is None else [corpus, corpus.select(speakers=["s1"])]
    return Batches(sets, settings, weights=weights, seed=5, rank=rank, world_size=world_size, epochs=epochs)


class Stateful:
    """What has state_dict and load_state_dict."""

    def __init__(self, make):
        self.make = make

    def expected(self, count):
        source = self.make()
        found = list(itertools.islice(source, count))
        self.end(source)
        return found

    def interrupted(self, taken):
        source = self.make()
        for _ in itertools.islice(source, taken):
            pass
        state = source.state_dict()
        self.end(source)
        return state

    def resumed(self, state, count):
        source = self.make()
        source.load_state_dict(state)
        found = list(itertools.islice(source, count))
        self.end(source)
        return found

    @staticmethod
    def end(source):
        if isinstance(source, Loader):
            source.close()


class Numbered:
    """What is read by number: the position is the number."""

    def __init__(self, make, read=lambda source, place: source[place]):
        self.make, self.read = make, read

    def expected(self, count):
        return self.resumed(0, count)

    def interrupted(self, taken):
        return taken

    def resumed(self, state, count):
        source = self.make()
        places = range(state, min(state + count, len(source) if hasattr(source, "__len__") else state + count))
        return [self.read(source, place) for place in places]


def first_sample(shards, row):
    return {"first": shards.audio(row)[0][:3]}


def stored(corpus, folder):
    return FeatureStore(folder, "first", Config(), first_sample).build(corpus, progress=False)


def read_mix(mix, place):
    return mix.epoch(place).tolist()


EXACT = {
    "Batches, shuffled": lambda c, _: Stateful(lambda: batches(c)),
    "Batches, in order": lambda c, _: Stateful(lambda: batches(c, shuffle=False)),
    "Batches, one class": lambda c, _: Stateful(lambda: batches(c, buckets=1)),
    "Batches, by items": lambda c, _: Stateful(lambda: batches(c, unit="items", size=4)),
    "Batches, by weight": lambda c, _: Stateful(lambda: batches(c, weights=[1, 2])),
    "Batches, bounded": lambda c, _: Stateful(lambda: batches(c, epochs=2)),
    "Batches, rank 1 of 3": lambda c, _: Stateful(lambda: batches(c, rank=1, world_size=3)),
    "Loader, in the process": lambda c, _: Stateful(lambda: Loader(Reading(c), batches(c), list)),
    "Loader, 1 process": lambda c, _: Stateful(lambda: in_processes(c, 1)),
    "Loader, 2 processes": lambda c, _: Stateful(lambda: in_processes(c, 2)),
    "Loader, bounded": lambda c, _: Stateful(lambda: in_processes(c, 1, epochs=2)),
    "Loader, by weight": lambda c, _: Stateful(lambda: Loader(Reading(c), batches(c, weights=[1, 2]), list)),
    "Mix": lambda c, _: Numbered(lambda: Mix([5, 9], seed=1), read_mix),
    "Mix, by weight": lambda c, _: Numbered(lambda: Mix([5, 9], weights=[1, 1], seed=1), read_mix),
    "ShardSet": lambda c, _: Numbered(lambda: pickle.loads(pickle.dumps(c))),
    "ShardSet, selection": lambda c, _: Numbered(lambda: c.select(speakers=["s1", "s2"])),
    "Strings": lambda c, _: Numbered(lambda: c.keys),
    "Labels": lambda c, _: Numbered(lambda: c.speakers),
    "StoredFeatures": lambda c, folder: Numbered(lambda: stored(c, folder), lambda s, k: s.array(k, "first").tolist()),
}


def manifest(corpus, folder):
    write_manifest(folder / "rows.jsonl", (corpus.utterance(row) for row in range(len(corpus))))
    return read_manifest(folder / "rows.jsonl")


def drops(corpus, folder):
    write_drops(folder / "drops.jsonl", [Drop(key) for key in corpus.keys])
    return read_drops(folder / "drops.jsonl")


def raw_members(corpus, folder):
    data = corpus.tars[0].read_bytes()
    return members(lambda offset, size: data[offset : offset + size], len(data))


REPLAY = {
    "read_manifest": manifest,
    "read_drops": drops,
    "stream": lambda corpus, _: stream(corpus.tars),
    "members": raw_members,
}

UNSUPPORTED = {
    "a running iteration of Batches": lambda c, _: iter(batches(c)),
    "a running iteration of a Loader": lambda c, _: iter(Loader(Reading(c), batches(c), list)),
}


def forked(kind):
    """Cases whose functions reach the processes only by fork."""
    needs = kind in ("Loader, 1 process", "Loader, 2 processes", "Loader, bounded")
    mark = pytest.mark.skipif(needs and not hasattr(os, "fork"), reason="no fork on this system")
    return pytest.param(kind, marks=mark)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [forked(kind) for kind in EXACT])
def test_exact_goes_on_from_a_saved_position_with_what_would_have_come(kind, corpus, tmp_path):
    case = EXACT[kind](corpus, tmp_path)
    expected = case.expected(30)
    assert len(expected) >= 12
    for taken in (0, 1, 7, 11):
        state = json.loads(json.dumps(case.interrupted(taken)))
        assert case.resumed(state, 30 - taken) == expected[taken:]


@pytest.mark.parametrize("kind", REPLAY)
def test_replay_gives_the_same_from_its_beginning_and_has_no_position(kind, corpus, tmp_path):
    first, second = (REPLAY[kind](corpus, tmp_path) for _ in range(2))
    assert not hasattr(first, "state_dict")
    found = list(first)
    assert len(found) >= 10
    assert list(itertools.islice(second, 4, None)) == found[4:]


@pytest.mark.parametrize("kind", UNSUPPORTED)
def test_unsupported_is_an_error(kind, corpus, tmp_path):
    running = UNSUPPORTED[kind](corpus, tmp_path)
    next(running)
    assert not hasattr(running, "state_dict")
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(running)


def gives_rows(name, thing):
    """Whether a public thing gives rows or batches; descriptions of one thing are no sequences of it."""
    if inspect.isclass(thing):
        described = issubclass(thing, pydantic.BaseModel | tuple | Exception)
        return not described and any(hasattr(thing, method) for method in ("__iter__", "__getitem__", "state_dict"))
    return inspect.isfunction(thing) and "Iterator" in str(thing.__annotations__.get("return"))


def test_everything_that_gives_rows_is_in_the_matrix():
    names = [module.name for module in pkgutil.iter_modules(amphion_core.data.__path__, "amphion_core.data.")]
    found = set()
    for name in [*names, "amphion_core.features.store", "amphion_core.schema"]:
        module = importlib.import_module(name)
        found |= {word for word in getattr(module, "__all__", ()) if gives_rows(word, getattr(module, word))}
    listed = {kind.split(",")[0] for kind in [*EXACT, *REPLAY]}
    assert found - listed == set()
    assert listed - found == {"Mix", "StoredFeatures"}  # read by number through methods of their own


def test_a_position_far_on_costs_the_plan_of_one_epoch(corpus, monkeypatch):
    planned, plan = [], Mix.epoch
    monkeypatch.setattr(Mix, "epoch", lambda self, number: planned.append(number) or plan(self, number))
    for weights in (None, [1, 2]):
        far = batches(corpus, weights=weights)
        first = 10**6 * far.batches_per_epoch
        planned.clear()
        far.load_state_dict({**far.state_dict(), "epoch": 10**6, "first": first, "number": first + 3})
        assert next(iter(far)).number == first + 3
        assert planned == [10**6]


EPOCH = """
import json, sys, time
from pathlib import Path
from amphion_core.atomic import atomic_writer
from amphion_core.data import BatchConfig, Batches, Loader, ShardSet

corpus = ShardSet.open(sys.argv[1])
rank, world_size, workers, steps = map(int, sys.argv[2:6])
state, log = Path(sys.argv[6]), Path(sys.argv[7])

def load(which, index, generator):
    wav, _ = corpus.audio(index)
    return f"{corpus.keys[index]}:{generator.random():.6f}:{wav.sum():.6f}"

if __name__ == "__main__":
    settings = BatchConfig(unit="seconds", size=0.5, buckets=3)
    loader = Loader(load, Batches([corpus], settings, seed=5, rank=rank, world_size=world_size), list, workers=workers)
    if state.exists():
        loader.load_state_dict(json.loads(state.read_text()))
    at = loader.state_dict()["number"]
    for step, batch in zip(range(steps), loader):
        number = at + (rank - at) % world_size + step * world_size
        with log.open("a") as file:
            file.write(json.dumps([number, batch]) + "\\n")
        with atomic_writer(state) as file:
            file.write(json.dumps(loader.state_dict()).encode())
        time.sleep(0.01)
    loader.close()
"""


def run_epoch(folder, rank, world_size, workers, steps, state):
    script = folder / "epoch.py"
    script.write_text(EPOCH)
    log = folder / f"{rank}-of-{world_size}.log"
    command = [script, folder / "corpus", rank, world_size, workers, steps, state, log]
    return subprocess.Popen([sys.executable, *map(str, command)])


def reached(state):
    return json.loads(state.read_text())["number"] if state.exists() else 0


def delivered(folder):
    """Batches by number; one that came twice must be the same."""
    found = {}
    for log in folder.glob("*.log"):
        for line in log.read_text().splitlines():
            if not line.endswith("]]"):
                continue  # killed while it was written
            number, batch = json.loads(line)
            assert found.setdefault(number, batch) == batch
    return found


@pytest.mark.slow
def test_two_processes_of_two_workers_killed_and_resumed_as_three_take_every_batch_once(tmp_path):
    corpus = corpus_in(tmp_path / "corpus")
    plan = [[corpus.keys[i] for _, i in b.items] for b in itertools.islice(batches(corpus), 400)]
    pair = [run_epoch(tmp_path, rank, 2, 2, 10_000, tmp_path / f"state{rank}") for rank in range(2)]
    deadline = time.monotonic() + 60
    while min(reached(tmp_path / f"state{rank}") for rank in range(2)) < 8 and time.monotonic() < deadline:
        time.sleep(0.02)
    for process in pair:
        process.send_signal(signal.SIGKILL)
        process.wait()
    # as a checkpoint would: the position that all processes have reached
    position = min(reached(tmp_path / f"state{rank}") for rank in range(2))
    state = next(s for s in (tmp_path / "state0", tmp_path / "state1") if reached(s) == position).read_bytes()
    for rank in range(3):
        (tmp_path / f"state{rank}").write_bytes(state)
    three = [run_epoch(tmp_path, rank, 3, 1 if rank == 0 else 0, 14, tmp_path / f"state{rank}") for rank in range(3)]
    assert [process.wait(120) for process in three] == [0, 0, 0]
    found = delivered(tmp_path)
    assert sorted(found)[: position + 42] == list(range(position + 42))
    for number in range(position + 42):
        assert [row.split(":")[0] for row in found[number]] == plan[number]
    count = batches(corpus).batches_per_epoch
    assert sorted(key for number in range(count) for key in plan[number]) == sorted(corpus.keys)


def test_fewer_shards_than_processes_leave_no_gap(tmp_path):
    corpus = corpus_in(tmp_path / "corpus")  # 8 shards
    for world_size in (9, 64):
        ranks = [batches(corpus, epochs=1, rank=rank, world_size=world_size) for rank in range(world_size)]
        rows = [index for rank in ranks for batch in rank for _, index in batch.items]
        assert sorted(rows) == list(range(ROWS))


def test_utterances_survive_the_way_through_a_manifest(corpus, tmp_path):
    assert next(iter(manifest(corpus, tmp_path))) == corpus.utterance(0)
    assert isinstance(corpus.utterance(0), Utterance)
