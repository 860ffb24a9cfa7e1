import numpy as np
import pytest

from amphion_eval.distribution import (
    cosine_similarity,
    frechet_distance,
    inception_score,
    kernel_distance,
    kl_divergence,
    mean_cosine,
)


def test_distance_of_two_gaussians_on_a_line_has_its_closed_form():
    x, y = np.array([[-1.0], [1.0]]), np.array([[2.0], [8.0]])  # means 0 and 5, deviations sqrt(2) and 3 sqrt(2)
    assert frechet_distance(x, y) == pytest.approx(25 + (3 * np.sqrt(2) - np.sqrt(2)) ** 2)


def test_distance_of_a_set_to_itself_is_nothing():
    x = np.random.default_rng(0).normal(size=(30, 50))  # fewer vectors than dimensions
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-6)


def test_shift_costs_its_square():
    x = np.random.default_rng(0).normal(size=(30, 3))
    assert frechet_distance(x, x + 2) == pytest.approx(12)


def test_one_vector_has_no_covariance():
    assert "2 vectors" in frechet_distance(np.ones((1, 3)), np.ones((5, 3))).reason


def test_divergence_of_two_coins_has_its_closed_form():
    p, q = np.array([[0.5, 0.5]]), np.array([[0.25, 0.75]])
    assert kl_divergence(p, q) == pytest.approx(0.5 * np.log(2) + 0.5 * np.log(2 / 3))


def test_divergence_is_not_symmetric_and_takes_the_reference_first():
    p, q = np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])
    assert kl_divergence(p, q) == pytest.approx(np.log(2)) and kl_divergence(q, p) == np.inf


def test_certain_and_even_posteriors_score_the_number_of_classes():
    assert inception_score(np.eye(4)) == pytest.approx((4, 0))


def test_equal_posteriors_score_one():
    assert inception_score(np.full((5, 4), 0.25), splits=2) == pytest.approx((1, 0))


def test_kernel_distance_does_not_depend_on_the_order():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(20, 4)), generator.normal(size=(25, 4))
    assert kernel_distance(x, y) == pytest.approx(kernel_distance(x[::-1], y[::-1]))


def test_cosine_is_that_of_the_angle():
    assert cosine_similarity([[1, 0], [1, 1]], [[0, 2], [3, 3]]) == pytest.approx([0, 1])
    assert mean_cosine([[1, 0]], [[1, 0], [0, 1]]) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("vectors", "reason"), [(np.zeros((0, 3)), "estimate has no vector"), (np.eye(3) * [1, 1, 0], "all zeros")]
)
def test_mean_cosine_of_nothing_is_undefined(vectors, reason):
    assert reason in mean_cosine(np.ones((2, 3)), vectors).reason


def test_other_dimensions_are_refused():
    for function in (frechet_distance, kernel_distance, kl_divergence, cosine_similarity, mean_cosine):
        with pytest.raises(ValueError, match=r"\(3, 2\).*\(3, 4\)"):
            function(np.ones((3, 2)), np.ones((3, 4)))


def test_logits_are_no_posteriors():
    with pytest.raises(ValueError, match="softmax"):
        kl_divergence([[2.0, -1.0]], [[0.5, 0.5]])
