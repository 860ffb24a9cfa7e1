"""What every engine promises, on each of them."""

import os
import random
import signal
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from steps import (
    Die,
    Enlarge,
    Fail,
    FailOnce,
    Meet,
    Recipe,
    Shrink,
    Square,
    Trace,
    Unmakeable,
    Write,
)

from amphion_data.engines import InProcessEngine, ProcessPoolEngine, SetupError, Step, make_engine

ray_only = pytest.mark.extra("ray")


@pytest.fixture(scope="session")
def cluster():
    """A Ray cluster of three cores and one GPU, which is only said to be there, on this machine, for all tests."""
    ray = pytest.importorskip("ray")
    paths = [str(Path(__file__).parent), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    environment = {"env_vars": {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}}
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(
        num_cpus=3,
        num_gpus=1,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env=environment,
        object_store_memory=100 * 2**20,
    )
    yield ray
    ray.shutdown()


@pytest.fixture(
    params=["in-process", "pool", pytest.param("ray", marks=[ray_only, pytest.mark.slow])],
)
def engine(request):
    if request.param == "ray":
        request.getfixturevalue("cluster")
    return make_engine(request.param, workers=1 if request.param == "in-process" else 2, retries=1)


def steps(*made):
    return [Step(f"{number} {kind.__name__}", Recipe(kind, *args)) for number, (kind, *args) in enumerate(made)]


def test_every_unit_goes_through_all_steps_once(engine):
    outcomes = list(engine.run(steps((Square,), (Square,)), range(20)))
    assert sorted((o.unit, o.value) for o in outcomes) == [(n, n**4) for n in range(20)]
    assert all(o.done and o.attempts == 1 and set(o.seconds) == {"0 Square", "1 Square"} for o in outcomes)


def test_no_units_give_no_outcomes(engine):
    assert list(engine.run(steps((Square,)), [])) == []


def test_a_unit_that_fails_every_time_keeps_its_error_and_costs_nothing_else(engine):
    outcomes = {o.unit: o for o in engine.run(steps((Fail,)), range(7))}
    assert {unit for unit, o in outcomes.items() if not o.done} == {0, 3, 6}
    assert "3 is a multiple of three" in outcomes[3].error and outcomes[3].attempts == 2
    assert outcomes[4].value == 4


def test_a_step_that_cannot_be_made_ends_the_run_with_its_words(engine):
    with pytest.raises(SetupError, match="no folder named there"):
        list(engine.run([Step("broken", Recipe(Unmakeable))], range(5)))


def test_a_unit_that_fails_once_is_tried_again(engine, tmp_path):
    outcomes = list(engine.run(steps((FailOnce, tmp_path)), range(5)))
    assert all(o.done and o.attempts == 2 for o in outcomes) and len(outcomes) == 5


@pytest.mark.parametrize("kind", ["pool", pytest.param("ray", marks=[ray_only, pytest.mark.slow])])
def test_a_process_that_dies_costs_a_retry_and_a_poisoned_unit_only_itself(kind, tmp_path, request):
    if kind == "ray":
        request.getfixturevalue("cluster")
    engine = make_engine(kind, workers=2, retries=1)
    made = steps((Die, tmp_path, (5,), (2, 8)))
    outcomes = {o.unit: o for o in engine.run(made, range(12))}
    assert sorted(outcomes) == list(range(12))
    assert [unit for unit, o in outcomes.items() if not o.done] == [5]
    assert outcomes[5].error


def test_processes_of_the_pool_are_several_and_not_this_one(tmp_path):
    found = {o.value for o in ProcessPoolEngine(2).run(steps((Meet, tmp_path, 2)), range(8))}
    assert os.getpid() not in found and len(found) == 2


def test_a_pool_needs_workers():
    with pytest.raises(ValueError, match="workers must be 1 or more, got 0"):
        ProcessPoolEngine(0)
    with pytest.raises(ValueError, match="retries must be 0 or more"):
        InProcessEngine(retries=-1)


def test_engines_have_names():
    assert make_engine("in-process").name == "in-process"
    assert make_engine("in-process", workers=3).name == "pool"
    with pytest.raises(ValueError, match="no engine named 'dask'; there are in-process, pool, ray"):
        make_engine("dask")
    with pytest.raises(ValueError, match="has no address"):
        make_engine("pool", address="auto")


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_ray_that_is_not_installed_is_named_with_its_extra():
    with pytest.raises(ImportError, match=r"amphion-data\[ray\]"):
        make_engine("ray")


@pytest.mark.slow
def test_a_killed_driver_leaves_whole_files_only_and_a_second_run_makes_the_same(tmp_path):
    from amphion_core.testing.kill import run, run_killed_after

    generator, driver = random.Random(0), f"{Path(__file__).with_name('steps.py')}:drive"
    for count in range(6):

        def begun(wanted=3 * count):
            return len(list(tmp_path.glob("*.txt"))) >= wanted

        run_killed_after(generator.uniform(0.0, 0.5), driver, tmp_path, 60, ready=begun)
        assert all(p.read_text() == f"unit {p.stem}\n" for p in tmp_path.glob("*.txt"))
    run(driver, tmp_path, 60)
    assert len(list(tmp_path.glob("*.txt"))) == 60


@pytest.mark.slow
@pytest.mark.parametrize("error", [OSError("handle is closed"), OSError(12, "Cannot allocate memory")])
def test_a_pool_that_breaks_while_it_starts_a_process_costs_a_retry_and_a_full_machine_the_run(monkeypatch, error):
    from amphion_data.engines import process_pool

    class Racing(process_pool.ProcessPoolExecutor):
        """As where one process was killed while the pool started the next."""

        left = [0, 0, error]

        def submit(self, *arguments):
            if self.left and (raised := self.left.pop(0)):
                raise raised
            return super().submit(*arguments)

    monkeypatch.setattr(process_pool, "ProcessPoolExecutor", Racing)
    run = ProcessPoolEngine(2, retries=1).run(steps((Square,)), range(6))
    if error.errno is not None:
        with pytest.raises(OSError, match="allocate"):
            list(run)
        return
    outcomes = list(run)
    assert sorted((o.unit, o.value) for o in outcomes) == [(n, n * n) for n in range(6)]


@pytest.mark.slow
def test_workers_that_are_killed_at_random_lose_and_double_nothing(tmp_path):
    engine, generator = ProcessPoolEngine(3, retries=5), random.Random(0)
    stop, kills = threading.Event(), [0]  # units that were done when a process was killed

    def hunt():
        import multiprocessing

        while not stop.wait(generator.uniform(0.6, 1.5)):
            children, done = multiprocessing.active_children(), len(list(tmp_path.glob("*.txt")))
            if children and done > kills[-1]:  # not where a machine is too slow to start what was killed before
                os.kill(generator.choice(children).pid, signal.SIGKILL)
                kills.append(done)

    hunter = threading.Thread(target=hunt)
    hunter.start()
    try:
        outcomes = list(engine.run(steps((Write, tmp_path, 0.05)), range(120)))
    finally:
        stop.set()
        hunter.join()
    assert sorted(o.unit for o in outcomes) == list(range(120)) and all(o.done for o in outcomes)
    assert len([p for p in tmp_path.iterdir() if p.suffix == ".txt"]) == 120 and len(kills) > 1


@ray_only
@pytest.mark.slow
def test_a_step_with_a_gpu_keeps_its_models_in_an_actor_of_its_own(cluster, tmp_path):
    made = [
        Step("first", Recipe(Trace, tmp_path)),
        Step("model", Recipe(Trace, tmp_path), gpus=0.5),
        Step("other", Recipe(Trace, tmp_path), gpus=0.5),
        Step("last", Recipe(Trace, tmp_path)),
    ]
    traces = [outcome.value for outcome in make_engine("ray").run(made, range(12))]
    assert sorted(trace[0] for trace in traces) == list(range(12))
    first, model, other, last = ({trace[k] for trace in traces} for k in (1, 2, 3, 4))
    assert len(model) == len(other) == 1 and model != other and not (model | other) & (first | last)
    makers = [int(path.name.split("-")[1]) for path in tmp_path.iterdir()]
    assert all(makers.count(pid) == 1 for pid in model | other)  # made once, used twelve times
    assert all(makers.count(pid) <= 2 for pid in first | last)  # once for each of the two tasks


@ray_only
@pytest.mark.slow
@pytest.mark.parametrize(("size", "most"), [(10 * 2**20, 2), (1000, 5)])
def test_what_waits_in_front_of_an_actor_does_not_fill_the_store(cluster, tmp_path, size, most):
    made = [Step("large", Recipe(Enlarge, tmp_path, size)), Step("slow", Recipe(Shrink, tmp_path, 0.15), gpus=1.0)]
    outcomes = list(make_engine("ray").run(made, range(24)))
    assert sorted(o.value for o in outcomes) == list(range(24)) and all(o.done for o in outcomes)
    alive = [int(path.read_text()) for path in tmp_path.glob("ended-*")]
    # Half of the 100 MiB of the store hold two units with two values of 10 MiB each; small values are bound by what
    # works: three cores, one actor and one unit that waits for it.
    assert len(alive) == 24 and max(alive) <= most
    assert size > 1000 or max(alive) > 2


@ray_only
@pytest.mark.slow
def test_units_on_their_way_go_on_while_the_next_one_is_waited_for(cluster, tmp_path):
    def units():
        yield from range(3)
        for _ in range(600):  # another driver holds the next one until this one has brought its own to their end
            if len(list(tmp_path.glob("ended-*"))) == 3:
                yield 3
                return
            threading.Event().wait(0.1)
        raise TimeoutError("the units on their way did not go on")

    made = [Step("large", Recipe(Enlarge, tmp_path, 1000)), Step("slow", Recipe(Shrink, tmp_path, 0.3), gpus=1.0)]
    assert sorted(outcome.value for outcome in make_engine("ray").run(made, units())) == [0, 1, 2, 3]


@ray_only
@pytest.mark.slow
def test_what_the_units_raise_ends_the_run(cluster):
    def units():
        yield 1
        raise OSError("the list of units is gone")

    with pytest.raises(OSError, match="the list of units is gone"):
        list(make_engine("ray").run([Step("square", Recipe(Square))], units()))


@ray_only
@pytest.mark.slow
def test_more_gpus_than_there_are_is_said_at_once(cluster):
    made = [Step("one", Recipe(Square), gpus=0.5), Step("two", Recipe(Square), gpus=1.0)]
    with pytest.raises(SetupError, match=r"ask for 1\.5 GPUs together, the cluster has 1"):
        list(make_engine("ray").run(made, range(3)))


@ray_only
@pytest.mark.slow
def test_a_later_step_that_cannot_be_made_ends_the_run_before_the_first_one_has_worked(cluster, tmp_path):
    for gpus in ((0.0, 0.5, 0.0), (0.0, 0.5, 0.5)):
        kinds = (Recipe(Write, tmp_path, 60.0), Recipe(Square), Recipe(Unmakeable))
        made = [Step(f"s{k}", kind, gpus=own) for k, (kind, own) in enumerate(zip(kinds, gpus, strict=True))]
        with pytest.raises(SetupError, match="no folder named there"):
            list(make_engine("ray").run(made, range(5)))


def _title(process):
    import psutil

    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@ray_only
@pytest.mark.slow
def test_workers_of_ray_that_are_killed_lose_and_double_nothing(cluster, tmp_path):
    import psutil

    stop, generator, killed = threading.Event(), random.Random(1), []

    def hunt():
        while len(killed) < 8 and not stop.wait(generator.uniform(0.5, 3.0)):
            # Those that run a step; a node whose agents are killed is lost as a whole.
            workers = [p for p in psutil.Process().children(recursive=True) if _title(p).startswith("ray::0 Write")]
            if workers:
                victim = generator.choice(workers)
                victim.send_signal(signal.SIGKILL)
                killed.append(victim.pid)

    hunter = threading.Thread(target=hunt)
    hunter.start()
    try:
        outcomes = list(make_engine("ray").run(steps((Write, tmp_path, 0.2)), range(60)))
    finally:
        stop.set()
        hunter.join()
    assert sorted(o.unit for o in outcomes) == list(range(60)) and all(o.done for o in outcomes)
    assert killed
    assert len([p for p in tmp_path.iterdir() if p.suffix == ".txt"]) == 60
