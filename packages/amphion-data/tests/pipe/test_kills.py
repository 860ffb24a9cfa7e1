"""Runs whose workers, drivers or machines are killed: nothing lost, nothing doubled, the same bytes.

The kills are counted: 16 or more of pools and their drivers, 14 or more of Ray, one of them a whole node.
"""

import contextlib
import os
import random
import threading
from pathlib import Path

import pytest
import soundfile

from amphion_core.data import ShardSet
from amphion_core.testing.files import digests
from amphion_data.engines import ProcessPoolEngine, RayEngine, make_engine, open_store
from amphion_data.pipe import PipeSettings, run_pipe
from amphion_data.preparing import prepare
from amphion_data.settings import PrepareSettings

CHEAP = {"vad": "energy", "diarise": "none", "score": "none", "embed": "spectral", "format": "flac", "unit": 30.0}
PREPARED = PrepareSettings(valid=4, test=4, per_shard=3, sample_rate=16_000)
POOL_DRIVERS, POOL_EMILIA, POOL_PREPARE = 4, 6, 6
RAY_DRIVERS, RAY_EMILIA, RAY_PREPARE, RAY_NODES = 1, 6, 6, 1
ROUNDS = 12  # runs in which the kills have to be done

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")]


def test_at_least_thirty_processes_are_killed_on_the_two_engines():
    assert POOL_DRIVERS + POOL_EMILIA + POOL_PREPARE >= 16
    assert RAY_DRIVERS + RAY_EMILIA + RAY_PREPARE + RAY_NODES >= 14 and RAY_NODES >= 1


def drive(folder, out, engine="in-process", workers=1, address=None):
    """A driver to be killed."""
    engine = make_engine(engine, workers=workers, address=address, retries=20)
    run_pipe(folder, out, PipeSettings.parse(CHEAP), engine=engine, patience=5.0)


def content(out):
    store = open_store(out)
    return {n: store.read(n) for n in store.names() if n.split("/")[0] in ("shards", "units", "drops.jsonl")}


@pytest.fixture
def recordings(tmp_path, speechlike):
    """24 recordings, 12 units."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(24):
        wav = speechlike([(1.0, 5.0), (8.0, 12.0 + 0.05 * number)], 15.0, seed=number)
        soundfile.write(folder / f"{number:02d}.wav", wav, 16_000)
    return folder


@pytest.fixture
def corpus(tmp_path, make_ljspeech):
    """96 rows, two of them broken, 33 shards."""
    root = make_ljspeech(tmp_path / "corpus", chapters=24, sentences=4, sample_rate=44_100)
    (root / "wavs" / "LJ002-0002.wav").write_bytes(b"")
    (root / "wavs" / "LJ003-0003.wav").write_bytes(b"no audio")
    return root


def emilia_under_fire(engine, recordings, whole, out, hunt, kills):
    """Runs while workers are killed, until so many are; every run ends as one that nobody disturbed."""
    done = 0
    for count in range(ROUNDS):
        if done >= kills:
            return done
        with hunt(kills - done, seed=count) as killed:
            report = run_pipe(recordings, out / str(count), PipeSettings.parse(CHEAP), engine=engine)
        done += len(killed)
        assert report.kept == 48 == len(ShardSet.open(out / str(count) / "shards"))
        assert content(out / str(count)) == content(whole)
    return done


def prepare_under_fire(engine, corpus, whole, out, hunt, kills):
    """The same of a preparation."""
    done = 0
    for count in range(ROUNDS):
        if done >= kills:
            return done
        with hunt(kills - done, seed=count) as killed:
            report = prepare("ljspeech", corpus, out / str(count), PREPARED, engine=engine, progress=False)
        done += len(killed)
        assert report.rows_in == 96 and report.dropped == {"corrupt_audio": 1, "empty_audio": 1}
        assert digests(out / str(count)) == digests(whole)
    return done


@pytest.mark.parametrize(("engine", "least"), [("in-process", 5), ("pool", POOL_DRIVERS)])
def test_drivers_that_are_killed_leave_whole_units_only_and_the_next_goes_on(recordings, tmp_path, engine, least):
    from amphion_core.testing.kill import run, run_killed_after

    drive(recordings, tmp_path / "whole")
    generator, target, kills = random.Random(0), f"{Path(__file__)}:drive", 0
    out, arguments = tmp_path / "out", (engine, 2 if engine == "pool" else 1)
    for count in range(10):
        if kills >= least and count >= 2 * least:
            break

        def begun(wanted=count):
            return len(list((out / "units").glob("*.json"))) >= wanted if (out / "units").is_dir() else wanted == 0

        kills += run_killed_after(generator.uniform(0.0, 0.15), target, recordings, out, *arguments, ready=begun)
        for name in open_store(out).names("units"):
            assert content(out)[name] == content(tmp_path / "whole")[name]
    run(target, recordings, out)
    assert kills >= least and content(out) == content(tmp_path / "whole")
    assert not open_store(out).names("leases")


@pytest.fixture
def hunt_the_pool(hunting):
    """Kills workers of pools of this process."""
    import multiprocessing

    def children():
        return [child.pid for child in multiprocessing.active_children() if child.pid]

    return lambda kills, seed: hunting(children, kills, (0.2, 1.2), seed)


def test_workers_of_a_pool_that_are_killed_lose_and_double_nothing(recordings, tmp_path, hunt_the_pool):
    drive(recordings, tmp_path / "whole")
    engine = ProcessPoolEngine(2, retries=20)
    done = emilia_under_fire(engine, recordings, tmp_path / "whole", tmp_path / "out", hunt_the_pool, POOL_EMILIA)
    assert done == POOL_EMILIA


def test_workers_of_a_pool_that_prepare_and_are_killed_lose_and_double_nothing(corpus, tmp_path, hunt_the_pool):
    prepare("ljspeech", corpus, tmp_path / "whole", PREPARED, workers=1, progress=False)
    engine = ProcessPoolEngine(2, retries=20)
    done = prepare_under_fire(engine, corpus, tmp_path / "whole", tmp_path / "out", hunt_the_pool, POOL_PREPARE)
    assert done == POOL_PREPARE


@pytest.fixture
def nodes(monkeypatch):
    """A cluster of two nodes on this machine, one core each."""
    import ray
    from ray.cluster_utils import Cluster

    if ray.is_initialized():
        ray.shutdown()
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    small = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**small, "include_dashboard": False})
    second = cluster.add_node(**small)
    ray.init(address=cluster.address, log_to_driver=False, runtime_env={"env_vars": {"OMP_NUM_THREADS": "1"}})
    yield cluster, second
    ray.shutdown()
    cluster.shutdown()


@contextlib.contextmanager
def losing(cluster, node, once):
    """A node goes without a word as soon as something holds; gives the list of nodes that went."""
    stop, lost = threading.Event(), []

    def lose():
        while not stop.wait(0.02):
            if once():
                cluster.remove_node(node, allow_graceful=False)
                lost.append(node)
                return

    thread = threading.Thread(target=lose)
    thread.start()
    try:
        yield lost
    finally:
        stop.set()
        thread.join()


@pytest.mark.extra("ray")
def test_workers_a_driver_and_a_node_of_ray_that_are_killed_lose_and_double_nothing(
    recordings, corpus, tmp_path, nodes, hunting, running
):
    from amphion_core.testing.kill import start

    cluster, second = nodes
    engine = RayEngine(retries=20)

    def hunt(title):
        # Those that run a step; a node whose agents are killed is lost as a whole.
        return lambda kills, seed: hunting(lambda: running(title), kills, (0.2, 1.5), seed)

    prepare("ljspeech", corpus, tmp_path / "prepared", PREPARED, workers=1, progress=False)
    drive(recordings, tmp_path / "whole")
    killed = prepare_under_fire(engine, corpus, tmp_path / "prepared", tmp_path / "p", hunt("ray::shard"), RAY_PREPARE)
    killed += emilia_under_fire(engine, recordings, tmp_path / "whole", tmp_path / "e", hunt("ray::unit"), RAY_EMILIA)
    child = start(f"{Path(__file__)}:drive", recordings, tmp_path / "driven", "ray", 1, cluster.address)
    child.wait_until(lambda: len(list((tmp_path / "driven").glob("units/*.json"))) >= 2)
    child.kill()
    assert child.process.exitcode < 0, child.stderr()
    killed += RAY_DRIVERS
    with losing(cluster, second, once=lambda: len(list((tmp_path / "driven").glob("units/*.json"))) >= 4) as lost:
        run_pipe(recordings, tmp_path / "driven", PipeSettings.parse(CHEAP), engine=engine, patience=5.0)
    killed += len(lost)
    assert content(tmp_path / "driven") == content(tmp_path / "whole")
    assert killed == RAY_PREPARE + RAY_EMILIA + RAY_DRIVERS + RAY_NODES
