"""Verdicts as rows of a CSV file, and their totals as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.kit.results import as_page, lines_of, publish_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

NAME = "mutation"
CONTROL = "core/NoOp"
HOW = """\
A mutant is a copy of the code with one change: an operator of cosmic-ray or a dropped call in Python, a swapped word
or sign or a dropped line in Lua. It is killed when one of its judges fails or takes too long. Its judges are the tests
of its room and of some beside it (`mutants/judges.py`); end-to-end tests do not judge. Not changed: annotations and
Literal types, log calls, the options of dataclass decorators. A survivor may be equivalent, a change that nothing could
notice."""

Row = dict[str, Any]


def broken_controls(rows: Sequence[Row]) -> list[str]:
    """Return the controls that did not survive, and why: with one of them, all verdicts are worthless."""
    broken = [one for one in rows if one["operator"] == CONTROL and one["verdict"] != "survived"]
    return [f"{one['module']}:{one['line']} by {one['by'] or one['verdict']}" for one in broken]


def write(out: Path, rows: Sequence[Row], failing: Sequence[str], machine: Mapping[str, Any]) -> None:
    """Write the rows in the order of the code, the page, and the machine with the command."""
    ordered = sorted(rows, key=lambda one: (one["operator"] == CONTROL, one["module"], one["line"], one["operator"]))
    publish_rows(out, machine, {NAME: ordered}, lambda _: {f"{NAME}.md": markdown(ordered, failing, machine)})


def markdown(rows: Sequence[Row], failing: Sequence[str], machine: Mapping[str, Any]) -> str:
    """Return the page: the machine, controls, scores by file, survivors."""
    mutants = [one for one in rows if one["operator"] != CONTROL]
    controls = len(rows) - len(mutants)
    parts = [HOW, f"Controls, with nothing changed: {controls - len(broken_controls(rows))} of {controls} survived."]
    if failing:
        parts += ["These fail with nothing changed, and do not judge:", "\n".join(f"- `{name}`" for name in failing)]
    parts.append(_table(mutants))
    alive = [one for one in mutants if one["verdict"] == "survived"]
    parts += ["## Survivors", "\n".join(map(_survivor, alive))] if alive else []
    return as_page("Mutants", machine, *parts)


def _table(mutants: Sequence[Row]) -> str:
    lines: list[tuple[object, ...]] = []
    modules = {one["module"]: one["module"] for one in mutants}
    for name, end in (modules | {"all .py": ".py", "all .lua": ".lua", "all": ""}).items():
        verdicts = [one["verdict"] for one in mutants if one["module"].endswith(end)]
        killed = len(verdicts) - verdicts.count("survived")
        if verdicts:
            lines.append((name, len(verdicts), killed, len(verdicts) - killed, f"{killed / len(verdicts):.0%}"))
    return lines_of(("module", "mutants", "killed", "survived", "score"), lines)


def _survivor(one: Row) -> str:
    return f"- {one['module']}:{one['line']}, {one['operator']}: `{one['old']}` => `{one['new']}`"
