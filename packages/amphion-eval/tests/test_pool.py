import os
import time

import pytest

from amphion_eval.pool import run, single_threaded


def test_processes_started_inside_use_one_thread_and_this_one_stays_as_it_was(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with single_threaded():
        assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "1"
    assert os.environ["OMP_NUM_THREADS"] == "3" and "MKL_NUM_THREADS" not in os.environ


def test_environment_comes_back_after_an_error(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    with pytest.raises(KeyError), single_threaded():
        raise KeyError
    assert os.environ["OMP_NUM_THREADS"] == "3"


@pytest.mark.slow
def test_task_begins_when_those_it_waits_for_are_done():
    tasks = [1.0, 0.0, 0.0]  # seconds of sleep; waiting for the first turns the order round
    assert [place for place, _ in run(time.sleep, tasks, [set(), {0}, {0, 1}], 2)] == [0, 1, 2]
    assert [place for place, _ in run(time.sleep, tasks, [set(), set(), {1}], 2)] == [1, 2, 0]


@pytest.mark.slow
def test_process_that_ends_on_its_own_is_an_error_that_says_what_to_do():
    with pytest.raises(RuntimeError, match="fewer workers"):
        list(run(os._exit, [1], [set()], 1))


@pytest.mark.slow
def test_function_that_cannot_be_sent_is_refused():
    with pytest.raises(ValueError, match="define the function in a module"):
        list(run(lambda _: 0, [0], [set()], 1))
