"""The mutants of a run: a seeded sample of cosmic-ray's session, or those of an earlier run."""

from __future__ import annotations

import ast
import itertools
import random
import re
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import OPERATOR_PROVIDERS, get_operator

from bench.kit.errors import BenchError
from bench.mutants.operators import DropCall, LuaChange

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cosmic_ray.work_db import WorkDB
    from cosmic_ray.work_item import MutationSpec

    from bench.mutants.operators import Span

OPERATOR_PROVIDERS["lua"] = {"Change": LuaChange}
OPERATOR_PROVIDERS["python"] = {"DropCall": DropCall}
_OUTSIDE = ("pipeline/client/", "pipeline/cli/", "pipeline/local/", "pipeline/page/", "pipeline/docs/")
# Operators that change names or bits, need a decorator, or cause an error at any place.
_LEFT_OUT = re.compile(r"Variable|RemoveDecorator|(?<!Is)_IsNot$|(?<!IsNot)_Is$|BitAnd|BitXor|Shift|_Invert|_Pow")


@dataclass(frozen=True)
class Change:
    """A change of a file: its first line that differs, without the space around it."""

    module: str
    operator: str
    occurrence: int
    line: int
    old: str
    new: str


def choose(only: str) -> list[Path]:
    """Return the files of the working directory whose path begins with one of `only`, split at commas; '' is all.

    Raises BenchError for a beginning without a file.
    """
    files = sorted(
        path for path in Path("pipeline").rglob("*") if path.suffix in {".lua", ".py"} and path.stem != "__init__"
    )
    files = [path for path in files if not str(path).startswith(_OUTSIDE)]
    starts = [start.strip() for start in only.split(",")]
    for start in starts:
        if not any(str(path).startswith(start) for path in files):
            raise BenchError(f"--only {start}: no file of the function begins so")
    return [path for path in files if str(path).startswith(tuple(starts))]


def sample(work: WorkDB, files: Sequence[Path], most: int, seed: int) -> Iterator[Change]:
    """Yield at most `most` changes of each file below the working directory.

    A place counts once for each kind of operator, so that a comparison counts no more than a number.
    """
    init(files, work, {})
    places: dict[Path, dict[tuple[Any, str], list[MutationSpec]]] = {path: {} for path in files}
    for item in work.work_items:
        (spec,) = item.mutations
        kind = spec.operator_name.partition("_")[0]
        if (spec.module_path.suffix == ".lua") == kind.startswith("lua/") and not _LEFT_OUT.search(spec.operator_name):
            places[spec.module_path].setdefault((spec.start_pos, kind), []).append(spec)
    for path, groups in places.items():
        source = path.read_text()
        rng = random.Random(f"{seed}:{path}")
        specs = [rng.choice(sorted(group, key=_order)) for _, group in sorted(groups.items())]
        if path.suffix == ".py":
            kept = protected(source)
            specs = [spec for spec in specs if not any(start <= spec.start_pos <= end for start, end in kept)]
        changes = (
            make_change(source, str(path), spec.operator_name, spec.occurrence)
            for spec in rng.sample(specs, len(specs))
        )
        yield from itertools.islice(filter(None, changes), most)


def made_again(row: Mapping[str, str]) -> Change | None:
    """Return the change of an earlier run's row, None where its line is no more."""
    source = Path(row["module"]).read_text() if Path(row["module"]).is_file() else ""
    operator = get_operator(row["operator"])()
    count = sum(len(list(operator.mutation_positions(node))) for node in ast_nodes(get_ast(source)))
    # Where the file has changed, the same change may be another occurrence.
    for occurrence in sorted(range(count), key=lambda number: abs(number - int(row["occurrence"]))):
        change = make_change(source, row["module"], row["operator"], occurrence)
        if change and (change.old, change.new) == (row["old"], row["new"]):
            return change
    return None


def make_change(source: str, module: str, operator: str, occurrence: int) -> Change | None:
    """Return the change, None where it makes no other code that compiles."""
    try:
        code = mutate_code(source, get_operator(operator)(), occurrence)
        if module.endswith(".py"):
            compile(code, module, "exec")
    except (AttributeError, SyntaxError, ValueError):
        # cosmic-ray cannot replace an exception with a dotted name.
        return None
    pairs = enumerate(zip_longest(source.splitlines(), code.splitlines(), fillvalue=""), 1)
    different = ((line, *pair) for line, pair in pairs if pair[0] != pair[1])
    return next(
        (Change(module, operator, occurrence, at, old.strip(), new.strip()) for at, old, new in different), None
    )


def protected(source: str) -> list[Span]:
    """Return where a change makes no other behaviour: annotations, Literal types, log calls, options of dataclasses."""
    nodes: list[ast.expr | None] = []
    for node in ast.walk(ast.parse(source)):
        nodes += [getattr(node, "annotation", None), getattr(node, "returns", None)]
        match node:
            case ast.Assign(value=ast.Subscript(value=ast.Name("Literal")) as literal):
                nodes.append(literal)
            case ast.Call(func=ast.Attribute(value=ast.Name("log")) | ast.Name("dataclass")):
                nodes.append(node)
    return [
        ((node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)) for node in nodes if node
    ]


def _order(spec: MutationSpec) -> tuple[str, int]:
    return spec.operator_name, spec.occurrence
