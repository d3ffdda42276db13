"""Mutants of a Python module: cosmic-ray's operators, and dropped statements."""

from __future__ import annotations

import ast
import contextlib
import re
from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

from bench.mutants.cases import Mutant
from bench.mutants.protected import Place, protected, statement_lines, statements

if TYPE_CHECKING:
    import random

# Operators that change names or bits, need a decorator, or cause an error at any place.
_LEFT_OUT = re.compile(r"Variable|RemoveDecorator|(?<!Is)_IsNot$|(?<!IsNot)_Is$|BitAnd|BitXor|Shift|_Invert|_Pow")

# The description of a change, and what returns the module with it, None where it cannot be made.
Change = tuple[str, Callable[[], str | None]]
Site = tuple[int, Change]


def python_mutants(path: str, source: str, most: int, rng: random.Random) -> tuple[list[Mutant], int]:
    """Return at most `most` mutants of a module, chosen by `rng`, and the number of places for one."""
    tree = ast.parse(source)
    sites = [*_operator_sites(source, tree, rng), *_drop_sites(source, tree)]
    total = len(sites)
    rng.shuffle(sites)
    mutants: list[Mutant] = []
    while sites and len(mutants) < most:
        line, (what, make) = sites.pop()
        code = make()
        if code and code != source and _compiles(code):
            mutants.append(Mutant(path, line, statement_lines(tree, line), what, source, code))
    return mutants, total


def _operator_sites(source: str, tree: ast.Module, rng: random.Random) -> list[Site]:
    """Return one operator of each family for each place, so that a comparison counts no more than a number."""
    ranges = protected(tree)
    operators: dict[tuple[Place, str], list[tuple[str, int]]] = defaultdict(list)
    nodes = list(ast_nodes(get_ast(source)))
    for name in sorted(operator_names()):
        if _LEFT_OUT.search(name):
            continue
        operator = get_operator(name)()
        places = [tuple(start) for node in nodes for start, _ in operator.mutation_positions(node)]
        for occurrence, place in enumerate(places):
            if not any(start <= place <= end for start, end in ranges):
                operators[place, name.partition("_")[0]].append((name, occurrence))
    chosen = [(place, *rng.choice(options)) for (place, _), options in sorted(operators.items())]
    return [(place[0], _operated(source, name, occurrence)) for place, name, occurrence in chosen]


def _operated(source: str, name: str, occurrence: int) -> Change:
    def make() -> str | None:
        code: str | None = None
        # cosmic-ray cannot replace an exception with a dotted name.
        with contextlib.suppress(AttributeError):
            code = mutate_code(source, get_operator(name)(), occurrence)
        return code

    return name.removeprefix("core/"), make


def _drop_sites(source: str, tree: ast.Module) -> list[Site]:
    lines = source.splitlines(keepends=True)

    def dropped(node: ast.Expr) -> Change:
        after = lines[node.end_lineno or node.lineno :]
        code = "".join([*lines[: node.lineno - 1], " " * node.col_offset, "pass\n", *after])
        return "DropStatement", lambda: code

    return [(node.lineno, dropped(node)) for node in statements(tree)]


def _compiles(code: str) -> bool:
    try:
        compile(code, "mutant", "exec")
    except (SyntaxError, ValueError):
        return False
    return True
