from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from amphion_eval.alignment import aligned, cut, dtw_path, path_on_grid
from amphion_eval.values import Undefined


def brute_force(ref, est):
    """Least cost by the definition, cell by cell."""
    cost = np.linalg.norm(ref[:, None] - est[None], axis=-1)
    total = np.full(cost.shape, np.inf)
    for i in range(len(ref)):
        for j in range(len(est)):
            before = [total[a, b] for a, b in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if a >= 0 and b >= 0]
            total[i, j] = cost[i, j] + (min(before) if before else 0)
    return total[-1, -1], cost


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (13, 8), (8, 13), (30, 30), (2, 40)])
def test_path_has_the_least_cost_of_all(shape):
    generator = np.random.default_rng(sum(shape))
    ref, est = (generator.normal(size=(frames, 3)) for frames in shape)
    path = dtw_path(ref, est)
    least, cost = brute_force(ref, est)
    assert cost[path[:, 0], path[:, 1]].sum() == pytest.approx(least)


def test_path_goes_by_single_steps_from_corner_to_corner():
    generator = np.random.default_rng(0)
    path = dtw_path(generator.normal(size=(20, 2)), generator.normal(size=(31, 2)))
    assert path[0].tolist() == [0, 0] and path[-1].tolist() == [19, 30]
    assert {tuple(step) for step in np.diff(path, axis=0)} <= {(1, 1), (1, 0), (0, 1)}


def test_identical_frames_align_on_the_diagonal_even_where_they_repeat():
    frames = np.repeat(np.random.default_rng(0).normal(size=(5, 24)), 10, axis=0) * 1e3
    assert np.array_equal(dtw_path(frames, frames), np.repeat(np.arange(50)[:, None], 2, axis=1))


def test_stretched_frames_align_without_cost():
    ref = np.random.default_rng(0).normal(size=(20, 4))
    path = dtw_path(ref, np.repeat(ref, 2, axis=0))
    assert np.array_equal(path[:, 0], path[:, 1] // 2)


def test_too_many_frames_are_refused_with_a_way_out():
    with pytest.raises(ValueError, match="cut"):
        dtw_path(np.zeros((20000, 1)), np.zeros((20000, 1)))


def test_features_of_other_size_or_none_are_refused():
    for ref, est in ((np.ones((3, 2)), np.ones((3, 4))), (np.ones((0, 2)), np.ones((3, 2)))):
        with pytest.raises(ValueError, match="features"):
            dtw_path(ref, est)


def test_path_on_its_own_grid_is_itself():
    path = np.array([[0, 0], [1, 1], [1, 2], [2, 3]])
    assert np.array_equal(path_on_grid(path, 0.005, 0.005, (3, 4)), path)


def test_path_on_a_coarser_grid_has_each_pair_once_and_stays_inside():
    path = np.stack([np.arange(21), np.arange(21)], axis=1)
    coarse = path_on_grid(path, 0.005, 0.01, (10, 11))
    assert coarse[-1].tolist() == [9, 10]
    assert len(np.unique(coarse, axis=0)) == len(coarse)


def test_cut_takes_the_shorter():
    ref, est = cut(np.arange(5), np.arange(3))
    assert len(ref) == len(est) == 3


def test_no_alignment_allows_one_frame_between():
    assert isinstance(aligned(np.ones(10), np.ones(12), "none"), Undefined)
    assert len(aligned(np.ones(10), np.ones(11), "none")[0]) == 10


def test_lack_of_a_path_keeps_its_reason():
    assert aligned(np.ones(3), np.ones(3), "dtw", Undefined("silence")).reason == "silence"


def test_a_path_does_not_depend_on_those_before_or_beside_it():
    generator = np.random.default_rng(5)
    pairs = [(generator.normal(size=(a, 3)), generator.normal(size=(b, 3))) for a, b in ((40, 9), (7, 30), (200, 150))]
    alone = [dtw_path(*pair) for pair in pairs]
    with ThreadPoolExecutor(3) as threads:
        together = list(threads.map(lambda pair: dtw_path(*pair), pairs[::-1] * 5))
    assert all(np.array_equal(path, alone[2 - number % 3]) for number, path in enumerate(together))
