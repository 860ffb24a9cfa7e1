from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from amphion_eval.listening.anchors import low_pass
from amphion_eval.listening.design import abx_rows, number_of_rows, sets_of_systems, single_rows, williams

SIZES = [1, 2, 3, 4, 5, 6, 7, 9]


@pytest.mark.parametrize("size", SIZES)
def test_each_stands_at_each_place_equally_often(size):
    rows = williams(size)
    for place in range(size):
        assert set(Counter(row[place] for row in rows).values()) == {len(rows) // size}


@pytest.mark.parametrize("size", SIZES[1:])
def test_each_follows_each_other_equally_often(size):
    found = Counter(two for row in williams(size) for two in pairwise(row))
    assert len(found) == size * (size - 1) and len(set(found.values())) == 1


def test_rows_are_enough_for_a_usual_number_of_listeners():
    assert all(number_of_rows(size) >= 24 and number_of_rows(size) % len(williams(size)) == 0 for size in SIZES)


@pytest.mark.parametrize(("items", "systems"), [(1, 1), (7, 3), (12, 4), (5, 6)])
def test_every_listener_hears_everything_once(items, systems):
    for row in single_rows(items, systems):
        assert sorted(row) == [(item, system) for item in range(items) for system in range(systems)]


def test_an_item_comes_back_only_in_the_next_block():
    for row in single_rows(10, 4):
        assert all(len({item for item, _ in row[start : start + 10]}) == 10 for start in range(0, 40, 10))


def test_with_once_each_item_is_heard_once_and_systems_share_the_items():
    for row in single_rows(12, 4, once=True):
        assert sorted(item for item, _ in row) == list(range(12))
        assert set(Counter(system for _, system in row).values()) == {3}


def test_over_the_rows_each_item_is_heard_from_each_system_equally_often():
    found = Counter(trial for row in single_rows(10, 3, once=True) for trial in row)
    assert len(found) == 30 and len(set(found.values())) == 1


@pytest.mark.parametrize("systems", [3, 4, 5, 6])
def test_systems_follow_each_other_about_equally_often(systems):
    found = Counter((a[1], b[1]) for row in single_rows(4 * systems, systems) for a, b in pairwise(row))
    others = [count for (a, b), count in found.items() if a != b]
    # Equal inside a run through the square; with an even number of systems, the seams between runs favour one distance.
    assert len(others) == systems * (systems - 1) and max(others) < 1.75 * np.mean(others) < 2.5 * min(others)


def test_sounds_side_by_side_change_places_from_trial_to_trial():
    rows = sets_of_systems(6, 5)
    assert all(sorted(item for item, _ in row) == list(range(6)) for row in rows)
    for place in range(5):
        counts = Counter(order[place] for row in rows for _, order in row)
        assert max(counts.values()) - min(counts.values()) <= 0.35 * np.mean(list(counts.values()))


def test_x_is_each_of_the_two_equally_often():
    for row in abx_rows(4, 3, repeats=2):
        assert Counter((item, pair) for item, pair, _, _ in row) == dict.fromkeys(
            [(item, pair) for item in range(4) for pair in range(3)], 2
        )
        assert sum(swapped for *_, swapped, _ in row) == sum(last for *_, last in row) == 12


def test_other_seeds_give_other_orders_and_the_same_seed_the_same():
    assert single_rows(9, 3, seed=1) == single_rows(9, 3, seed=1) != single_rows(9, 3, seed=2)


@pytest.mark.parametrize("rate", [16000, 24000, 48000])
def test_low_anchor_is_as_steep_as_the_recommendation_asks(rate):
    impulse = np.zeros(rate)
    impulse[rate // 2] = 1.0
    response = 20 * np.log10(np.abs(np.fft.rfft(low_pass(impulse, rate, 3500))) + 1e-12)  # 1 Hz a bin
    assert np.abs(response[20:3501]).max() <= 0.1
    assert response[4000:].max() <= -25 and response[4500:].max() <= -50


def test_anchor_has_no_delay():
    impulse = np.zeros(4001)
    impulse[2000] = 1.0
    found = low_pass(impulse, 24000, 3500)
    assert found.shape == (4001,) and int(np.argmax(found)) == 2000


def test_anchor_above_what_the_sound_has_is_refused():
    with pytest.raises(ValueError, match="16000 Hz"):
        low_pass(np.zeros(100), 16000, 7500)
