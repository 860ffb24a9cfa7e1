import json
import math
import sys

import numpy as np
import pytest

from amphion_core.extras import MissingExtraError
from amphion_core.training.logging import Board, Progressbar, RunLog
from amphion_core.training.task import Sample


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_holds_kind_step_epoch_and_time(tmp_path):
    log = RunLog(tmp_path / "log.jsonl")
    log.write("train", 3, 1, losses={"a/b": 0.5})
    log.close()
    (line,) = lines(tmp_path / "log.jsonl")
    assert line.pop("time").endswith("Z")
    assert line == {"kind": "train", "step": 3, "epoch": 1, "losses": {"a/b": 0.5}}


def test_numbers_that_are_not_finite_become_null(tmp_path):
    log = RunLog(tmp_path / "log.jsonl")
    log.write("valid", 1, 0, losses={"a": math.nan, "b": [math.inf, 1.0]})
    log.close()
    assert lines(tmp_path / "log.jsonl")[0]["losses"] == {"a": None, "b": [None, 1.0]}


def test_lines_after_the_checkpoint_are_dropped(tmp_path):
    log = RunLog(tmp_path / "log.jsonl")
    log.write("train", 1, 0)
    position = log.position()
    log.write("train", 2, 0)
    log.close()
    again = RunLog(tmp_path / "log.jsonl", position)
    again.write("train", 2, 0, again=True)
    again.close()
    assert [(line["step"], "again" in line) for line in lines(tmp_path / "log.jsonl")] == [(1, False), (2, True)]


def test_a_cut_line_of_a_killed_run_is_dropped(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"kind": "train", "st')
    log = RunLog(path, 0)
    log.write("note", 0, 0)
    log.close()
    assert [line["kind"] for line in lines(path)] == ["note"]


def test_a_log_beside_the_main_process_writes_nothing():
    log = RunLog(None)
    log.write("train", 1, 0)
    assert log.position() == 0
    log.close()


@pytest.mark.parametrize(
    ("total", "hours", "expected"), [(100, None, "0:00:45"), (None, None, "?"), (10**6, 0.01, "0:00:36")]
)
def test_remaining_time_is_that_of_the_nearest_bound(total, hours, expected):
    bar = Progressbar(total, 10, hours, shown=False)
    assert bar.remaining(10, 2.0) == expected
    bar.close()


def test_tensorboard_gets_curves_sounds_and_pictures(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    board = Board(tmp_path, step=0)
    board.scalars("train", {"generator/mel": 0.5}, 2)
    board.sample(Sample(name="toy", wav=np.zeros(80, np.float32), sample_rate=8000, picture=np.eye(4)), 2)
    board.close()
    events = accumulator.EventAccumulator(str(tmp_path)).Reload()
    assert [e.value for e in events.Scalars("train/generator/mel")] == [0.5]
    assert (events.Tags()["images"], events.Tags()["audio"]) == (["toy"], ["toy"])


def test_without_tensorboard_the_error_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MissingExtraError, match=r"amphion-core\[tracking\]"):
        Board(tmp_path, step=0)
