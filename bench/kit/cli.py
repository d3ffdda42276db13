"""How the command of a measurement ends that cannot be made."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import typer

from bench.kit.errors import BenchError
from pipeline.client import CallError
from pipeline.local.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Iterator

INTERRUPTED = 130


@contextlib.contextmanager
def in_one_line() -> Iterator[None]:
    """Say on one line why the block failed, with exit code 1; an interrupt says nothing and is 130."""
    try:
        yield
    except (BenchError, LocalError, CallError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
