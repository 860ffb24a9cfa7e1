"""What a metric returns: a number, a number that says why it is none, or a rate that keeps its counts."""

from __future__ import annotations

from typing import Any

__all__ = ["Rate", "Undefined", "reason_of"]


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


def reason_of(value: float) -> str | None:
    """Why a value is undefined; None where it is defined.

    Args:
        value: what a metric returned.
    """
    if value == value:
        return None
    return getattr(value, "reason", "the metric gave no number")
