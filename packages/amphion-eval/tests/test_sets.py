import numpy as np
import pytest

from amphion_eval import sets
from amphion_eval.distribution import frechet_distance, kernel_distance
from amphion_eval.values import SetFigure, Undefined, reason_of


def clips(seed, count=60, parts=3, dimensions=4, shift=0.0):
    random = np.random.default_rng(seed)
    return [random.normal(shift, 1, (parts, dimensions)).astype(np.float32) for _ in range(count)]


def test_distance_pools_the_parts_of_all_clips():
    ref, est = clips(0), clips(1, shift=1)
    figure = sets.fad(ref, est)
    assert figure == pytest.approx(frechet_distance(np.concatenate(ref), np.concatenate(est)), rel=1e-9)
    assert isinstance(figure, SetFigure) and figure.n == 60


def test_sets_may_differ_in_size():
    assert sets.fad(clips(0, 200), clips(1, 20)) > 0


def test_interval_holds_the_figure_and_the_truth_and_shrinks_with_more_clips():
    few, many = (sets.fad(clips(0, 2000), clips(1, count, shift=1)) for count in (50, 800))
    for figure in (few, many):
        low, high = figure.interval
        assert low < figure < high
    assert np.diff(many.interval) < np.diff(few.interval) / 2
    assert many.interval[0] < 4.0 < many.interval[1]  # four dimensions, each shifted by 1


def test_interval_of_the_kernel_distance_covers_zero_for_equal_distributions():
    covered = 0
    for seed in range(20):
        low, high = sets.kid(clips(100 + seed, parts=1), clips(200 + seed, parts=1)).interval
        covered += low < 0 < high
    # The reference set is taken as given, so that fewer than 95 % hold the truth of both.
    assert covered >= 13


def test_figures_do_not_depend_on_the_order_of_the_clips():
    ref, est = clips(0), clips(1, shift=0.5)
    for function in (sets.fad, sets.kid, sets.fad_infinity):
        one, other = function(ref, est), function(ref[::-1], est[::-1])
        assert other == pytest.approx(one, rel=1e-6)
        if one.interval:
            assert other.interval == pytest.approx(one.interval, rel=1e-6)


def test_too_few_embeddings_are_noted():
    figure = sets.fd([row[0] for row in clips(0, dimensions=50)], [row[0] for row in clips(1, dimensions=50)])
    assert len(figure.notes) == 2 and "60 embeddings of the reference for 50 dimensions" in figure.notes[0]


def test_clips_without_embedding_are_left_out_and_told():
    figure = sets.fad(clips(0), [*clips(1), Undefined("0.1 s are shorter than 0.975 s")])
    assert figure.n == 60
    assert figure.notes == ("1 clips of the estimate left out: 0.1 s are shorter than 0.975 s",)


def test_a_set_without_embeddings_has_no_figure():
    gone = [Undefined("silence")] * 3
    for figure in (sets.fad(clips(0), gone), sets.kid(gone, clips(0)), sets.fad_infinity(clips(0), gone)):
        assert "2 embeddings are needed on each side" in reason_of(figure)
    assert "no clip has posteriors" in reason_of(sets.inception_score(gone))


def test_line_through_exact_points_is_found():
    sizes = [10, 20, 50, 100]
    assert sets.extrapolate(sizes, [3 + 7 / n for n in sizes]) == pytest.approx((3, 7, 1))


def test_extrapolation_takes_the_bias_of_few_clips_away():
    ref = clips(0, 4000, 1, 16)  # one distribution: the truth is 0
    ests = [clips(seed, 300, 1, 16) for seed in range(1, 6)]
    plain = np.mean([sets.fad(ref, est) for est in ests])
    infinite = [sets.fad_infinity(ref, est) for est in ests]
    assert abs(np.mean(infinite)) < plain / 5
    assert all(figure.details["r2"] > 0.9 and figure.details["slope"] > 0 for figure in infinite)


def test_extrapolation_of_few_embeddings_is_undefined():
    assert "needs 50 embeddings" in reason_of(sets.fad_infinity(clips(0), clips(1, 10, 3)))


def logits(seed, count=40, classes=5):
    return [{"embedding": row[:3], "logits": row} for row in np.random.default_rng(seed).normal(size=(count, classes))]


def test_embeddings_beside_logits_are_found():
    ref, est = logits(0), logits(1)
    plain = [np.stack([output["embedding"] for output in side]) for side in (ref, est)]
    assert sets.kid(ref, est) == pytest.approx(kernel_distance(*plain), rel=1e-9)


def test_inception_score_of_sure_and_evenly_spread_decisions_is_the_number_of_classes():
    sure = [{"logits": 100.0 * row} for row in np.tile(np.eye(4), (10, 1))]
    assert sets.inception_score(sure) == pytest.approx(4)
    assert sets.inception_score([{"logits": np.zeros(4)}] * 8) == pytest.approx(1)


def test_divergence_of_logits_is_that_of_their_probabilities():
    a, b = {"logits": np.log([0.5, 0.5])}, {"logits": np.log([0.25, 0.75])}
    assert sets.kl(a, b) == pytest.approx(0.5 * np.log(2) + 0.5 * np.log(2 / 3))
    one, two = {"logits": np.array([0.0])}, {"logits": np.array([np.log(3.0)])}  # 1/2 and 3/4
    assert sets.kl_sigmoid(one, two) == pytest.approx(0.5 * np.log(2 / 3) + 0.5 * np.log(2))


def test_extreme_logits_have_a_finite_divergence():
    a, b = {"logits": np.array([1000.0, -1000.0])}, {"logits": np.array([-1000.0, 1000.0])}
    assert np.isfinite(sets.kl_sigmoid(a, b))


def test_a_network_without_classes_is_named_as_the_fault():
    with pytest.raises(ValueError, match="gives class logits"):
        sets.kl(np.zeros(4), np.zeros(4))


def test_score_of_text_and_sound_is_their_cosine():
    assert sets.clap_score(np.array([1.0, 0.0]), np.array([3.0, 4.0])) == pytest.approx(0.6)
    assert "zero" in reason_of(sets.clap_score(np.zeros(2), np.ones(2)))
