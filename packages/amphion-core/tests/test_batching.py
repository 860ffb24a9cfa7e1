"""Batches: complete, bounded, the same for every number of processes, resumed anywhere."""

import itertools
import json
import logging
from collections import Counter

import numpy as np
import pytest

from amphion_core.data.batching import Batches
from amphion_core.data.config import BatchConfig


def gamma(count, seed=0):
    return np.random.default_rng(seed).gamma(2.0, 3.0, count) + 0.3


def config(**changes):
    return BatchConfig(**{"unit": "seconds", "size": 60.0, **changes})


def take(batches, count):
    return list(itertools.islice(batches, count))


def epoch_of(batches):
    return take(batches, batches.batches_per_epoch)


def rows_of(plans):
    return [item for plan in plans for item in plan.items]


CONFIGS = [
    config(),
    config(buckets=1),
    config(buckets=64),
    config(size=3.0),
    config(max_items=4),
    config(shuffle=False),
    config(shuffle=False, buckets=1),
    BatchConfig(unit="items", size=16),
    BatchConfig(unit="items", size=7, buckets=1, shuffle=False),
]


@pytest.mark.parametrize("settings", CONFIGS, ids=str)
def test_each_epoch_has_every_row_exactly_once(settings):
    batches = Batches([gamma(300), gamma(50, 1)], settings, seed=3)
    everything = {(0, i) for i in range(300)} | {(1, i) for i in range(50)}
    for number in range(3):
        plans = epoch_of(batches)
        assert {plan.epoch for plan in plans} == {number}
        rows = rows_of(plans)
        assert len(rows) == 350
        assert set(rows) == everything


@pytest.mark.parametrize("settings", CONFIGS, ids=str)
def test_no_batch_is_above_its_size_padding_counted(settings):
    lengths = gamma(500)
    for plan in epoch_of(Batches([lengths], settings)):
        longest = max(lengths[i] for _, i in plan.items)
        count = len(plan.items)
        assert count <= (settings.max_items or count)
        assert count == 1 or (count if settings.unit == "items" else count * longest) <= settings.size


@pytest.mark.parametrize("unit", ["frames", "tokens"])
def test_batches_by_frames_and_tokens_count_the_given_lengths(unit):
    class Rows:
        durations = gamma(200)

    tokens = np.random.default_rng(1).integers(5, 200, 200)
    plans = epoch_of(Batches([Rows()], BatchConfig(unit=unit, size=1000), lengths=[tokens]))
    assert max(len(p.items) * max(tokens[i] for _, i in p.items) for p in plans) <= 1000
    assert len(plans) < 1.35 * tokens.sum() / 1000


def test_length_classes_leave_little_padding():
    lengths = gamma(5000)

    def padded(buckets):
        plans = epoch_of(Batches([lengths], config(buckets=buckets)))
        return sum(len(p.items) * max(lengths[i] for _, i in p.items) for p in plans)

    assert lengths.sum() / padded(1) < 0.6
    assert lengths.sum() / padded(8) > 0.8
    assert lengths.sum() / padded(64) > 0.95


def test_full_batches_hold_what_fits():
    plans = epoch_of(Batches([np.full(100, 0.1)], config(size=1.0)))
    assert [len(p.items) for p in plans] == [10] * 10


def test_rows_of_similar_length_stand_together_in_batches_by_items():
    lengths = np.random.default_rng(0).permutation(np.repeat([1.0, 5.0, 20.0], 32))
    plans = epoch_of(Batches([lengths], BatchConfig(unit="items", size=8, buckets=3)))
    assert all(len({lengths[i] for _, i in p.items}) == 1 for p in plans)


def test_only_the_last_batch_of_an_epoch_is_partly_filled_by_items():
    sizes = Counter(len(p.items) for p in epoch_of(Batches([gamma(101)], BatchConfig(unit="items", size=10))))
    assert sizes == {10: 10, 1: 1}


def test_fewer_rows_than_a_batch_make_one_batch():
    plans = epoch_of(Batches([gamma(3)], BatchConfig(unit="items", size=16)))
    assert [len(p.items) for p in plans] == [3]


def test_a_very_long_row_is_a_batch_of_its_own_and_said_once(caplog):
    lengths = np.full(50, 2.0)
    lengths[17] = 7200.0
    with caplog.at_level(logging.WARNING):
        batches = Batches([lengths], config(size=20.0))
        plans = epoch_of(batches) + epoch_of(batches)
    alone = [p.items for p in plans if (0, 17) in p.items]
    assert alone == [[(0, 17)], [(0, 17)]]
    assert [r.getMessage() for r in caplog.records] == [
        "1 of 50 rows are longer than a batch of 20 seconds (the longest: 7200); each makes a batch of its own"
    ]
    assert len(plans) == 2 * (1 + 5)  # the others are not disturbed


def test_one_long_row_below_the_size_does_not_shrink_the_other_batches():
    lengths = np.full(1001, 1.0)
    lengths[0] = 90.0
    assert Batches([lengths], config(size=100.0)).batches_per_epoch <= 12


def test_epochs_differ_and_a_seed_repeats_them():
    first, second = (rows_of(take(Batches([gamma(200)], config(), seed=s), 80)) for s in (1, 1))
    assert first == second
    assert first != rows_of(take(Batches([gamma(200)], config(), seed=2), 80))
    batches = Batches([gamma(200)], config())
    assert rows_of(epoch_of(batches)) != rows_of(epoch_of(batches))


def test_without_shuffling_batches_come_in_the_order_of_their_first_rows():
    batches = Batches([gamma(100)], config(shuffle=False, buckets=4))
    plans = epoch_of(batches)
    firsts = [min(i for _, i in p.items) for p in plans]
    assert firsts == sorted(firsts)
    assert [p.items for p in epoch_of(batches)] == [p.items for p in plans]


def test_validation_in_file_order_needs_one_class():
    plans = epoch_of(Batches([gamma(25)], BatchConfig(unit="items", size=10, buckets=1, shuffle=False)))
    assert rows_of(plans) == [(0, i) for i in range(25)]


@pytest.mark.parametrize("world_size", [1, 2, 3, 8, 100])
def test_batch_g_goes_to_process_g_modulo_their_number(world_size):
    expected = take(Batches([gamma(120)], config(), seed=5), 300)
    for rank in range(world_size):
        mine = take(Batches([gamma(120)], config(), seed=5, rank=rank, world_size=world_size), 300 // world_size)
        assert mine == expected[rank::world_size][: len(mine)]
        assert len(mine) == 300 // world_size  # the same number of steps for all, over the ends of epochs


def test_numbers_follow_each_other_over_epochs():
    batches = Batches([gamma(40)], config())
    count = batches.batches_per_epoch
    plans = take(batches, 3 * count)
    assert [p.number for p in plans] == list(range(3 * count))
    assert [p.epoch for p in plans] == [n // count for n in range(3 * count)]


MIXES = {
    "plain": {},
    "weighted": {"weights": [1.0, 2.5]},
    "in order": {"config": config(buckets=1)},
}


def mixed(kind, **changes):
    options = {"config": config(), "seed": 9, **MIXES[kind], **changes}
    return Batches([gamma(90), gamma(40, 1)], options.pop("config"), **options)


@pytest.mark.parametrize("kind", MIXES)
def test_resuming_anywhere_gives_the_uninterrupted_sequence(kind):
    expected = take(mixed(kind), 120)
    interrupted = mixed(kind)
    for taken in range(100):
        state = json.loads(json.dumps(interrupted.state_dict()))
        resumed = mixed(kind)
        resumed.load_state_dict(state)
        assert resumed.epoch == expected[taken].epoch
        assert take(resumed, 5) == expected[taken : taken + 5]
        take(interrupted, 1)


@pytest.mark.parametrize("kind", MIXES)
@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 3), (4, 3), (3, 8)])
def test_another_number_of_processes_goes_on_in_the_same_global_order(kind, before, after):
    expected = take(mixed(kind), 200)
    first = [mixed(kind, rank=rank, world_size=before) for rank in range(before)]
    done = [take(batches, 7) for batches in first]
    states = [batches.state_dict() for batches in first]
    assert all(state == states[0] for state in states)
    second = [mixed(kind, rank=rank, world_size=after) for rank in range(after)]
    for batches in second:
        batches.load_state_dict(states[0])
    done += [take(batches, 5) for batches in second]
    numbers = sorted(plan.number for plans in done for plan in plans)
    assert numbers == list(range(7 * before + 5 * after))
    assert all(plan == expected[plan.number] for plans in done for plan in plans)
    assert all(plan.number % after == rank for rank in range(after) for plan in done[before + rank])


def test_seeking_is_the_same_as_walking():
    for kind in MIXES:
        expected = take(mixed(kind), 200)
        for number in (0, 1, 50, 199):
            batches = mixed(kind)
            batches.seek(number)
            assert take(batches, 1) == [expected[number]]


def test_batches_per_epoch_is_the_same_in_all_epochs_of_a_plain_set():
    batches = Batches([gamma(333)], config())
    counts = set()
    for epoch in range(5):
        batches.seek(epoch * batches.batches_per_epoch)
        assert batches.epoch == epoch
        counts.add(len(batches._plan(epoch).order))
    assert counts == {batches.batches_per_epoch}


def test_weights_set_the_shares_of_rows():
    batches = Batches([gamma(1000), gamma(100, 1)], config(), weights=[1, 3])
    rows = rows_of(epoch_of(batches))
    assert Counter(s for s, _ in rows) == {0: 275, 1: 825}


def test_shares_hold_early_in_an_epoch_too():
    batches = Batches([gamma(3000), gamma(3000, 1)], config(), weights=[3, 1])
    rows = rows_of(take(batches, batches.batches_per_epoch // 5))
    share = sum(s == 0 for s, _ in rows) / len(rows)
    assert share == pytest.approx(0.75, abs=0.02)


def test_rows_of_a_mix_are_seen_equally_often():
    batches = Batches([gamma(100), gamma(23, 1)], config(), weights=[1, 1])
    counts = Counter()
    while batches.epoch < 10:
        counts.update(rows_of(take(batches, 1)))
    for which in (0, 1):
        seen = [n for (s, _), n in counts.items() if s == which]
        assert len(seen) == (100, 23)[which]
        assert max(seen) - min(seen) <= 1


def test_bounded_batches_end_and_begin_anew():
    batches = Batches([gamma(50)], config(shuffle=False), epochs=2)
    first, second = list(batches), list(batches)
    assert len(first) == len(batches) == 2 * batches.batches_per_epoch
    assert first == second
    take(batches, 3)
    assert list(batches) == first  # an iteration that was left early does not shorten the next


def test_bounded_batches_go_on_from_a_loaded_state_once():
    batches = Batches([gamma(50)], config(), epochs=1)
    everything = list(batches)
    take(batches, 2)
    state = batches.state_dict()
    other = Batches([gamma(50)], config(), epochs=1)
    other.load_state_dict(state)
    assert list(other) == everything[2:]
    assert list(other) == everything


@pytest.mark.parametrize("world_size", [2, 3, 40])
def test_bounded_batches_are_shared_out_without_gap_or_repeat(world_size):
    ranks = [Batches([gamma(80)], config(), rank=r, world_size=world_size, epochs=1) for r in range(world_size)]
    shares = [list(batches) for batches in ranks]
    assert [len(share) for share in shares] == [len(batches) for batches in ranks]
    assert sorted(rows_of(itertools.chain(*shares))) == [(0, i) for i in range(80)]


def test_endless_batches_have_no_number():
    with pytest.raises(TypeError, match="no end"):
        len(Batches([gamma(5)], config()))


OTHERS = {
    "rows": lambda: Batches([gamma(41)], config(), seed=1),
    "lengths": lambda: Batches([gamma(40, 7)], config(), seed=1),
    "seed": lambda: Batches([gamma(40)], config(), seed=2),
    "batch": lambda: Batches([gamma(40)], config(size=50), seed=1),
    "weights": lambda: Batches([gamma(40)], config(), weights=[1], seed=1),
}


@pytest.mark.parametrize("differing", OTHERS)
def test_a_position_in_other_data_is_refused_by_name(differing):
    state = Batches([gamma(40)], config(), seed=1).state_dict()
    with pytest.raises(ValueError, match=f"other data.*{differing}: saved .*, now "):
        OTHERS[differing]().load_state_dict(state)


def test_a_state_that_is_none_is_refused():
    with pytest.raises(ValueError, match="number, data missing"):
        Batches([gamma(4)], config()).load_state_dict({"epoch": 1, "first": 0})
    state = Batches([gamma(40)], config()).state_dict()
    with pytest.raises(ValueError, match="impossible position"):
        Batches([gamma(40)], config()).load_state_dict({**state, "epoch": 3})


class Named:
    keys = ["a", "b", "c"]
    durations = np.array([1.0, 2.0, 0.0])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Batches([], config()), "no set given"),
        (lambda: Batches([gamma(3), []], config()), "set 1 has no rows"),
        (lambda: Batches([Named()], config()), r"1 of 3 rows of set 0 have no length.*row 2 \('c'\) with 0.0 seconds"),
        (lambda: Batches([[1.0, float("nan")]], config()), "row 1 with nan"),
        (lambda: Batches([Named()], config(unit="frames")), "need lengths="),
        (lambda: Batches([Named()], config(), lengths=[[1.0]]), r"shape \(1,\) for the 3 rows"),
        (lambda: Batches([Named()], config(), lengths=[]), "0 arrays of lengths for 1 sets"),
        (lambda: Batches([[[1.0]]], config()), r"shape \(1, 1\)"),
        (lambda: Batches([gamma(3)], BatchConfig(unit="items", size=0.5)), "holds none"),
        (lambda: Batches([gamma(3)], config(), rank=2, world_size=2), "rank 2 of 2"),
        (lambda: Batches([gamma(3)], config(), epochs=0), "epochs is 0"),
    ],
)
def test_what_cannot_be_batched_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_rows_without_known_length_can_be_batched_by_items():
    plans = epoch_of(Batches([Named()], BatchConfig(unit="items", size=2)))
    assert sorted(rows_of(plans)) == [(0, 0), (0, 1), (0, 2)]


def test_fewer_batches_than_processes_still_serve_all():
    shares = [take(Batches([gamma(2)], config(), rank=r, world_size=16), 3) for r in range(16)]
    assert sorted(p.number for share in shares for p in share) == list(range(48))


@pytest.mark.slow
@pytest.mark.timeout(120)  # takes 0.3 s; a step of Python for each pair of rows would be hours
def test_a_million_rows_are_planned():
    batches = Batches([gamma(1_000_000)], config())
    (first,) = take(batches, 1)
    assert first.number == 0 and len({index for _, index in first.items}) == len(first.items) > 0
