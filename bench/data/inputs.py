"""The cost of an input, by format and packing: `python -m bench.data.inputs`, some minutes on a local S3 server."""

from __future__ import annotations

import asyncio
import gzip
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import polars as pl
import typer
from backports import zstd

from bench.data.child import Place, run_child
from bench.data.inputs_child import Measured, Task
from bench.kit.cli import Out, Repeats, interleaved, new_app, new_console, run_to_end
from bench.kit.machine import RESULTS, describe_machine
from bench.kit.processes import MIB
from bench.kit.publish import heading, median_table, publish
from pipeline.local.services.redis_and_s3 import s3_server

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.console import Console

    from bench.kit.publish import Row
    from pipeline.spec.input_format import Format

NAME = "formats-in"
COLUMNS = {
    "MiB": ("size_mb", ".0f"),
    "until open, s": ("open_seconds", ".1f"),
    "seconds": ("seconds", ".1f"),
    "rows/s": ("rows_per_second", ",.0f"),
    "peak, MiB": ("peak_rss_mb", ".0f"),
    "reader, MiB": ("reader_peak_rss_mb", ".0f"),
    "longest hold, ms": ("longest_hold_ms", ".0f"),
}
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": lambda body: gzip.compress(body, 6, mtime=0),
    ".zst": zstd.compress,
}


@dataclass(frozen=True)
class Case:
    """An input: its format, how it is packed, and the columns of an item, none for the cells of `url`."""

    form: Format
    packing: str = ""
    columns: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.form}{self.packing}" + " as objects" * bool(self.columns)

    @property
    def key(self) -> str:
        """The key of its object, which cases with other columns share."""
        return f"rows.{self.form}{self.packing}"


OBJECTS = ("id", "url", "score")
CASES = (
    *(Case(form, packing) for form in ("csv", "ndjson", "json") for packing in PACKERS),
    Case("tsv"),
    Case("parquet"),
    *(Case(form, "", OBJECTS) for form in ("csv", "parquet", "ndjson")),
)


def make_rows(count: int) -> pl.DataFrame:
    """Make rows of six columns: text, numbers, booleans and missing values."""
    number = pl.int_range(count, eager=True).alias("id").to_frame()
    return number.select(
        "id",
        url=pl.format("https://example.org/pictures/{}.jpg", "id"),
        score=pl.col("id") * 0.37,
        title=pl.format("A picture, the {}th of its kind", pl.col("id") * 7919 % 100_003),
        fine=pl.col("id") % 3 == 0,
        note=pl.when(pl.col("id") % 4 == 0).then(pl.lit("kept for later")),
    )


def make_body(rows: pl.DataFrame, case: Case) -> bytes:
    """Write rows as a case's input. Parquet has one row group: a reader has to hold all of it."""
    buffer = io.BytesIO()
    match case.form:
        case "csv":
            rows.write_csv(buffer)
        case "tsv":
            rows.write_csv(buffer, separator="\t")
        case "parquet":
            rows.write_parquet(buffer, row_group_size=rows.height)
        case "ndjson":
            rows.write_ndjson(buffer)
        case "json":
            lines = io.BytesIO()
            rows.write_ndjson(lines)
            buffer.write(b"[" + lines.getvalue().rstrip().replace(b"\n", b",\n") + b"]")
    return PACKERS[case.packing](buffer.getvalue())


Rows = Annotated[int, typer.Option(min=1, help="Rows of each input.")]

app = new_app()


@app.command()
def main(*, rows: Rows = 1_000_000, repeats: Repeats = 3, out: Out = RESULTS) -> None:
    """Measure seconds and memory of opening an input of each format and cutting it, as CSV, JSON and Markdown."""
    machine = describe_machine("bench.data.inputs")
    console = new_console()
    measured = run_to_end(_measure(rows, repeats, console))
    page = as_page(measured, machine)
    publish(out, NAME, machine=machine, rows=measured, page=page)
    console.print(page)


async def _measure(count: int, repeats: int, console: Console) -> list[dict[str, Any]]:
    rows = []
    async with s3_server() as server:
        place = Place.of(server.info)
        sizes = await _put_inputs(place, count)
        for repeat, case in interleaved(CASES, repeats, console):
            one = await run_child("bench.data.inputs_child", Task(place, case.key, case.columns), Measured)
            measured = {"rows_per_second": one.rows / one.seconds, **msgspec.structs.asdict(one)}
            rows.append({"input": str(case), "repeat": repeat, "size_mb": sizes[case.key] / MIB, **measured})
    return rows


async def _put_inputs(place: Place, count: int) -> dict[str, int]:
    """Put the same rows into S3 in every format; returns the sizes in bytes by key."""
    rows, sizes = make_rows(count), {}
    async with place.open() as store:
        for case in CASES:
            if case.key not in sizes:
                body = await asyncio.to_thread(make_body, rows, case)
                sizes[case.key] = (await store.put(case.key, body)).size
    return sizes


def as_page(rows: Sequence[Row], machine: Mapping[str, Any]) -> str:
    """Return the medians in Markdown."""
    repeats = rows[-1]["repeat"] + 1
    lines = [
        *heading("What an input costs, by its format", machine),
        f"{rows[0]['rows']:,} rows of six columns, read from an S3 server on the same machine and cut into a snapshot",
        f"there. Medians of {repeats} processes each. Until open: until the columns are known. Parquet, NDJSON and",
        "JSON are read whole by then, by a process of their own. Its memory is at most the column `reader`: the system",
        "counts its parent's memory at the start too. The longest hold is how long the event loop, which answers",
        "callbacks meanwhile, was held. `as objects`: `columns` of three names.",
        "",
        *median_table(rows, "input", COLUMNS),
    ]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    app()
