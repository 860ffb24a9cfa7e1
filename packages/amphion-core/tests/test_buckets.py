"""Length classes: the least padding, exact capacities, cuts that lose nothing."""

import itertools

import numpy as np
import pytest

from amphion_core.data.buckets import LengthClasses
from amphion_core.data.config import BatchConfig


def classes(lengths, **config):
    return LengthClasses(
        np.asarray(lengths, float), BatchConfig(**{"unit": "seconds", "size": 100.0, "max_items": 1000, **config})
    )


def padded(lengths, found):
    """Rows times the longest of their class, summed."""
    which = found.of(lengths)
    return sum((which == k).sum() * lengths[which == k].max() for k in set(which.tolist()))


@pytest.mark.parametrize("buckets", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_no_other_bounds_leave_less_padding(buckets, seed):
    # 7 % apart, so that each length is a candidate of its own
    lengths = np.sort(np.random.default_rng(seed).choice(1.07 ** np.arange(30), 9, replace=False))
    best = min(
        sum(len(part) * part.max() for part in np.split(lengths, cuts))
        for cuts in itertools.combinations(range(1, 9), buckets - 1)
    )
    assert padded(lengths, classes(lengths, buckets=buckets)) == pytest.approx(best, rel=1e-12)


def test_the_longest_class_is_the_first():
    found = classes([1.0, 1.0, 10.0, 50.0], buckets=3)
    assert found.of(np.array([50.0, 10.0, 1.0])).tolist() == [0, 1, 2]
    assert found.capacities == [2, 10, 100]


def test_rows_beyond_the_size_are_a_class_besides():
    found = classes([1.0, 2.0, 150.0, 300.0], buckets=1)
    assert found.capacities == [1, 50]
    assert found.of(np.array([300.0, 150.0, 2.0, 1.0])).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(("size", "length"), [(0.3, 0.1), (1.0, 0.1), (0.7, 0.1), (60.0, 0.3), (1e6, 1 / 3)])
def test_a_capacity_is_the_largest_number_that_fits(size, length):
    (capacity,) = classes([length], size=size, max_items=10**9).capacities
    assert capacity * length <= size < (capacity + 1) * length


def test_a_class_is_filled_up_from_the_next():
    found = classes([50.0, 50.0, 50.0, 10.0, 10.0], buckets=2)
    starts, of_batch = found.cut([3, 2])
    assert found.capacities == [2, 10]
    assert starts.tolist() == [0, 2, 4, 5]
    assert of_batch.tolist() == [0, 0, 1]


@pytest.mark.parametrize("counts", [[0, 0, 7], [1, 0, 0], [5, 1, 1], [0, 40, 3]])
def test_every_row_is_in_one_cut(counts):
    found = classes([50.0, 20.0, 5.0], buckets=3)
    starts, of_batch = found.cut(counts)
    sizes = np.diff(starts)
    assert sizes.sum() == sum(counts)
    assert (sizes > 0).all()
    assert all(size <= found.capacities[k] for size, k in zip(sizes, of_batch, strict=True))


def test_cutting_in_order_fills_each_batch_by_its_own_longest():
    found = classes([1.0], buckets=1, size=10.0, max_items=4)
    starts = found.cut_in_order(np.array([1.0, 1.0, 1.0, 1.0, 1.0, 5.0, 5.0, 12.0, 1.0]))
    assert np.split(np.arange(9), starts[1:-1])[0].tolist() == [0, 1, 2, 3]
    assert starts.tolist() == [0, 4, 6, 7, 8, 9]
