"""What a query of a large batch costs: `python -m bench.data.sql`, some minutes on a local S3 server."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
import uvloop
from rich.console import Console

from bench.data.measured_child import open_stage, run_child
from bench.data.oracle import is_duckdbs
from bench.data.sql_child import Measured, Question
from bench.data.sql_report import Run, as_page
from bench.kit.cli import in_one_line
from bench.kit.machine import describe_machine
from bench.kit.publish import publish
from pipeline.store.columns import OUTCOME_TYPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.data.measured_child import Stage

RESULTS = Path(__file__).parents[1] / "results"
NAME = "sql"
COLUMNS = ["id", "url", "title", *OUTCOME_TYPES]
QUERIES = {
    "group": "SELECT label, status, count(*) AS n, avg(confidence) AS mean FROM results GROUP BY label, status "
    "ORDER BY n DESC",
    "groups": "SELECT CAST(floor(confidence * 100000) AS BIGINT) AS part, count(*) AS n FROM results "
    "GROUP BY part ORDER BY part",
    "top": "SELECT id, confidence FROM results WHERE confidence > 0.5 ORDER BY confidence DESC, id LIMIT 100",
    "distinct": "SELECT count(DISTINCT url) AS urls, count(DISTINCT label) AS labels FROM results",
    "window": "SELECT id, confidence FROM results QUALIFY row_number() OVER (PARTITION BY "
    "CAST(floor(confidence * 1000) AS BIGINT) ORDER BY id) = 1 ORDER BY id",
    "join": "SELECT count(*) AS n FROM results a JOIN results b ON a.id = b.id WHERE a.confidence < b.duration",
    "all rows": "SELECT id, label, confidence FROM results WHERE status = 'succeeded' ORDER BY id",
}

Items = Annotated[int, typer.Option(min=1, help="Items of the batch.")]
Repeats = Annotated[int, typer.Option(min=1, help="Runs of each query.")]
Out = Annotated[Path, typer.Option(help="The folder for the results.")]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(*, items: Items = 1_000_000, repeats: Repeats = 3, out: Out = RESULTS) -> None:
    """Measure seconds and memory of some queries, and hold their answers against DuckDB, as CSV, JSON and Markdown."""
    machine = describe_machine("bench.data.sql", sys.argv[1:])
    console = Console(soft_wrap=True, highlight=False, markup=False)
    with in_one_line(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runs = runner.run(_measure(items, repeats, console))
    page = as_page(runs, QUERIES, machine)
    publish(out, NAME, runs, machine, page)
    console.print(page)


async def _measure(items: int, repeats: int, console: Console) -> Sequence[Run]:
    runs = []
    async with open_stage(items) as stage:
        for repeat in range(repeats):
            for name, text in QUERIES.items():
                console.print(f"{name}, {repeat + 1} of {repeats}")
                with tempfile.TemporaryDirectory(prefix="pipeline-sql-") as folder:
                    found = await asked(stage, text, Path(folder))
                    same = is_duckdbs(Path(folder), text)
                runs.append(Run(name, items, repeat, **msgspec.structs.asdict(found), as_duckdb=same))
    return runs


async def asked(stage: Stage, text: str, folder: Path) -> Measured:
    """Ask a query of the batch in a process of its own; the table and the answer are in the folder then."""
    question = Question(stage.source, text, COLUMNS, str(folder))
    return msgspec.json.decode(await run_child("bench.data.sql_child", question), type=Measured)


if __name__ == "__main__":
    app()
