"""What an expression of a query refers to: a dotted name, and a path into JSON behind it. Pure."""

from dataclasses import dataclass

from sqlglot import exp, jsonpath
from sqlglot.errors import SqlglotError

from pipeline.errors import BadRequestError
from pipeline.sql.dialect import SHOWN, shown
from pipeline.sql.functions import JSON_FUNCTIONS

MOST_STEPS = 32
LONGEST_KEY = 1024
_EXPECTED = "expected a path as in result.a.b, result ->> '$.a[0].b' or json_extract(result, '$.a')"


@dataclass(frozen=True)
class Reference:
    """`dotted` are the names that stand before the first operator, at least one; `extra` the steps behind them."""

    dotted: tuple[str, ...]
    extra: tuple[str | int, ...]


def read_reference(node: exp.Expr) -> Reference:
    """Read a column, or a path into one; raises BadRequestError for what is neither."""
    steps: list[str | int] = []
    dots: list[str] = []
    while not isinstance(node, exp.Column):
        if isinstance(node, exp.Paren):
            node = node.this
        elif isinstance(node, exp.Dot) and isinstance(node.expression, exp.Identifier):
            dots.insert(0, node.expression.name)
            if steps or not isinstance(node.this, (exp.Dot, exp.Column)):
                steps, dots = [*dots, *steps], []
            node = node.this
        else:
            steps, dots = [*_steps(node), *dots, *steps], []
            node = node.expressions[0] if isinstance(node, exp.Anonymous) and node.expressions else node.this
        if not isinstance(node, exp.Expr) or len(steps) + len(dots) > MOST_STEPS:
            raise BadRequestError(f"sql: {_EXPECTED}, with at most {MOST_STEPS} steps")
    names = [part.name for part in node.parts] + dots
    return Reference(tuple(names), tuple(steps))


def _steps(node: exp.Expr) -> list[str | int]:
    """Return the steps that one operator or function takes."""
    if isinstance(node, exp.Anonymous) and node.name.lower() in JSON_FUNCTIONS and len(node.expressions) > 1:
        return [step for each in node.expressions[1:] for step in _step(each, node)]
    if isinstance(node, exp.Bracket):
        return [step for each in node.expressions for step in _step(each, node)]
    if isinstance(node, (exp.JSONExtract, exp.JSONExtractScalar)):
        return _step(node.expression, node)
    raise BadRequestError(f"sql: {shown(node)}: {_EXPECTED}")


def _step(given: exp.Expr, within: exp.Expr) -> list[str | int]:
    if not isinstance(given, exp.Literal):
        raise BadRequestError(f"sql: {shown(within)}: {_EXPECTED}")
    if not given.is_string:
        if not given.is_int:
            raise BadRequestError(f"sql: {shown(within)}: {_EXPECTED}")
        return [int(given.name)]
    if not given.name.startswith("$"):
        return [given.name[:LONGEST_KEY]]
    try:
        path = jsonpath.parse(given.name)
    except (SqlglotError, RecursionError, ValueError):
        raise BadRequestError(f"sql: {given.name[:SHOWN]!r} is not a path: {_EXPECTED}") from None
    return [_path_step(part, given) for part in path.expressions if not isinstance(part, exp.JSONPathRoot)]


def _path_step(part: exp.Expr, given: exp.Expr) -> str | int:
    step = part.this
    if isinstance(part, (exp.JSONPathKey, exp.JSONPathSubscript)) and isinstance(step, (str, int)):
        return step
    raise BadRequestError(f"sql: {given.name[:SHOWN]!r} has more than keys and indices: {_EXPECTED}")
