"""Types of expressions, and kernels bound to them. Everything that can be wrong is wrong here, before a row is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from hub.errors import ExpressionInvalid
from hub.mapping.codelists import CodeLists
from hub.mapping.functions import TABLE
from hub.mapping.functions.table import ACCEPTS, Function, Kernel, Parameter
from hub.mapping.tree import Binary, Call, Case, Cast, Coalesce, Column, In, Like, Literal, Node, Part, Try, Unary

MAX_DECIMAL = 38  # digits
COMPARE = ("=", "<>", "<", "<=", ">", ">=")
HINTS = {
    "int32": "to_int(…)",
    "int64": "to_long(…)",
    "double": "to_double(…)",
    "date32[day]": "to_date(…, '%Y-%m-%d')",
    "decimal": "to_decimal(…, precision, scale)",
    "timestamp": "to_timestamp(…, format, zone)",
    "string": "CAST(… AS TEXT)",
}


@dataclass
class Typed:
    """A tree with the type of each node, and of each call its kernel and the arguments that are columns."""

    columns: Mapping[str, pa.DataType]
    codes: CodeLists
    types: dict[Node, pa.DataType] = field(default_factory=dict)
    kernels: dict[Call, Kernel] = field(default_factory=dict)
    inputs: dict[Call, tuple[Node, ...]] = field(default_factory=dict)

    def check(self, node: Node) -> pa.DataType:
        """The type of a node. Raises ExpressionInvalid."""
        known = self.types.get(node)
        if known is None:
            known = self.types[node] = self._check(node)
        return known

    def _check(self, node: Node) -> pa.DataType:
        if isinstance(node, Literal):
            return node.type
        if isinstance(node, Column):
            return self.columns[node.name]
        if isinstance(node, Call):
            return self._call(node)
        if isinstance(node, Binary):
            return self._binary(node)
        if isinstance(node, Case):
            return self._case(node)
        if isinstance(node, Coalesce):
            return common([self.check(a) for a in node.args], "COALESCE")
        inner = self.check(node.arg)
        if isinstance(node, Cast):
            _need(castable(inner, node.to), f"{inner} cannot be CAST to {node.to}")
            return node.to
        if isinstance(node, Try):
            return inner
        if isinstance(node, Part):
            return _part(inner, node.name)
        if isinstance(node, Like):
            _need(pa.types.is_string(inner) or pa.types.is_null(inner), "LIKE is for text")
            return pa.bool_()
        if isinstance(node, In):
            kinds = [pa.array([v]).type for v in node.values if v is not None]
            _comparable(common([inner, *kinds], "IN"), "IN")
            return pa.bool_()
        return self._unary(node, inner)

    def _unary(self, node: Unary, inner: pa.DataType) -> pa.DataType:
        if node.op == "-":
            _need(ACCEPTS["number"](inner), "a minus goes before a number")
            return pa.int64() if pa.types.is_unsigned_integer(inner) else inner
        if node.op == "NOT":
            _need(pa.types.is_boolean(inner) or pa.types.is_null(inner), "NOT is for conditions")
        return pa.bool_()

    def _binary(self, node: Binary) -> pa.DataType:
        left, right = self.check(node.left), self.check(node.right)
        if node.op in ("AND", "OR"):
            for side in (left, right):
                _need(pa.types.is_boolean(side) or pa.types.is_null(side), f"{node.op} joins conditions")
            return pa.bool_()
        if node.op in COMPARE:
            _comparable(common([left, right], node.op), node.op)
            return pa.bool_()
        for side in (left, right):
            _need(ACCEPTS["number"](side) or pa.types.is_null(side), f"`{node.op}` is for numbers, not {side}")
        both = common([left, right], node.op)
        _need(node.op != "%" or not pa.types.is_decimal(both), "`%` is for whole numbers and doubles, not decimals")
        if pa.types.is_integer(both):
            return pa.float64() if node.op == "/" else pa.int64()
        if pa.types.is_decimal(both) and node.op == "*":
            return pa.decimal128(38, min(_scale(left) + _scale(right), 38))
        return pa.float64() if pa.types.is_decimal(both) and node.op == "/" else both

    def _case(self, node: Case) -> pa.DataType:
        for condition, _value in node.whens:
            kind = self.check(condition)
            _need(pa.types.is_boolean(kind) or pa.types.is_null(kind), "WHEN takes a condition")
        return common([*[self.check(v) for _, v in node.whens], self.check(node.otherwise)], "CASE")

    def _call(self, node: Call) -> pa.DataType:
        function = TABLE[node.function]
        parameters = list(function.parameters)
        needed = sum(not p.optional for p in parameters)
        repeats = bool(parameters) and parameters[-1].repeat
        if len(node.args) < needed or (len(node.args) > len(parameters) and not repeats):
            raise ExpressionInvalid(f"{function.signature} takes other arguments", remedy=function.doc)
        literals, inputs = [], []
        for i, arg in enumerate(node.args):
            parameter = parameters[min(i, len(parameters) - 1)]
            self._argument(function, parameter, arg)
            if parameter.literal and isinstance(arg, Literal):
                literals.append(arg.value)
            else:
                inputs.append(arg)
        self.inputs[node] = tuple(inputs)
        try:
            self.kernels[node] = function.bind(literals, self.codes)
            return function.result(literals)
        except ValueError as error:
            raise ExpressionInvalid(f"{function.name}: {error}") from error

    def _argument(self, function: Function, parameter: Parameter, arg: Node) -> None:
        kind = self.check(arg)
        if parameter.literal and (not isinstance(arg, Literal) or arg.value is None):
            raise ExpressionInvalid(f"{parameter.name} of {function.signature} must be a constant")
        if not ACCEPTS[parameter.type](kind) and not pa.types.is_null(kind):
            wants = {"text": "text", "number": "a number", "date": "a date", "exact": "a whole number or a decimal"}
            want = wants[parameter.type]
            raise ExpressionInvalid(f"{parameter.name} of {function.signature} is {want}, this is {kind}")


def _need(condition: bool, why: str) -> None:
    if not condition:
        raise ExpressionInvalid(why)


def _part(kind: pa.DataType, name: str) -> pa.DataType:
    names = [one.name for one in kind] if pa.types.is_struct(kind) else []
    _need(bool(names), f"`.{name}` goes after a function that gives a record, this is {kind}")
    if name not in names:
        raise ExpressionInvalid(f"there is no part `{name}`", remedy=f"the parts are {', '.join(names)}")
    return kind.field(name).type


def _comparable(kind: pa.DataType, where: str) -> None:
    _need(not pa.types.is_nested(kind), f"{where} cannot compare {kind}")


def castable(kind: pa.DataType, to: pa.DataType) -> bool:
    """Whether CAST knows the way. Numbers are no dates, and lists are nothing else."""
    if kind == to or pa.types.is_null(kind):
        return True
    if pa.types.is_nested(kind):
        return False
    if pa.types.is_string(kind) or pa.types.is_string(to):
        return True
    if pa.types.is_date(to):
        return bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind))
    if pa.types.is_boolean(to):
        return bool(pa.types.is_integer(kind))
    return bool(ACCEPTS["number"](kind) or (pa.types.is_boolean(kind) and pa.types.is_integer(to)))


def common(kinds: list[pa.DataType], where: str) -> pa.DataType:
    """The type that holds all of these without loss. Text and numbers never mix by themselves."""
    kinds = [k for k in kinds if not pa.types.is_null(k)]
    if not kinds:
        return pa.null()
    result = kinds[0]
    for kind in kinds[1:]:
        result = _wider(result, kind, where)
    return result


def _wider(a: pa.DataType, b: pa.DataType, where: str) -> pa.DataType:
    if a == b:
        return a
    number = ACCEPTS["number"]
    if number(a) and number(b):
        if pa.types.is_floating(a) or pa.types.is_floating(b):
            return pa.float64()
        if pa.types.is_decimal(a) or pa.types.is_decimal(b):
            scale = max(_scale(a), _scale(b))
            whole = max(_whole(a), _whole(b))
            return pa.decimal128(min(whole + scale, MAX_DECIMAL), scale)
        return pa.int64()
    if pa.types.is_timestamp(a) and pa.types.is_timestamp(b) and a.tz == b.tz:
        return a if a.unit == "us" else b
    raise ExpressionInvalid(f"{where} mixes {a} and {b}", remedy=f"convert one, for example with {hint(b)}")


def _scale(kind: pa.DataType) -> int:
    return int(kind.scale) if pa.types.is_decimal(kind) else 0


def _whole(kind: pa.DataType) -> int:
    """Digits before the point."""
    if pa.types.is_decimal(kind):
        return int(kind.precision - kind.scale)
    return 10 if kind.bit_width <= 32 else 19


def hint(kind: pa.DataType) -> str:
    """The function that makes this type from text."""
    text = str(kind)
    return HINTS.get(text) or next((v for k, v in HINTS.items() if text.startswith(k)), "CAST")


def assignable(kind: pa.DataType, target: pa.DataType) -> bool:
    """Whether a value of one type is one of the other without loss: widening only."""
    if kind == target or pa.types.is_null(kind):
        return True
    if pa.types.is_integer(kind):
        fits = pa.types.is_integer(target) and kind.bit_width <= target.bit_width
        wide = pa.types.is_decimal(target) and _whole(target) >= _whole(kind)
        return bool(fits or wide or pa.types.is_float64(target))
    if pa.types.is_floating(kind):
        return bool(pa.types.is_floating(target))
    if pa.types.is_decimal(kind) and pa.types.is_decimal(target):
        return bool(target.scale >= kind.scale and _whole(target) >= _whole(kind))
    if pa.types.is_timestamp(kind) and pa.types.is_timestamp(target):
        return bool(kind.tz == target.tz and (kind.unit, target.unit) != ("us", "ms"))
    if pa.types.is_list(kind) and pa.types.is_list(target):
        return assignable(kind.value_type, target.value_type)
    return bool(pa.types.is_string(kind) and pa.types.is_large_string(target))
