"""The SQL that a batch may ask of its results: one SELECT of known parts, as a tree. Pure."""

import re
from collections.abc import Callable, Iterator, Mapping

from pydantic import ValidationInfo
from sqlglot import Token, TokenType, exp
from sqlglot.errors import ParseError, TokenError

from pipeline.errors import BadRequestError
from pipeline.sql.dialect import SHOWN, Polars, shown
from pipeline.sql.functions import FUNCTIONS, JSON_FUNCTIONS, TYPES
from pipeline.units import KIB

SQL_LIMIT = 16 * KIB
NODES_LIMIT = 20_000
NESTING = 24
DEPTH = 200
EXAMPLE = "SELECT label, count(*) AS n FROM results GROUP BY label ORDER BY n DESC"
_PARTS: tuple[type[exp.Expr], ...] = (
    *(exp.Select, exp.Union, exp.Except, exp.Intersect, exp.Subquery, exp.With, exp.CTE, exp.Table, exp.TableAlias),
    *(exp.From, exp.Join, exp.Where, exp.Group, exp.Having, exp.Qualify, exp.Order, exp.Ordered, exp.Limit),
    *(exp.Offset, exp.Distinct, exp.Alias, exp.Column, exp.Identifier, exp.Star, exp.Literal, exp.Null),
    *(exp.Boolean, exp.Anonymous, exp.Window, exp.WindowSpec, exp.Filter, exp.Case, exp.If, exp.Cast, exp.TryCast),
    *(exp.DataType, exp.DataTypeParam, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Neg, exp.Paren),
    *(exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ),
    *(exp.Is, exp.In, exp.Between, exp.Like, exp.ILike, exp.DPipe, exp.Exists, exp.Extract, exp.Interval, exp.Var),
    *(exp.Trim, exp.Substring, exp.StrPosition, exp.JSONExtract, exp.JSONExtractScalar, exp.Dot, exp.Bracket),
    *(exp.Tuple, exp.Rollup, exp.Cube, exp.GroupingSets),
)
_JOIN_ARGS = frozenset({"this", "on", "using", "side", "kind"})
_SET_ARGS = frozenset({"this", "expression", "with_", "distinct", "order", "limit", "offset"})
_FIRST = frozenset({TokenType.SELECT, TokenType.WITH, TokenType.L_PAREN})
_WORD = re.compile(r"[a-z_]+", re.IGNORECASE | re.ASCII)
_INTERVAL = re.compile(r"\s*(-?\d+\s*[a-z]+\s*)+", re.IGNORECASE | re.ASCII)
# Names what of the tree, and not of the query.
_MISSING = "Required keyword"
_JOINS = frozenset({"", "INNER", "OUTER", "CROSS", "SEMI", "ANTI"})


def parse(text: str) -> exp.Query:
    """Return the tree of one SELECT (with WITH, UNION, ...) whose every part is known.

    Raises BadRequestError that says what is wrong and where.
    """
    if len(text.encode()) > SQL_LIMIT:
        raise BadRequestError(f"sql: it has more than {SQL_LIMIT} bytes")
    try:
        dialect = Polars()
        found = dialect.tokenize(text)
        _check_nesting(found)
        # Any other statement is not even parsed.
        trees = dialect.parser().parse(found, text) if found and found[0].token_type in _FIRST else []
        tree = trees[0] if len(trees) == 1 else None
        if not isinstance(tree, exp.Query):
            raise BadRequestError(f"sql: it is not one SELECT: expected for example {EXAMPLE}")
        _check_depth(tree)
        for node in tree.walk():
            _check(node)
    except ParseError as error:
        raise BadRequestError(f"sql: it cannot be read: {_told(error)}") from None
    except TokenError:
        raise BadRequestError("sql: it cannot be read: a text, a name or a comment in it does not end") from None
    except RecursionError:
        raise _too_deep() from None
    return tree


def one_select(value: str, info: ValidationInfo) -> str:
    """Return the text of a query, which is read where it is submitted; raises ValueError as `parse` does."""
    if info.context:
        try:
            parse(value)
        except BadRequestError as error:
            raise ValueError(str(error).removeprefix("sql: ")) from None
    return value


def _told(error: ParseError) -> str:
    first = error.errors[0] if error.errors else {}
    what = str(first.get("description", "")).rstrip(".") or "there is no statement"
    if first.get("highlight") == "`":
        return "a name is quoted as \"name\", and a text as 'text'"
    if _MISSING in what:
        what = "something is missing"
    near = " near " + repr(first["highlight"][:40]) if first.get("highlight") else ""
    return f"{what}{near}, line {first.get('line', 1)}, column {first.get('col', 1)}"


def _check_nesting(found: list[Token]) -> None:
    """Refuse what is nested so deep that parsers would call themselves too often, or try too many readings of it."""
    opening = {TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE, TokenType.CASE}
    closing = {TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE, TokenType.END}
    nesting = 0
    for token in found:
        nesting += (token.token_type in opening) - (token.token_type in closing)
        if nesting > NESTING:
            raise _too_deep()


def _check_depth(tree: exp.Query) -> None:
    waiting: list[tuple[exp.Expr, int]] = [(tree, 1)]
    seen = 0
    while waiting:
        node, depth = waiting.pop()
        seen += 1
        if depth > DEPTH:
            raise _too_deep()
        if seen > NODES_LIMIT:
            raise BadRequestError(f"sql: it has more than {NODES_LIMIT} parts")
        waiting += [(child, depth + 1) for child in node.iter_expressions()]


def _too_deep() -> BadRequestError:
    expected = f"expected at most {NESTING} levels of parentheses, and {DEPTH - NESTING} operators in a row"
    return BadRequestError(f"sql: it is nested too deep: {expected}")


def _check(node: exp.Expr) -> None:
    """Raise BadRequestError for a part of a query that is not known to be harmless."""
    if type(node) not in _PARTS:
        raise BadRequestError(f"sql: {shown(node)} is not supported")
    problem = _PROBLEMS.get(type(node), _none)(node)
    if problem:
        raise BadRequestError(f"sql: {problem}")


def _none(_node: exp.Expr) -> str:
    return ""


def _given(node: exp.Expr) -> set[str]:
    return {name for name, value in node.args.items() if value}


def _function_problem(node: exp.Expr) -> str:
    if node.name.lower() in FUNCTIONS | JSON_FUNCTIONS:
        return ""
    return f"there is no function {node.name[:SHOWN]!r}; there are: {', '.join(sorted(FUNCTIONS))}"


def _table_problem(node: exp.Expr) -> str:
    if isinstance(node.this, exp.Identifier) and not _given(node) - {"this", "alias"}:
        return ""
    return f"{shown(node)} is not a table: there is only results, and what WITH names"


def _alias_problem(node: exp.Expr) -> str:
    columns = bool(node.args.get("columns"))
    return f"{shown(node)} is not supported: name columns with AS in their SELECT" if columns else ""


def _join_problem(node: exp.Expr) -> str:
    if not _given(node) - _JOIN_ARGS and node.text("kind") in _JOINS:
        return ""
    return f"{shown(node)} is not supported: expected JOIN ... ON; INNER, LEFT, RIGHT, FULL, CROSS, SEMI or ANTI"


def _select_problem(node: exp.Expr) -> str:
    return "" if node.expressions else "expected columns or * after SELECT"


def _distinct_problem(node: exp.Expr) -> str:
    return "DISTINCT ON is not supported: expected QUALIFY row_number() OVER (...) = 1" if node.args.get("on") else ""


def _set_problem(node: exp.Expr) -> str:
    if not _given(node) - _SET_ARGS:
        return ""
    return f"{shown(node)} is not supported: expected UNION, UNION ALL, INTERSECT or EXCEPT"


def _with_problem(node: exp.Expr) -> str:
    return "WITH RECURSIVE is not supported" if node.args.get("recursive") else ""


def _type_problem(node: exp.Expr) -> str:
    if isinstance(node.this, exp.DType) and node.this.name in TYPES:
        return ""
    return f"there is no type {shown(node)}; there are: {', '.join(sorted(TYPES))}"


def _count_problem(node: exp.Expr) -> str:
    is_whole = isinstance(node.expression, exp.Literal) and node.expression.is_int
    return "" if is_whole else f"{shown(node)}: expected a number"


def _interval_problem(node: exp.Expr) -> str:
    """Refuse what would end the text of an interval, and go on behind it."""
    amount = node.this
    if isinstance(amount, exp.Literal) and _INTERVAL.fullmatch(f"{amount.name} {node.text('unit')}"):
        return ""
    return "what follows INTERVAL is not understood: expected for example INTERVAL '1 day'"


def _word_problem(node: exp.Expr) -> str:
    """Refuse what is no word: it is written without quotes, whatever is in it."""
    return (
        ""
        if _WORD.fullmatch(node.name)
        else f"{shown(node)} is not understood: expected a word as in EXTRACT(year FROM ...)"
    )


_PROBLEMS: Mapping[type[exp.Expr], Callable[[exp.Expr], str]] = {
    exp.Anonymous: _function_problem,
    exp.DataType: _type_problem,
    exp.Distinct: _distinct_problem,
    exp.Except: _set_problem,
    exp.Intersect: _set_problem,
    exp.Interval: _interval_problem,
    exp.Join: _join_problem,
    exp.Limit: _count_problem,
    exp.Offset: _count_problem,
    exp.Select: _select_problem,
    exp.Table: _table_problem,
    exp.TableAlias: _alias_problem,
    exp.Union: _set_problem,
    exp.Var: _word_problem,
    exp.With: _with_problem,
}


def references(root: exp.Expr) -> Iterator[exp.Expr]:
    """Yield what a clause refers to, outermost first: columns, paths into JSON, stars, and queries within it."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if is_path(node) or isinstance(node, (exp.Column, exp.Query)):
            yield node
        else:
            waiting += reversed(list(node.iter_expressions()))


def is_path(node: exp.Expr) -> bool:
    """Say whether this reaches into JSON."""
    if isinstance(node, exp.Anonymous):
        return node.name.lower() in JSON_FUNCTIONS
    return isinstance(node, (exp.JSONExtract, exp.JSONExtractScalar, exp.Dot, exp.Bracket))
