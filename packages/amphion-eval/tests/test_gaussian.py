import numpy as np
import pytest

from amphion_eval.gaussian import Gaussian, frechet


@pytest.fixture
def rows():
    return np.random.default_rng(0).normal(3, 2, (200, 7))


def test_mean_and_covariance_are_those_of_all_rows_at_once(rows):
    found = Gaussian.of([rows])
    assert found.n == 200
    np.testing.assert_allclose(found.mean, rows.mean(0), atol=1e-13)
    np.testing.assert_allclose(found.covariance, np.cov(rows, rowvar=False), atol=1e-13)


@pytest.mark.parametrize("cuts", [[1], [0, 5, 5, 199], [100], list(range(1, 200))])
def test_pieces_give_what_the_whole_gives(rows, cuts):
    pieces, whole = Gaussian.of(np.split(rows, cuts)), Gaussian.of([rows])
    np.testing.assert_allclose(pieces.mean, whole.mean, atol=1e-12)
    np.testing.assert_allclose(pieces.covariance, whole.covariance, atol=1e-12)


def test_a_far_mean_costs_no_digits():
    rows = np.random.default_rng(0).normal(size=(1000, 2))
    far = Gaussian.of(np.split(rows + 1e7, 10)).covariance
    np.testing.assert_allclose(far, np.cov(rows, rowvar=False), rtol=1e-6)


def test_root_times_itself_is_the_covariance(rows):
    found = Gaussian.of([rows])
    np.testing.assert_allclose(found.root @ found.root, found.covariance, atol=1e-12)


def test_saved_and_loaded_it_is_the_same(rows, tmp_path):
    Gaussian.of([rows]).save(tmp_path / "set.npz")
    found = Gaussian.load(tmp_path / "set.npz")
    assert found.n == 200 and frechet(found, Gaussian.of([rows])) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ([], "no vector"),
        ([np.zeros((0, 4))], "no vector"),
        ([np.zeros(4)], r"shape \(4,\)"),
        ([np.full((2, 2), np.nan)], "not finite"),
        ([np.zeros((2, 2)), np.zeros((2, 3))], "3 dimensions, those before it 2"),
    ],
)
def test_what_is_no_set_of_vectors_is_refused(pieces, words):
    with pytest.raises(ValueError, match=words):
        Gaussian.of(pieces)


def test_one_vector_has_no_covariance():
    with pytest.raises(ValueError, match="needs 2 vectors, there is 1"):
        _ = Gaussian.of([np.zeros((1, 3))]).covariance


def test_sets_of_other_dimensions_have_no_distance(rows):
    with pytest.raises(ValueError, match="7 dimensions, the estimate 3"):
        frechet(Gaussian.of([rows]), Gaussian.of([rows[:, :3]]))


def test_a_file_of_something_else_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", mu=np.zeros(3))
    with pytest.raises(ValueError, match="holds mu; n, mean, scatter missing"):
        Gaussian.load(tmp_path / "other.npz")
