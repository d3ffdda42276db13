"""What a batch takes of Redis, S3 and the queue: `python -m bench.speed.sizing`, on a local stack."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import uvloop
from rich.console import Console

from bench.kit.cli import in_one_line
from bench.kit.machine import describe_machine
from bench.speed.sizing.cases import CASES
from bench.speed.sizing.page import page, put_into, section
from bench.speed.sizing.rows import read_rows, write_rows
from bench.speed.sizing.running import run_case
from bench.speed.sizing.speeds import read_speeds
from pipeline.local.services.redis_and_s3 import s3_server

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.speed.sizing.figures import Case, Row

RESULTS = Path(__file__).parents[2] / "results"
NAME = "sizing"

Rows = Annotated[bool, typer.Option("--rows", help="Measure nothing: write the pages again from the rows in --out.")]
Readme = Annotated[Path | None, typer.Option(help="A README whose tables are to be replaced.", exists=True)]
Out = Annotated[Path, typer.Option(help="The folder for the results.")]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(*, rows: Rows = False, readme: Readme = None, out: Out = RESULTS) -> None:
    """Measure batches of several sizes, chunks, windows and results, as CSV and JSON, with tables as Markdown."""
    console = Console()
    with in_one_line():
        if not rows:
            machine = describe_machine("bench.speed.sizing", sys.argv[1:])
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                measured = runner.run(_measure(CASES, console))
            out.mkdir(parents=True, exist_ok=True)
            write_rows(out / f"{NAME}.csv", measured)
            (out / f"{NAME}.json").write_text(json.dumps(machine, indent=2) + "\n")
        # As they are in the file, which can then give the same pages again.
        found = read_rows(out / f"{NAME}.csv")
        speeds = read_speeds(RESULTS / "parallelism.csv")
        (out / f"{NAME}.md").write_text(page(found, speeds, json.loads((out / f"{NAME}.json").read_text())))
        if readme is not None:
            readme.write_text(put_into(readme.read_text(), section(found, speeds)))
    console.print(f"Results: {out}/{NAME}.csv, .json, .md", soft_wrap=True, highlight=False)


async def _measure(cases: Sequence[Case], console: Console) -> list[Row]:
    rows = []
    async with s3_server() as s3:
        for number, case in enumerate(cases, 1):
            console.print(f"{number}/{len(cases)} {case}", soft_wrap=True, highlight=False)
            rows.append(await run_case(case, s3))
    return rows


if __name__ == "__main__":
    app()
