"""Arithmetic of spans against sets of ticks."""

import numpy as np
import pytest

from amphion_data.pipe.spans import Span, intersect, joined, subtract, total, widened


def random_spans(generator, count=8, length=200):
    edges = np.sort(generator.choice(length, 2 * count, replace=False))
    return [Span(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def ticks(spans):
    return {tick for start, end in spans for tick in range(start, end)}


@pytest.mark.parametrize("seed", range(20))
def test_operations_are_those_of_sets(seed):
    generator = np.random.default_rng(seed)
    one, two = random_spans(generator), random_spans(generator)
    assert ticks(intersect(one, two)) == ticks(one) & ticks(two)
    assert ticks(subtract(one, two)) == ticks(one) - ticks(two)
    assert ticks(joined([*one, *two])) == ticks(one) | ticks(two)
    assert total(intersect(one, two)) + total(subtract(one, two)) == total(one)


def test_widened_spans_stop_halfway_to_their_neighbours_and_at_the_ends():
    assert widened([Span(2, 10), Span(13, 20), Span(40, 50)], 5, 52) == [Span(0, 11), Span(12, 25), Span(35, 52)]


def test_joined_spans_have_none_that_touch():
    assert joined([Span(5, 7), Span(1, 3), Span(3, 5), Span(9, 9)]) == [Span(1, 7)]
