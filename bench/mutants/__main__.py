"""Mutants: `python -m bench.mutants --per-module 6`; exit code 1 when a control was killed."""

from __future__ import annotations

import asyncio
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import uvloop
from rich.console import Console

from bench.kit.errors import BenchError
from bench.kit.machine import describe_machine
from bench.mutants.modules import TOOLS, choose, missing
from bench.mutants.stage import refuse_own_services
from pipeline.local.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any, NoReturn

OUT = Path(__file__).parents[1] / "results"
INTERRUPTED = 130

PerModule = Annotated[int, typer.Option(min=1, help="Mutants of each module.")]
Only = Annotated[
    str, typer.Option(help="Beginnings of paths, with commas between: pipeline/ledger/lua/,pipeline/openfaas/.")
]
Seed = Annotated[int, typer.Option(help="What chooses them.")]
Jobs = Annotated[int, typer.Option(min=1, help="Mutants judged side by side, each job with a Redis and an S3.")]
Out = Annotated[Path, typer.Option(help="The folder for the results.")]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(*, per_module: PerModule = 6, only: Only = "", seed: Seed = 1, jobs: Jobs = 2, out: Out = OUT) -> None:
    """Change the code in small ways, and see whether a test notices."""
    try:
        modules = choose(only)
        refuse_own_services(os.environ)
    except BenchError as error:
        _fail(str(error))
    if lacking := missing([name for name in TOOLS if find_spec(name)]):
        _fail(lacking)
    # They need TOOLS.
    from bench.mutants.report import Book  # noqa: PLC0415
    from bench.mutants.running import Plan, run  # noqa: PLC0415

    console = Console(soft_wrap=True, highlight=False, markup=False)
    book = Book(out, describe_machine("bench.mutants", sys.argv[1:]), console)
    plan = Plan(per_module, tuple(modules), seed, jobs)
    _run(run(plan, console, book.begin, book.done))
    if book.broken:
        _fail(f"controls were killed with nothing changed, so the verdicts say nothing: {', '.join(book.broken)}")


def _run(work: Coroutine[Any, Any, None]) -> None:
    problems: list[str] = []
    interrupted = False
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work)
    except* (BenchError, LocalError) as errors:
        problems += map(str, errors.exceptions)
    except* KeyboardInterrupt:
        interrupted = True
    if interrupted:
        raise typer.Exit(INTERRUPTED)
    if problems:
        _fail("; ".join(problems))


def _fail(problem: str) -> NoReturn:
    typer.echo(f"error: {problem}", err=True)
    raise typer.Exit(1)


if __name__ == "__main__":
    app()
