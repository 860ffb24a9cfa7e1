"""A corpus into shards on every engine: the same bytes, whatever dies meanwhile."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from steps import Dies

from amphion_core.testing.files import digests
from amphion_data.engines import InProcessEngine, make_engine, spread_over
from amphion_data.preparing import prepare
from amphion_data.settings import PrepareSettings

SETTINGS = PrepareSettings(valid=4, test=4, per_shard=3, sample_rate=8000)


@pytest.fixture
def corpus(tmp_path, make_ljspeech):
    root = make_ljspeech(tmp_path / "corpus", chapters=8, sentences=4)
    (root / "wavs" / "LJ002-0002.wav").write_bytes(b"")
    (root / "wavs" / "LJ003-0003.wav").write_bytes(b"no audio")
    return root


@pytest.mark.parametrize(
    "kind",
    [
        "in-process",
        pytest.param("pool", marks=pytest.mark.slow),
        pytest.param("ray", marks=[pytest.mark.slow, pytest.mark.extra("ray")]),
    ],
)
def test_every_engine_writes_the_bytes_of_the_own_pool(tmp_path, corpus, kind, monkeypatch):
    prepare("ljspeech", corpus, tmp_path / "whole", SETTINGS, workers=1, progress=False)
    monkeypatch.chdir(tmp_path)  # relative paths have to mean the same in other processes
    engine = make_engine(kind, workers=1 if kind == "in-process" else 2)
    report = prepare("ljspeech", "corpus", "out", SETTINGS, engine=engine, progress=False)
    assert report.dropped == {"corrupt_audio": 1, "empty_audio": 1}
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")


def test_what_an_earlier_run_finished_is_not_done_again(tmp_path, corpus):
    prepare("ljspeech", corpus, tmp_path / "out", SETTINGS, engine=InProcessEngine(), progress=False)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.tar")}
    victim = min(times)
    victim.with_name(victim.name + ".idx").unlink()
    prepare("ljspeech", corpus, tmp_path / "out", SETTINGS, engine=InProcessEngine(), progress=False)
    changed = [path for path, time in times.items() if path.stat().st_mtime_ns != time]
    assert changed == [victim]


def test_a_faulty_row_of_a_run_that_shall_fail_ends_it_at_once_with_its_words(tmp_path, corpus):
    engine = InProcessEngine(retries=50)
    strict = PrepareSettings(**{**SETTINGS.to_dict(), "on_error": "fail"})
    with pytest.raises(ValueError, match=r"LJ002-0002.*empty_audio"):
        prepare("ljspeech", corpus, tmp_path / "out", strict, engine=engine, progress=False)
    assert not (tmp_path / "out" / "prepare.json").exists()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_process_that_dies_costs_a_retry_and_a_shard_that_always_kills_it_is_named_after_the_others(tmp_path):
    spread = spread_over(make_engine("pool", workers=2, retries=1))
    assert sorted(spread(Dies(tmp_path, once=(2, 5)), range(8))) == [0, 2, 4, 6, 8, 10, 12, 14]
    results = []
    with pytest.raises(RuntimeError, match=r"1 of 8 shards could not be written.*ended on its own"):
        results.extend(spread(Dies(tmp_path, always=(3,)), range(8)))
    assert sorted(results) == [0, 2, 4, 8, 10, 12, 14]


class Stalls:
    """Meets an error of the disk that passes, the first time."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def __call__(self, number):
        mark = self.folder / f"stalled-{number}"
        if not mark.exists():
            mark.touch()
            raise TimeoutError(110, "the disk did not answer") if number % 2 else OSError(5, "input/output error")
        return number


def test_an_error_of_the_disk_that_passes_is_tried_again_and_a_full_one_is_not(tmp_path):
    assert sorted(spread_over(InProcessEngine())(Stalls(tmp_path), range(4))) == [0, 1, 2, 3]

    def full(number):
        (tmp_path / f"tried-{number}-{len(list(tmp_path.iterdir()))}").touch()
        raise OSError(28, "no space left")

    with pytest.raises(OSError, match="no space left"):
        list(spread_over(InProcessEngine(retries=5))(full, [1]))
    assert len(list(tmp_path.glob("tried-*"))) == 1
