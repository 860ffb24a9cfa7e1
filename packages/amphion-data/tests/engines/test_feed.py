"""Units taken in a thread."""

import threading

import pytest

from amphion_data.engines.feed import Feed


def drained(feed):
    found = []
    while not feed.ended:
        found += feed.take()
    return found


def test_units_come_in_order_and_then_there_are_none():
    feed = Feed(iter(range(5)))
    assert drained(feed) == [0, 1, 2, 3, 4] and feed.take() == []


def test_a_unit_is_taken_when_it_is_asked_for_and_not_before():
    taken = []

    def units():
        for number in range(3):
            taken.append(number)
            yield number

    feed = Feed(units())
    assert taken == []
    assert feed.take() == [0] and taken == [0]
    feed.close()
    threading.Event().wait(0.05)
    assert taken == [0]


def test_the_driver_does_not_stand_still_while_a_unit_is_waited_for():
    free = threading.Event()

    def units():
        free.wait(30)
        yield "held by another"

    feed = Feed(units())
    assert feed.take() == [] and feed.take() == [] and not feed.ended
    free.set()
    assert drained(feed) == ["held by another"]


def test_what_the_units_raise_comes_to_the_driver():
    def units():
        yield 1
        raise OSError("the list is gone")

    feed = Feed(units())
    assert feed.take() == [1]
    with pytest.raises(OSError, match="the list is gone"):
        drained(feed)
