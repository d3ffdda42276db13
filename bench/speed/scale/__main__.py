"""One batch at each of several sizes: `python -m bench.speed.scale`, on a local stack."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from bench.kit.cli import Out, Workers, errors_in_one_line, new_app, parse_numbers, run_to_end
from bench.kit.machine import RESULTS, describe_machine
from bench.kit.publish import publish, read_runs
from bench.speed.scale.figures import Case, Run, by_chunk
from bench.speed.scale.plan import plan_page
from bench.speed.scale.run_case import run_case
from bench.speed.scale.show import draw_scale, print_runs

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "scale"
CHUNK = 1_000
MOST_ALONE = 10_000


def _sizes(text: str) -> tuple[int, ...]:
    return parse_numbers(text, least=1)


Sizes = Annotated[Any, typer.Option(parser=_sizes, metavar="N,N,...", help="Items of a batch.")]
ResultBytes = Annotated[int, typer.Option(min=27, help="Bytes of a result, about.")]
Rows = Annotated[Path | None, typer.Option(help="Measure nothing: draw and plan from these rows, a scale.csv.")]

app = new_app()


@app.command()
def main(
    *,
    sizes: Sizes = "1000,10000,100000,1000000",
    workers: Workers = 4,
    result_bytes: ResultBytes = 200,
    rows: Rows = None,
    out: Out = RESULTS,
) -> None:
    """Measure the cost of a batch at each size, as CSV, JSON and SVG, and plan a far larger one, as Markdown.

    The chunk is 1,000 items, sent in one call; batches of up to 10,000 items also run at chunk 1.
    """
    console = Console()
    machine = describe_machine("bench.speed.scale")
    path = rows or out / f"{NAME}.csv"
    if rows is None:
        cases = [Case(items, CHUNK) for items in sizes] + [Case(items, 1) for items in sizes if items <= MOST_ALONE]
        runs = run_to_end(_measure(cases, workers, result_bytes, console))
        publish(out, NAME, machine=machine, rows=[asdict(run) for run in runs])
    with errors_in_one_line():
        # Rounded as they are in the file, which can then give the same chart and plan again.
        runs = read_runs(path, Run)
    publish(out, f"{NAME}-plan", page=plan_page([group[-1] for group in by_chunk(runs).values()]))
    draw_scale(out / f"{NAME}.svg", runs)
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
