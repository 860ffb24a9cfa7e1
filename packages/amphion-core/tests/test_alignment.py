"""Monotonic alignment: the search against brute force, its ties and errors, the losses and the prior."""

import itertools

import numpy as np
import pytest
import scipy.stats
import torch

from amphion_core.modules.alignment import (
    average_by_duration,
    beta_binomial_prior,
    binarisation_loss,
    durations_to_path,
    forward_sum_loss,
    monotonic_alignment,
    search_monotonic,
)


def every_alignment(tokens, frames):
    """Durations of all monotonic paths."""
    for cuts in itertools.combinations(range(1, frames), tokens - 1):
        ends = [0, *cuts, frames]
        yield [b - a for a, b in itertools.pairwise(ends)]


def score_of(table, durations):
    tokens = np.repeat(np.arange(len(durations)), durations)
    return table[np.arange(len(tokens)), tokens].sum()


@pytest.mark.parametrize(("tokens", "frames"), [(1, 1), (1, 5), (2, 2), (3, 7), (5, 9), (6, 6)])
@pytest.mark.parametrize("ties", ["stay", "move"])
def test_search_finds_the_best_of_all_paths(tokens, frames, ties):
    table = np.random.default_rng(tokens * 10 + frames).standard_normal((1, frames, tokens)).astype(np.float32)
    found = search_monotonic(table, np.array([tokens]), np.array([frames]), ties=ties)[0]
    best = max(every_alignment(tokens, frames), key=lambda d: score_of(table[0], d))
    assert found.tolist() == best


def test_items_of_a_batch_come_out_as_alone_whatever_lies_in_the_padding():
    generator = np.random.default_rng(3)
    table = generator.standard_normal((4, 70, 20)).astype(np.float32)
    tokens, frames = np.array([20, 1, 7, 13]), np.array([70, 33, 7, 64])
    together = search_monotonic(table, tokens, frames)
    for item, (n, f) in enumerate(zip(tokens, frames, strict=True)):
        alone = search_monotonic(table[item : item + 1, :f, :n], tokens[item : item + 1], frames[item : item + 1])
        assert together[item, :n].tolist() == alone[0].tolist()
        assert together[item, n:].sum() == 0
    table[2, 7:] = np.nan
    assert np.array_equal(search_monotonic(table, tokens, frames), together)


def test_on_equal_scores_stay_gives_the_last_token_all_it_can_and_move_the_first():
    table = np.zeros((1, 6, 3), np.float32)
    lengths = np.array([3]), np.array([6])
    assert search_monotonic(table, *lengths, ties="stay").tolist() == [[1, 1, 4]]
    assert search_monotonic(table, *lengths, ties="move").tolist() == [[4, 1, 1]]


def test_scores_of_minus_infinity_leave_the_diagonal():
    table = np.full((1, 4, 4), -np.inf, np.float32)
    assert search_monotonic(table, np.array([4]), np.array([4])).tolist() == [[1, 1, 1, 1]]


def test_more_frames_than_one_block_give_the_same_as_float64_reference():
    table = np.random.default_rng(0).standard_normal((2, 200, 30)).astype(np.float32)
    tokens, frames = np.array([30, 11]), np.array([200, 151])
    for item in range(2):
        sums = np.full((frames[item], tokens[item]), -np.inf)
        sums[0, 0] = table[item, 0, 0]
        for t, n in itertools.product(range(1, frames[item]), range(tokens[item])):
            before = sums[t - 1, n] if n == 0 else max(sums[t - 1, n], sums[t - 1, n - 1])
            sums[t, n] = before + table[item, t, n]
        found = search_monotonic(table, tokens, frames, double=True)[item, : tokens[item]]
        assert score_of(table[item].astype(np.float64), found) == pytest.approx(sums[-1, -1], abs=1e-9)


@pytest.mark.parametrize(
    ("tokens", "frames", "words"),
    [(3, 2, "3 tokens need at least as many frames"), (0, 2, "at least one"), (9, 9, "go beyond the table")],
)
def test_lengths_that_allow_no_path_are_refused(tokens, frames, words):
    with pytest.raises(ValueError, match=words):
        search_monotonic(np.zeros((1, 5, 5), np.float32), np.array([tokens]), np.array([frames]))


def test_path_has_one_token_a_frame_and_sums_to_the_durations():
    durations = torch.tensor([[2, 0, 3], [1, 1, 1]])
    path = durations_to_path(durations, 6)
    assert path.sum(1).tolist() == durations.tolist()
    assert path.sum(2).tolist() == [[1, 1, 1, 1, 1, 0], [1, 1, 1, 0, 0, 0]]


def test_average_of_a_token_without_frames_is_zero():
    mean = average_by_duration(torch.tensor([[1.0, 3.0, 5.0]]), torch.tensor([[2, 0, 1]]))
    assert mean.tolist() == [[2.0, 0.0, 5.0]]


def test_prior_is_the_beta_binomial_distribution():
    prior = beta_binomial_prior(torch.tensor([4]), torch.tensor([6]), scale=0.5)[0]
    for t in range(1, 7):
        expected = scipy.stats.betabinom.logpmf(np.arange(4), 4, 0.5 * t, 0.5 * (6 - t + 1))
        np.testing.assert_allclose(prior[t - 1], expected, atol=1e-5)  # float32 result


def test_forward_sum_is_the_sum_over_all_alignments():
    scores = torch.randn(1, 5, 2, generator=torch.Generator().manual_seed(0))
    rows = torch.cat([torch.full((1, 5, 1), -1e4), scores], 2).log_softmax(-1)[0, :, 1:].numpy()
    paths = [score_of(rows, durations) for durations in every_alignment(2, 5)]
    expected = -np.logaddexp.reduce(paths) / 2
    loss = forward_sum_loss(scores, torch.tensor([2]), torch.tensor([5]), blank=-1e4)  # never takes the blank
    assert loss.item() == pytest.approx(expected, abs=1e-4)


def test_forward_sum_has_a_finite_gradient_with_padding_and_minus_infinity():
    scores = torch.randn(2, 8, 4, generator=torch.Generator().manual_seed(1))
    scores[1, :, 3:] = -torch.inf
    scores.requires_grad_()
    forward_sum_loss(scores, torch.tensor([4, 3]), torch.tensor([8, 5])).backward()
    assert torch.isfinite(scores.grad).all()
    assert scores.grad[1, 5:].abs().sum() == 0


def test_binarisation_loss_of_a_certain_alignment_is_zero():
    durations = torch.tensor([[2, 3]])
    certain = torch.where(durations_to_path(durations), 0.0, -torch.inf)
    assert binarisation_loss(certain, durations, torch.tensor([5])).item() == 0


def test_tensors_keep_their_device_and_give_int64():
    durations = monotonic_alignment(torch.randn(2, 9, 3), torch.tensor([3, 2]), torch.tensor([9, 4]))
    assert durations.dtype == torch.int64
    assert durations.sum(1).tolist() == [9, 4]
