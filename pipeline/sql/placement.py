"""Where in a query aggregates and windows may stand: polars takes them anywhere, and answers something else. Pure."""

from collections.abc import Callable, Iterator

from sqlglot import exp

from pipeline.errors import BadRequestError
from pipeline.sql.dialect import shown
from pipeline.sql.functions import AGGREGATES


def check_places(tree: exp.Query) -> None:
    """Raise BadRequestError for an aggregate or a window where there is no sense in it."""
    for select in tree.find_all(exp.Select):
        ons = [join.args["on"] for join in select.args.get("joins") or [] if join.args.get("on")]
        for name, part in [("WHERE", select.args.get("where")), ("GROUP BY", select.args.get("group"))] + [
            ("ON", on) for on in ons
        ]:
            _refuse(name, part, "HAVING", _is_aggregate)
            _refuse(name, part, "QUALIFY", _is_window)
        for part in [*select.expressions, select.args.get("having"), select.args.get("order")]:
            for aggregate in _found(part, _is_aggregate):
                for argument in aggregate.expressions:
                    _refuse("an aggregate", argument, "a subquery", _is_window)
        if not select.args.get("group") and not any(map(_has_aggregates, select.expressions)):
            _refuse("ORDER BY without GROUP BY", select.args.get("order"), "GROUP BY", _is_aggregate)


def without_conditions(tree: exp.Query) -> exp.Query:
    """Return the query without the conditions that keep rows from what is behind them: then all of it is planned.

    Those of a query that gives a single value stay, since without them it would give several.
    """
    tree = tree.copy()
    for node in list(tree.find_all(exp.Where, exp.Having, exp.Qualify)):
        if isinstance(node.parent, exp.Select) and _gives_a_table(node):
            node.pop()
    return tree


def _gives_a_table(node: exp.Expr) -> bool:
    while node.parent is not None:
        if isinstance(node, exp.Subquery) and not isinstance(node.parent, (exp.From, exp.Join, exp.SetOperation)):
            return False
        node = node.parent
    return True


def _refuse(name: str, part: exp.Expr | None, instead: str, wanted: Callable[[exp.Expr], bool]) -> None:
    for node in _found(part, wanted):
        raise BadRequestError(f"sql: {shown(node)} cannot stand in {name}: expected {instead}")


def _found(root: exp.Expr | None, wanted: Callable[[exp.Expr], bool]) -> Iterator[exp.Expr]:
    """Yield such parts, but none of a query within."""
    waiting = [root] if root is not None else []
    while waiting:
        node = waiting.pop()
        if wanted(node):
            yield node
        if not isinstance(node, exp.Query):
            waiting += node.iter_expressions()


def _is_window(node: exp.Expr) -> bool:
    return isinstance(node, exp.Window)


def _is_aggregate(node: exp.Expr) -> bool:
    """Say whether this makes one row of many: one with OVER does not."""
    holder = node.parent.parent if isinstance(node.parent, exp.Filter) else node.parent
    return isinstance(node, exp.Anonymous) and node.name.lower() in AGGREGATES and not isinstance(holder, exp.Window)


def _has_aggregates(node: exp.Expr) -> bool:
    return any(True for _ in _found(node, _is_aggregate))
