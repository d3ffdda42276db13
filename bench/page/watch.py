"""What watching costs: `python -m bench.page.watch`, two minutes on a local stack, with a Chromium."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import uvloop
from rich.console import Console

from bench.kit.browser import open_browser
from bench.kit.cli import in_one_line
from bench.kit.machine import describe_machine
from bench.page.looking import measure_cost, measure_looking
from bench.page.reading import measure_reading
from bench.page.report import Watching, as_page
from bench.page.stage import halt, open_stage

if TYPE_CHECKING:
    from collections.abc import Sequence

OUT = Path(__file__).parents[1] / "results"
# Enough of them for as many kinds of failure as a status tells.
SETTLED = 1_000

Items = Annotated[int, typer.Option(min=1, help="Items of the large batch.")]
Workers = Annotated[int, typer.Option(min=1, help="Queue-workers working at once.")]
Seconds = Annotated[float, typer.Option(min=1, help="How long the page is looked at.")]
Out = Annotated[Path, typer.Option(help="The folder for the results.")]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    *,
    items: Items = 100_000,
    workers: Workers = 4,
    seconds: Seconds = 20,
    out: Out = OUT,
) -> None:
    """Measure what a read of a status costs, and the page over a batch that runs."""
    machine = describe_machine("bench.page.watch", sys.argv[1:])
    console = Console(soft_wrap=True, highlight=False, markup=False)
    with in_one_line(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        watching = runner.run(_measure((2 * SETTLED, items), workers, seconds))
    (out / "watching.json").write_text(json.dumps({"machine": machine, **asdict(watching)}, indent=2) + "\n")
    page = as_page(watching, machine)
    (out / "watching.md").write_text(page)
    console.print(page)


async def _measure(sizes: Sequence[int], workers: int, seconds: float) -> Watching:
    readings = []
    async with open_browser(os.environ) as browser, open_stage(workers) as stage:
        page = await browser.new_page()
        for items in sizes:
            batch = await stage.begin(items, settled=SETTLED)
            await halt(batch)
            readings.append(await measure_reading(stage, batch))
        cost = await measure_cost(stage, page, batch, seconds)
        await batch.resume()
        look = await measure_looking(page, batch, seconds)
        await batch.cancel()
    return Watching(tuple(readings), cost, look)


if __name__ == "__main__":
    app()
