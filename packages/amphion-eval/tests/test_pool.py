import os

import pytest

from amphion_eval.pool import single_threaded


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
