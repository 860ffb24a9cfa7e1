"""What the answers of a listening test say: a table of systems, tests between them, and who was left out and why."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from amphion_eval.listening.answers import Answers, Choice, Rating
from amphion_eval.listening.clustered import Grades, bootstrap_means, clustered
from amphion_eval.significance import holm

__all__ = ["Analysed", "Heard", "SystemFigure", "Versus", "analyse_answers", "binomial_p", "screened"]

LEVEL = 0.05


@dataclass(frozen=True)
class SystemFigure:
    """The mean grade of one system.

    Attributes:
        system: name.
        role: `system`, `hidden reference` or `anchor`.
        n: grades.
        listeners: how many gave them.
        items: how many were graded.
        mean: of the grades.
        std: of the grades.
        interval: 95 % interval by t, clustered by listeners and items.
        bootstrap: 95 % interval by drawing listeners and items.
    """

    system: str
    role: str
    n: int
    listeners: int
    items: int
    mean: float
    std: float | None
    interval: tuple[float, float] | None
    bootstrap: tuple[float, float] | None


@dataclass(frozen=True)
class Versus:
    """Two systems.

    Attributes:
        first: name.
        second: name.
        difference: of the mean grades, first minus second.
        interval: 95 % interval by t, clustered by listeners and items.
        bootstrap: 95 % interval by drawing listeners and items.
        p: two-sided, of the clustered t.
        p_adjusted: Holm's, over all pairs.
        better: the one with the higher mean where `p_adjusted` is below 0.05.
    """

    first: str
    second: str
    difference: float
    interval: tuple[float, float] | None
    bootstrap: tuple[float, float] | None
    p: float | None
    p_adjusted: float | None = None
    better: str | None = None


@dataclass(frozen=True)
class Heard:
    """Whether two systems could be told apart by ear (ABX).

    Attributes:
        first: name.
        second: name.
        n: answers.
        correct: right ones; half of them by guessing.
        share: of right ones.
        interval: exact 95 % interval of the share (Clopper and Pearson).
        p: exact, of so many or more right ones by guessing.
        p_adjusted: Holm's, over all pairs.
        told_apart: whether `p_adjusted` is below 0.05.
    """

    first: str
    second: str
    n: int
    correct: int
    share: float
    interval: tuple[float, float]
    p: float
    p_adjusted: float = 1.0
    told_apart: bool = False


@dataclass(frozen=True)
class Analysed:
    """All that a test says.

    Attributes:
        kind: of the test.
        listeners: who was counted.
        excluded: listener to why the screening left them out.
        systems: the highest mean first.
        pairs: of systems.
        heard: of `abx`.
        notes: listeners that did not finish.
        settings: of the figures.
    """

    kind: str
    listeners: tuple[str, ...]
    excluded: dict[str, str]
    systems: tuple[SystemFigure, ...]
    pairs: tuple[Versus, ...]
    heard: tuple[Heard, ...]
    notes: tuple[str, ...]
    settings: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def analyse_answers(answers: Answers, *, screen: bool = True, resamples: int = 2000, seed: int = 0) -> Analysed:
    """Figures of all systems and tests between all pairs.

    Args:
        answers: of `read_answers`.
        screen: leave out listeners of `mushra` by the rule of BS.1534-3, see `screened`.
        resamples: bootstrap samples.
        seed: of the draws.

    Raises:
        ValueError: the screening left no one.
    """
    excluded = screened(answers.ratings) if answers.kind == "mushra" and screen else {}
    kept = tuple(name for name in answers.listeners if name not in excluded)
    if not kept:
        raise ValueError("the screening left no listener: " + "; ".join(f"{k}: {v}" for k, v in excluded.items()))
    ratings = [rating for rating in answers.ratings if rating.listener in kept]
    figures, pairs = _graded(ratings, resamples, seed)
    settings = {
        "interval": "t with standard errors clustered by listeners and items, 95 %",
        "bootstrap": f"{resamples} draws of listeners and items, seed {seed}",
        "correction": "Holm",
        "level": LEVEL,
        "screening": "BS.1534-3" if answers.kind == "mushra" and screen else "none",
    }
    heard = _told_apart(answers.choices)
    return Analysed(answers.kind, kept, excluded, figures, pairs, heard, answers.notes, settings)


def screened(ratings: Sequence[Rating]) -> dict[str, str]:
    """Listeners that BS.1534-3 leaves out of a MUSHRA test, and why.

    Those who grade the hidden reference below 90 in more than 15 % of the items, or the mid anchor (7 kHz) above 90 in
    more than 15 % of the items.

    Args:
        ratings: of all listeners.

    Source: ITU-R BS.1534-3, 2015, section 4.1.2.
    """
    found: dict[str, str] = {}
    for listener in sorted({rating.listener for rating in ratings}):
        own = [rating for rating in ratings if rating.listener == listener]
        hidden = [rating.value < 90 for rating in own if rating.role == "hidden reference"]
        middle = [rating.value > 90 for rating in own if rating.system == "anchor 7000"]
        if hidden and np.mean(hidden) > 0.15:
            found[listener] = f"graded the hidden reference below 90 in {sum(hidden)} of {len(hidden)} items"
        elif middle and np.mean(middle) > 0.15:
            found[listener] = f"graded the mid anchor above 90 in {sum(middle)} of {len(middle)} items"
    return found


def binomial_p(correct: int, n: int) -> float:
    """Chance of so many or more right answers of n by guessing, exact.

    Args:
        correct: right answers.
        n: answers.
    """
    return float(sum(math.comb(n, k) for k in range(correct, n + 1)) / 2**n)


def _graded(
    ratings: Sequence[Rating], resamples: int, seed: int
) -> tuple[tuple[SystemFigure, ...], tuple[Versus, ...]]:
    listeners = {name: place for place, name in enumerate(sorted({rating.listener for rating in ratings}))}
    items = {name: place for place, name in enumerate(sorted({rating.item for rating in ratings}))}
    groups: dict[tuple[str, str], list[Rating]] = defaultdict(list)
    for rating in ratings:
        groups[rating.system, rating.role].append(rating)
    grades = {
        key: Grades(
            np.array([r.value for r in own]),
            np.array([listeners[r.listener] for r in own], np.int64),
            np.array([items[r.item] for r in own], np.int64),
        )
        for key, own in groups.items()
    }
    figures = []
    for (system, role), own in grades.items():
        estimate = clustered(own)
        figures.append(
            SystemFigure(
                system,
                role,
                own.values.size,
                np.unique(own.listeners).size,
                np.unique(own.items).size,
                estimate.value,
                float(own.values.std(ddof=1)) if own.values.size > 1 else None,
                estimate.interval,
                bootstrap_means(own, resamples=resamples, seed=seed),
            )
        )
    pairs = []
    for one, two in itertools.combinations(sorted(name for name, role in grades if role == "system"), 2):
        first, second = grades[one, "system"], grades[two, "system"]
        estimate = clustered(first, second)
        interval = bootstrap_means(first, second, resamples=resamples, seed=seed)
        pairs.append(Versus(one, two, estimate.value, estimate.interval, interval, estimate.p))
    return tuple(sorted(figures, key=lambda figure: (-figure.mean, figure.system))), tuple(_judged(pairs))


def _judged(pairs: Sequence[Versus]) -> list[Versus]:
    judged = []
    for pair, adjusted in zip(pairs, holm([pair.p for pair in pairs]), strict=True):
        surely = adjusted is not None and adjusted < LEVEL
        better = (pair.first if pair.difference > 0 else pair.second) if surely else None
        judged.append(Versus(**{**vars(pair), "p_adjusted": adjusted, "better": better}))
    return judged


def _told_apart(choices: Sequence[Choice]) -> tuple[Heard, ...]:
    from scipy.special import betaincinv

    found = []
    for one, two in sorted({choice.pair for choice in choices}):
        own = [choice.correct for choice in choices if choice.pair == (one, two)]
        n, right = len(own), sum(own)
        low = float(betaincinv(right, n - right + 1, 0.025)) if right else 0.0
        high = float(betaincinv(right + 1, n - right, 0.975)) if right < n else 1.0
        found.append(Heard(one, two, n, right, right / n, (low, high), binomial_p(right, n)))
    adjusted = holm([heard.p for heard in found])
    return tuple(
        Heard(**{**vars(heard), "p_adjusted": p, "told_apart": p is not None and p < LEVEL})
        for heard, p in zip(found, adjusted, strict=True)
    )
