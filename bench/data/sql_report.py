"""The medians of queries as a page of Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.kit.publish import heading, middle, repeats_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Run:
    """One query: seconds of the join and of the answer, its rows, MiB of both processes, and whether it is DuckDB's."""

    query: str
    items: int
    repeat: int
    join_seconds: float
    seconds: float
    rows: int
    peak_rss_mb: float
    query_peak_rss_mb: float
    as_duckdb: bool


def as_page(runs: Sequence[Run], queries: Mapping[str, str], machine: dict[str, Any]) -> str:
    """Write the medians, and what was asked."""
    repeats = repeats_of(runs)
    lines = [
        *heading("What a query of a batch costs", machine),
        f"{runs[0].items:,} items of three columns, each with a result of JSON but for one of a hundred that failed.",
        f"Medians of {repeats} runs in processes of their own, as a reduce does it: the rows are joined from an S3",
        "server on the same machine, and the fields taken out meanwhile; then a process that may take 640 MiB, what it",
        "only reserves included, answers and writes Parquet, CSV and JSON. The last column says whether all rows are",
        "those of DuckDB over `results.parquet`.",
        "",
        "| query | rows | answer, s | join, s | peak of the query, MiB | of the reduce, MiB | as DuckDB |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in queries:
        some = [run for run in runs if run.query == name]
        times = f"{some[0].rows:,} | {middle(some, 'seconds'):.2f} | {middle(some, 'join_seconds'):.1f}"
        memory = f"{middle(some, 'query_peak_rss_mb'):.0f} | {middle(some, 'peak_rss_mb'):.0f}"
        lines.append(f"| {name} | {times} | {memory} | {'yes' if all(run.as_duckdb for run in some) else 'no'} |")
    return "\n".join([*lines, "", *(f"- {name}: `{text}`" for name, text in queries.items()), ""])
