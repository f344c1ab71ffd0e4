"""Text → checked tree. Parsed by sqlglot's PostgreSQL grammar with its own functions taken out, then allow-listed node
by node: what is not named here does not exist. PostgreSQL because its quoting, casts and NULL rules are what people know.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, cast

import pyarrow as pa
from sqlglot import exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import SqlglotError
from sqlglot.tokens import TokenType  # type: ignore[attr-defined] # re-exported without saying so

from hub.errors import ExpressionInvalid
from hub.mapping.functions import TABLE
from hub.mapping.tree import (
    Binary,
    Call,
    Case,
    Cast,
    Coalesce,
    Column,
    In,
    Like,
    Literal,
    Node,
    Part,
    Try,
    Unary,
    children,
)

MAX_CHARACTERS = 2_000
MAX_DEPTH = 30
MAX_TOKENS_OPEN = 60  # parentheses; sqlglot recurses on them
CASTS = {
    "INT": pa.int32(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "FLOAT": pa.float64(),
    "TEXT": pa.string(),
    "VARCHAR": pa.string(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
}
BINARY: dict[type[exp.Expression], str] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.Mod: "%",
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.And: "AND",
    exp.Or: "OR",
}
READ: dict[type[exp.Expression], frozenset[str]] = {
    exp.Column: frozenset({"this", "table", "db", "catalog"}),
    exp.Literal: frozenset({"this", "is_string"}),
    exp.Div: frozenset({"this", "expression", "typed", "safe"}),
    exp.Is: frozenset({"this", "expression", "negate"}),
    exp.Like: frozenset({"this", "expression", "negate"}),
    exp.DPipe: frozenset({"this", "expression", "safe"}),
    exp.In: frozenset({"this", "expressions"}),
    exp.Between: frozenset({"this", "low", "high"}),
    exp.Case: frozenset({"this", "ifs", "default"}),
    exp.If: frozenset({"this", "true"}),
    exp.Cast: frozenset({"this", "to", "_type"}),
    exp.Anonymous: frozenset({"this", "expressions"}),
}
"""What is read of a node; of any other kind, its operands. sqlglot hides meaning in flags (`NOT LIKE` is a Like with
`negate`), so that one we do not read must be refused, never ignored."""
OPERANDS = frozenset({"this", "expression"})


class MappingDialect(Postgres):
    """PostgreSQL's grammar without any function, so that only our table's names mean something."""

    class Parser(Postgres.Parser):  # type: ignore[misc,valid-type] # sqlglot builds it by metaclass
        FUNCTIONS: ClassVar[dict[str, Callable[..., Any]]] = {}
        NO_PAREN_FUNCTIONS: ClassVar[dict[Any, Any]] = {}
        FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
            k: v for k, v in Postgres.Parser.FUNCTION_PARSERS.items() if k == "CAST"
        }
        FUNC_TOKENS = Postgres.Parser.FUNC_TOKENS | {TokenType.COLUMN}


def parse_expression(text: str, names: Iterable[str]) -> Node:
    """The tree of an expression over these column names. Raises ExpressionInvalid, saying what was meant."""
    if not isinstance(text, str) or not text.strip():
        raise ExpressionInvalid("the expression is empty")
    if len(text) > MAX_CHARACTERS:
        raise ExpressionInvalid(f"an expression has at most {MAX_CHARACTERS:,} characters, this one {len(text):,}")
    if text.count("(") > MAX_TOKENS_OPEN or text.upper().count("CASE") > MAX_DEPTH or text.upper().count("NOT ") > 60:
        raise ExpressionInvalid(f"an expression is at most {MAX_DEPTH} levels deep")
    try:
        _no_brackets(text)
        statements = MappingDialect().parse(text)
    except (SqlglotError, RecursionError) as error:
        raise _syntax(error) from error
    if len(statements) != 1 or statements[0] is None:
        raise ExpressionInvalid("one expression is expected, not several statements")
    node = _Reader(names if isinstance(names, tuple) else tuple(names)).node(cast(exp.Expression, statements[0]), 0)
    _check_depth(node, 0)
    return node


def _no_brackets(text: str) -> None:
    """Subscripts are not part of the language, and sqlglot takes seconds over hundreds of them."""
    for token in MappingDialect().tokenize(text):
        if token.token_type in (TokenType.L_BRACKET, TokenType.L_BRACE):
            raise ExpressionInvalid(f"`{token.text}` is not part of the language", position=token.start)


def _syntax(error: Exception) -> ExpressionInvalid:
    details = getattr(error, "errors", None) or [{}]
    column = details[0].get("col") or 0
    near = details[0].get("highlight") or ""
    return ExpressionInvalid(
        "this is not an expression" + (f", near `{near}`" if near else ""),
        position=max(int(column) - 1, 0),
        remedy="text is quoted 'so', a name with blanks is column('so')",
    )


def _check_depth(node: Node, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ExpressionInvalid(f"an expression is at most {MAX_DEPTH} levels deep")
    for child in children(node):
        _check_depth(child, depth + 1)


class _Reader:
    """sqlglot's nodes → ours."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def node(self, of: exp.Expression, depth: int) -> Node:
        if depth > 4 * MAX_DEPTH:
            raise ExpressionInvalid(f"an expression is at most {MAX_DEPTH} levels deep")
        _all_read(of)
        for kind, op in BINARY.items():
            if type(of) is kind:
                return Binary(op, self.node(of.this, depth + 1), self.node(of.expression, depth + 1))
        handler = self._HANDLERS.get(type(of))
        if handler is None:
            raise ExpressionInvalid(f"{type(of).__name__.upper()} is not part of the language", position=_place(of))
        return handler(self, of, depth + 1)

    def _column(self, of: exp.Expression, _depth: int) -> Node:
        name = ".".join(part.name for part in of.parts)  # type: ignore[attr-defined] # only columns come here
        return self._named(name, of)

    def _named(self, name: str, of: exp.Expression) -> Node:
        if name not in self._names:
            raise ExpressionInvalid(
                f"there is no column `{name}`", remedy=suggest(name, self._names), position=_place(of)
            )
        return Column(name)

    def _literal(self, of: exp.Expression, _depth: int) -> Node:
        text = str(of.this)
        if of.is_string:
            return Literal(text, pa.string())
        try:
            number = int(text)
        except ValueError:
            fraction = float(text)
            if math.isinf(fraction):
                raise ExpressionInvalid("a number is too large", position=_place(of)) from None
            return Literal(fraction, pa.float64())
        if abs(number) >= 2**63:
            raise ExpressionInvalid("a whole number has at most 64 bits", position=_place(of))
        return Literal(number, pa.int32() if abs(number) < 2**31 else pa.int64())

    def _boolean(self, of: exp.Expression, _depth: int) -> Node:
        return Literal(bool(of.this), pa.bool_())

    def _null(self, _of: exp.Expression, _depth: int) -> Node:
        return Literal(None, pa.null())

    def _paren(self, of: exp.Expression, depth: int) -> Node:
        return self.node(of.this, depth)

    def _not(self, of: exp.Expression, depth: int) -> Node:
        return Unary("NOT", self.node(of.this, depth))

    def _neg(self, of: exp.Expression, depth: int) -> Node:
        inner = self.node(of.this, depth)
        if isinstance(inner, Literal) and isinstance(inner.value, (int, float)) and not isinstance(inner.value, bool):
            return Literal(-inner.value, inner.type)
        return Unary("-", inner)

    def _is(self, of: exp.Expression, depth: int) -> Node:
        if not isinstance(of.expression, exp.Null):
            raise ExpressionInvalid("IS goes with NULL or NOT NULL", position=_place(of))
        return _negated(of, Unary("IS NULL", self.node(of.this, depth)))

    def _in(self, of: exp.Expression, depth: int) -> Node:
        values = [self.node(e, depth) for e in of.expressions]
        if not values or not all(isinstance(v, Literal) for v in values):
            raise ExpressionInvalid("IN takes a list of constants", position=_place(of))
        return In(self.node(of.this, depth), tuple(v.value for v in values if isinstance(v, Literal)))

    def _between(self, of: exp.Expression, depth: int) -> Node:
        arg = self.node(of.this, depth)
        low, high = self.node(of.args["low"], depth), self.node(of.args["high"], depth)
        return Binary("AND", Binary(">=", arg, low), Binary("<=", arg, high))

    def _like(self, of: exp.Expression, depth: int) -> Node:
        pattern = self.node(of.expression, depth)
        if not isinstance(pattern, Literal) or not isinstance(pattern.value, str):
            raise ExpressionInvalid("LIKE takes a constant pattern", position=_place(of))
        return _negated(of, Like(self.node(of.this, depth), pattern.value))

    def _concat(self, of: exp.Expression, depth: int) -> Node:
        return Call("concat", (self.node(of.this, depth), self.node(of.expression, depth)))

    def _case(self, of: exp.Expression, depth: int) -> Node:
        subject = self.node(of.this, depth) if of.this is not None else None
        whens = []
        for when in of.args["ifs"]:
            _all_read(when)
            condition = self.node(when.this, depth)
            if subject is not None:
                condition = Binary("=", subject, condition)
            whens.append((condition, self.node(when.args["true"], depth)))
        default = of.args.get("default")
        return Case(tuple(whens), self.node(default, depth) if default is not None else Literal(None, pa.null()))

    def _cast(self, of: exp.Expression, depth: int) -> Node:
        to = of.args["to"]
        name = to.this.value if hasattr(to.this, "value") else str(to.this)
        if name not in CASTS or to.expressions:
            known = ", ".join(sorted(CASTS))
            raise ExpressionInvalid(f"CAST to {name} is not known", remedy=f"one of {known}", position=_place(of))
        return Cast(self.node(of.this, depth), CASTS[name])

    def _part(self, of: exp.Expression, depth: int) -> Node:
        if not isinstance(of.expression, exp.Identifier):
            raise ExpressionInvalid("a name goes after the point", position=_place(of))
        return Part(self.node(of.this, depth), of.expression.name)

    def _call(self, of: exp.Expression, depth: int) -> Node:
        name = str(of.this).lower()
        args = of.expressions
        if name == "column":
            if len(args) != 1 or not isinstance(args[0], exp.Literal) or not args[0].is_string:
                raise ExpressionInvalid("column('…') takes the column's name in quotes", position=_place(of))
            return self._named(str(args[0].this), of)
        parsed = tuple(self.node(a, depth) for a in args)
        if name == "coalesce" and parsed:
            return Coalesce(parsed)
        if name == "try" and len(parsed) == 1:
            return Try(parsed[0])
        if name == "nullif" and len(parsed) == 2:
            return Case(((Binary("=", *parsed), Literal(None, pa.null())),), parsed[0])
        if name not in TABLE:
            known = [*TABLE, "coalesce", "nullif", "try", "column"]
            raise ExpressionInvalid(f"there is no function `{name}`", remedy=suggest(name, known), position=_place(of))
        return Call(name, parsed)

    _HANDLERS: ClassVar[dict[type[exp.Expression], Callable[[_Reader, Any, int], Node]]] = {
        exp.Column: _column,
        exp.Literal: _literal,
        exp.Boolean: _boolean,
        exp.Null: _null,
        exp.Paren: _paren,
        exp.Not: _not,
        exp.Neg: _neg,
        exp.Is: _is,
        exp.In: _in,
        exp.Between: _between,
        exp.Like: _like,
        exp.DPipe: _concat,
        exp.Case: _case,
        exp.Cast: _cast,
        exp.Anonymous: _call,
        exp.Dot: _part,
    }


def _all_read(of: exp.Expression) -> None:
    """Raises ExpressionInvalid for a flag or operand that changes the meaning and that nothing here reads."""
    for key in of.args.keys() - READ.get(type(of), OPERANDS):
        if of.args[key]:
            raise ExpressionInvalid(
                f"{type(of).__name__.upper()} with {key.strip('_').upper()} is not part of the language",
                position=_place(of),
            )


def _negated(of: exp.Expression, node: Node) -> Node:
    """`IS NOT NULL` and `NOT LIKE` come as IS and LIKE with a flag."""
    return Unary("NOT", node) if of.args.get("negate") else node


def suggest(name: str, known: Iterable[str]) -> str:
    """`did you mean …?`, or nothing."""
    names = list(known)
    close = difflib.get_close_matches(name, names, 1, 0.6)
    if not close:
        folded = {n.casefold(): n for n in names}
        close = [folded[name.casefold()]] if name.casefold() in folded else []
    return f"did you mean `{close[0]}`?" if close else ""


def _place(of: exp.Expression) -> int:
    for found in of.walk():
        start = found.meta.get("start")
        if start is not None:
            return int(start)
    return 0
