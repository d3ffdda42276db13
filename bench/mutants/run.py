"""The run: a session of cosmic-ray with a sample of mutants, the tests that judge each, and their verdicts."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_db import use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome

from bench.kit.results import read_frame
from bench.mutants.judges import (
    LIMIT,
    command,
    copy_of_tree,
    end_processes,
    fails_unchanged,
    failures,
    judges,
    nothing_ran,
)
from bench.mutants.report import CONTROL, Row, write
from bench.mutants.sample import Change, choose, made_again, sample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cosmic_ray.work_db import WorkDB
    from cosmic_ray.work_item import WorkResult
    from rich.console import Console

CONTROLS = 6


@dataclass(frozen=True)
class Plan:
    """The number of mutants of each file, the files, the seed, rows of an earlier run, and a commit of tests."""

    per_module: int
    only: str
    seed: int
    mutants: Path | None
    tests: str


def run(plan: Plan, console: Console, out: Path, machine: Mapping[str, Any]) -> list[Row]:
    """Judge the mutants, and write the rows after each, so that an interrupted run leaves them; raises BenchError."""
    rows: list[Row] = []
    failing: set[str] = set()
    earlier = _rows_of(plan.mutants) if plan.mutants else []
    with copy_of_tree(plan.tests) as tree, use_db(tree.parent / "session") as work:
        changes = _with_controls(_changes(plan, earlier, work), plan.seed)
        work.clear()
        for done, change in enumerate(changes, 1):
            rows.append(_judge(change, plan.seed, failing))
            console.print(f"[{done}/{len(changes)}] {rows[-1]['verdict']}: {change.module}:{change.line}")
            write(out, rows, sorted(failing), machine)
    return rows


def _judge(change: Change, seed: int, failing: set[str]) -> Row:
    """Judge one change by the tests that do not fail without it, which are added to `failing`."""
    place = ((change.line, 0), (change.line, 1))
    mutation = MutationSpec(change.module, change.operator, change.occurrence, *place)
    waiting = [tests for tests in judges(change.module) if tests]
    while True:
        end_processes()
        options = ("-x", *(f"--deselect={test}" for test in failing), *waiting[0])
        row = verdict(change, mutate_and_test((mutation,), command(seed, *options), LIMIT))
        if row["by"] and fails_unchanged(row["by"], seed):
            failing.add(row["by"])
        elif row["verdict"] != "survived" or not waiting[1:]:
            return row
        else:
            del waiting[0]


def verdict(change: Change, result: WorkResult) -> Row:
    """Return a row: killed, timeout or survived; `by` is the test that failed first."""
    output = result.output or ""
    survived = result.test_outcome == TestOutcome.SURVIVED or nothing_ran(output)
    word = "survived" if survived else "killed"
    by = failures(output)[:1]
    return {**asdict(change), "verdict": "timeout" if output == "timeout" else word, "by": by[0] if by else ""}


def _rows_of(path: Path) -> list[dict[str, str]]:
    return read_frame(path.parent, path.stem).cast(pl.String).fill_null("").to_dicts()


def _changes(plan: Plan, earlier: Sequence[Mapping[str, str]], work: WorkDB) -> list[Change]:
    """Return the changes of the working directory's files; those of an earlier run only where they can be made."""
    files = choose(plan.only)
    if plan.mutants is None:
        return list(sample(work, files, plan.per_module, plan.seed))
    rows = [row for row in earlier if row["operator"] != CONTROL and Path(row["module"]) in files]
    return [change for row in rows if (change := made_again(row))]


def _with_controls(changes: Sequence[Change], seed: int) -> list[Change]:
    """Add some that change nothing, in an order in which any beginning is a sample too.

    Those have to survive, or all verdicts are worthless.
    """
    rng = random.Random(f"{seed}:order")
    controls = [
        replace(change, operator=CONTROL, occurrence=0, new=change.old)
        for change in rng.sample(changes, min(CONTROLS, len(changes)))
    ]
    return rng.sample([*changes, *controls], len(changes) + len(controls))
