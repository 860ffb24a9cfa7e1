import itertools

import numpy as np
import pytest

from amphion_eval.significance import cohens_d, holm, paired_interval, permutation_test, superiority


@pytest.fixture
def make():
    return np.random.default_rng(0)


def brute(first, second, first_totals, second_totals):
    """Share of all exchanges with a difference as large as the real one, one exchange after the other."""
    arrays = [np.asarray(a, float) for a in (first, second, first_totals, second_totals)]

    def difference(swapped):
        a, b = np.where(swapped, arrays[1], arrays[0]), np.where(swapped, arrays[0], arrays[1])
        m, n = np.where(swapped, arrays[3], arrays[2]), np.where(swapped, arrays[2], arrays[3])
        return abs(a.sum() / m.sum() - b.sum() / n.sum())

    real = difference(np.zeros(len(first), bool))
    found = [difference(np.array(s, bool)) >= real - 1e-12 for s in itertools.product((0, 1), repeat=len(first))]
    return np.mean(found)


def test_all_exchanges_of_few_items_give_the_exact_p():
    assert permutation_test([1, 2, 3, 4, 5], [0, 0, 0, 0, 0]).p == 2 / 2**5


def test_exact_p_is_that_of_going_through_all_exchanges(make):
    first, second = make.normal(size=8), make.normal(size=8)
    assert permutation_test(first, second).p == pytest.approx(brute(first, second, np.ones(8), np.ones(8)))


def test_exact_p_of_rates_exchanges_counts_with_their_totals(make):
    totals = make.integers(5, 20, (2, 8))
    counts = make.integers(0, 5, (2, 8))
    found = permutation_test(*counts, *totals)
    assert found.exact and found.p == pytest.approx(brute(*counts, *totals))


def test_drawn_p_is_near_the_exact_one(make):
    first, second = make.normal(0.4, 1, 16), make.normal(0, 1, 16)
    exact = permutation_test(first, second)
    # A 17th item with a difference of nearly nothing turns the test into a drawn one and leaves the problem as it was.
    drawn = permutation_test([*first, 1e-9], [*second, 0.0], permutations=20_000)
    assert exact.exact and not drawn.exact
    assert drawn.p == pytest.approx(exact.p, abs=4 * np.sqrt(exact.p * (1 - exact.p) / 20_000) + 1e-3)


def test_equal_systems_have_p_of_1():
    assert permutation_test([1.0, 2.0], [1.0, 2.0]) == permutation_test([3.0], [3.0])
    assert permutation_test([1.0, 2.0], [1.0, 2.0]).p == 1.0


def test_equal_items_change_nothing():
    few = permutation_test([3.0, 4.0, 5.0], [1.0, 1.0, 1.0])
    more = permutation_test([3.0, 4.0, 5.0, *[7.0] * 40], [1.0, 1.0, 1.0, *[7.0] * 40])
    assert few == more and more.exact


def test_p_is_the_same_for_either_order(make):
    first, second = make.normal(size=40), make.normal(0.2, 1, 40)
    assert permutation_test(first, second).p == permutation_test(second, first).p


def test_same_seed_gives_the_same_p_and_another_seed_a_near_one(make):
    first, second = make.normal(size=40), make.normal(0.2, 1, 40)
    one, two, other = (permutation_test(first, second, seed=seed).p for seed in (0, 0, 1))
    assert one == two != other and other == pytest.approx(one, abs=0.02)


@pytest.mark.parametrize("size", [6, 30])
def test_p_is_uniform_where_there_is_no_difference(size, make):
    ps = np.array([permutation_test(*make.normal(size=(2, size)), permutations=400).p for _ in range(400)])
    for level in (0.1, 0.3, 0.5, 0.8):
        # 400 runs: a share of `level` has a standard error of at most 0.025.
        assert (ps <= level).mean() == pytest.approx(level, abs=0.08)


def test_interval_of_a_constant_difference_is_that_difference():
    assert paired_interval([3.0, 4.0, 9.0], [1.0, 2.0, 7.0]) == pytest.approx((2.0, 2.0))


def test_interval_turns_around_with_the_order(make):
    first, second = make.normal(size=30), make.normal(size=30)
    low, high = paired_interval(first, second)
    assert paired_interval(second, first) == pytest.approx((-high, -low))


def test_interval_of_rates_is_that_of_the_pooled_figure():
    # One item holds nearly all words, so that the pooled difference is its difference, not the mean of both.
    low, high = paired_interval([1, 0] * 20, [0, 1] * 20, [1000, 1] * 20, [1000, 1] * 20)
    assert low < 20 / 20020 - 20 / 20020 < high and high - low < 0.5


def test_interval_of_one_item_is_none():
    assert paired_interval([1.0], [2.0]) is None


@pytest.mark.slow
def test_interval_covers_the_truth_as_often_as_it_says(make):
    runs, covered = 600, 0
    for _ in range(runs):
        common = make.normal(0, 3, 60)
        low, high = paired_interval(common + make.normal(0.5, 1, 60), common + make.normal(0, 1, 60), resamples=800)
        covered += low <= 0.5 <= high
    # Percentile intervals of 60 items fall a little short of 95 %; the standard error of the share is 0.9 %.
    assert 0.915 <= covered / runs <= 0.975


@pytest.mark.slow
def test_interval_of_rates_covers_the_truth_as_often_as_it_says(make):
    runs, covered = 600, 0
    for _ in range(runs):
        words = make.integers(4, 20, 80)
        hard = make.beta(1, 8, 80)
        errors = [make.binomial(words, np.minimum(1, hard * factor)) for factor in (1.0, 0.6)]
        low, high = paired_interval(*errors, words, words, resamples=800)
        covered += low <= 0.4 / 9 <= high  # the mean of Beta(1, 8) is 1 / 9
    assert 0.91 <= covered / runs <= 0.98


def test_d_is_the_mean_in_standard_deviations():
    assert cohens_d([1.0, 2.0, 3.0]) == pytest.approx(2.0)


def test_d_of_no_difference_is_0_and_of_a_constant_one_unknown():
    assert cohens_d([0.0, 0.0]) == 0.0 and np.isnan(cohens_d([0.1, 0.1, 0.1])) and np.isnan(cohens_d([1.0]))


def test_superiority_counts_ties_half():
    assert superiority([1.0, -1.0, 0.0, 2.0]) == (2 + 0.5) / 4 and np.isnan(superiority([]))


def test_holm_of_a_known_example():
    # Holm, 1979: 4 tests; the second smallest times 3 and so on, never falling.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_leaves_out_what_was_not_tested_and_stays_below_1():
    assert holm([0.9, None, 0.5]) == [1.0, None, 1.0] and holm([]) == []


@pytest.mark.parametrize(
    ("first", "second", "said"), [([1.0], [1.0, 2.0], "shapes"), ([], [], "no item"), ([np.inf], [1.0], "finite")]
)
def test_what_can_not_be_compared_is_refused(first, second, said):
    with pytest.raises(ValueError, match=said):
        permutation_test(first, second)


def test_order_of_the_items_changes_neither_p_nor_interval():
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=(2, 40))
    totals = generator.integers(1, 9, (2, 40)).astype(float)
    order = generator.permutation(40)
    for given in ((first, second), (first, second, *totals)):
        shuffled = [values[order] for values in given]
        assert permutation_test(*given) == permutation_test(*shuffled)
        assert paired_interval(*given) == paired_interval(*shuffled)
