"""A progress bar over a batch's status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from rich.console import Console

    from pipeline.local.demo.client import Status


async def watch(console: Console, statuses: AsyncIterable[Status]) -> Status:
    """Show each status as it comes and return the last; raises ValueError if there is none."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("[green]{task.fields[succeeded]} succeeded[/] [red]{task.fields[failed]} failed[/]"),
        TextColumn("{task.fields[pace]}"),
    )
    last: Status | None = None
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("opening", total=None, succeeded=0, failed=0, pace="")
        async for last in statuses:
            progress.update(
                bar,
                description=last.state,
                total=last.items or None,
                completed=last.succeeded + last.failed,
                succeeded=last.succeeded,
                failed=last.failed,
                pace=pace_of(last),
            )
    if last is None:
        raise ValueError("there was no status to show")
    return last


def pace_of(status: Status) -> str:
    """Say how fast it goes and, while it runs, how long it will take."""
    pace = f"{status.rate:.1f} items/s" if status.rate else ""
    if status.ended or status.eta is None:
        return pace
    minutes, seconds = divmod(round(status.eta), 60)
    return f"{pace}, {minutes}:{seconds:02} to go".removeprefix(", ")
