"""Parts of a long computation on threads, each of which keeps to its own part and so to its own caches.

Torch splits each operation among its threads, in another way for each: what one core has written, the other reads.
Where many operations follow each other on the same samples, it is faster when a thread does them all for its part.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

__all__ = ["on_threads", "one_thread"]

JobT = TypeVar("JobT")
RoomT = TypeVar("RoomT")


def on_threads(jobs: Sequence[JobT], work: Callable[[JobT, RoomT], None], make_room: Callable[[], RoomT]) -> None:
    """Do jobs that do not depend on one another, on as many threads as torch has for one operation.

    Args:
        jobs: whichever thread is free takes the next; a single one is done here, its operations split as ever.
        work: does one; in inference mode.
        make_room: makes what a thread keeps from one of its jobs to the next.

    Raises:
        Exception: the first one of a job.
    """
    threads = min(torch.get_num_threads(), len(jobs))
    waiting = deque(jobs)

    def share() -> None:
        room = make_room()
        with torch.inference_mode():
            while True:
                try:
                    job = waiting.popleft()
                except IndexError:
                    return
                work(job, room)

    if threads == 1:
        share()
        return
    for done in [_team(torch.get_num_threads()).submit(share) for _ in range(threads)]:
        done.result()


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Operations that are not split among threads: sums of the same parts on every machine, one core for a worker."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@functools.cache
def _team(threads: int) -> ThreadPoolExecutor:
    """Threads whose operations are not split further; they live as long as the process."""
    ready = threading.Barrier(threads + 1)

    def begin() -> None:
        torch.get_num_threads()  # the first call of a thread takes over what holds for the process
        torch.set_num_threads(1)
        ready.wait()

    team = ThreadPoolExecutor(threads, "amphion-part")
    for _ in range(threads):
        team.submit(begin)
    ready.wait()
    torch.set_num_threads(threads)  # a thread sets it for itself, but also for those that begin after it
    return team


if hasattr(os, "register_at_fork"):  # threads do not come along into a fork
    os.register_at_fork(after_in_child=_team.cache_clear)
