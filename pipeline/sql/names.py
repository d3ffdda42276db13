"""Names in a query over results: which are columns, which are fields of the JSON results. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from pipeline.errors import BadRequestError
from pipeline.sql.dialect import SHOWN, shown, written
from pipeline.sql.json_paths import Reference, read_reference
from pipeline.sql.scopes import (
    RESULT,
    RESULTS,
    Scope,
    Source,
    check_spelling,
    is_aggregated,
    listed,
    mentions,
    no_table,
    table_of,
)
from pipeline.sql.syntax import NODES_LIMIT, is_path, references

FIELD = "pipeline.field."
# Marks a column that is read from the table itself, and not from what a query within the query gives.
STORED = "stored"
MOST_FIELDS = 100

Path = tuple[str | int, ...]


@dataclass
class Names:
    """Rewrites the names of a query, in place; `fields` are then the columns to extract for it, by their paths."""

    columns: Sequence[str]
    fields: dict[Path, str] = field(default_factory=dict)
    _parts: int = 0

    def rewrite(self, tree: exp.Query) -> None:
        """Rewrite a whole query; raises BadRequestError for a name that is none, or that may mean several things."""
        self._query(tree, None, {})

    def _query(self, query: exp.Expr, outer: Scope | None, known: Mapping[str, Sequence[str]]) -> Sequence[str]:
        """Rewrite a query; returns the names of its columns. `known` are the columns of what WITH has named."""
        with_ = query.args.get("with_")
        for each in with_.expressions if with_ else ():
            if each.alias in {RESULTS, *known}:
                raise BadRequestError(f"sql: WITH names {each.alias!r}, which there is already")
            known = {**known, each.alias: self._query(each.this, None, known)}
        if isinstance(query, exp.SetOperation):
            found = self._query(query.this, outer, known)
            self._query(query.expression, outer, known)
        elif isinstance(query, exp.Subquery):
            found = self._query(query.this, outer, known)
        else:
            return self._select(query, outer, known)
        self._order_of_names(query, found)
        return found

    def _order_of_names(self, query: exp.Expr, found: Sequence[str]) -> None:
        """Check what an ORDER BY behind several SELECTs names: only columns of the rows that come out."""
        order = query.args.get("order")
        for node in references(order) if order else ():
            reference = read_reference(node)
            if reference.extra or len(reference.dotted) > 1 or reference.dotted[0] not in found:
                raise BadRequestError(f"sql: {shown(node)}: ORDER BY here names one of: {listed(found)}")

    def _select(self, select: exp.Expr, outer: Scope | None, known: Mapping[str, Sequence[str]]) -> Sequence[str]:
        joins = select.args.get("joins") or []
        tables = ([select.args["from_"].this] if select.args.get("from_") else []) + [join.this for join in joins]
        sources: dict[str, Source] = {}
        for table in tables:
            name, source = self._source(table, known)
            if name in sources:
                raise BadRequestError(f"sql: two tables are called {name!r}: give one another name, as in results AS b")
            sources[name] = source
        using = frozenset(name.name for join in joins for name in join.args.get("using") or [])
        aliases = {each.alias: each.this for each in select.expressions if isinstance(each, exp.Alias)}
        scope = Scope(sources, aliases, using, outer)
        select.set("expressions", [new for each in select.expressions for new in self._projection(each, scope, known)])
        for join in joins:
            if join.args.get("on"):
                self._clause(join.args["on"], "on", scope, known)
        for clause in ("where", "group", "having", "windows", "qualify", "order"):
            given = select.args.get(clause)
            for part in given if isinstance(given, list) else [given]:
                if isinstance(part, exp.Expr):
                    self._clause(part, clause, scope, known)
        return [each.output_name for each in select.expressions]

    def _source(self, table: exp.Expr, known: Mapping[str, Sequence[str]]) -> tuple[str, Source]:
        if not isinstance(table, exp.Table):
            return table.alias, Source(self._query(table, None, known), is_results=False)
        name = table.name
        if name in known:
            return table.alias_or_name, Source(known[name], is_results=False)
        if name != RESULTS:
            raise BadRequestError(f"sql: there is no table {name[:SHOWN]!r}; there are: {', '.join((RESULTS, *known))}")
        return table.alias_or_name, Source(self.columns, is_results=True)

    def _projection(self, each: exp.Expr, scope: Scope, known: Mapping[str, Sequence[str]]) -> list[exp.Expr]:
        """Rewrite what a SELECT gives; what has no name of its own is called as it was written."""
        if each.is_star:
            return self._star(each, scope)
        aliased = isinstance(each, exp.Alias)
        name = each.alias if aliased else self._name(each, scope)
        inner = each.this if aliased else each
        holder = exp.Alias(this=inner.copy(), alias=exp.to_identifier(name, quoted=True))
        self._clause(holder, "select", scope, known)
        scope.taken.add(name)
        return [holder]

    def _name(self, each: exp.Expr, scope: Scope) -> str:
        if not isinstance(each, exp.Column) and not is_path(each):
            return written(each)[:SHOWN]
        reference = read_reference(each)
        parts = [*reference.dotted, *reference.extra]
        names = [part for part in parts if isinstance(part, str)]
        return names[-1] if names[-1] not in scope.taken else ".".join(map(str, parts))

    def _star(self, star: exp.Expr, scope: Scope) -> list[exp.Expr]:
        if scope.using:
            raise BadRequestError("sql: * is not supported with USING: name the columns")
        inner = star.this if isinstance(star, exp.Column) else star
        if inner.args.get("replace") or inner.args.get("rename"):
            raise BadRequestError(f"sql: {shown(star)} is not supported: expected * or * EXCLUDE (...)")
        without = {each.name for each in inner.args.get("except_") or []}
        wanted = star.text("table") if isinstance(star, exp.Column) else ""
        if not scope.sources or (wanted and wanted not in scope.sources):
            raise no_table(wanted or "*", scope)
        found = [
            self._column(name, table if wanted or len(scope.sources) > 1 else "")
            for table, source in scope.sources.items()
            for name in source.columns
            if wanted in {"", table} and name not in without
        ]
        scope.taken.update(each.name for each in found)
        return [*found]

    def _clause(self, root: exp.Expr, clause: str, scope: Scope, known: Mapping[str, Sequence[str]]) -> None:
        for node in list(references(root)):
            if isinstance(node, exp.Query):
                self._query(node, scope, known)
            elif not (isinstance(node, exp.Column) and node.is_star):
                new = self._resolved(node, clause, scope)
                if new is not None:
                    node.replace(new)

    def _resolved(self, node: exp.Expr, clause: str, scope: Scope) -> exp.Expr | None:
        """Return the column that a reference means; None for the name of what the SELECT gives."""
        reference = read_reference(node)
        head, *rest = reference.dotted
        if rest and (found := table_of(head, scope)):
            return self._in_source(node, head, found, [*rest, *reference.extra])
        if rest and head != RESULT:
            raise no_table(head, scope)
        path = [head, *rest, *reference.extra]
        if len(path) == 1 and clause == "order" and head in _orderable(node, scope):
            return None
        place: Scope | None = scope
        while place is not None:
            holders = [name for name, source in place.sources.items() if head in source.columns]
            if len(holders) > 1 and head not in place.using:
                raise BadRequestError(f"sql: {head!r} is in several tables: write {holders[0]}.{head} or the like")
            if holders:
                table = holders[0] if place is not scope else ""
                return self._in_source(node, table, place.sources[holders[0]], path)
            place = place.outer
        if len(path) == 1 and self._is_alias(node, head, clause, scope):
            return None
        return self._new_field(node, reference, path, scope)

    def _is_alias(self, node: exp.Expr, name: str, clause: str, scope: Scope) -> bool:
        """Say whether a name that is no column is that of what the SELECT gives, and not a field called alike."""
        if name not in scope.aliases:
            return False
        own = any(mentions(each, name) for each in scope.aliases.values())
        if clause in {"having", "qualify"}:
            return not is_aggregated(node)
        if clause == "group" or own:
            return not own
        raise BadRequestError(
            f"sql: {name!r} is the name of what SELECT gives, which is not known here yet: repeat the expression, "
            f"or write {RESULT}.{name} for the field of the results"
        )

    def _in_source(self, node: exp.Expr, table: str, source: Source, path: Sequence[str | int]) -> exp.Expr:
        name, *rest = path
        if name in source.columns and not (rest and source.is_results and name == RESULT):
            if rest:
                raise BadRequestError(f"sql: {shown(node)}: only the column {RESULT} holds JSON to reach into")
            column = self._column(str(name), table)
            column.meta[STORED] = source.is_results
            return column
        if not source.is_results:
            raise BadRequestError(f"sql: there is no {shown(node)}; {table or 'it'} has: {listed(source.columns)}")
        check_spelling(name, source.columns)
        return self._field(rest if name == RESULT else path, table)

    def _new_field(self, node: exp.Expr, reference: Reference, path: Sequence[str | int], scope: Scope) -> exp.Expr:
        place: Scope | None = scope
        columns = [name for source in scope.sources.values() for name in source.columns]
        check_spelling(reference.dotted[0], [*columns, *scope.aliases])
        while place is not None:
            holders = [name for name, source in place.sources.items() if source.is_results]
            if len(holders) > 1:
                raise BadRequestError(f"sql: {shown(node)} is in several tables: write {holders[0]}.{shown(node)}")
            if holders:
                several = place is not scope or len(scope.sources) > 1
                return self._field(path, holders[0] if several else "")
            place = place.outer
        there = f"there are: {listed(columns)}" if columns else "it names no table: expected FROM results"
        raise BadRequestError(f"sql: there is no column {shown(node)}; {there}")

    def _field(self, path: Sequence[str | int], table: str) -> exp.Expr:
        path = tuple(path)
        if path not in self.fields:
            if len(self.fields) == MOST_FIELDS:
                raise BadRequestError(f"sql: it reads more than {MOST_FIELDS} fields of the results")
            name = f"{FIELD}{len(self.fields)}"
            while name in self.columns:
                name += "_"
            self.fields[path] = name
        column = self._column(self.fields[path], table)
        column.meta[STORED] = True
        return column

    def _column(self, name: str, table: str) -> exp.Column:
        if name == "*" or (name.startswith("^") and name.endswith("$")):
            raise BadRequestError(f"sql: the column {name[:SHOWN]!r} cannot be read: its name is a pattern to polars")
        self._parts += 1
        if self._parts > NODES_LIMIT:
            raise BadRequestError(f"sql: it names more than {NODES_LIMIT} columns")
        return exp.column(
            exp.to_identifier(name, quoted=True), table=exp.to_identifier(table, quoted=True) if table else None
        )


def _orderable(node: exp.Expr, scope: Scope) -> Collection[str]:
    """Return the names of what comes out that an ORDER BY may use here: within an expression those that were given."""
    if isinstance(node.parent, exp.Ordered):
        return scope.taken
    return () if is_aggregated(node) else scope.aliases
