"""The loader: the same batches from any number of processes, exact resume, failures that say what failed."""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from amphion_core.data.batching import Batches
from amphion_core.data.collate import pad_stack
from amphion_core.data.config import BatchConfig
from amphion_core.data.loader import Loader, LoadError

# Functions of a test module can't be sent to a spawned process, only inherited by a forked one.
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
LENGTHS = np.random.default_rng(0).integers(1, 9, 60).astype(float)


class Rows:
    """A set with names."""

    durations = LENGTHS
    keys = [f"clip{i:02d}" for i in range(60)]


def load(which, index, generator):
    return np.concatenate([[which, index], generator.random(int(LENGTHS[index]))]).astype(np.float32)


def collate(items):
    return pad_stack(items)


def make(load=load, collate=collate, *, rank=0, world_size=1, epochs=None, **options):
    batches = Batches(
        [Rows()], BatchConfig(unit="seconds", size=40), seed=3, rank=rank, world_size=world_size, epochs=epochs
    )
    if options.get("workers"):
        options.setdefault("start_method", "fork")
    return Loader(load, batches, collate, **options)


def take(loader, count):
    return list(itertools.islice(loader, count))


def same(first, second):
    assert all(isinstance(part, np.ndarray) for batch in [*first, *second] for part in batch)
    return len(first) == len(second) and all(
        np.array_equal(a, b) and np.array_equal(m, n) for (a, m), (b, n) in zip(first, second, strict=True)
    )


@needs_fork
@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_batches_are_bit_identical_for_any_number_of_processes(workers):
    expected = take(make(), 25)
    loader = make(workers=workers)
    assert same(take(loader, 25), expected)
    loader.close()


SPAWNING = """
import itertools
import numpy as np
from amphion_core.data import BatchConfig, Batches, Loader

def load(which, index, generator):
    return index, generator.random()

def first(**options):
    return list(itertools.islice(Loader(load, Batches([np.ones(10)], BatchConfig(size=2)), list, **options), 7))

if __name__ == "__main__":
    assert first(workers=1, start_method="spawn") == first()
"""


@pytest.mark.slow
def test_spawned_processes_give_the_same_too(tmp_path):
    script = tmp_path / "spawning.py"
    script.write_text(SPAWNING)
    subprocess.run([sys.executable, script], check=True, timeout=100)


def test_rows_draw_from_their_own_generators():
    (wav, lengths), *_ = take(make(), 1)
    drawn = wav[:, 2:]
    assert len(np.unique(drawn[drawn > 0])) == (lengths - 2).sum()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=needs_fork)])
@pytest.mark.parametrize("taken", [1, 10, 17])
def test_the_state_is_the_next_batch_to_deliver_whatever_is_prefetched(workers, taken):
    expected = take(make(), taken + 6)
    loader = make(workers=workers, prefetch=3)
    first = take(loader, taken)
    state = json.loads(json.dumps(loader.state_dict()))
    resumed = make(workers=2 - workers)
    resumed.load_state_dict(state)
    assert same(first + take(resumed, 6), expected)
    loader.close()
    resumed.close()


@needs_fork
@pytest.mark.slow
def test_an_iteration_goes_on_where_the_last_was_left():
    loader = make(workers=2)
    assert same(take(loader, 4) + take(loader, 4), take(make(), 8))
    loader.close()


def test_epoch_counts_those_completed():
    loader = make()
    count = loader.batches_per_epoch
    epochs = []
    for _ in itertools.islice(loader, 2 * count):
        epochs.append(loader.epoch)
    assert epochs == [0] * (count - 1) + [1] * count + [2]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=needs_fork)])
def test_a_bounded_loader_can_be_run_through_again(workers):
    loader = make(epochs=1, workers=workers)
    expected = list(loader)
    take(loader, 2)
    assert same(list(loader), expected)
    assert len(loader) == len(expected)
    assert sorted(int(i) for wav, _ in expected for i in wav[:, 1]) == list(range(60))
    loader.close()


@needs_fork
@pytest.mark.slow
def test_two_ranks_of_two_processes_take_every_batch_once():
    expected = take(make(), 24)
    shares = []
    for rank in range(2):
        loader = make(rank=rank, world_size=2, workers=2)
        shares.append(take(loader, 12))
        loader.close()
    assert same([batch for pair in zip(*shares, strict=True) for batch in pair], expected)


def refuse_seven(which, index, generator):
    if index == 7:
        raise ValueError("no sound in it")
    return load(which, index, generator)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=needs_fork)])
def test_a_row_that_fails_is_named(workers):
    loader = make(refuse_seven, workers=workers)
    with pytest.raises(
        LoadError, match=r"row 7 \('clip07'\) of set 0, in batch \d+ \(epoch 0\): ValueError: no sound in it"
    ):
        take(loader, loader.batches_per_epoch)
    with pytest.raises(LoadError):
        take(loader, 1)  # the position stays before the batch that failed
    loader.close()


def test_the_note_of_a_failure_shows_where_it_was_raised():
    loader = make(refuse_seven)
    with pytest.raises(LoadError) as caught:
        take(loader, loader.batches_per_epoch)
    assert "in refuse_seven" in caught.value.__notes__[0]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=needs_fork)])
def test_a_skipped_row_is_recorded_and_the_rest_of_its_batch_kept(workers):
    loader = make(refuse_seven, workers=workers, on_error="skip")
    batches = take(loader, loader.batches_per_epoch)
    seen = sorted(int(i) for wav, _ in batches for i in wav[:, 1])
    assert seen == [i for i in range(60) if i != 7]
    (skipped,) = loader.skipped
    assert (skipped.set, skipped.index, skipped.key, skipped.epoch) == (0, 7, "clip07", 0)
    assert skipped.error == "ValueError: no sound in it"
    loader.close()


def refuse_all_of_it(which, index, generator):
    raise OSError("gone")


def test_a_batch_of_which_nothing_is_left_is_left_out_and_recorded():
    loader = make(refuse_all_of_it, on_error="skip", epochs=1)
    assert list(loader) == []
    assert len(loader.skipped) == 60


def test_ranks_never_fall_out_of_step_by_a_batch_of_which_nothing_is_left():
    with pytest.raises(LoadError, match=r"all \d+ rows of batch 0 failed, the last with OSError: gone"):
        take(make(refuse_all_of_it, on_error="skip", world_size=2), 1)


def refuse_to_join(items):
    raise TypeError("different kinds")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=needs_fork)])
@pytest.mark.parametrize("on_error", ["fail", "skip"])
def test_rows_that_cannot_be_joined_are_an_error_of_the_batch(workers, on_error):
    loader = make(collate=refuse_to_join, workers=workers, on_error=on_error)
    with pytest.raises(LoadError, match=r"joining batch 0 \(epoch 0\) of \d+ rows: TypeError: different kinds"):
        take(loader, 1)
    loader.close()


def exit_at_seven(which, index, generator):
    if index == 7:
        os._exit(3)
    return load(which, index, generator)


def die_at_seven(which, index, generator):
    if index == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return load(which, index, generator)


@needs_fork
@pytest.mark.slow
@pytest.mark.parametrize("fatal", [exit_at_seven, die_at_seven])
def test_a_process_that_dies_is_an_error_with_its_batch(fatal):
    loader = make(fatal, workers=2)
    delivered = []
    with pytest.raises(RuntimeError, match=r"process that loads data failed while batch \d+ \(epoch 0\) was awaited"):
        for batch in loader:
            delivered.append(batch)
    state = loader.state_dict()
    resumed = make(workers=2)
    resumed.load_state_dict(state)
    assert same(delivered + take(resumed, 3), take(make(), len(delivered) + 3))
    resumed.close()


def die_later_at_seven(which, index, generator):
    if index == 7:
        time.sleep(0.2)
    return die_at_seven(which, index, generator)


@needs_fork
@pytest.mark.slow
def test_a_process_that_dies_while_the_main_one_computes_is_found_at_the_next_batch():
    loader = make(die_later_at_seven, workers=1, prefetch=50)
    batches = iter(loader)
    next(batches)
    for _ in range(50):  # nothing is raised here, between two batches
        time.sleep(0.01)
    before = signal.getsignal(signal.SIGCHLD)
    with pytest.raises(RuntimeError, match=r"Process .* was killed by signal 9"):
        for _ in batches:
            pass
    assert signal.getsignal(signal.SIGCHLD) == before


ENDLESS = """
import multiprocessing, signal, sys, time
import numpy as np
from amphion_core.data import BatchConfig, Batches, Loader

stopped = []
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits that it is ignored
if sys.argv[1] == "term":
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
loader = Loader(lambda s, i, g: i, Batches([np.ones(10)], BatchConfig(size=2)), list, workers=2, start_method="fork")
after = 0
try:
    for number, batch in enumerate(loader):
        time.sleep(0.05)
        if number == 2:
            print(*(p.pid for p in multiprocessing.active_children()), flush=True)
        after += bool(stopped)
        if after == 20:
            break
except KeyboardInterrupt:
    pass
print("position", loader.state_dict()["number"], flush=True)
"""


@needs_fork
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_ends_the_processes_by_the_main_one_without_a_word(tmp_path, number):
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS)
    process = subprocess.Popen(
        [sys.executable, script, "int" if number == signal.SIGINT else "term"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    children = [int(pid) for pid in process.stdout.readline().split()]
    os.killpg(process.pid, number)  # as a terminal or a job scheduler does
    try:
        output, errors = process.communicate(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, errors
    assert output.startswith("position")
    assert errors == ""
    assert len(children) == 2
    for pid in children:
        assert not _alive(pid)


@needs_fork
@pytest.mark.slow
def test_processes_end_soon_after_the_main_one_was_killed(tmp_path):
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS)
    process = subprocess.Popen([sys.executable, script, "term"], stdout=subprocess.PIPE, text=True)
    children = [int(pid) for pid in process.stdout.readline().split()]
    process.kill()
    process.communicate()
    for pid in children:
        assert not _alive(pid)


@pytest.mark.filterwarnings("ignore:Got pickle error")
def test_what_cannot_be_sent_to_a_spawned_process_is_said():
    loader = make(lambda which, index, generator: 0, workers=1, start_method="spawn")
    with pytest.raises(TypeError, match=r"load and collate can't be sent to a process .* functions of a module"):
        take(loader, 1)


def _alive(pid):
    for _ in range(120):
        try:
            os.kill(pid, 0)
            stat = Path(f"/proc/{pid}/stat")
            if stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z":
                return False  # ended; not every machine's first process asks after those left behind
        except (ProcessLookupError, FileNotFoundError):
            return False
        time.sleep(0.1)
    return True


def test_an_older_iteration_ends_when_a_newer_begins():
    loader = make()
    older, newer = iter(loader), iter(loader)
    next(older)
    next(newer)
    with pytest.raises(RuntimeError, match="iterated anew"):
        next(older)


def test_loading_in_the_main_process_needs_no_torch():
    script = (
        "import sys, numpy as np\n"
        "from amphion_core.data import BatchConfig, Batches, Loader\n"
        "loader = Loader(lambda s, i, g: i, Batches([np.ones(10)], BatchConfig(size=2)), list, workers=0)\n"
        "next(iter(loader))\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_pinning_without_a_gpu_changes_nothing():
    assert same(take(make(pin_memory=True), 3), take(make(), 3))


@pytest.mark.parametrize(
    ("options", "words"),
    [({"workers": -1}, "got -1 and 2"), ({"prefetch": 0}, "got 0 and 0"), ({"on_error": "ignore"}, "'ignore'")],
)
def test_impossible_settings_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        make(**options)
