"""The cost of the outputs of a large batch: `python -m bench.data.outputs`, three minutes on a local S3 server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from bench.data.child import run_child
from bench.data.made_batch import made_batch
from bench.data.outputs_child import Measured, Task
from bench.kit.cli import Out, Repeats, interleaved, new_app, new_console, run_to_end
from bench.kit.machine import RESULTS, describe_machine
from bench.kit.processes import MIB
from bench.kit.publish import heading, median_table, publish

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from bench.data.child import Source
    from bench.kit.publish import Row

NAME = "outputs"
FORMATS = ("parquet", "csv", "ndjson")
# The formats of the table, None for no table, and whether there is a summary.
CASES: dict[str, tuple[tuple[str, ...] | None, bool]] = {
    "summary": (None, True),
    "none": ((), False),
    **{name: ((name,), False) for name in FORMATS},
    "all": (FORMATS, False),
    "summary and all": (FORMATS, True),
}
COLUMNS = {
    "seconds": ("seconds", ".1f"),
    "of them the join": ("join_seconds", ".1f"),
    "written, MiB": ("size_mb", ".1f"),
    "memory before, MiB": ("before_rss_mb", ".0f"),
    "peak, MiB": ("peak_rss_mb", ".0f"),
    "longest hold, ms": ("longest_hold_ms", ".0f"),
}

Items = Annotated[int, typer.Option(min=1, help="Items of the batch.")]

app = new_app()


@app.command()
def main(*, items: Items = 1_000_000, repeats: Repeats = 3, out: Out = RESULTS) -> None:
    """Measure seconds, sizes and memory of each output, beside those of the summary, as CSV, JSON and Markdown."""
    machine = describe_machine("bench.data.outputs")
    console = new_console()
    rows = run_to_end(_measure(items, repeats, console))
    page = as_page(rows, machine)
    publish(out, NAME, machine=machine, rows=rows, page=page)
    console.print(page)


async def _measure(items: int, repeats: int, console: Console) -> list[dict[str, Any]]:
    rows = []
    async with made_batch(items) as source:
        for repeat, name in interleaved(CASES, repeats, console):
            formats, summary = CASES[name]
            one = msgspec.structs.asdict(await write_outputs(source, formats, summary=summary))
            size = sum(one.pop("sizes").values()) / MIB
            rows.append({"outputs": name, "items": items, "repeat": repeat, "size_mb": size, **one})
    return rows


async def write_outputs(source: Source, formats: tuple[str, ...] | None, *, summary: bool) -> Measured:
    """Write the table in these formats, or no table, in a new process; raises BenchError when it fails."""
    task = Task(source, summary, formats is not None, formats or ())
    return await run_child("bench.data.outputs_child", task, Measured)


def as_page(rows: Sequence[Row], machine: Mapping[str, Any]) -> str:
    """Return the medians in Markdown."""
    repeats = rows[-1]["repeat"] + 1
    lines = [
        *heading("What the outputs of a batch cost", machine),
        f"{rows[0]['items']:,} items of three columns, one of a hundred failed. Medians of {repeats} processes each",
        "that read snapshot and segments from an S3 server on the same machine, and write to it. Each but `summary`",
        "writes the rows to submit again, and `none` nothing else; the last is the work of a reduce. Memory before is",
        "that of a process that has only begun; the longest hold is how long the event loop, which answers callbacks",
        "meanwhile, was held.",
        "",
        *median_table(rows, "outputs", COLUMNS),
    ]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    app()
