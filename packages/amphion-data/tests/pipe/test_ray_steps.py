"""The pipeline on Ray: networks in actors with a share of a GPU, the rest in tasks, the bytes of one process."""

import json
import os

import pytest
import soundfile

from amphion_data.engines import make_engine, open_store
from amphion_data.pipe import run_pipe

pytestmark = [pytest.mark.slow, pytest.mark.extra("ray")]


@pytest.fixture
def recordings(tmp_path, speechlike):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(8):
        wav = speechlike([(1.0, 5.0), (8.0, 12.0 + 0.1 * number)], 15.0, seed=number)
        soundfile.write(folder / f"{number}.wav", wav, 16_000)
    soundfile.write(folder / "silence.wav", speechlike([], 5.0) * 0, 16_000)
    return folder


def content(out):
    store = open_store(out)
    return {n: store.read(n) for n in store.names() if n.split("/")[0] in ("shards", "units", "drops.jsonl")}


def test_networks_run_in_actors_that_make_them_once_and_the_bytes_are_those_of_one_process(
    probes, recordings, tmp_path, cheap, monkeypatch
):
    import ray

    settings = cheap(unit=30.0, vad="probe", score="probe")
    settings = settings.updated(options={"probe": {"folder": str(probes)}})
    run_pipe(recordings, tmp_path / "one", settings)
    for path in probes.iterdir():
        path.unlink()
    if ray.is_initialized():
        ray.shutdown()
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    environment = {"env_vars": {"PYTHONPATH": os.environ["PYTHONPATH"], "OMP_NUM_THREADS": "1"}}
    more = {"include_dashboard": False, "log_to_driver": False, "object_store_memory": 100 * 2**20}
    ray.init(num_cpus=2, num_gpus=1, runtime_env=environment, **more)  # the GPU is only said to be there
    try:
        report = run_pipe(recordings, tmp_path / "two", settings, engine=make_engine("ray"), gpus=0.5)
        noted = [path.name.split("-")[:3] for path in probes.iterdir()]
        for stages in (":segment", "transcribe:"):
            run_pipe(recordings, tmp_path / "parts", settings, engine=make_engine("ray"), gpus=0.5, stages=stages)
    finally:
        ray.shutdown()
    assert content(tmp_path / "parts") == content(tmp_path / "one")
    assert report.kept == 16 and content(tmp_path / "two") == content(tmp_path / "one")
    steps = [json.loads(path.read_text())["steps"] for path in (tmp_path / "two" / "times").iterdir()]
    ran = {name: {own[name]["process"].split(":")[1] for own in steps} for name in steps[0]}
    assert len(steps) == 5 and list(ran) == ["standardise", "listen", "recognise", "write"]
    assert len(ran["listen"]) == len(ran["recognise"]) == 1 and ran["listen"] != ran["recognise"]
    assert not (ran["listen"] | ran["recognise"]) & (ran["standardise"] | ran["write"])
    for name, step in (("vad", "listen"), ("score", "recognise")):
        assert [pid for what, kind, pid in noted if (what, kind) == ("made", name)] == list(ran[step])
        used = [pid for what, kind, pid in noted if (what, kind) == ("used", name)]
        assert set(used) == ran[step] and len(used) >= 4
