"""Noise in rows, and pieces that pass through stages."""

import pytest
import torch
from torch.nn import functional as F

from amphion_vocoders.sampling import SeededNoise, Stage, passed_through


def smooth(piece):
    """Sums over 7 frames, which see 3 to each side, and the same at three samples a frame."""
    mel, wav = piece
    return F.conv1d(mel, torch.ones(1, 1, 7), padding=3), F.conv1d(wav, torch.ones(1, 1, 19), padding=9)


def pieces_of(frames, sizes):
    mel = torch.arange(float(frames))[None, None].sin()
    wav = torch.arange(3.0 * frames)[None, None].cos()
    return list(zip(torch.split(mel, sizes, -1), torch.split(wav, [3 * s for s in sizes], -1), strict=True))


def joined(pieces):
    return [torch.cat(parts, dim=-1) for parts in zip(*pieces, strict=True)]


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("sizes", [[40], [1] * 40, [3, 0, 17, 20], [39, 1], [1, 39]])
def test_pieces_through_stages_equal_the_whole(sizes, eager):
    whole = smooth(smooth(pieces_of(40, [40])[0]))
    made = passed_through([Stage(smooth, 3), Stage(smooth, 3)], pieces_of(40, sizes), eager=eager)
    for part, expected in zip(joined(made), whole, strict=True):
        torch.testing.assert_close(part, expected)


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_what_is_shorter_than_the_context_comes_through(frames):
    whole = smooth(pieces_of(frames, [frames])[0])
    made = joined(passed_through([Stage(smooth, 3)], pieces_of(frames, [1] * frames), eager=True))
    torch.testing.assert_close(made, list(whole))


def test_nothing_gives_nothing():
    assert not list(passed_through([Stage(smooth, 3)], [], eager=True))


def test_a_single_piece_takes_one_pass_of_each_stage():
    lengths = []
    stage = Stage(lambda piece: lengths.append(piece[0].shape[-1]) or piece, 3)
    list(passed_through([stage], pieces_of(40, [40]), eager=False))
    assert lengths == [40]


def test_a_stage_holds_no_more_than_a_piece_and_its_context():
    lengths = []
    stage = Stage(lambda piece: lengths.append(piece[0].shape[-1]) or piece, 3)
    list(passed_through([stage], pieces_of(400, [20] * 20), eager=False))
    assert max(lengths) <= 20 + 2 * 3


def test_eager_stages_are_behind_by_the_sum_of_their_contexts():
    taken = []
    pieces = (taken.append(piece) or piece for piece in pieces_of(40, [1] * 40))
    next(passed_through([Stage(smooth, 3), Stage(smooth, 3)], pieces, eager=True))
    assert len(taken) == 7


def test_what_is_done_at_the_end_of_a_stage_meets_every_frame_once():
    seen = []
    stage = Stage(smooth, 3, lambda piece: seen.append(piece[0].shape[-1]) or piece)
    list(passed_through([stage], pieces_of(40, [9, 31]), eager=False))
    assert sum(seen) == 40


def test_rows_of_noise_are_the_same_however_they_are_cut():
    whole, cut = SeededNoise(3), SeededNoise(3)
    expected = {row: whole(row, 1000) for row in (0, 1)}
    made = {0: [], 1: []}
    for count in (1, 499, 500):
        for row in (1, 0):
            made[row].append(cut(row, count))
    assert all(torch.equal(torch.cat(made[row], 1), expected[row]) for row in expected)


def test_rows_and_seeds_give_other_noise_of_unit_variance():
    rows = torch.cat([SeededNoise(seed)(row, 20_000) for seed in (0, 1) for row in (0, 1)])
    # Four standard errors of 20,000 numbers.
    assert (rows.mean(1).abs() < 0.03).all() and ((rows.std(1) - 1).abs() < 0.02).all()
    assert (torch.corrcoef(rows) - torch.eye(4)).abs().max() < 0.03
