"""Verdicts as rows of a CSV file, and their totals as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from bench.kit.machine import RESULTS
from bench.kit.results import as_page, lines_of, publish_rows, read_frame

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

NAME = "mutation"
CONTROL = "core/NoOp"
SURVIVORS = "mutation-survivors"
EQUIVALENT = "equivalent"
HOW = """\
A mutant is a copy of the code with one change: an operator of cosmic-ray or a dropped call in Python, a swapped word
or sign or a dropped line in Lua. It is killed when one of its judges fails or takes too long. Its judges are the tests
of its room and of some beside it (`mutants/judges.py`); end-to-end tests do not judge. Not changed: annotations and
Literal types, log calls, the options of dataclass decorators. A survivor may be equivalent, a change that nothing could
notice: those in `mutation-survivors.csv`, judged by hand, one by one, do not count among the mutants of a score."""

Row = dict[str, Any]
Judgements = dict[tuple[str, str, str], tuple[str, str]]


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
    judgements = read_judgements(RESULTS)
    parts.append(_table([one | {"verdict": _verdict(one, judgements)} for one in mutants]))
    alive = [one for one in mutants if one["verdict"] == "survived"]
    parts += ["## Survivors", "\n".join(_survivor(one, judgements) for one in alive)] if alive else []
    return as_page("Mutants", machine, *parts)


def read_judgements(folder: Path) -> Judgements:
    """Return the judgement of each survivor by hand, and why, by its module, its line and the changed line."""
    if not (folder / f"{SURVIVORS}.csv").exists():
        return {}
    rows = read_frame(folder, SURVIVORS).cast(pl.String).fill_null("").iter_rows(named=True)
    return {(row["module"], row["old"], row["new"]): (row["judgement"], row["why"]) for row in rows}


def _verdict(one: Row, judgements: Judgements) -> str:
    """Return the verdict, `equivalent` for a survivor that no test could notice."""
    judgement, _ = judgements.get((one["module"], one["old"], one["new"]), ("", ""))
    return EQUIVALENT if one["verdict"] == "survived" and judgement == EQUIVALENT else one["verdict"]


def _table(mutants: Sequence[Row]) -> str:
    lines: list[tuple[object, ...]] = []
    modules = {one["module"]: one["module"] for one in mutants}
    for name, end in (modules | {"all .py": ".py", "all .lua": ".lua", "all": ""}).items():
        verdicts = [one["verdict"] for one in mutants if one["module"].endswith(end)]
        survived, equivalent = verdicts.count("survived"), verdicts.count(EQUIVALENT)
        killed = len(verdicts) - survived - equivalent
        if verdicts:
            score = f"{killed / (killed + survived):.0%}" if killed + survived else ""
            lines.append((name, len(verdicts), killed, survived, equivalent, score))
    return lines_of(("module", "mutants", "killed", "survived", EQUIVALENT, "score"), lines)


def _survivor(one: Row, judgements: Judgements) -> str:
    judgement, why = judgements.get((one["module"], one["old"], one["new"]), ("not judged", ""))
    text = f"- {one['module']}:{one['line']}, {one['operator']}: `{one['old']}` => `{one['new']}`"
    return f"{text}: {judgement}{': ' * bool(why)}{why}"
