"""The cost of a query of a large batch: `python -m bench.data.sql`, some minutes on a local S3 server."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import duckdb
import msgspec
import polars as pl
import typer

from bench.data.child import run_child
from bench.data.made_batch import made_batch
from bench.data.sql_child import Measured, Question
from bench.kit.cli import Out, Repeats, interleaved, new_app, new_console, run_to_end
from bench.kit.machine import RESULTS, describe_machine
from bench.kit.publish import heading, median_table, publish

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from bench.data.child import Source
    from bench.kit.publish import Row

NAME = "sql"
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

FIELDS = "result ->> '$.label' AS label, CAST(result ->> '$.confidence' AS DOUBLE) AS confidence"
COLUMNS = {
    "rows": ("rows", ",.0f"),
    "answer, s": ("seconds", ".2f"),
    "join, s": ("join_seconds", ".1f"),
    "peak of the query, MiB": ("query_peak_rss_mb", ".0f"),
    "of the reduce, MiB": ("peak_rss_mb", ".0f"),
}

Items = Annotated[int, typer.Option(min=1, help="Items of the batch.")]

app = new_app()


@app.command()
def main(*, items: Items = 1_000_000, repeats: Repeats = 3, out: Out = RESULTS) -> None:
    """Measure seconds and memory of some queries, and compare the answers with DuckDB's, as CSV, JSON, Markdown."""
    machine = describe_machine("bench.data.sql")
    console = new_console()
    rows = run_to_end(_measure(items, repeats, console))
    page = as_page(rows, machine)
    publish(out, NAME, machine=machine, rows=rows, page=page)
    console.print(page)


async def _measure(items: int, repeats: int, console: Console) -> list[dict[str, Any]]:
    rows = []
    async with made_batch(items) as source:
        for repeat, name in interleaved(QUERIES, repeats, console):
            with tempfile.TemporaryDirectory(prefix="pipeline-sql-") as folder:
                measured = msgspec.structs.asdict(await query(source, QUERIES[name], Path(folder)))
                same = is_duckdbs(Path(folder), QUERIES[name])
            rows.append({"query": name, "items": items, "repeat": repeat, **measured, "as_duckdb": same})
    return rows


async def query(source: Source, text: str, folder: Path) -> Measured:
    """Run a query over the batch in a new process, which leaves the table and the answer in the folder."""
    return await run_child("bench.data.sql_child", Question(source, text, str(folder)), Measured)


def is_duckdbs(folder: Path, text: str) -> bool:
    """Return whether `sql.parquet` has the rows of DuckDB's answer over `results.parquet`, in the same order."""
    with duckdb.connect() as connection:
        view = f"SELECT *, {FIELDS} FROM read_parquet('{folder / 'results.parquet'}')"
        connection.execute(f"CREATE VIEW results AS {view}")
        expected = connection.execute(text).fetchall()
    rows = pl.read_parquet(folder / "sql.parquet").rows()
    return [_rounded(row) for row in rows] == [_rounded(row) for row in expected]


def _rounded(row: tuple[Any, ...]) -> list[Any]:
    """Round fractions: the last digits of a sum depend on its order."""
    return [round(value, 9) if isinstance(value, float) else value for value in row]


def as_page(rows: Sequence[Row], machine: Mapping[str, Any]) -> str:
    """Return the medians in Markdown, and the queries."""
    repeats = rows[-1]["repeat"] + 1
    differ = {row["query"] for row in rows if not row["as_duckdb"]}
    lines = [
        *heading("What a query of a batch costs", machine),
        f"{rows[0]['items']:,} items of three columns, each with a JSON result but for one of a hundred that failed.",
        f"Medians of {repeats} runs in processes of their own, as a reduce does it: the rows are joined from an S3",
        "server on the same machine; then a process limited to 640 MiB, reserved",
        "memory included, answers and writes Parquet, CSV and JSON.",
        f"Queries whose rows differ from DuckDB's over `results.parquet`: {', '.join(sorted(differ)) or 'none'}.",
        "",
        *median_table(rows, "query", COLUMNS),
        "",
        *(f"- {name}: `{text}`" for name, text in QUERIES.items()),
    ]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    app()
