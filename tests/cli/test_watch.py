"""The progress bar of the command line and of the demo."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import msgspec
import pytest
from rich.console import Console

from pipeline.cli.show import pace_of
from pipeline.cli.watch import watch
from pipeline.client import Progress, RefusedError
from tests.rigs.client.contract import Answer, open_client, progress

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RUNNING = Progress("running", items=200, succeeded=90, failed=10, rate=25.0, eta=4.0, elapsed=4.0)


async def test_batch_is_watched_to_its_end() -> None:
    console = Console(file=io.StringIO(), width=120)
    async with open_client() as (server, pipeline):
        server.answer("status", {"state": "opening", "items": None}, progress("running", 3), progress("done", 9, 1))
        last = await watch(console, pipeline.batch("b-1").follow(interval=0))
    assert (last.state, last.succeeded, last.failed, last.elapsed) == ("done", 9, 1, 4.0)
    assert isinstance(console.file, io.StringIO)
    line = console.file.getvalue().splitlines()[-1]
    assert line.startswith("done ")
    assert line.rstrip().endswith("10/10 9 succeeded 1 failed 2.5 items/s")


async def test_batch_without_items_is_watched_to_its_end() -> None:
    console = Console(file=io.StringIO(), width=120)
    async with open_client() as (server, pipeline):
        server.answer("status", progress("opening", items=0), progress("done", items=0, rate=0.0))
        await watch(console, pipeline.batch("b-1").follow(interval=0))
    assert isinstance(console.file, io.StringIO)
    assert " 0/0 0 succeeded 0 failed" in console.file.getvalue().splitlines()[-1]


async def test_state_contains_no_terminal_commands() -> None:
    async def hostile() -> AsyncIterator[Progress]:
        yield Progress("[red]run\x1b[2J[/]")

    console = Console(file=io.StringIO(), width=120)
    await watch(console, hostile())
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines()[-1].startswith("[red]run�[2J[/] ")


async def test_unknown_batch_ends_the_watch() -> None:
    async with open_client() as (server, pipeline):
        server.answer("status", Answer({"error": "there is no batch 'b-1'"}, 404))
        with pytest.raises(RefusedError, match="there is no batch"):
            await watch(Console(file=io.StringIO()), pipeline.batch("b-1").follow())


async def test_empty_progress_is_an_error() -> None:
    async def nothing() -> AsyncIterator[Progress]:
        no_progress: list[Progress] = []
        for update in no_progress:
            yield update

    with pytest.raises(ValueError, match="there was no progress to show"):
        await watch(Console(file=io.StringIO()), nothing())


@pytest.mark.parametrize(
    ("changed", "pace"),
    [
        ({}, "25.0 items/s, 0:04 to go"),
        ({"eta": 3700.2}, "25.0 items/s, 61:40 to go"),
        ({"eta": None}, "25.0 items/s"),
        ({"rate": 0.0, "eta": None}, ""),
        ({"rate": 0.0}, "0:04 to go"),
        ({"state": "done"}, "25.0 items/s"),
    ],
)
def test_pace_is_formatted(changed: dict[str, object], pace: str) -> None:
    assert pace_of(msgspec.structs.replace(RUNNING, **changed)) == pace
