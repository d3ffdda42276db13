"""A progress bar over a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from pipeline.client.one_line import one_line

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from rich.console import Console

    from pipeline.client import Progress


async def watch(console: Console, progresses: AsyncIterable[Progress]) -> Progress:
    """Show each progress as it comes and return the last; raises ValueError if there is none."""
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


def pace_of(progress: Progress) -> str:
    """Say how fast it goes and, while it runs, how long it will take."""
    pace = f"{progress.rate:.1f} items/s" if progress.rate else ""
    if progress.over or progress.eta is None:
        return pace
    minutes, seconds = divmod(round(progress.eta), 60)
    return f"{pace}, {minutes}:{seconds:02} to go".removeprefix(", ")
