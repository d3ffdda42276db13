"""One batch at each of several sizes: `python -m bench.speed.scale`, on a local stack."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import uvloop
from rich.console import Console

from bench.kit.cli import in_one_line
from bench.kit.machine import describe_machine
from bench.speed.scale.chart import draw_scale
from bench.speed.scale.figures import Case, by_chunk
from bench.speed.scale.plan_page import plan_page
from bench.speed.scale.records import print_runs, read_rows, write_rows
from bench.speed.scale.running import run_case

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.speed.scale.figures import Run

RESULTS = Path(__file__).parents[2] / "results"
NAME = "scale"
CHUNK = 1_000
MOST_ALONE = 10_000


def _sizes(given: str) -> tuple[int, ...]:
    parts = [part.strip() for part in given.split(",")]
    if not all(part.isdecimal() and int(part) for part in parts):
        raise typer.BadParameter("expected whole numbers from 1 on with commas between them")
    return tuple(sorted({int(part) for part in parts}))


Sizes = Annotated[Any, typer.Option(parser=_sizes, metavar="N,N,...", help="Items of a batch.")]
Workers = Annotated[int, typer.Option(min=1, help="Queue-workers working at once.")]
ResultBytes = Annotated[int, typer.Option(min=27, help="Bytes of a result, about.")]
Rows = Annotated[Path | None, typer.Option(help="Measure nothing: draw and plan from these rows, a scale.csv.")]
Out = Annotated[Path, typer.Option(help="The folder for the results.")]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    *,
    sizes: Sizes = "1000,10000,100000,1000000",
    workers: Workers = 4,
    result_bytes: ResultBytes = 200,
    rows: Rows = None,
    out: Out = RESULTS,
) -> None:
    """Measure what a batch costs at each size, as CSV, JSON and SVG, and plan a far larger one, as Markdown.

    The chunk is 1,000 items, sent in one call; batches of up to 10,000 items also run at chunk 1.
    """
    console = Console()
    machine = describe_machine("bench.speed.scale", sys.argv[1:])
    cases = [Case(items, CHUNK) for items in sizes] + [Case(items, 1) for items in sizes if items <= MOST_ALONE]
    with in_one_line():
        if rows is not None:
            runs = read_rows(rows)
        else:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runs = runner.run(_measure(cases, workers, result_bytes, console))
    out.mkdir(parents=True, exist_ok=True)
    if rows is None:
        write_rows(out / f"{NAME}.csv", runs)
        (out / f"{NAME}.json").write_text(json.dumps(machine, indent=2) + "\n")
        # Rounded as they are in the file, which can then give the same chart and plan again.
        runs = read_rows(out / f"{NAME}.csv")
    draw_scale(out / f"{NAME}.svg", runs)
    (out / f"{NAME}-plan.md").write_text(plan_page([group[-1] for group in by_chunk(runs).values()]))
    print_runs(console, runs)
    console.print(f"Results: {out}/{NAME}.csv, .json, .svg, -plan.md", soft_wrap=True, highlight=False)


async def _measure(cases: Sequence[Case], workers: int, result_bytes: int, console: Console) -> list[Run]:
    runs = []
    for case in cases:
        console.print(f"{case.items:,} items, chunk {case.chunk:,}", highlight=False)
        runs.append(await run_case(case, workers, result_bytes))
    return runs


if __name__ == "__main__":
    app()
