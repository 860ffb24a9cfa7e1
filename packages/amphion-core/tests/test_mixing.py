"""Mixing of several sets by weight."""

import numpy as np
import pytest

from amphion_core.data.mixing import Mix, item_generator, shuffled


def drawn(mix, epochs):
    return np.concatenate([mix.epoch(number) for number in range(epochs)])


def test_without_weights_an_epoch_holds_every_row_once():
    mix = Mix([30, 1, 300], seed=4)
    for number in (0, 1, 1000):
        assert sorted(mix.epoch(number)) == list(range(331))


def test_one_set_is_permuted_anew_in_each_epoch():
    mix = Mix([100])
    assert mix.epoch(0).tolist() != mix.epoch(1).tolist()
    assert mix.epoch(0).tolist() == Mix([100]).epoch(0).tolist()


def test_the_order_is_the_same_on_every_platform_and_release():
    # Written down once; a change of these numbers breaks every resume and is a new version of the order.
    assert Mix([8], seed=1).epoch(0).tolist() == [3, 5, 2, 7, 0, 6, 1, 4]
    assert Mix([4, 4], weights=[1, 3], seed=2).epoch(5).tolist() == [4, 0, 6, 7, 4, 1, 6, 5]


def test_another_seed_is_another_order():
    assert Mix([50], seed=1).epoch(0).tolist() != Mix([50], seed=2).epoch(0).tolist()


def test_sets_of_equal_size_are_permuted_independently():
    rows = Mix([500, 500]).epoch(0)
    first, second = rows[rows < 500], rows[rows >= 500] - 500
    assert first.tolist() != second.tolist()


@pytest.mark.parametrize("weights", [[1, 1], [0.7, 0.2, 0.1], [1e-3, 1.0], [3, 1, 4, 1, 5, 9, 2, 6]])
@pytest.mark.parametrize("draws", [0, 1, 7, 1000, 123_457, 10**15])
def test_shares_are_exact_to_a_few_rows_after_any_number_of_draws(weights, draws):
    counts = Mix([10] * len(weights), weights=weights).counts(draws)
    assert sum(counts) == draws
    exact = [draws * weight / sum(weights) for weight in weights]
    # each division leaves at most half a row to the sets after it
    assert all(
        abs(count - share) <= 1 + len(weights) / 4 + draws * 1e-15 for count, share in zip(counts, exact, strict=True)
    )


def test_counts_never_fall_so_draws_are_never_taken_back():
    mix = Mix([10] * 5, weights=[0.01, 5, 0.3, 0.3, 1])
    table = np.array([mix.counts(draws) for draws in range(3000)])
    assert ((np.diff(table, axis=0) >= 0) & (np.diff(table, axis=0) <= 1)).all()


def test_every_stretch_of_an_epoch_keeps_the_shares():
    mix = Mix([2000, 1000], weights=[1, 2])
    small = np.cumsum(mix.epoch(3) >= 2000)
    # low discrepancy: within two rows everywhere, where random draws would be off by about 25
    assert np.abs(small - np.arange(1, 3001) * 2 / 3).max() < 2


def test_no_row_of_a_set_repeats_before_its_pass_is_exhausted():
    mix = Mix([7, 1000], weights=[1, 1], seed=3)
    rows = drawn(mix, 4)
    small = rows[rows < 7]
    whole = small[: len(small) // 7 * 7].reshape(-1, 7)
    assert len(whole) > 100
    assert (np.sort(whole, axis=1) == np.arange(7)).all()
    assert len({tuple(row) for row in whole.tolist()}) > 90  # and each pass has its own order


def test_passes_go_on_over_the_end_of_an_epoch():
    mix = Mix([100, 900], weights=[1, 3], seed=3)
    rows = drawn(mix, 6)
    large = rows[rows >= 100]
    assert sorted(large[:900]) == list(range(100, 1000))
    assert sorted(large[900:1800]) == list(range(100, 1000))


def test_an_epoch_is_computed_without_its_predecessors():
    mix = Mix([50, 20], weights=[0.3, 0.7])
    late = mix.epoch(10**6)
    assert late.tolist() == Mix([50, 20], weights=[0.3, 0.7]).epoch(10**6).tolist()
    assert len(late) == 70


def test_without_shuffling_each_pass_keeps_the_order_of_its_rows():
    rows = Mix([3, 6], weights=[1, 1], shuffle=False).epoch(0)
    assert rows[rows < 3].tolist() == [0, 1, 2, 0, 1][: (rows < 3).sum()]
    assert rows[rows >= 3].tolist() == [3, 4, 5, 6, 7, 8][: (rows >= 3).sum()]


def test_rows_are_split_into_set_and_index():
    assert Mix([3, 2]).split(np.array([0, 2, 3, 4])) == ([0, 0, 1, 1], [0, 2, 0, 1])


def test_permutations_are_uniform():
    words = np.random.Philox(7).random_raw(4 * 40_000).reshape(-1, 4)
    places = shuffled(words)
    counts = np.array([[(places[:, place] == value).sum() for value in range(4)] for place in range(4)])
    # 10,000 expected in each cell, standard deviation 87
    assert np.abs(counts - 10_000).max() < 400


@pytest.mark.parametrize(
    ("rows", "weights", "words"),
    [
        ([], None, "no set given"),
        ([3, 0], None, "set 1 has no rows"),
        ([3, 2], [1], "1 weights for 2 sets"),
        ([3, 2], [1, 0], "weight of set 1 is 0"),
        ([3, 2], [float("nan"), 1], "weight of set 0 is nan"),
    ],
)
def test_impossible_mixes_are_refused(rows, weights, words):
    with pytest.raises(ValueError, match=words):
        Mix(rows, weights=weights)


def test_the_generator_of_a_row_depends_on_seed_batch_and_place_alone():
    def first(seed, number, position):
        return item_generator(seed, number, position).random()

    assert first(1, 2, 3) == first(1, 2, 3)
    assert len({first(1, 2, 3), first(2, 2, 3), first(1, 3, 3), first(1, 2, 4)}) == 4
