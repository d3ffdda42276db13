"""`python -m pipeline.local demo|up`: OpenFaaS on a laptop, with the pipeline in it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console

from pipeline.cli.submit import parse_chunk
from pipeline.client import CallError
from pipeline.local.demo import run
from pipeline.local.demo.options import Options, UserError
from pipeline.local.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Coroutine

INTERRUPTED = 130
Result = TypeVar("Result")


Csv = Annotated[
    Path | None, typer.Option(help="A CSV to run over; without it, a generated one. Some of its photos fail.")
]
Function = Annotated[
    str | None,
    typer.Option(
        help="What to run for each row: a Python file with `def handle(event, context)`, a command that listens on "
        "$port, or an http(s) URL. Without it, an image classifier."
    ),
]
Column = Annotated[str | None, typer.Option(help="The column of the items; by default `url` or the only one.")]
Count = Annotated[int, typer.Option(min=1, max=1_000_000, help="Rows of the generated CSV.")]
Workers = Annotated[int, typer.Option(min=1, max=64, help="Number of queue-workers, each with one message at a time.")]
Chunk = Annotated[
    Any, typer.Option(parser=parse_chunk, metavar="ROWS|auto", help="Rows per queue message; by default 1.")
]
ChunkCall = Annotated[
    bool,
    typer.Option(
        "--chunk-call",
        help="Send the rows of a message in one call, as a JSON array. Every entry of the array in a 200 then counts "
        "as a success, even one with `error`.",
    ),
]

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
DEFAULTS = Options()


@app.command()
def demo(
    *,
    csv: Csv = None,
    function: Function = None,
    column: Column = None,
    count: Count = DEFAULTS.count,
    workers: Workers = DEFAULTS.workers,
    chunk: Chunk = None,
    chunk_call: ChunkCall = False,
) -> None:
    """Run a function over a CSV and watch it; exits with 1 unless the batch is done."""
    options = Options(csv, function, column, count, workers, chunk, chunk_call)
    if not _run(run.demo(Console(), options)):
        raise typer.Exit(1)


@app.command()
def up(
    *,
    csv: Csv = None,
    function: Function = None,
    column: Column = None,
    count: Count = DEFAULTS.count,
    workers: Workers = DEFAULTS.workers,
    chunk: Chunk = None,
    chunk_call: ChunkCall = False,
) -> None:
    """Run the stack until Ctrl-C, and print commands to paste into another terminal."""
    _run(run.up(Console(), Options(csv, function, column, count, workers, chunk, chunk_call)))


def _run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    try:
        return asyncio.run(coroutine)
    except (UserError, LocalError, CallError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


if __name__ == "__main__":
    app()
