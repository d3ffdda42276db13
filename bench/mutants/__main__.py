"""Mutants: `python -m bench.mutants --per-module 6`; exit code 1 when a control was killed."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Annotated

import typer

from bench.kit.cli import Out, errors_in_one_line, fail, new_app, new_console, run_to_end
from bench.kit.machine import RESULTS, describe_machine
from bench.mutants.modules import TOOLS, choose, missing
from bench.mutants.stage import refuse_own_services

PerModule = Annotated[int, typer.Option(min=1, help="Mutants of each module.")]
Only = Annotated[
    str, typer.Option(help="Beginnings of paths, with commas between: pipeline/ledger/lua/,pipeline/openfaas/.")
]
Seed = Annotated[int, typer.Option(help="What chooses them.")]
Jobs = Annotated[int, typer.Option(min=1, help="Mutants judged side by side, each job with a Redis and an S3.")]

app = new_app()


@app.command()
def main(*, per_module: PerModule = 6, only: Only = "", seed: Seed = 1, jobs: Jobs = 2, out: Out = RESULTS) -> None:
    """Change the code in small ways, and see whether a test notices."""
    with errors_in_one_line():
        modules = choose(only)
        refuse_own_services(os.environ)
    if lacking := missing([name for name in TOOLS if find_spec(name)]):
        raise fail(lacking)
    # They need TOOLS.
    from bench.mutants.report import Book  # noqa: PLC0415
    from bench.mutants.run import Plan, run  # noqa: PLC0415

    console = new_console()
    book = Book(out, describe_machine("bench.mutants"), console)
    plan = Plan(per_module, tuple(modules), seed, jobs)
    run_to_end(run(plan, console, book.begin, book.done))
    if book.broken:
        raise fail(f"controls were killed with nothing changed, so the verdicts mean nothing: {', '.join(book.broken)}")


if __name__ == "__main__":
    app()
