"""The same rows in and out: `python -m bench.data.roundtrip`, ten minutes on local stacks."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.data.roundtrip.dataset import FORMS, make_rows
from bench.data.roundtrip.run_form import Run, run_form
from bench.kit.cli import Out, Workers, new_app, new_console, run_to_end
from bench.kit.machine import RESULTS, describe_machine
from bench.kit.publish import heading, median_table, publish

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from bench.data.roundtrip.dataset import Form
    from bench.kit.publish import Row

COLUMNS = {
    "MiB": ("input_mb", ".0f"),
    "opening, s": ("open_seconds", ".1f"),
    "items, s": ("map_seconds", ".1f"),
    "reduce, s": ("reduce_seconds", ".1f"),
    "pipeline, MiB": ("peak_rss_mb", ".0f"),
    "query, MiB": ("child_rss_mb", ".0f"),
    **{f"{name}, MiB": (f"{name}_mb", ".0f") for name in ("parquet", "csv", "ndjson")},
}

Items = Annotated[int, typer.Option(min=1, help="Rows of the input.")]
Only = Annotated[list[str] | None, typer.Option("--form", help="Only this form; may be repeated.")]

app = new_app()


@app.command()
def main(*, items: Items = 1_000_000, workers: Workers = 4, only: Only = None, out: Out = RESULTS) -> None:
    """Send rows through the pipeline in each format, and check that each output holds the same rows.

    Ends with exit code 1 at the first difference.
    """
    machine = describe_machine("bench.data.roundtrip")
    console = new_console()
    forms = [form for form in FORMS if only is None or form.name in only]
    if not forms:
        raise typer.BadParameter(f"expected --form of {', '.join(form.name for form in FORMS)}")
    rows = [asdict(run) for run in run_to_end(_measure(forms, items, workers, console))]
    page = as_page(rows, machine)
    publish(out, "roundtrip", machine=machine, rows=rows, page=page)
    console.print(page)


async def _measure(forms: Sequence[Form], items: int, workers: int, console: Console) -> list[Run]:
    rows, runs = make_rows(items), []
    for form in forms:
        console.print(f"{items:,} rows of {form.name}")
        with tempfile.TemporaryDirectory(prefix="roundtrip-") as folder:
            runs.append(await run_form(form, rows, workers, Path(folder)))
    return runs


def as_page(rows: Sequence[Row], machine: Mapping[str, Any]) -> str:
    """Return the page of the runs."""
    lines = [
        *heading("The same rows in and out", machine),
        f"{rows[0]['items']:,} rows in each format, each through a fresh stack with a model function that labels a",
        "chunk of 1,000 objects in one call, and a query over the results. Of every batch `results.parquet` was read",
        "by polars, pandas and DuckDB, `results.csv` and `results.ndjson` by polars, and each held the rows that went",
        "in, with the types that the input's format has, beside the outcomes; the query gave DuckDB's answer over the",
        "same `results.parquet`.",
        "",
        "Memory is the peak of the pipeline's process in the whole batch, and of the process of the query; sizes are",
        "those of the input and of `results.*`.",
        "",
        *median_table(rows, "form", COLUMNS),
    ]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    app()
