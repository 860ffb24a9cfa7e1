"""Runs whose workers or drivers are killed: nothing lost, nothing doubled, the same bytes."""

import os
import random
import signal
import threading
from importlib.util import find_spec
from pathlib import Path

import pytest
import soundfile

from amphion_core.data import ShardSet
from amphion_data.engines import ProcessPoolEngine, make_engine, open_store
from amphion_data.pipe import PipeSettings, run_pipe

CHEAP = {"vad": "energy", "diarise": "none", "score": "none", "embed": "spectral", "format": "flac", "unit": 30.0}


def drive(folder, out, engine="in-process"):
    """A driver to be killed."""
    run_pipe(folder, out, PipeSettings.parse(CHEAP), engine=make_engine(engine), patience=5.0)


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


@pytest.mark.slow
def test_drivers_that_are_killed_leave_whole_units_only_and_the_next_goes_on(recordings, tmp_path):
    from amphion_core.testing.kill import run, run_killed_after

    drive(recordings, tmp_path / "whole")
    generator, target, kills = random.Random(0), f"{Path(__file__)}:drive", 0
    out = tmp_path / "out"
    for count in range(10):

        def begun(wanted=count):
            return len(list((out / "units").glob("*.json"))) >= wanted if (out / "units").is_dir() else wanted == 0

        kills += run_killed_after(generator.uniform(0.0, 0.15), target, recordings, out, ready=begun)
        for name in open_store(out).names("units"):
            assert content(out)[name] == content(tmp_path / "whole")[name]
    run(target, recordings, out)
    assert kills >= 5 and content(out) == content(tmp_path / "whole")
    assert not open_store(out).names("leases")


def hunted(engine, victims, recordings, out, kills, pause):
    """Run while processes are killed; returns the report and how many were."""
    stop, generator, killed = threading.Event(), random.Random(2), []

    def hunt():
        # The first as soon as there is one: on a quick machine the whole run is over in two seconds.
        while len(killed) < kills and not stop.wait(generator.uniform(*pause) if killed else 0.02):
            alive = victims()
            if alive:
                victim = generator.choice(alive)
                os.kill(victim, signal.SIGKILL)
                killed.append(victim)

    hunter = threading.Thread(target=hunt)
    hunter.start()
    try:
        report = run_pipe(recordings, out, PipeSettings.parse(CHEAP), engine=engine)
    finally:
        stop.set()
        hunter.join()
    return report, killed


@pytest.mark.slow
def test_workers_of_a_pool_that_are_killed_lose_and_double_nothing(recordings, tmp_path):
    import multiprocessing

    def children():
        return [child.pid for child in multiprocessing.active_children() if child.pid]

    drive(recordings, tmp_path / "whole")
    engine = ProcessPoolEngine(2, retries=20)
    report, killed = hunted(engine, children, recordings, tmp_path / "out", 8, (0.1, 0.7))
    assert killed and report.kept == 48 == len(ShardSet.open(tmp_path / "out" / "shards"))
    assert content(tmp_path / "out") == content(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is an extra")
def test_workers_of_ray_that_are_killed_lose_and_double_nothing(recordings, tmp_path):
    import psutil
    import ray

    from amphion_data.engines import RayEngine

    def workers():
        found = []
        for process in psutil.Process().children(recursive=True):
            try:
                if " ".join(process.cmdline()).startswith("ray::unit"):
                    found.append(process.pid)
            except psutil.Error:
                pass
        return found

    drive(recordings, tmp_path / "whole")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100 * 2**20)
    try:
        report, killed = hunted(RayEngine(retries=20), workers, recordings, tmp_path / "out", 4, (0.3, 1.5))
    finally:
        ray.shutdown()
    assert killed and report.kept == 48
    assert content(tmp_path / "out") == content(tmp_path / "whole")


@pytest.mark.slow
def test_two_drivers_on_one_folder_share_the_work_and_do_it_once(recordings, tmp_path):
    from amphion_core.testing.kill import start

    drive(recordings, tmp_path / "whole")
    children = [start(f"{Path(__file__)}:drive", recordings, tmp_path / "out") for _ in range(2)]
    assert [child.wait() for child in children] == [0, 0], [child.stderr()[-2000:] for child in children]
    assert content(tmp_path / "out") == content(tmp_path / "whole")
