import numpy as np
import pytest

from amphion_eval.statistics import bootstrap_interval, summarize
from amphion_eval.values import Undefined


def test_figures_are_those_of_the_defined_items():
    summary = summarize([1.0, None, 3.0])
    assert (summary.mean, summary.n, summary.n_undefined) == (2.0, 2, 1)
    assert summary.std == pytest.approx(np.sqrt(2))


def test_nothing_defined_has_no_figure():
    summary = summarize([None, None])
    assert summary.mean is summary.ci95 is summary.std is None and summary.n_undefined == 2


def test_what_metrics_return_is_summed_up_without_the_undefined():
    summary = summarize([1.0, Undefined("silent"), 3.0, float("nan")])
    assert (summary.mean, summary.n, summary.n_undefined, summary.maximum) == (2.0, 2, 2, 3.0)


def test_one_item_has_a_mean_and_no_interval():
    summary = summarize([4.0])
    assert (summary.mean, summary.std, summary.ci95) == (4.0, None, None)


def test_infinite_item_makes_the_mean_infinite_and_takes_the_interval():
    summary = summarize([np.inf, 1.0])
    assert summary.mean == np.inf and summary.ci95 is None and summary.std is None


def test_pooled_rate_is_the_quotient_of_the_sums():
    summary = summarize([1.0, 0.0], [(1, 1), (0, 9)])
    assert summary.pooled == summary.figure == 0.1 and summary.mean == 0.5


def test_pooled_interval_holds_the_pooled_rate():
    generator = np.random.default_rng(0)
    counts = [(int(generator.integers(0, 3)), 10) for _ in range(50)]
    summary = summarize([c / t for c, t in counts], counts)
    assert summary.pooled_ci95[0] < summary.pooled < summary.pooled_ci95[1]


def test_same_seed_gives_the_same_interval_and_another_seed_another():
    values = np.random.default_rng(1).normal(size=40)
    assert (
        bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)
    )


def test_order_of_the_items_changes_no_digit():
    generator = np.random.default_rng(0)
    totals = generator.integers(1, 20, 101).astype(float)
    counts = generator.integers(0, 20, 101).astype(float)
    shuffled = generator.permutation(101)
    pairs = list(zip(counts, totals, strict=True))
    assert summarize(list(counts / totals), pairs) == summarize(
        list((counts / totals)[shuffled]), [pairs[place] for place in shuffled]
    )


def test_interval_has_about_the_width_of_the_normal_one():
    values = np.random.default_rng(1).normal(size=400)
    low, high = bootstrap_interval(values, resamples=4000)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(400), rel=0.06)  # 4000 draws: about 3 %


@pytest.mark.slow
def test_interval_covers_the_truth_in_about_95_of_100_corpora():
    hits = 0
    for seed in range(300):
        low, high = bootstrap_interval(np.random.default_rng(seed).normal(size=50), resamples=400, seed=seed)
        hits += low <= 0 <= high
    assert 0.90 < hits / 300 < 0.98  # binomial spread 1.3 %, and the bootstrap of 50 values is a little narrow


def test_constant_values_have_an_interval_of_no_width():
    assert bootstrap_interval([2.0, 2.0, 2.0]) == (2.0, 2.0)
