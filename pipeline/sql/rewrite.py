"""Check the SQL of a batch, and rewrite it into what polars is to run: never the text that was sent. Pure.

What polars 2.1 answers otherwise than SQL does is rewritten here, or refused; tests/sql/test_answers.py
holds it against DuckDB.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl
from sqlglot import exp

from pipeline.errors import BadRequestError
from pipeline.sql.dialect import shown, written
from pipeline.sql.functions import ARITHMETIC, STATISTICS
from pipeline.sql.names import STORED, Names, Path
from pipeline.sql.placement import check_places, without_conditions
from pipeline.sql.syntax import parse

Kind = Literal["text", "number", "truth"]

# From here on the doubles are whole numbers, and adding a half may give the next one.
_WHOLE = "4503599627370496e0"
# Marks what was a call of round: it stands three times in what becomes of it.
_ROUND = "round"
_OPERATORS = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Neg)
_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.In, exp.Between)


@dataclass(frozen=True)
class Query:
    """A query that was checked. `text` is polars' SQL over the table results with a column more for each field.

    `planned` are queries that plan all that it does. `paths` are where these columns lie in a result, `kinds` what the
    query seems to take them for.
    """

    text: str
    planned: Sequence[str]
    paths: Mapping[str, Path]
    kinds: Mapping[str, Kind]
    tree: exp.Query

    def spoken(self, message: str) -> str:
        """Put the fields' own names into a message of polars."""
        # The longest first: some of them begin like others.
        for column in sorted(self.paths, key=len, reverse=True):
            message = message.replace(column, ".".join(map(str, self.paths[column])))
        return message


def check(text: str, columns: Sequence[str]) -> Query:
    """Check a query over results with these columns; raises BadRequestError that says what is wrong and where."""
    tree = parse(text)
    names = Names(columns)
    try:
        check_places(tree)
        names.rewrite(tree)
        paths = {column: path for path, column in names.fields.items()}
        kinds = {column: _kind(nodes) for column, nodes in _uses(tree, paths).items()}
        kept = tree.copy()
        said = _said_for_polars(tree)
        rewritten, rest = (written(each, quoted=True) for each in (said, without_conditions(said)))
    except RecursionError:
        raise BadRequestError("sql: it is nested too deep") from None
    return Query(rewritten, [rewritten, rest], paths, kinds, kept)


def check_types(query: Query, types: Mapping[str, pl.DataType]) -> None:
    """Raise BadRequestError where text is compared with a number: polars compares the digits, as text.

    `types` are those of the table's columns, and of the fields' as far as they are known.
    """
    for node in query.tree.find_all(exp.EQ, exp.NEQ, exp.In):
        sides = [node.this, *([node.expression] if isinstance(node, exp.Binary) else node.expressions)]
        texts = [side for side in sides if side.meta.get(STORED) and types.get(side.name) == pl.String()]
        numbers = [side for side in sides if _is_number(side)]
        if texts and numbers:
            name = query.spoken(texts[0].name)
            raise BadRequestError(
                f"sql: {name} is text, and {shown(numbers[0])} a number: "
                f"write CAST({name} AS DOUBLE), or '{shown(numbers[0])}'"
            )


def _is_number(node: exp.Expr) -> bool:
    inner = node.this if isinstance(node, exp.Neg) else node
    return isinstance(inner, exp.Literal) and not inner.is_string


def _uses(tree: exp.Query, columns: Collection[str]) -> dict[str, list[exp.Expr]]:
    found: dict[str, list[exp.Expr]] = {column: [] for column in columns}
    for node in tree.find_all(exp.Column):
        if node.meta.get(STORED) and node.name in found:
            found[node.name].append(node)
    return found


def _kind(nodes: Sequence[exp.Expr]) -> Kind:
    """Guess what a field is from what the query does with it: before any item has run nothing else is known."""
    return next((kind for node in nodes if (kind := _use(node))), "text")


def _use(node: exp.Expr) -> Kind | None:
    parent = node.parent
    while isinstance(parent, exp.Paren):
        parent = parent.parent
    if isinstance(parent, exp.Anonymous):
        return "number" if parent.name.lower() in ARITHMETIC | STATISTICS else None
    if isinstance(parent, _OPERATORS):
        return "number"
    if isinstance(parent, _COMPARISONS):
        others = list(parent.iter_expressions())
        return "number" if any(_is_number(each) for each in others) else None
    if isinstance(parent, (exp.And, exp.Or, exp.Not, exp.Where, exp.Is)):
        return "truth"
    return None


def _said_for_polars(tree: exp.Query) -> exp.Query:
    """Rewrite what polars understands otherwise, what lies within a part before the part itself."""
    for node in reversed(list(tree.walk())):
        new = _part_for_polars(node)
        if new is not node:
            node.replace(new)
    return tree


def _part_for_polars(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Literal) and not node.is_string and set(node.name) & {".", "e", "E"}:
        # A number with a point is a decimal to polars, whose quotients have few digits.
        return node if "e" in node.name.lower() else _number(f"{node.name}e0")
    if isinstance(node, exp.Is):
        return _is(node)
    if isinstance(node, exp.Anonymous):
        rewrite = {
            "log": _log,
            "pow": _power,
            "power": _power,
            "round": _round,
            "substr": _substr,
            "substring": _substr,
        }.get(node.name.lower())
        return rewrite(node) if rewrite else node
    if isinstance(node, exp.Substring):
        _check_start(node, node.args.get("start"))
    return node


def _is(node: exp.Expr) -> exp.Expr:
    """`IS TRUE` and `IS FALSE` are never NULL."""
    right = node.expression
    if isinstance(right, exp.Null):
        return node
    if not isinstance(right, exp.Boolean):
        raise BadRequestError(f"sql: {shown(node)} is not supported: expected IS [NOT] NULL, TRUE or FALSE")
    inner = node.this if right.this else exp.Not(this=exp.Paren(this=node.this))
    return _call("coalesce", inner, exp.Boolean(this=False))


def _log(node: exp.Expr) -> exp.Expr:
    """`log(x)` is to the base 10, `log(b, x)` to the base b."""
    if len(node.expressions) == 1:
        return _call("log10", node.expressions[0])
    base, number = _arguments(node, 2)
    return exp.Paren(this=exp.Div(this=_call("ln", number), expression=_call("ln", base)))


def _power(node: exp.Expr) -> exp.Expr:
    """A power is no whole number to others: it may be a fraction, or too large for one."""
    base, exponent = _arguments(node, 2)
    return _call("pow", exp.Mul(this=exp.Paren(this=base), expression=_number("1e0")), exponent)


def _round(node: exp.Expr) -> exp.Expr:
    """Halves go away from zero, where polars takes them to the even neighbour."""
    if any(isinstance(each, exp.Case) and each.meta.get(_ROUND) for each in node.walk()):
        raise BadRequestError("sql: round within round is not supported")
    given = [*node.expressions, exp.Literal.number(0)] if len(node.expressions) == 1 else _arguments(node, 2)
    number, digits = given
    inner = digits.this if isinstance(digits, exp.Neg) else digits
    if not (isinstance(inner, exp.Literal) and inner.is_int and len(inner.name) <= 2):  # noqa: PLR2004
        raise BadRequestError(f"sql: {shown(node)}: expected a number of digits after the comma")
    power = _number(f"1e{written(digits)}")
    size = exp.Mul(this=_call("abs", number), expression=power)
    half = exp.Add(this=size, expression=_number("5e-1"))
    near = exp.Div(this=exp.Mul(this=_call("sign", number), expression=_call("floor", half)), expression=power.copy())
    small = exp.LT(this=size.copy(), expression=_number(_WHOLE))
    rounded = exp.Case(ifs=[exp.If(this=small, true=near)], default=number.copy())
    rounded.meta[_ROUND] = True
    return exp.Paren(this=rounded)


def _substr(node: exp.Expr) -> exp.Expr:
    _check_start(node, node.expressions[1] if len(node.expressions) > 1 else None)
    return node


def _check_start(node: exp.Expr, start: exp.Expr | None) -> None:
    if isinstance(start, exp.Neg):
        raise BadRequestError(f"sql: {shown(node)}: expected a start from 1 on; right(text, n) gives the end of a text")


def _arguments(node: exp.Expr, count: int) -> list[exp.Expr]:
    if len(node.expressions) != count:
        raise BadRequestError(f"sql: {shown(node)}: expected {count} arguments")
    return list(node.expressions)


def _number(text: str) -> exp.Literal:
    return exp.Literal(this=text, is_string=False)


def _call(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=[each.copy() for each in arguments])


def assignments(query: Query, known: Mapping[str, pl.DataType]) -> Iterator[dict[str, pl.DataType]]:
    """Yield types that the fields might have, the likeliest first; those that are `known` have none other."""
    types: dict[Kind, pl.DataType] = {"text": pl.String(), "number": pl.Float64(), "truth": pl.Boolean()}
    guessed = {column: known.get(column) or types[kind] for column, kind in query.kinds.items()}
    free = [column for column in guessed if column not in known]
    yield guessed
    for dtype in types.values():
        yield guessed | dict.fromkeys(free, dtype)
    for column in free:
        for dtype in types.values():
            yield guessed | {column: dtype}
