"""Verdicts as rows of a CSV file, and their totals as a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.kit.publish import facts, markdown_table, publish
from bench.mutants.cases import BUDGET

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from bench.mutants.cases import Case, Verdict

NAME = "mutation"
KILLED = frozenset({"killed", "timeout"})
HOW = f"""\
A mutant is a copy of the code with one change: an operator of cosmic-ray or a dropped statement in Python, a swapped
word or sign or a dropped line in Lua. It is killed when one of its judges fails or takes too long. Its judges are the
tests of the rooms that touch its line, or run its script, at most {BUDGET:.0f} s of them, and for scripts the
model of the ledger (tests/model). End-to-end tests, and those that start a Redis of their own, do not judge. Not
changed: annotations and Literal types, log calls, the options of dataclass decorators. A survivor may be equivalent, a
change that nothing could notice: nobody has sorted these out."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Scope:
    """The population of the sample: places for a mutant by module, and tests; `failing` tests do not judge."""

    places: dict[str, int]
    tests: int
    failing: tuple[str, ...]


class Book:
    """The verdicts so far: printed and written after each, so that an interrupted run leaves its results."""

    def __init__(self, out: Path, machine: Mapping[str, Any], console: Console) -> None:
        self._out = out
        self._machine = machine
        self._console = console
        self._rows: list[Row] = []
        self._scope = Scope({}, 0, ())
        self._total = 0

    @property
    def broken(self) -> list[str]:
        """The controls that were killed, and by which test."""
        return [
            f"{one['module']}:{one['line']} by {one['by'] or one['verdict']}" for one in broken_controls(self._rows)
        ]

    def begin(self, scope: Scope, total: int) -> None:
        """Begin with the scope and the number of verdicts to come."""
        self._scope, self._total = scope, total
        for name in scope.failing:
            self._console.print(f"fails with nothing changed, and does not judge: {name}")

    def done(self, case: Case, verdict: Verdict) -> None:
        """Print and write a verdict."""
        self._rows.append(row(case, verdict))
        what = "nothing changed" if case.control else case.mutant.what
        count = f"[{len(self._rows)}/{self._total}]"
        place = f"{case.mutant.path}:{case.mutant.line}"
        self._console.print(f"{count} {verdict.word} in {verdict.seconds:.1f} s: {place} ({what})")
        write(self._out, self._rows, self._scope, self._machine)


def row(case: Case, verdict: Verdict) -> Row:
    """Return one verdict as a row."""
    old, new = case.mutant.change()
    return {
        "module": case.mutant.path,
        "line": case.mutant.line,
        "what": case.mutant.what,
        "old": old,
        "new": new,
        "control": int(case.control),
        "verdict": verdict.word,
        "tests": case.tests,
        "reaching": case.reaching,
        "seconds": f"{verdict.seconds:.1f}",
        "by": verdict.by,
    }


def broken_controls(rows: Sequence[Row]) -> list[Row]:
    """Return the controls that did not survive: with one of them, all verdicts are worthless."""
    return [one for one in rows if one["control"] and one["verdict"] != "survived"]


def write(out: Path, rows: Sequence[Row], scope: Scope, machine: Mapping[str, Any]) -> None:
    """Write the rows in the order of the code, the page, and the machine with the command."""
    ordered = sorted(rows, key=lambda one: (one["control"], one["module"], one["line"], one["what"]))
    publish(out, NAME, machine=machine, rows=ordered, page=markdown(ordered, scope, machine))


def markdown(rows: Sequence[Row], scope: Scope, machine: Mapping[str, Any]) -> str:
    """Return the page: the machine, controls, scores by module, survivors."""
    lines = ["# Mutants", "", *facts(machine), "", HOW, ""]
    ran = [one for one in rows if one["control"]]
    survived = len(ran) - len(broken_controls(rows))
    lines += [
        f"Controls, with nothing changed: {survived} of {len(ran)} survived. Tests that may judge: {scope.tests}."
    ]
    if scope.failing:
        lines += [
            "",
            "These fail with nothing changed, and do not judge:",
            "",
            *(f"- `{name}`" for name in scope.failing),
        ]
    mutants = [one for one in rows if not one["control"]]
    lines += ["", *_table(mutants, scope)]
    alive = [one for one in mutants if one["verdict"] not in KILLED]
    if alive:
        lines += ["", "## Survivors", "", *map(_survivor, alive)]
    return "\n".join([*lines, ""])


def _table(mutants: Sequence[Row], scope: Scope) -> list[str]:
    lines: list[tuple[object, ...]] = []
    groups = {module: module for module in scope.places} | {"all .py": ".py", "all .lua": ".lua", "all": ""}
    for name, end in groups.items():
        rows = [one for one in mutants if one["module"].endswith(end)]
        if rows:
            places = sum(count for module, count in scope.places.items() if module.endswith(end))
            killed = sum(one["verdict"] in KILLED for one in rows)
            lines.append((name, places, len(rows), killed, len(rows) - killed, f"{killed / len(rows):.0%}"))
    return markdown_table(("module", "places", "mutants", "killed", "survived", "score"), lines)


def _survivor(one: Row) -> str:
    judged = "no test reaches it" if one["verdict"] == "unreached" else f"{one['tests']} of {one['reaching']} tests"
    return f"- {one['module']}:{one['line']}, {one['what']}, {judged}: `{one['old']}` => `{one['new']}`"
