"""Watch a batch until it ends, with a progress bar or as JSON lines."""

from __future__ import annotations

import asyncio
import shlex
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from pipeline.cli.command import GATEWAY, Exit, Setup, exit_of_batch
from pipeline.cli.show import pace_of, show_progress
from pipeline.client.pipeline import FUNCTION
from pipeline.client.terminal_text import one_line

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from rich.console import Console

    from pipeline.client import Batch, Progress


def checked_id(batch_id: str | None) -> str | None:
    """Refuse an empty id, such as an unset shell variable; raises typer.BadParameter."""
    if batch_id == "":
        raise typer.BadParameter("the id is empty; `pipeline list` shows the existing ones")
    return batch_id


BatchId = Annotated[str, typer.Argument(metavar="ID", help="The batch's id.", callback=checked_id)]
Watch = Annotated[bool, typer.Option("--watch", help="Show the progress until it ends; Ctrl-C leaves it running.")]


async def follow(setup: Setup, batch: Batch) -> Exit:
    """Show the progress of a batch until it ends, then its status; an interrupt prints how to continue."""
    try:
        if setup.as_json:
            async for progress in batch:
                last = progress
                setup.print_json(progress)
        else:
            last = await watch(setup.out, batch.follow())
            show_progress(setup.out, last)
    except asyncio.CancelledError:
        setup.print_message(f"Batch {batch.id} continues. Watch it again: {watch_command(setup, batch.id)}")
        raise
    return exit_of_batch(last)


def watch_command(setup: Setup, batch_id: str) -> str:
    """Return the command line that watches a batch."""
    words = ["pipeline", "status", batch_id, "--watch"]
    words += ["--gateway", setup.gateway] if setup.gateway != GATEWAY else []
    words += ["--pipeline-name", setup.name] if setup.name != FUNCTION else []
    words += ["--token-file", str(setup.token_file)] if setup.token_file else []
    return shlex.join(words)


async def watch(console: Console, progresses: AsyncIterable[Progress]) -> Progress:
    """Show each progress in a bar and return the last; raises ValueError if there is none."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("[green]{task.fields[succeeded]} succeeded[/] [red]{task.fields[failed]} failed[/]"),
        TextColumn("{task.fields[pace]}"),
    )
    last: Progress | None = None
    with Bar(*columns, console=console) as bar:
        task = bar.add_task("opening", total=None, succeeded=0, failed=0, pace="")
        async for last in progresses:
            bar.update(
                task,
                description=one_line(last.state),
                total=last.items if last.over else last.items or None,
                completed=last.succeeded + last.failed,
                succeeded=last.succeeded,
                failed=last.failed,
                pace=pace_of(last),
            )
    if last is None:
        raise ValueError("there was no progress to show")
    return last
