"""The cost of inputs, outputs and queries, and a round trip: `python -m bench.data`, 15 minutes on this machine."""

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import duckdb
import msgspec
import polars as pl
import typer

from bench.data.checking import same_rows
from bench.data.child import Case, ChildrenPeak, OpenInput, Order, RunQuery, WriteOutputs
from bench.data.dataset import PACKERS, make_body, make_rows
from bench.data.made_batch import expected_table, make_batch
from bench.data.roundtrip import run_form
from bench.kit.cli import Out, Repeats, chosen, interleaved, measure, new_app
from bench.kit.errors import BenchError
from bench.kit.machine import RESULTS
from bench.kit.pages import wrap
from bench.kit.processes import repeated
from bench.kit.results import as_page, medians, read_frame, read_machine, table
from pipeline.local.services.redis_and_s3 import s3_server
from pipeline.local.services.s3_client import S3Info

NAME = "data"
SAMPLE_SECONDS = 0.02
FORMS = (*(f"{name}{packing}" for name in ("csv", "ndjson", "json") for packing in PACKERS), "tsv", "parquet")
FORMATS = ("parquet", "csv", "ndjson")
# A batch on a whole stack has a share of the rows.
SHARE = 10
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
# Of a round trip, the name of the case is the form of its input.
CASES: dict[str, dict[str, Case | None]] = {
    "inputs": {
        **{form: OpenInput(f"rows.{form}") for form in FORMS},
        **{f"{form} as objects": OpenInput(f"rows.{form}", ("id", "url", "size")) for form in FORMATS},
    },
    "outputs": {
        "summary": WriteOutputs(None, summary=True),
        "none": WriteOutputs(()),
        **{name: WriteOutputs((name,)) for name in FORMATS},
        "all": WriteOutputs(FORMATS),
        "summary and all": WriteOutputs(FORMATS, summary=True),
    },
    "queries": {name: RunQuery(sql) for name, sql in QUERIES.items()},
    "roundtrip": dict.fromkeys(("csv", "tsv.zst", "parquet", "ndjson.gz", "json")),
}
TEXTS = {
    "inputs": "An input of seven columns is cut into a snapshot. The first step ends when the columns are known: "
    "Parquet, NDJSON and JSON are read whole by then, by a child. `as objects`: `columns` of three names.",
    "outputs": "Snapshot and segments of a batch of three columns are joined, the first step, and written. Each case "
    "but `summary` writes the rows to submit again, and `none` nothing else; the last is the work of a reduce.",
    "queries": "The same batch is joined, the first step; then a child, whose memory is limited, answers and writes "
    "Parquet, CSV and JSON. An answer other than DuckDB's over a table of the same rows is an error.",
    "roundtrip": "Each input runs through a fresh stack with a model function that labels a chunk of 1,000 objects in "
    "one call, and a query over the results; opening is the first step. `results.parquet` was read by polars, pandas "
    "and DuckDB, `results.csv` and `results.ndjson` by polars, and each held the rows that went in, with the types "
    "that the input's format has, beside the outcomes. Memory is that of the pipeline's process.",
}
COLUMNS = {
    "case": ("case", ""),
    "rows": ("rows", ",.0f"),
    "MiB": ("size_mb", ".1f"),
    "first step, s": ("first_seconds", ".1f"),
    "all, s": ("seconds", ".1f"),
    "memory before, MiB": ("before_rss_mb", ".0f"),
    "peak, MiB": ("peak_rss_mb", ".0f"),
    "of a child, MiB": ("child_rss_mb", ".0f"),
    "longest hold, ms": ("longest_hold_ms", ".0f"),
}

Rows = Annotated[int, typer.Option(min=1, help=f"Rows of an input or batch; a round trip has one in {SHARE}.")]
Only = Annotated[list[str] | None, typer.Option("--only", help=f"Of {', '.join(CASES)}; may be repeated.")]

app = new_app()


@app.command()
def main(*, rows: Rows = 1_000_000, repeats: Repeats = 3, only: Only = None, out: Out = RESULTS) -> None:
    """Measure seconds, sizes and memory of each case in a process of its own, and check what it writes."""
    measure("bench.data", _measure(chosen(only, CASES), rows, repeats), out, render)


async def _measure(parts: Sequence[str], count: int, repeats: int) -> dict[str, list[dict[str, Any]]]:
    rows, cases = [], [(part, name) for part in parts for name in CASES[part]]
    async with s3_server() as server:
        await _put_all(server.info, count, parts)
        for repeat, (part, name) in interleaved(cases, repeats):
            case = CASES[part][name]
            run = run_case(case, server.info, count) if case else run_form(name, make_rows(max(1, count // SHARE)))
            rows.append({"part": part, "case": name, "repeat": repeat, **await run})
    return {NAME: rows}


async def _put_all(s3: S3Info, count: int, parts: Sequence[str]) -> None:
    async with Order(RunQuery(""), s3, count).open_store() as store:
        rows = make_rows(count)
        for form in FORMS if "inputs" in parts else ():
            await store.put(f"rows.{form}", await asyncio.to_thread(make_body, rows, form))
        if {"outputs", "queries"} & set(parts):
            await make_batch(store, count)


async def run_case(case: Case, s3: S3Info, items: int) -> dict[str, float | None]:
    """Run a case in a new process, and return its figures; raises BenchError when it fails or its answer is wrong."""
    pipe = asyncio.subprocess.PIPE
    with tempfile.TemporaryDirectory(prefix="bench-data-") as folder:
        # The child takes the credentials from its input: every user of the machine can read a command line.
        command = (sys.executable, "-m", "bench.data.child")
        child = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
        memory = ChildrenPeak(child.pid)
        async with repeated(memory.sample, SAMPLE_SECONDS):
            out, problem = await child.communicate(msgspec.json.encode(Order(case, s3, items, folder)))
        if child.returncode:
            raise BenchError(f"the measured process ended with {child.returncode}: {problem.decode()[-2000:]}")
        if isinstance(case, RunQuery):
            await asyncio.to_thread(check_answer, Path(folder, "sql.parquet"), case.sql, expected_table(items))
    return {**msgspec.json.decode(out), "child_rss_mb": memory.peak}


def check_answer(path: Path, sql: str, results: pl.DataFrame) -> None:
    """Raise BenchError unless a file has the rows of DuckDB's answer over `results`, in the same order."""
    with duckdb.connect() as connection:
        expected = connection.register("results", results).sql(sql).pl()
    same_rows(sql, pl.read_parquet(path).cast(dict(expected.schema)), expected)


def render(folder: Path) -> dict[str, str]:
    """Return the page of the rows, and the figures that other pages show of them."""
    # Round trips alone leave a column of nothing, which has no type.
    frame = read_frame(folder, NAME).cast({"longest_hold_ms": pl.Float64})
    parts = frame.partition_by("part", as_dict=True, maintain_order=True)
    cases = {str(part): medians(rows, "case") for (part,), rows in parts.items()}
    text = (
        f"Medians of {frame['repeat'].n_unique()} processes each, with S3 on the same machine. The longest hold is how "
        "long the event loop, which answers callbacks meanwhile, was held."
    )
    sections = [
        f"## {part.capitalize()}\n\n{wrap(TEXTS[part])}\n\n{table(rows, COLUMNS)}" for part, rows in cases.items()
    ]
    queries = "\n".join(f"- {name}: `{sql}`" for name, sql in QUERIES.items())
    page = as_page("What inputs, outputs and queries cost", read_machine(folder, NAME), wrap(text), *sections, queries)
    return {f"{NAME}.md": page, **(_quotes(cases["outputs"], cases["queries"]) if set(CASES) <= set(cases) else {})}


def _quotes(written: pl.DataFrame, asked: pl.DataFrame) -> dict[str, str]:
    items, waits = f"{written['rows'].to_list()[0]:,.0f} rows", (asked["seconds"] - asked["first_seconds"]).to_list()
    return {
        "memory": f"{items} in {max(written['peak_rss_mb'].to_list()):.0f} MiB",
        "answers": f"{items} an answer takes {min(waits):.1f} to {max(waits):.1f} seconds",
    }


if __name__ == "__main__":
    app()
