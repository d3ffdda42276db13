"""The command line of a bench: how it is made, how it runs, and how it ends when the measurement fails."""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
import uvloop
from rich.console import Console

from bench.kit.errors import BenchError
from pipeline.client import CallError
from pipeline.local.errors import LocalError

T = TypeVar("T")

INTERRUPTED = 130

Out = Annotated[Path, typer.Option(help="The folder for the results.")]
Workers = Annotated[int, typer.Option(min=1, help="Queue-workers working at once.")]
Repeats = Annotated[int, typer.Option(min=1, help="Runs of each case; medians are reported.")]


def new_app() -> typer.Typer:
    """Return a command line without options of its own."""
    return typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def new_console() -> Console:
    """Return a console that prints text unchanged."""
    return Console(soft_wrap=True, highlight=False, markup=False)


def interleaved(cases: Iterable[T], repeats: int, console: Console) -> Iterator[tuple[int, T]]:
    """Yield each case and its repeat from 0, repeats outermost: a machine slow for a while then slows all cases."""
    every = list(cases)
    for repeat in range(repeats):
        for case in every:
            console.print(f"{case}, {repeat + 1} of {repeats}")
            yield repeat, case


def parse_numbers(text: str, least: int = 0) -> tuple[int, ...]:
    """Return the whole numbers of a comma-separated list, sorted, each once."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) >= least for part in parts):
        raise typer.BadParameter(f"expected whole numbers from {least} on, with commas between them")
    return tuple(sorted({int(part) for part in parts}))


@contextlib.contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Print why the block failed on one line, with exit code 1; an interrupt prints nothing and is 130."""
    known = (BenchError, LocalError, CallError)
    try:
        yield
    except known as error:
        raise fail(str(error)) from error
    except BaseExceptionGroup as group:
        explained, rest = group.split(known)
        if explained is None or rest is not None:
            raise
        raise fail("; ".join(map(str, explained.exceptions))) from group
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def fail(problem: str) -> typer.Exit:
    """Print a problem, and return the exit to raise."""
    typer.echo(f"error: {problem}", err=True)
    return typer.Exit(1)


def run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on uvloop to its end, with its errors in one line."""
    with errors_in_one_line(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
