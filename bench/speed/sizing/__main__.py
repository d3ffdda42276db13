"""The needs of a batch of Redis, S3 and the queue: `python -m bench.speed.sizing`, on a local stack."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.kit.cli import Out, errors_in_one_line, new_app, new_console, run_to_end
from bench.kit.machine import RESULTS, describe_machine
from bench.kit.publish import publish
from bench.speed.sizing.figures import CASES
from bench.speed.sizing.page import page, put_into, section
from bench.speed.sizing.rows import as_row, read_batches
from bench.speed.sizing.run_case import run_case
from pipeline.local.services.redis_and_s3 import s3_server

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from bench.speed.sizing.figures import Case, Row

NAME = "sizing"

Rows = Annotated[bool, typer.Option("--rows", help="Measure nothing: write the pages again from the rows in --out.")]
Readme = Annotated[Path | None, typer.Option(help="A README whose tables are to be replaced.", exists=True)]

app = new_app()


@app.command()
def main(*, rows: Rows = False, readme: Readme = None, out: Out = RESULTS) -> None:
    """Measure batches of several sizes, chunks, windows and results, as CSV and JSON, with tables as Markdown."""
    console = new_console()
    if not rows:
        machine = describe_machine("bench.speed.sizing")
        measured = run_to_end(_measure(CASES, console))
        publish(out, NAME, machine=machine, rows=[as_row(batch) for batch in measured])
    with errors_in_one_line():
        # Rounded as in the file, which can then give the same pages again.
        batches = read_batches(out / f"{NAME}.csv")
        machine = json.loads((out / f"{NAME}.json").read_text())
        publish(out, NAME, page=page(batches, machine))
        if readme is not None:
            readme.write_text(put_into(readme.read_text(), section(batches)))
    console.print(f"Results: {out}/{NAME}.csv, .json, .md")


async def _measure(cases: Sequence[Case], console: Console) -> list[Row]:
    rows = []
    async with s3_server() as s3:
        for number, case in enumerate(cases, 1):
            console.print(f"{number}/{len(cases)} {case}")
            rows.append(await run_case(case, s3))
    return rows


if __name__ == "__main__":
    app()
