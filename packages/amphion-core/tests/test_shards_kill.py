import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from amphion_core.data import ShardSet
from amphion_core.data.index import index_path

pytestmark = pytest.mark.skipif(os.name == "nt", reason="SIGKILL exists on POSIX only")

JOB = """
    import sys
    from amphion_core.data import Record, write_shards

    def encode(k):
        return Record(f"row{k:04d}", {"npy": bytes([k % 251]) * 3000, "json": b'{"id": "row%04d"}' % k})

    if __name__ == "__main__":
        print("ready", flush=True)
        workers = int(sys.argv[2])
        report = write_shards(list(range(240)), encode, sys.argv[1], per_shard=8, workers=workers, progress=False)
        print(report.rows_out, report.skipped)
"""

INDEX_JOB = """
    import sys
    from amphion_core.data import ShardSet
    print("ready", flush=True)
    print(len(ShardSet.open(sys.argv[1])))
"""


def start(script, *arguments):
    process = subprocess.Popen([sys.executable, str(script), *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def half_files(folder):
    """Tars and indices under their final names that are not whole."""
    whole = bytes_of(folder.parent / "whole")
    return [
        name
        for name, data in bytes_of(folder).items()
        if name in whole and name != "shards.json" and data != whole[name]
    ]


def is_complete(folder):
    manifest = folder / "shards.json"
    return manifest.exists() and json.loads(manifest.read_text())["complete"]


def kill_until_done(script, folder, workers, points, seconds):
    """Run the job again and again, killing each run at a random moment; returns the number of kills in its middle."""
    kills = 0
    rng = random.Random(workers)
    while kills < points:
        process = start(script, folder, workers)
        time.sleep(rng.uniform(0, seconds))
        process.kill()
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
        assert half_files(folder) == []
        if is_complete(folder):
            indices = sorted(folder.glob("*.idx"))
            for path in random.Random(kills).sample(indices, min(20, len(indices))):
                path.unlink()  # the next runs have something to do again
        else:
            with pytest.raises((ValueError, FileNotFoundError)):
                ShardSet.open(folder)
    return kills


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "points"), [(1, 20), (2, 12)])
def test_a_writer_killed_at_many_points_loses_doubles_and_halves_nothing(tmp_path, workers, points):
    script = tmp_path / "job.py"
    script.write_text(textwrap.dedent(JOB))
    began = time.monotonic()
    start(script, tmp_path / "whole", workers).communicate()
    seconds = min(0.6, time.monotonic() - began)
    folder = tmp_path / "killed"
    folder.mkdir()
    assert kill_until_done(script, folder, workers, points, seconds) >= points
    process = start(script, folder, workers)
    assert process.communicate()[0].startswith("240 ")
    assert bytes_of(folder) == bytes_of(tmp_path / "whole")
    assert sorted(ShardSet.open(folder).keys) == [f"row{k:04d}" for k in range(240)]


@pytest.mark.slow
def test_an_index_writer_killed_at_twenty_points_leaves_no_half_index(tmp_path):
    job, script = tmp_path / "job.py", tmp_path / "index.py"
    job.write_text(textwrap.dedent(JOB))
    script.write_text(textwrap.dedent(INDEX_JOB))
    start(job, tmp_path / "s", 1).communicate()
    tars = sorted((tmp_path / "s").glob("*.tar"))
    for tar in tars:
        index_path(tar).unlink()
    (tmp_path / "s" / "shards.json").unlink()
    rng = random.Random(0)
    kills = 0
    while kills < 20:
        process = start(script, tmp_path / "s")
        time.sleep(rng.uniform(0, 0.15))
        process.kill()
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
        if process.returncode == 0:
            for tar in tars[::2]:
                index_path(tar).unlink()
    process = start(script, tmp_path / "s")
    assert process.communicate()[0] == "240\n"
    left = {path.name for path in (tmp_path / "s").iterdir()} - {"drops.jsonl"}
    assert left == {tar.name for tar in tars} | {index_path(tar).name for tar in tars}


SLOW = """
    import sys, time
    from amphion_core.data import Record, write_shards

    def encode(k):
        with open(sys.argv[2], "a") as log:
            log.write("x")
        time.sleep(0.05)
        return Record(f"row{k}", {"npy": b"x"})

    if __name__ == "__main__":
        print("ready", flush=True)
        write_shards(list(range(1000)), encode, sys.argv[1], per_shard=100, workers=2, progress=False)
"""


@pytest.mark.slow
def test_workers_end_with_their_parent(tmp_path):
    script, log = tmp_path / "job.py", tmp_path / "log"
    script.write_text(textwrap.dedent(SLOW))
    process = start(script, tmp_path / "out", log)
    while not log.exists() or log.stat().st_size < 5:
        time.sleep(0.02)
    process.kill()
    process.communicate()
    time.sleep(0.5)
    written = log.stat().st_size
    time.sleep(0.5)  # ten rows of each worker, were it alive
    assert log.stat().st_size == written
