"""Conditions on rows, written as text: `duration > 3 and dnsmos >= 3.2 and language in ("en", "de")`.

The grammar is a small part of Python's, read by its parser and worked out here on whole columns: nothing is executed.
Logic has three values: a comparison with a missing value is neither true nor false, and a row is taken only where the
whole is true. So `not (dnsmos < 3)` does not take rows without `dnsmos`; `dnsmos is None or dnsmos >= 3` does.
"""

from __future__ import annotations

import ast
import difflib
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from amphion_core.data.columns import Labels, Strings

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Expression", "ExpressionError", "has_values", "unknown_columns"]

_LONGEST = 10_000
_SHOWN = 200  # characters of a condition in a message
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_FUNCTIONS = {"len": 1, "abs": 1, "lower": 1, "startswith": 2, "endswith": 2}


class ExpressionError(ValueError):
    """A condition that can't be read, or that does not fit its columns."""


@dataclass(frozen=True)
class _Truth:
    """(N,) where it is true and where it is false; neither where a value is missing."""

    yes: NDArray[np.bool_]
    no: NDArray[np.bool_]


@dataclass(frozen=True)
class _Number:
    """(N,) or (1,) numbers, nan where missing."""

    values: NDArray[np.float64]


@dataclass(frozen=True)
class _Text:
    """(N,) or (1,) places in a list of words, -1 where missing."""

    codes: NDArray[np.integer]
    words: Sequence[str]

    def mapped(self, function: Callable[[str], Any], missing: Any, kind: type[Any]) -> NDArray[Any]:
        """A function of each word, by row."""
        table = np.array([function(word) for word in self.words] + [missing], kind)
        values: NDArray[Any] = table[self.codes]  # -1 takes the last
        return values

    def told(self) -> NDArray[np.bool_]:
        """Where there is a value."""
        return self.codes >= 0


class _Missing:
    """A column without any value, or `None`."""


_Value = _Truth | _Number | _Text | _Missing


class Expression:
    """A condition on rows.

    Known are comparisons (also chained), `and`, `or`, `not`, `in` and `not in` with a list or, for texts, a part of a
    text (`"um" in text`), `is None`, `+ - * /`, and the functions len, abs, lower, startswith and endswith.

    Args:
        text: the condition.
    """

    def __init__(self, text: str) -> None:
        """Read it.

        Raises:
            ExpressionError: it is no such condition; says where.
        """
        self.text = text.strip()
        if len(self.text) > _LONGEST:
            raise ExpressionError(f"a condition of {len(self.text)} characters; {_LONGEST} are the most")
        if not self.text:
            raise ExpressionError("the condition is empty; write one such as 'duration > 3', or True for all rows")
        try:
            self._tree = ast.parse(self.text, mode="eval").body
        except SyntaxError as error:
            raise ExpressionError(f"{_short(self.text)!r}, character {error.offset or 1}: {error.msg}") from None
        except (RecursionError, MemoryError, ValueError):
            raise ExpressionError("the condition is nested too deeply, or holds a character that it can't") from None
        functions = {id(node.func) for node in ast.walk(self._tree) if isinstance(node, ast.Call)}
        names = (node for node in ast.walk(self._tree) if isinstance(node, ast.Name) and id(node) not in functions)
        self.columns = tuple(dict.fromkeys(node.id for node in names))
        """Names of the columns it asks for."""
        _Evaluation(self.text, {name: _Missing() for name in self.columns}, 1).truth(self._tree)  # finds faults early

    def mask(self, columns: Mapping[str, Sequence[Any] | NDArray[Any]]) -> NDArray[np.bool_]:
        """Where the condition is true.

        Args:
            columns: (N,) each; those that `self.columns` names. None, nan and labels below 0 are missing values.

        Returns:
            (N,) bool.

        Raises:
            ExpressionError: a text is compared with a number, or the like.
            LookupError: a column is not given.
        """
        if absent := [name for name in self.columns if name not in columns]:
            raise LookupError(unknown_columns(absent, columns))
        count = len(next(iter(columns.values()))) if columns else 1
        values = {name: _column(name, columns[name]) for name in self.columns}
        return np.broadcast_to(_Evaluation(self.text, values, count).truth(self._tree).yes, count).copy()

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


class _Evaluation:
    """Works a condition out on columns of `count` rows; all of its arrays have that length or 1."""

    def __init__(self, text: str, columns: Mapping[str, _Value], count: int) -> None:
        self._text, self._columns, self._count = text, columns, count

    def truth(self, node: ast.expr) -> _Truth:
        """Where a condition is true and where false."""
        value = self._value(node)
        if isinstance(value, _Missing):
            return self._unknown()
        if not isinstance(value, _Truth):
            raise self._error(node, f"this is {_kind(value)}, a condition was expected; compare it with something")
        return value

    def _value(self, node: ast.expr) -> _Value:
        try:
            return self._worked_out(node)
        except RecursionError:
            raise ExpressionError("the condition is nested too deeply") from None

    def _worked_out(self, node: ast.expr) -> _Value:
        if isinstance(node, ast.Name):
            return self._columns[node.id]
        if isinstance(node, ast.Constant):
            return self._constant(node)
        if isinstance(node, ast.BoolOp):
            parts = [self.truth(part) for part in node.values]
            both = isinstance(node.op, ast.And)
            yes, no = parts[0].yes, parts[0].no
            for part in parts[1:]:
                yes = yes & part.yes if both else yes | part.yes
                no = no | part.no if both else no & part.no
            return _Truth(yes, no)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            inner = self.truth(node.operand)
            return _Truth(inner.no, inner.yes)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            sign = -1.0 if isinstance(node.op, ast.USub) else 1.0
            number = self._number(node.operand)
            return number if isinstance(number, _Missing) else _Number(sign * number.values)
        if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            return self._arithmetic(node)
        if isinstance(node, ast.Compare):
            return self._compared(node)
        if isinstance(node, ast.Call):
            return self._called(node)
        raise self._error(node, f"{type(node).__name__} is not part of conditions")

    def _constant(self, node: ast.Constant) -> _Value:
        value = node.value
        if value is None:
            return _Missing()
        if isinstance(value, bool):
            yes = np.array([value])
            return _Truth(yes, ~yes)
        if isinstance(value, int | float):
            try:
                return _Number(np.array([float(value)]))
            except OverflowError:
                raise self._error(node, "the number is too large") from None
        if isinstance(value, str):
            return _Text(np.zeros(1, np.int64), [value])
        raise self._error(node, f"{value!r} is neither a number nor a text")

    def _number(self, node: ast.expr) -> _Number | _Missing:
        value = self._value(node)
        if isinstance(value, _Number | _Missing):
            return value
        raise self._error(node, f"this is {_kind(value)}, a number was expected")

    def _arithmetic(self, node: ast.BinOp) -> _Value:
        left, right = self._number(node.left), self._number(node.right)
        if isinstance(left, _Missing) or isinstance(right, _Missing):
            return _Missing()
        with np.errstate(all="ignore"):
            values = _ARITHMETIC[type(node.op)](left.values, right.values)
        return _Number(np.where(np.isfinite(values), values, np.nan))

    def _compared(self, node: ast.Compare) -> _Truth:
        left, yes, no = node.left, np.ones(1, bool), np.zeros(1, bool)
        for sign, right in zip(node.ops, node.comparators, strict=True):
            truth = self._pair(node, left, sign, right)
            yes, no, left = yes & truth.yes, no | truth.no, right
        return _Truth(yes, no)

    def _pair(self, node: ast.Compare, left: ast.expr, sign: ast.cmpop, right: ast.expr) -> _Truth:
        if isinstance(sign, ast.In | ast.NotIn):
            truth = self._contained(node, left, right)
            return _Truth(truth.no, truth.yes) if isinstance(sign, ast.NotIn) else truth
        if isinstance(right, ast.Constant) and right.value is None:
            if not isinstance(sign, ast.Is | ast.IsNot | ast.Eq | ast.NotEq):
                raise self._error(node, "None has no order; write `is None` or `is not None`")
            there = _told(self._value(left), self._count)
            return _Truth(there, ~there) if isinstance(sign, ast.IsNot | ast.NotEq) else _Truth(~there, there)
        if type(sign) not in _COMPARISONS:
            raise self._error(node, "`is` is for None only; write ==")
        first, second, compare = self._value(left), self._value(right), _COMPARISONS[type(sign)]
        if isinstance(first, _Missing) or isinstance(second, _Missing):
            return self._unknown()
        if type(first) is not type(second):
            raise self._error(node, f"{_kind(first)} is compared with {_kind(second)}")
        known = _told(first, 1) & _told(second, 1)
        if isinstance(first, _Number) and isinstance(second, _Number):
            yes = compare(first.values, second.values)
        elif isinstance(first, _Text) and isinstance(second, _Text):
            yes = _compared_texts(first, second, compare)
        elif isinstance(first, _Truth) and isinstance(second, _Truth):
            yes = compare(first.yes, second.yes)
        return _Truth(yes & known, ~yes & known)

    def _contained(self, node: ast.Compare, left: ast.expr, right: ast.expr) -> _Truth:
        value = self._value(left)
        if isinstance(right, ast.Tuple | ast.List | ast.Set):
            return self._in_list(node, value, [self._value(item) for item in right.elts])
        whole = self._value(right)
        if isinstance(whole, _Missing) or isinstance(value, _Missing):
            return self._unknown()
        if not (isinstance(value, _Text) and isinstance(whole, _Text) and isinstance(left, ast.Constant)):
            raise self._error(node, 'right of `in` stands a list, ("en", "de"), or a column that a text is sought in')
        part = value.words[0]
        yes, known = whole.mapped(lambda word: part in word, False, bool), whole.told()
        return _Truth(yes, ~yes & known)

    def _in_list(self, node: ast.Compare, value: _Value, items: Sequence[_Value]) -> _Truth:
        if any(not isinstance(item, _Text | _Number) or len(_rows(item)) != 1 for item in items):
            raise self._error(node, "a list holds texts or numbers")
        if isinstance(value, _Missing):
            return self._unknown()
        if any(type(item) is not type(value) for item in items):
            raise self._error(node, f"{_kind(value)} is sought in a list of others")
        known = _told(value, 1)
        if isinstance(value, _Text):
            words = {item.words[0] for item in items if isinstance(item, _Text)}
            yes = value.mapped(words.__contains__, False, bool)
        elif isinstance(value, _Number):
            yes = np.isin(value.values, [float(item.values[0]) for item in items if isinstance(item, _Number)])
        return _Truth(yes & known, ~yes & known)

    def _called(self, node: ast.Call) -> _Value:
        name = node.func.id if isinstance(node.func, ast.Name) else "?"
        if name not in _FUNCTIONS or node.keywords:
            raise self._error(node, f"the functions are {', '.join(_FUNCTIONS)}")
        if len(node.args) != _FUNCTIONS[name]:
            raise self._error(node, f"{name} takes {_FUNCTIONS[name]} values, got {len(node.args)}")
        if name == "abs":
            number = self._number(node.args[0])
            return number if isinstance(number, _Missing) else _Number(np.abs(number.values))
        first = self._value(node.args[0])
        if isinstance(first, _Missing):
            return first
        if not isinstance(first, _Text):
            raise self._error(node, f"{name} takes a text, this is {_kind(first)}")
        if name == "len":
            return _Number(first.mapped(len, np.nan, np.float64))
        if name == "lower":
            return _Text(first.codes, [word.lower() for word in first.words])
        part = node.args[1]
        if not isinstance(part, ast.Constant) or not isinstance(part.value, str):
            raise self._error(node, f"{name} takes a column and a text in quotes")
        sought: str = part.value
        begins = name == "startswith"
        yes = first.mapped(lambda word: word.startswith(sought) if begins else word.endswith(sought), False, bool)
        return _Truth(yes, ~yes & first.told())

    def _unknown(self) -> _Truth:
        return _Truth(np.zeros(self._count, bool), np.zeros(self._count, bool))

    def _error(self, node: ast.expr, words: str) -> ExpressionError:
        part = ast.get_source_segment(self._text, node) or self._text
        return ExpressionError(f"{part[:100]!r} in the condition {self._text[:200]!r}: {words}")


def has_values(column: Sequence[Any] | NDArray[Any]) -> bool:
    """Whether any row has a value in this column."""
    if isinstance(column, Labels):
        return bool((column.codes >= 0).any())
    if isinstance(column, Strings):
        return len(column) > 0
    if isinstance(column, np.ndarray):
        return bool((~np.isnan(column)).any()) if column.dtype.kind == "f" else column.size > 0
    return any(value is not None for value in column)


def _short(text: str) -> str:
    """A condition as messages show it; one of thousands of characters would hide what they say."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ..."


def unknown_columns(absent: Iterable[str], known: Iterable[str]) -> str:
    """What to say of columns that are not there."""
    names = sorted(set(known))
    near = [close for name in absent for close in difflib.get_close_matches(name, names, 1)]
    hint = f"; did you mean {', '.join(dict.fromkeys(near))}?" if near else "; a text stands in quotes"
    return f"no row has a value of {', '.join(absent)}; there are {', '.join(names) or 'no columns'}{hint}"


def _column(name: str, column: Sequence[Any] | NDArray[Any]) -> _Value:
    if isinstance(column, Labels):
        return _Text(column.codes, column.names)
    if isinstance(column, np.ndarray):
        if column.dtype == np.bool_:
            return _Truth(column, ~column)
        return _Number(column.astype(np.float64))
    if isinstance(column, Strings):
        return _Text(np.arange(len(column)), list(column))
    kinds = {bool if isinstance(v, bool) else str if isinstance(v, str) else float for v in column if v is not None}
    strange = next((v for v in column if not isinstance(v, bool | str | int | float | None)), None)
    if strange is not None:
        raise ExpressionError(
            f"the column {name} holds {type(strange).__name__}s; numbers, texts, true or false can be used"
        )
    if not kinds:
        return _Missing()
    if len(kinds) > 1:
        raise ExpressionError(f"the column {name} holds {' and '.join(sorted(k.__name__ for k in kinds))} values")
    if kinds == {str}:
        places: dict[str, int] = {}
        codes = [-1 if value is None else places.setdefault(value, len(places)) for value in column]
        return _Text(np.array(codes, np.int64), list(places))
    if kinds == {bool}:
        return _Truth(np.array([v is True for v in column]), np.array([v is False for v in column]))
    return _Number(np.array([np.nan if value is None else value for value in column], np.float64))


def _compared_texts(first: _Text, second: _Text, compare: Callable[[Any, Any], Any]) -> NDArray[np.bool_]:
    if len(second.codes) == 1 and second.codes[0] == 0 and len(second.words) == 1:
        word = second.words[0]
        return first.mapped(lambda other: compare(other, word), False, bool)
    one, other = (np.array([*text.words, ""], object)[text.codes] for text in (first, second))
    return np.asarray(compare(one, other), bool)


def _told(value: _Value, count: int) -> NDArray[np.bool_]:
    if isinstance(value, _Truth):
        return value.yes | value.no
    if isinstance(value, _Number):
        return ~np.isnan(value.values)
    return value.told() if isinstance(value, _Text) else np.zeros(count, bool)


def _rows(value: _Value) -> NDArray[Any]:
    return value.values if isinstance(value, _Number) else value.codes if isinstance(value, _Text) else np.zeros(0)


def _kind(value: _Value) -> str:
    return {_Truth: "a condition", _Number: "a number", _Text: "a text"}.get(type(value), "a missing value")
