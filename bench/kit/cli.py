"""The command line of a bench: how it is made, how it runs, and how it ends when the measurement fails."""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
import uvloop
from rich.console import Console

from bench.kit.errors import BenchError
from bench.kit.machine import describe_machine
from bench.kit.results import Render, Row, publish_rows
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


def measure(module: str, work: Coroutine[Any, Any, Mapping[str, Iterable[Row]]], out: Path, render: Render) -> None:
    """Run a bench to its end, and write and print its tables of rows and the pages made of them."""
    machine = describe_machine(module)
    typer.echo(publish_rows(out, machine, run_to_end(work), render))


def interleaved(cases: Iterable[T], repeats: int = 1) -> Iterator[tuple[int, T]]:
    """Yield each case and its repeat from 1, repeats outermost: a machine slow for a while then slows all cases."""
    every = list(cases)
    for repeat in range(1, repeats + 1):
        for case in every:
            typer.echo(f"{case}, {repeat} of {repeats}")
            yield repeat, case


def chosen(names: Sequence[str] | None, known: Iterable[str]) -> list[str]:
    """Return the chosen ones of the known names, all of them where none is chosen."""
    every = list(known)
    if unknown := set(names or ()) - set(every):
        raise typer.BadParameter(f"there is no {', '.join(sorted(unknown))}; there are: {', '.join(every)}")
    return [name for name in every if not names or name in names]


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
