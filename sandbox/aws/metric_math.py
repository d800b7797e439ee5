"""CloudWatch's metric math, as far as alarms of a service need it. Pure.

The rules are the user guide's (using-metric-math): a scalar and a time series are different kinds of value; between two
series a missing value counts as 0; a division by zero drops the data point; comparisons give 1 or 0; and the result of
the whole must be a time series. What is not here is refused by name when the alarm is put, as is a combination of
kinds that the guide does not list, for AWS would refuse the alarm, too.
"""

import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

Series = dict[float, float]
"""Values by the start of their period."""
Value = float | Series | list[Series]


class Kind(StrEnum):
    """What a value is."""

    SCALAR = "a scalar"
    SERIES = "a time series"
    ARRAY = "an array of time series"


class MathError(ValueError):
    """An expression that CloudWatch, or this part of it, does not take."""


@dataclass(frozen=True)
class _Number:
    value: float


@dataclass(frozen=True)
class _Text:
    value: str


@dataclass(frozen=True)
class _Name:
    text: str


@dataclass(frozen=True)
class _Array:
    items: tuple["_Node", ...]


@dataclass(frozen=True)
class _Negation:
    of: "_Node"


@dataclass(frozen=True)
class _Operation:
    symbol: str
    left: "_Node"
    right: "_Node"


@dataclass(frozen=True)
class _Call:
    function: str
    arguments: tuple["_Node", ...]


_Node = _Number | _Text | _Name | _Array | _Negation | _Operation | _Call

_REPEAT = "REPEAT"


def _divide(left: float, right: float) -> float:
    return left / right if right else math.nan


def _power(left: float, right: float) -> float:
    try:
        value = left**right
    except (ZeroDivisionError, OverflowError):
        return math.nan
    return math.nan if isinstance(value, complex) else value


_SYMBOLS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divide,
    "^": _power,
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "AND": lambda left, right: bool(left) and bool(right),
    "OR": lambda left, right: bool(left) or bool(right),
}
_LEVELS = (("OR",), ("AND",), ("==", "!=", "<=", ">=", "<", ">"), ("+", "-"), ("*", "/"))
"""Operators that bind alike, the loosest first."""

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)|(?P<word>[A-Za-z]\w*)"
    r'|"(?P<text>[^"]*)"|(?P<symbol>&&|\|\||==|!=|<=|>=|[-+*/^<>(),\[\]]))'
)
_SYNONYMS = {"&&": "AND", "||": "OR"}


class _Parser:
    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._tokens: list[tuple[str, str]] = []
        position = 0
        while expression[position:].strip():
            found = _TOKEN.match(expression, position)
            if not found:
                raise MathError(f"'{expression[position:].strip()[0]}' is not understood in {expression!r}")
            kind = str(found.lastgroup)
            self._tokens.append((kind, _SYNONYMS.get(found[kind], found[kind])))
            position = found.end()

    def whole(self) -> _Node:
        node = self._level(0)
        if self._tokens:
            raise self._unexpected()
        return node

    def _unexpected(self) -> MathError:
        seen = f"'{self._tokens[0][1]}'" if self._tokens else "the end"
        return MathError(f"{seen} is not expected there in {self._expression!r}")

    def _take(self, *texts: str) -> str | None:
        if self._tokens and self._tokens[0][0] in ("symbol", "word") and self._tokens[0][1] in texts:
            return self._tokens.pop(0)[1]
        return None

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise self._unexpected()

    def _level(self, number: int) -> _Node:
        if number == len(_LEVELS):
            return self._unary()
        node = self._level(number + 1)
        while symbol := self._take(*_LEVELS[number]):
            node = _Operation(symbol, node, self._level(number + 1))
        return node

    def _unary(self) -> _Node:
        if self._take("-"):
            return _Negation(self._unary())
        base = self._atom()
        return _Operation("^", base, self._unary()) if self._take("^") else base

    def _atom(self) -> _Node:
        if self._take("("):
            node = self._level(0)
            self._expect(")")
            return node
        if self._take("["):
            return _Array(self._list("]"))
        if not self._tokens or self._tokens[0][0] == "symbol":
            raise self._unexpected()
        kind, text = self._tokens.pop(0)
        if kind == "number":
            return _Number(float(text))
        if kind == "text":
            return _Text(text)
        if self._take("("):
            return _Call(text, self._list(")"))
        return _Name(text)

    def _list(self, end: str) -> tuple[_Node, ...]:
        items: list[_Node] = []
        while not self._take(end):
            if items:
                self._expect(",")
            items.append(self._level(0))
        return tuple(items)


def _each(function: Callable[[Series], Series], value: Value) -> Value:
    if isinstance(value, list):
        return [function(series) for series in value]
    assert isinstance(value, dict)
    return function(value)


def _clean(series: Series) -> Series:
    return {at: float(value) for at, value in series.items() if math.isfinite(value)}


def _apply(symbol: str, left: Value, right: Value) -> Value:
    if isinstance(left, list):
        return [_series(_apply(symbol, one, right)) for one in left]
    if isinstance(right, list):
        return [_series(_apply(symbol, left, one)) for one in right]
    function = _SYMBOLS[symbol]
    if isinstance(left, dict) and isinstance(right, dict):
        return _clean({at: function(left.get(at, 0), right.get(at, 0)) for at in sorted(left.keys() | right.keys())})
    if isinstance(left, dict):
        assert isinstance(right, float)
        return _clean({at: function(value, right) for at, value in left.items()})
    if isinstance(right, dict):
        return _clean({at: function(left, value) for at, value in right.items()})
    return float(function(left, right))


def _series(value: Value) -> Series:
    assert isinstance(value, dict)
    return value


def _steps(series: Series) -> Iterator[tuple[float, float, float]]:
    """Yield for each value but the first its time, its difference from the one before, and the seconds between."""
    items = sorted(series.items())
    for (before, old), (at, new) in pairwise(items):
        yield at, new - old, at - before


_ELEMENTWISE: dict[str, Callable[[Series], Series]] = {
    "ABS": lambda series: {at: abs(value) for at, value in series.items()},
    "CEIL": lambda series: {at: float(math.ceil(value)) for at, value in series.items()},
    "FLOOR": lambda series: {at: float(math.floor(value)) for at, value in series.items()},
    "DIFF": lambda series: {at: step for at, step, _ in _steps(series)},
    "DIFF_TIME": lambda series: {at: seconds for at, _, seconds in _steps(series)},
    "RATE": lambda series: {at: step / seconds for at, step, seconds in _steps(series)},
}
_REDUCING: dict[str, Callable[[list[float], int], float]] = {
    "AVG": lambda values, number: sum(values) / number if number else math.nan,
    "MAX": lambda values, _: max(values, default=math.nan),
    "MIN": lambda values, _: min(values, default=math.nan),
    "SUM": lambda values, _: sum(values),
}
"""Of the values that exist and the number that could; of a series a scalar, of an array a series."""

FUNCTIONS = sorted([*_ELEMENTWISE, *_REDUCING, "FILL", "IF", "METRICS", "PERIOD", "TIME_SERIES"])

_S, _TS, _ARRAY = Kind.SCALAR, Kind.SERIES, Kind.ARRAY
_CONDITIONALS = {
    (_TS, _TS),
    (_TS, _S),
    (_TS, _TS, _TS),
    (_TS, _TS, _S),
    (_TS, _S, _TS),
    (_TS, _S, _S),
    (_S, _TS),
    (_S, _TS, _TS),
}
"""The kinds of IF's arguments that the guide lists; ``IF(scalar, series, scalar)`` is not among them."""


class Plan:
    """The queries of one alarm or request, checked once, computed as often as wanted.

    Raises MathError for what is not supported, for an unknown id and for expressions that go round in a circle.
    """

    def __init__(self, metrics: Mapping[str, int], expressions: Mapping[str, str]) -> None:
        """Take metrics by id with their period in seconds, and expressions by id."""
        self._periods = dict(metrics)
        self._nodes = {key: _Parser(expression).whole() for key, expression in expressions.items()}
        self.kinds: dict[str, Kind] = dict.fromkeys(metrics, _TS)
        for key in expressions:
            self._kind_of_id(key, ())

    def compute(self, metrics: Mapping[str, Series], grid: Sequence[float]) -> dict[str, Value]:
        """Return the value of every id, for periods that start at ``grid``."""
        values: dict[str, Value] = {key: metrics[key] for key in self._periods}
        for key in self._nodes:
            self._value(_Name(key), values, grid)
        return values

    def _kind_of_id(self, key: str, path: tuple[str, ...]) -> Kind:
        if key in path:
            raise MathError(f"the expressions {', '.join(path)} depend on each other in a circle")
        if key not in self.kinds:
            if key not in self._nodes:
                raise MathError(f"no metric and no expression has the id '{key}'")
            self.kinds[key] = self._kind(self._nodes[key], (*path, key))
        return self.kinds[key]

    def _kind(self, node: _Node, path: tuple[str, ...]) -> Kind:
        match node:
            case _Number():
                return _S
            case _Text():
                raise MathError(f'the string "{node.value}" is supported within METRICS() only')
            case _Name():
                return self._kind_of_id(node.text, path)
            case _Array():
                if not node.items or any(self._kind(item, path) is _S for item in node.items):
                    raise MathError("an array holds time series only, and at least one")
                return _ARRAY
            case _Negation():
                return self._kind(node.of, path)
            case _Operation():
                left, right = self._kind(node.left, path), self._kind(node.right, path)
                if left is right is _ARRAY:
                    raise MathError(f"'{node.symbol}' between two arrays of time series is not supported")
                return next(kind for kind in (_ARRAY, _TS, _S) if kind in (left, right))
            case _Call():
                return self._kind_of_call(node, path)

    def _kind_of_call(self, call: _Call, path: tuple[str, ...]) -> Kind:
        name, given = call.function, call.arguments
        if name not in FUNCTIONS:
            raise MathError(f"the function {name} is not supported here; there are {', '.join(FUNCTIONS)}")
        if name == "METRICS":
            if len(given) > 1 or any(not isinstance(one, _Text) for one in given):
                raise MathError("METRICS takes nothing or one string")
            return _ARRAY
        if name == "PERIOD":
            if len(given) != 1 or not isinstance(given[0], _Name) or given[0].text not in self._periods:
                raise MathError("PERIOD takes the id of one metric")
            return _S
        repeat = name == "FILL" and len(given) == 2 and given[1] == _Name(_REPEAT)
        kinds = tuple(self._kind(one, path) for one in (given[:1] if repeat else given))
        wrong = MathError(f"{name}({', '.join(kinds)}) is not a form that the user guide of metric math lists")
        if name in _ELEMENTWISE and kinds in {(_TS,), (_ARRAY,)}:
            return kinds[0]
        if name in _REDUCING and kinds in {(_TS,), (_ARRAY,)}:
            return _S if kinds == (_TS,) else _TS
        if name == "FILL" and (repeat or len(kinds) == 2) and kinds[0] is not _S and _ARRAY not in kinds[1:]:
            return kinds[0]
        if name == "IF" and kinds in _CONDITIONALS:
            return _TS
        if name == "TIME_SERIES" and kinds == (_S,):
            return _TS
        raise wrong

    def _value(self, node: _Node, values: dict[str, Value], grid: Sequence[float]) -> Value:
        def of(one: _Node) -> Value:
            return self._value(one, values, grid)

        match node:
            case _Number():
                return node.value
            case _Name():
                if node.text not in values:
                    values[node.text] = of(self._nodes[node.text])
                return values[node.text]
            case _Array():
                flat: list[Series] = []
                for item in node.items:
                    value = of(item)
                    flat += value if isinstance(value, list) else [_series(value)]
                return flat
            case _Negation():
                return _apply("*", -1.0, of(node.of))
            case _Operation():
                return _apply(node.symbol, of(node.left), of(node.right))
            case _Call(function="METRICS"):
                part = node.arguments[0].value if node.arguments and isinstance(node.arguments[0], _Text) else ""
                return [_series(values[key]) for key in self._periods if part in key]
            case _Call(function="PERIOD"):
                assert isinstance(node.arguments[0], _Name)
                return float(self._periods[node.arguments[0].text])
            case _Call(function="FILL", arguments=(what, _Name(text="REPEAT"))):
                return _each(lambda series: _repeat(series, grid), of(what))
            case _Call():
                return _call(node.function, [of(one) for one in node.arguments], grid)
            case _:
                raise AssertionError(node)


def _call(name: str, given: list[Value], grid: Sequence[float]) -> Value:
    if name in _ELEMENTWISE:
        return _each(_ELEMENTWISE[name], given[0])
    if name in _REDUCING:
        return _reduce(_REDUCING[name], given[0], len(grid))
    if name == "FILL":
        filler = given[1]
        every = filler if isinstance(filler, dict) else dict.fromkeys(grid, float(filler))  # type: ignore[arg-type]
        return _each(lambda series: _clean(dict(sorted({**every, **series}.items()))), given[0])
    if name == "TIME_SERIES":
        assert isinstance(given[0], float)
        return _clean(dict.fromkeys(grid, given[0]))
    return _if(*given)


def _reduce(function: Callable[[list[float], int], float], value: Value, periods: int) -> Value:
    if isinstance(value, dict):
        return float(function(list(value.values()), periods))
    assert isinstance(value, list)
    moments = sorted(set().union(*value))
    return _clean({at: function([one[at] for one in value if at in one], len(value)) for at in moments})


def _repeat(series: Series, grid: Sequence[float]) -> Series:
    result: Series = {}
    last: float | None = None
    for at in grid:
        last = series.get(at, last)
        if last is not None:
            result[at] = last
    return result


def _if(condition: Value, then: Value, otherwise: Value | None = None) -> Series:
    if isinstance(condition, float):
        return _series(then if condition else otherwise or {})
    result: Series = {}
    for at, holds in _series(condition).items():
        if holds:
            result[at] = then.get(at, 0.0) if isinstance(then, dict) else float(then)  # type: ignore[arg-type]
        elif isinstance(otherwise, dict):
            if at in otherwise:
                result[at] = otherwise[at]
        elif otherwise is not None:
            result[at] = float(otherwise)  # type: ignore[arg-type]
    return _clean(result)
