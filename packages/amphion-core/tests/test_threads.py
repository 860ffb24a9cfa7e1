import os
import threading

import pytest

torch = pytest.importorskip("torch")

from amphion_core.modules.threads import on_threads, one_thread  # noqa: E402


@pytest.fixture(params=[1, 2, 3])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def names_of(jobs, together=1):
    """Thread and room of each job; the first `together` jobs wait until all of them have begun."""
    seen = {}
    begun = threading.Barrier(together)

    def work(job, room):
        if job < together:
            begun.wait(60)
        seen[job] = (threading.current_thread().name, id(room))

    on_threads(range(jobs), work, lambda: [])
    return [seen[job] for job in range(jobs)]


@pytest.mark.parametrize("jobs", [1, 2, 7])
def test_every_job_is_done_once_in_inference_mode(threads, jobs):
    done = []
    on_threads(range(jobs), lambda job, room: done.append((job, torch.is_inference_mode_enabled())), list)
    assert sorted(done) == [(job, True) for job in range(jobs)]


def test_each_thread_keeps_one_room(threads):
    seen = names_of(7, together=threads)
    assert len(set(seen)) == len({name for name, _ in seen}) == threads


def test_a_thread_that_is_held_up_leaves_the_rest_to_the_others():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    held, done = threading.Event(), []

    def work(job, room):
        if job == 0:
            assert held.wait(60)
        done.append(job)
        if len(done) == 6:
            held.set()

    try:
        on_threads(range(7), work, list)
    finally:
        torch.set_num_threads(before)
    assert done == [1, 2, 3, 4, 5, 6, 0]


def test_operations_inside_are_not_split_further_and_those_outside_are_as_before(threads):
    inside = []
    on_threads(range(threads), lambda job, room: inside.append(torch.get_num_threads()), list)
    later = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert set(inside) == {1} and torch.get_num_threads() == threads and later == [threads]


def test_an_error_of_a_job_comes_out(threads):
    def work(job, room):
        if job == 2:
            raise ValueError("job 2 is bad")

    with pytest.raises(ValueError, match="job 2 is bad"):
        on_threads(range(4), work, list)
    assert len(names_of(4)) == 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_makes_threads_of_its_own():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        names_of(2)
        child = os.fork()
        if child == 0:
            os._exit(0 if len(names_of(4)) == 4 else 1)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        torch.set_num_threads(before)


def test_on_one_thread_the_others_wait_also_after_an_error(threads):
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == threads
    with pytest.raises(KeyError), one_thread():
        raise KeyError
    assert torch.get_num_threads() == threads
