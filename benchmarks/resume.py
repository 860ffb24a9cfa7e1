"""Time to resume in an epoch of two million rows, at 1 %, 50 % and 99 %, beside lhotse's sampler on fewer rows.

Method: CPU time of one process with one thread, best of 5. Resuming is everything from the saved position to the next
batch: planning again with the lengths at hand, going to the position, giving the batch. lhotse replays its epoch, so
it gets 40 times fewer rows, and both stand in the table with their own growth from 1 % to 99 %.
"""

import argparse
import json
import time
import warnings

import numpy as np

from amphion_core.data.batching import Batches
from amphion_core.data.config import BatchConfig

SHARES = (0.01, 0.5, 0.99)
SECONDS = 120.0
CLASSES = 8


def durations(rows):
    return np.random.default_rng(0).gamma(2.0, 3.0, rows) + 0.5


def best(times, action):
    found = []
    for _ in range(times):
        began = time.process_time()
        action()
        found.append(time.process_time() - began)
    return min(found)


def ours(rows, weights=None):
    """CPU seconds to resume at each share."""
    lengths = durations(rows)
    sets = [lengths] if weights is None else [lengths[: rows // 10], lengths[rows // 10 :]]

    def batches():
        return Batches(sets, BatchConfig(unit="seconds", size=SECONDS, buckets=CLASSES), weights=weights, seed=1)

    results = []
    for share in SHARES:
        running = batches()
        running.seek(int(share * running.batches_per_epoch))
        state = json.dumps(running.state_dict())
        expected = next(running.ahead())

        def resume(state=state, expected=expected):
            resumed = batches()
            resumed.load_state_dict(json.loads(state))
            assert next(iter(resumed)) == expected

        results.append(best(5, resume))
    return results


def lhotse(rows):
    """CPU seconds to resume at each share."""
    from lhotse import CutSet, MonoCut
    from lhotse.dataset import DynamicBucketingSampler

    cuts = CutSet.from_cuts(
        MonoCut(id=str(row), start=0, duration=float(duration), channel=0)
        for row, duration in enumerate(durations(rows))
    ).to_eager()

    def sampler():
        return DynamicBucketingSampler(cuts, max_duration=SECONDS, num_buckets=CLASSES, shuffle=True, seed=1)

    total = sum(1 for _ in sampler())
    results = []
    for share in SHARES:
        running = sampler()
        batches = iter(running)
        for _ in range(int(share * total)):
            next(batches)
        state = running.state_dict()

        def resume(state=state):
            resumed = sampler()
            resumed.load_state_dict(state)
            next(iter(resumed))

        results.append(best(1, resume))
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    rows = parser.parse_args().rows
    warnings.simplefilter("ignore")
    table = {
        f"ours, {rows:,} rows": ours(rows),
        f"ours, {rows:,} rows mixed by weight": ours(rows, weights=[1, 3]),
        f"ours, {rows // 40:,} rows": ours(rows // 40),
    }
    try:
        table[f"lhotse, {rows // 40:,} rows"] = lhotse(rows // 40)
    except ImportError:
        print("lhotse is not installed; its row is left out")
    print(f"{'CPU ms to resume':40}" + "".join(f"{share:>10.0%}" for share in SHARES) + f"{'99 % / 1 %':>12}")
    for name, values in table.items():
        print(f"{name:40}" + "".join(f"{1000 * v:>10.1f}" for v in values) + f"{values[2] / values[0]:>12.2f}")
    peer, mine = table.get(f"lhotse, {rows // 40:,} rows"), table[f"ours, {rows // 40:,} rows"]
    if peer is not None:
        ratios = (f"{share:.0%}: {peer[k] / mine[k]:.0f}" for k, share in enumerate(SHARES))
        print(f"lhotse's time / ours on {rows // 40:,} rows: {'  '.join(ratios)}")


if __name__ == "__main__":
    main()
