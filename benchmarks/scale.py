"""The pipeline over 100,000 hours on 1 to 1,000 workers that fail: a simulation with measured stage times.

`--measure` runs the pipeline's own stages on a synthetic conversation of espeak voices (tests/pipe/conversation.py) and
times every stage, and times the marks and leases on this disk; `--run OUT` takes the times that a real run has left in
its output instead. The simulation then follows every unit of 30 minutes through the rules that the engines keep; a
worker takes a unit through all of its steps, as a process of the pool does, or on Ray the tasks and the share of the
actors that work on one unit at a time:

- a worker takes the next free unit; taking, marking and giving back cost the operations on the store that were timed,
  and the driver does them one after another (each driver serves as many workers as `--per-driver` says);
- the length of units varies (log-normal), the speed of workers too;
- workers are lost at random (mean time between failures of one worker, `--mtbf` hours) and the unit in hand is begun
  again by another one, after the lease was left behind; a new worker joins after `--rejoin` seconds and loads its
  models;
- a share of the units fails at every attempt (`--poison`): it is tried three times and set aside;
- drivers are lost as well (`--driver-mtbf` hours): all units in hand of their workers begin again, none that is marked.

At the end it is checked that every unit is done once or set aside, and what was spent is work, lost or waited for.
"""

import argparse
import heapq
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

UNIT = 1800.0  # s of audio in a unit
ATTEMPTS = 3
STAGES = {"separate": 0.0006, "vad": 0.0101, "diarise": 0.0568, "segment": 0.0, "score": 0.3704, "write": 0.0021}
"""Seconds of one core for a second of audio, as `--measure` found them on a busy machine of two cores: the default
stages, without separation and recognition."""

PRESETS = {
    "none": {},
    "gpu": {"separate": 1 / 40, "diarise": 1 / 60, "transcribe": 1 / 50, "score": 1 / 100},
}
"""Speeds of networks that need weights or a GPU, s of a worker for a second of audio: assumptions, not measured."""


@dataclass
class World:
    """What a simulation assumes; times in s."""

    hours: float
    factor: float  # s of work for a second of audio
    operation: float  # s of one operation on the store
    start: float  # of a worker: imports and models
    spread: float  # of the lengths of units, as sigma of a log-normal
    mtbf: float
    driver_mtbf: float
    rejoin: float
    patience: float
    poison: float
    per_driver: int


@dataclass
class Outcome:
    """What became of it; times in s of one worker, but for the wall."""

    wall: float = 0.0
    work: float = 0.0
    lost: float = 0.0
    done: int = 0
    aside: int = 0
    again: int = 0
    deaths: int = 0
    drivers: int = 0


def simulate(world, workers, seed=0):
    """Follow all units; events in the order of their times."""
    rng = np.random.default_rng(seed)
    count = round(world.hours * 3600 / UNIT)
    lengths = UNIT * rng.lognormal(-(world.spread**2) / 2, world.spread, count)
    poisoned = rng.random(count) < world.poison
    speeds = rng.lognormal(0, 0.1, workers)
    drivers = -(-workers // world.per_driver)
    clock = np.zeros(drivers)  # when each driver's store is free again
    deaths = rng.exponential(world.mtbf, workers)
    ends = rng.exponential(world.driver_mtbf, drivers) if world.driver_mtbf else np.full(drivers, np.inf)
    attempts = np.zeros(count, np.int8)
    finished = np.zeros(count, np.int8)
    found, following, waiting, held = Outcome(), 0, [], {}
    events = [(world.start * rng.uniform(1, 1.5), 0, worker, -1) for worker in range(workers)]
    heapq.heapify(events)
    open_units = count

    def served(driver, now, operations):
        """When the driver is through with some operations."""
        clock[driver] = max(clock[driver], now) + operations * world.operation
        return clock[driver]

    while open_units:
        now, _, worker, unit = heapq.heappop(events)
        driver = worker // world.per_driver
        if now >= ends[driver]:  # the driver is gone: its workers too, until it is started again
            ends[driver] = now + rng.exponential(world.driver_mtbf)
            clock[driver] = now + world.rejoin + world.start + count * world.operation / 1000  # it lists the marks
            found.drivers += 1
            mine = slice(driver * world.per_driver, (driver + 1) * world.per_driver)
            deaths[mine] = np.minimum(deaths[mine], now)
        if unit >= 0:
            begun, length = held.pop(worker)
            if deaths[worker] <= now:
                found.lost += max(0.0, min(deaths[worker], now) - begun)
                found.again += 1
                heapq.heappush(waiting, (max(now, deaths[worker] + world.patience), unit))
            else:
                now = served(driver, now, 3)  # shard, mark, lease
                attempts[unit] += 1
                if poisoned[unit]:
                    found.lost += length
                    if attempts[unit] < ATTEMPTS:
                        found.again += 1
                        heapq.heappush(waiting, (now, unit))
                    else:
                        finished[unit] += 1
                        found.aside += 1
                        open_units -= 1
                else:
                    finished[unit] += 1
                    found.work += length
                    found.done += 1
                    open_units -= 1
                found.wall = max(found.wall, now)
        if deaths[worker] <= now:
            found.deaths += 1
            back = max(now, deaths[worker] + world.rejoin + world.start)
            deaths[worker] = back + rng.exponential(world.mtbf)
            heapq.heappush(events, (back, 0, worker, -1))
            continue
        if waiting and waiting[0][0] <= now:
            _, unit = heapq.heappop(waiting)
        elif following < count:
            unit, following = following, following + 1
        else:
            if open_units:  # what is left is in other hands, or its lease is not left behind yet
                later = waiting[0][0] if waiting else now + 30
                heapq.heappush(events, (max(later, now + 5), 1, worker, -1))
            continue
        begin = served(driver, now, 2)  # lease, look for a mark
        length = lengths[unit] * world.factor / speeds[worker]
        held[worker] = (begin, length)
        end = begin + length
        heapq.heappush(events, (min(end, max(deaths[worker], begin)), 0, worker, unit))
    assert (finished == 1).all(), "a unit was lost or done twice"
    assert found.done + found.aside == count
    return found


def measure():
    """Seconds of each stage for a second of audio, of an operation on the store, and of a worker's start."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "packages/amphion-data/tests/pipe"))
    from conversation import RATE, converse

    from amphion_core import audio
    from amphion_data.engines import Ledger, open_store
    from amphion_data.pipe import PipeSettings, run_pipe

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in"
        source.mkdir()
        talk = converse(3, 20, seed=1).wav
        audio.save(source / "talk.wav", np.asarray(talk, np.float32), RATE)
        began = time.perf_counter()
        run_pipe(source, Path(folder) / "out", PipeSettings())
        wall = time.perf_counter() - began
        stages, seconds = read_run(Path(folder) / "out")
        start = max(0.0, wall - sum(stages.values()) * seconds)
        store = open_store(Path(folder) / "store")
        ledger = Ledger(store)
        began = time.perf_counter()
        for k in range(300):
            ledger.finish(f"unit{k}", {"rows": 100})
            ledger.facts(f"unit{k}")
        operation = (time.perf_counter() - began) / 600
    return stages, operation, start


def read_run(out):
    """Seconds of each stage for a second of audio that a run has noted, and the seconds of audio."""
    # Times lie beside marks of the same name; those of segments that were kept are in the times of their units.
    names = sorted(path.name for path in (Path(out) / "units").glob("*.json"))
    notes = [json.loads((Path(out) / "times" / name).read_text()) for name in names]
    if not notes:
        raise FileNotFoundError(f"{out} holds no times; it has to be the output of `amphion-data emilia`")
    audio = sum(note["seconds"] for note in notes)
    names = {name for note in notes for name in note["work"]}
    return {name: sum(note["work"].get(name, 0.0) for note in notes) / audio for name in sorted(names)}, audio


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", action="store_true", help="time the stages here first")
    parser.add_argument("--run", help="output of a run whose times are taken")
    parser.add_argument("--networks", choices=sorted(PRESETS), default="none", help="replace stages by assumed speeds")
    parser.add_argument("--hours", type=float, default=100_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 10, 100, 300, 1000])
    parser.add_argument("--operation", type=float, help="s of one operation on the store; 0.05 for an object store")
    parser.add_argument("--mtbf", type=float, default=100.0, help="hours between two failures of one worker")
    parser.add_argument("--driver-mtbf", type=float, default=500.0, help="hours between two failures of one driver")
    parser.add_argument("--rejoin", type=float, default=300.0, help="s until a lost worker is replaced")
    parser.add_argument("--patience", type=float, default=120.0, help="s until a lease counts as left behind")
    parser.add_argument("--poison", type=float, default=1e-4, help="share of units that always fail")
    parser.add_argument("--per-driver", type=int, default=64)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    stages, operation, start = dict(STAGES), 0.002, 10.0
    if options.measure:
        stages, operation, start = measure()
    elif options.run:
        stages, _ = read_run(options.run)
    stages |= PRESETS[options.networks]
    operation = operation if options.operation is None else options.operation
    factor = sum(stages.values())
    how = "measured here" if options.measure else f"of {options.run}" if options.run else "measured before"
    print(f"stages ({how}), s for a second of audio: " + ", ".join(f"{k} {v:.5f}" for k, v in stages.items()))
    print(
        f"{factor:.4f} s of a worker for a second of audio, {operation * 1000:.1f} ms an operation on the store, "
        f"{start:.1f} s to start; {options.hours:,.0f} h, a worker fails every {options.mtbf:g} h, a driver every "
        f"{options.driver_mtbf:g} h"
    )
    print(
        f"{'workers':>8} {'wall, h':>10} {'days':>8} {'useful':>8} {'lost':>7} {'again':>7} {'deaths':>7} {'aside':>6}"
    )
    results = {}
    for workers in options.workers:
        world = World(
            options.hours,
            factor,
            operation,
            start,
            0.35,
            options.mtbf * 3600,
            options.driver_mtbf * 3600,
            options.rejoin,
            options.patience,
            options.poison,
            options.per_driver,
        )
        found = simulate(world, workers)
        useful, lost = found.work / (found.wall * workers), found.lost / (found.wall * workers)
        print(
            f"{workers:>8} {found.wall / 3600:>10.1f} {found.wall / 86400:>8.2f} {useful:>8.1%} {lost:>7.2%} "
            f"{found.again:>7} {found.deaths:>7} {found.aside:>6}",
            flush=True,
        )
        results[workers] = {"wall_hours": found.wall / 3600, "useful": useful, "lost": lost, "again": found.again}
    if options.json:
        options.json.write_text(json.dumps({"stages": stages, "results": results}, indent=1))


if __name__ == "__main__":
    main()
