"""Mutants: `python -m bench.mutants --per-module 6`; exit code 1 when a control was killed.

Those of an earlier run again, judged by the tests of another commit:
`python -m bench.mutants --mutants bench/results/mutation.csv --tests main --out build/bench`
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.kit.cli import Out, errors_in_one_line, fail, new_app, new_console
from bench.kit.machine import RESULTS, describe_machine
from bench.mutants.report import broken_controls
from bench.mutants.run import Plan, run

PerModule = Annotated[int, typer.Option(min=1, help="Mutants of each module.")]
Only = Annotated[
    str, typer.Option(help="Beginnings of paths, with commas between: pipeline/ledger/lua/,pipeline/openfaas/.")
]
Seed = Annotated[int, typer.Option(help="What chooses them.")]
Mutants = Annotated[Path | None, typer.Option(help="Rows of an earlier run, whose mutants are judged again.")]
Tests = Annotated[str, typer.Option(help="The commit whose tests judge, instead of those of the last.")]

app = new_app()


@app.command()
def main(
    *,
    per_module: PerModule = 6,
    only: Only = "",
    seed: Seed = 1,
    mutants: Mutants = None,
    tests: Tests = "",
    out: Out = RESULTS,
) -> None:
    """Change the code in small ways, and see whether a test notices."""
    machine = describe_machine("bench.mutants")
    plan = Plan(per_module, only, seed, mutants, tests)
    with errors_in_one_line():
        rows = run(plan, new_console(), out.resolve(), machine)
    if broken := broken_controls(rows):
        raise fail(f"controls were killed with nothing changed, so the verdicts mean nothing: {', '.join(broken)}")


if __name__ == "__main__":
    app()
