"""Who hears what when: orders of presentation in which no system profits from its place.

A test has as many rows as it needs; each listener follows one. Over the rows, every item is heard from every system
equally often, and every system follows every other about equally often.

Source: Williams, "Experimental designs balanced for the estimation of residual effects of treatments", 1949.
"""

from __future__ import annotations

import numpy as np

__all__ = ["abx_rows", "number_of_rows", "sets_of_systems", "single_rows", "williams"]

_FEWEST = 24  # rows: fewer listeners than this mostly get a row of their own


def williams(size: int) -> list[list[int]]:
    """Orders of `size` things: each stands at each place, and follows each other one, equally often.

    Args:
        size: at least 1.

    Returns:
        `size` rows where `size` is even, twice as many where it is odd.
    """
    first = [(place + 1) // 2 if place % 2 else (size - place // 2) % size for place in range(size)]
    rows = [[(number + shift) % size for number in first] for shift in range(size)]
    return rows if size % 2 == 0 or size == 1 else rows + [row[::-1] for row in rows]


def number_of_rows(systems: int) -> int:
    """Rows of a test with so many systems: the least multiple of those of the square from 24 on."""
    square = len(williams(systems))
    return square * -(-_FEWEST // square)


def single_rows(items: int, systems: int, *, once: bool = False, seed: int = 0) -> list[list[tuple[int, int]]]:
    """Orders of a test in which sounds are heard one at a time.

    A row has as many blocks as there are systems; in a block every item comes once, so that the same item comes back
    as late as it can.

    Args:
        items: number of items.
        systems: number of systems.
        once: only the first block: a listener hears each item from one system, and each system equally often.
        seed: of the order of the items.

    Returns:
        Rows of (item, system).
    """
    square = williams(systems)
    rows = []
    for number in range(number_of_rows(systems)):
        generator = np.random.default_rng([seed, number])
        own = square[number % len(square)]
        order = _spread(items, systems, generator)
        rows.append(
            [(item, own[(item + block) % systems]) for block in range(1 if once else systems) for item in order]
        )
    return rows


def sets_of_systems(items: int, systems: int, *, seed: int = 0) -> list[list[tuple[int, list[int]]]]:
    """Orders of a test in which all systems of an item are heard side by side.

    Args:
        items: number of items.
        systems: number of sounds an item, those to find out hidden ones included.
        seed: of the order of the items.

    Returns:
        Rows of (item, order of its systems on the screen).
    """
    square = williams(systems)
    rows = []
    for number in range(number_of_rows(systems)):
        order = np.random.default_rng([seed, number]).permutation(items)
        rows.append([(int(item), square[(number + place) % len(square)]) for place, item in enumerate(order)])
    return rows


def abx_rows(items: int, pairs: int, *, repeats: int = 1, seed: int = 0) -> list[list[tuple[int, int, bool, bool]]]:
    """Orders of a test in which X is one of A and B.

    In a row, X is A as often as B, and the first system of a pair is A as often as B, up to one trial.

    Args:
        items: number of items.
        pairs: number of pairs of systems.
        repeats: how often each pair is asked for each item.
        seed: of the orders.

    Returns:
        Rows of (item, pair, whether the pair's second system is A, whether X is B).
    """
    rows = []
    for number in range(_FEWEST):
        generator = np.random.default_rng([seed, number])
        asked = [(item, pair) for item in range(items) for pair in range(pairs) for _ in range(repeats)]
        asked = [asked[place] for place in generator.permutation(len(asked))]
        forms = [(form + number) % 4 for form in range(len(asked))]
        trials = [(item, pair, form in (1, 2), form in (2, 3)) for (item, pair), form in zip(asked, forms, strict=True)]
        rows.append([trials[place] for place in generator.permutation(len(trials))])
    return rows


def _spread(items: int, systems: int, generator: np.random.Generator) -> list[int]:
    """A random order in which items that share a system in a block stand as far apart as can be.

    The numbers of neighbours follow each other modulo the number of systems, so that a block runs through its row of
    the square again and again.
    """
    classes = [list(generator.permutation(np.arange(rest, items, systems))) for rest in range(systems)]
    start = int(generator.integers(systems))
    order: list[int] = []
    while any(classes):
        for place in range(systems):
            own = classes[(start + place) % systems]
            if own:
                order.append(int(own.pop()))
    return order
