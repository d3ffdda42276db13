"""SQL as polars reads it: how sqlglot is to parse it, and to write it again. Pure."""

from typing import Any

from sqlglot import TokenType, exp, generator, parser, tokens
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ErrorLevel

SHOWN = 80
# A query of the largest size that is read has fewer: one that is read twice at each level would have no end.
MOST_STEPS = 32_000
_TRIMS = {"BOTH": "TRIM", "LEADING": "LTRIM", "TRAILING": "RTRIM"}


class _Tokenizer(tokens.Tokenizer):
    KEYWORDS = tokens.Tokenizer.KEYWORDS | {"//": TokenType.DIV}


class _Parser(parser.Parser):
    # A function keeps its name and its arguments: polars is to see what was written, not a translation of it.
    ARRAY_CONSTRUCTORS = {}  # noqa: RUF012
    FUNCTIONS = {}  # noqa: RUF012
    FUNCTION_PARSERS = {  # noqa: RUF012
        name: parser.Parser.FUNCTION_PARSERS[name]
        for name in ("CAST", "EXTRACT", "POSITION", "SUBSTRING", "TRIM", "TRY_CAST")
    }
    _steps = 0

    def _advance(self, times: int = 1) -> None:
        """Go to another token, also back to one for another reading; raises RecursionError after MOST_STEPS."""
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise RecursionError
        super()._advance(times)


def _ordered(self: generator.Generator, node: Any) -> str:
    """Say always where NULLs come."""
    down = " DESC" if node.args.get("desc") else ""
    nulls = "FIRST" if node.args.get("nulls_first") else "LAST"
    return f"{self.sql(node, 'this')}{down} NULLS {nulls}"


def _trim(self: generator.Generator, node: Any) -> str:
    side, what, text = node.text("position") or "BOTH", node.args.get("expression"), self.sql(node, "this")
    if what is None:
        return f"{_TRIMS[side]}({text})"
    return f"TRIM({side} {self.sql(what)} FROM {text})"


def _interval(self: generator.Generator, node: Any) -> str:
    amount = exp.Literal.string(f"{node.text('this')} {node.text('unit')}")
    return f"INTERVAL {self.sql(amount)}"


class _Generator(generator.Generator):
    TRANSFORMS = generator.Generator.TRANSFORMS | {
        exp.IntDiv: lambda self, e: f"DIV({self.sql(e, 'this')}, {self.sql(e, 'expression')})",
        exp.Interval: _interval,
        exp.JSONExtract: lambda self, e: f"{self.sql(e, 'this')} -> {self.sql(e, 'expression')}",
        exp.JSONExtractScalar: lambda self, e: f"{self.sql(e, 'this')} ->> {self.sql(e, 'expression')}",
        exp.Ordered: _ordered,
        exp.StrPosition: lambda self, e: f"STRPOS({self.sql(e, 'this')}, {self.sql(e, 'substr')})",
        exp.Trim: _trim,
    }


class Polars(Dialect):
    """What polars' SQL reads, where NULLs come last unless the query says otherwise."""

    NULL_ORDERING = "nulls_are_last"
    Tokenizer = _Tokenizer
    Parser = _Parser
    Generator = _Generator

    def to_json_path(self, path: exp.Expr | None) -> exp.Expr | None:
        """Leave a path as it was written: a key may have dots in it."""
        return path


def written(node: exp.Expr, *, quoted: bool = False) -> str:
    """Return a part of a query as SQL, without comments; `quoted` puts every name in quotes."""
    level = ErrorLevel.IGNORE
    return str(
        node.sql(dialect=Polars, identify=quoted, normalize_functions=False, comments=False, unsupported_level=level)
    )


def shown(node: exp.Expr) -> str:
    """Return a part of a query as SQL, cut short."""
    text = written(node) or type(node).__name__
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
