"""The figures as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.data.roundtrip.running import Run

PAGE = """# The same rows in and out

`{command}`, {date}, {code}, {cores} cores: {cpu}

{items:,} rows in each format, each through a fresh stack with a model function that labels a chunk of 1,000 objects in
one call, and a query over the results. Of every batch `results.parquet` was read by polars, pandas and DuckDB,
`results.csv` and `results.ndjson` by polars, and each held the rows that went in, with the types that the input's
format has, beside the outcomes; the query gave what DuckDB gives over the same `results.parquet`.

Memory is the most that the pipeline's process held in the whole batch, and the most that the process of the query did;
sizes are those of the input and of `results.*`.

| input | MiB | opening, s | items, s | reduce, s | pipeline, MiB | query, MiB | parquet, MiB | csv, MiB | ndjson, MiB |
|---|---|---|---|---|---|---|---|---|---|
{rows}
"""


def as_page(runs: Sequence[Run], machine: Mapping[str, Any]) -> str:
    """Write the page of the runs."""
    return PAGE.format(**machine, items=runs[0].items, rows="\n".join(map(_row, runs)))


def _row(run: Run) -> str:
    seconds = f"{run.open_seconds:.1f} | {run.map_seconds:.1f} | {run.reduce_seconds:.1f}"
    memory = f"{run.peak_rss_mb:.0f} | {run.child_rss_mb:.0f}"
    sizes = f"{run.parquet_mb:.0f} | {run.csv_mb:.0f} | {run.ndjson_mb:.0f}"
    return f"| `{run.form}` | {run.input_mb:.0f} | {seconds} | {memory} | {sizes} |"
