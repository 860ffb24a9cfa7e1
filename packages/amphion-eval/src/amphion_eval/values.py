"""What a metric returns: a number, a number that says why it is none, or a rate that keeps its counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Rate", "SetFigure", "Undefined", "figure_of", "reason_of"]


class Undefined(float):
    """A nan that carries its reason; the metric has no value for this input.

    It is an ordinary nan to everything that computes with it, so a metric stays a function to float.
    """

    reason: str

    def __new__(cls, reason: str) -> Undefined:
        """Make one.

        Args:
            reason: why there is no value, as the report prints it.
        """
        value = super().__new__(cls, "nan")
        value.reason = reason
        return value

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reason,)


class Rate(float):
    """A quotient of two counts; a corpus pools such rates by the sums of both.

    Attributes:
        count: numerator, such as the number of errors.
        total: denominator, such as the number of reference words.
    """

    count: float
    total: float

    def __new__(cls, count: float, total: float) -> Rate:
        """Make one.

        Raises:
            ValueError: `total` is not above 0; such a rate is undefined.
        """
        if not total > 0:
            raise ValueError(f"a rate needs a total above 0, got {count} of {total}; return Undefined instead")
        value = super().__new__(cls, count / total)
        value.count, value.total = count, total
        return value

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.count, self.total)


class SetFigure(float):
    """The figure of whole sets of clips, which no item has alone; what metrics of sets return.

    Attributes:
        n: clips of the estimates that it rests on.
        interval: bootstrap 95 % interval over clips; None where there is none.
        details: further figures, such as the fit behind an extrapolation.
        notes: what a reader must know, such as too few clips for the dimensions.
    """

    n: int
    interval: tuple[float, float] | None
    details: Mapping[str, float]
    notes: tuple[str, ...]

    def __new__(
        cls,
        value: float,
        n: int,
        *,
        interval: tuple[float, float] | None = None,
        details: Mapping[str, float] | None = None,
        notes: Sequence[str] = (),
    ) -> SetFigure:
        """Make one."""
        figure = super().__new__(cls, value)
        figure.n, figure.interval, figure.details, figure.notes = n, interval, dict(details or {}), tuple(notes)
        return figure

    def __reduce__(self) -> tuple[Any, ...]:
        keywords = {"interval": self.interval, "details": self.details, "notes": self.notes}
        return _set_figure, (float(self), self.n, keywords)


def _set_figure(value: float, n: int, keywords: dict[str, Any]) -> SetFigure:
    return SetFigure(value, n, **keywords)


def figure_of(value: Any) -> float:
    """What a metric returned, as a float; None is undefined, like nan.

    Args:
        value: a number of any kind, `Undefined` and `Rate` among them, which stay what they are.

    Raises:
        TypeError: it is no number.
    """
    if isinstance(value, float):
        return value
    if value is None:
        return float("nan")
    if not hasattr(type(value), "__float__"):
        raise TypeError(f"it returned {type(value).__name__}, not a number")
    return float(value)


def reason_of(value: float) -> str | None:
    """Why a value is undefined; None where it is defined.

    Args:
        value: what a metric returned.
    """
    if value == value:
        return None
    return getattr(value, "reason", "the metric gave no number")
