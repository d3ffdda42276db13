"""Fetch the results of a batch."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from pipeline.cli.command import Exit, Setup
from pipeline.cli.show import FIRST_ROWS, show_frame, show_sql
from pipeline.cli.watch import BatchId
from pipeline.client import Batch
from pipeline.client.downloads import atomic_write
from pipeline.store.keys import results_name
from pipeline.store.text_formats import to_csv, to_ndjson

# For a batch without this format among its outputs.
WRITERS: dict[str, Callable[[pl.DataFrame, Path], object]] = {
    ".parquet": lambda frame, path: frame.write_parquet(path),
    ".csv": lambda frame, path: path.write_bytes(to_csv(frame, header=True)),
    ".ndjson": lambda frame, path: path.write_bytes(to_ndjson(frame, {"result"})),
}
SUMMARY = ".json"
SQL_FORMATS = (".parquet", ".csv", ".json")
To = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The file to write: .parquet, .csv or .ndjson for one row per item with all columns of the input, .json "
        "for the summary. Without it, the first rows are shown.",
    ),
]


Sql = Annotated[bool, typer.Option("--sql", help="The answer to the batch's query: .parquet, .csv or .json.")]


async def results(setup: Setup, batch_id: BatchId, *, to: To = None, sql: Sql = False) -> Exit:
    """Fetch the outcomes of an ended batch, one row per item, in input order."""
    suffix = to.suffix.lower() if to else ""
    formats = SQL_FORMATS if sql else (*WRITERS, SUMMARY)
    if to and suffix not in formats:
        raise typer.BadParameter(f"{to} has no known suffix: expected one of {', '.join(formats)}")
    if to and not to.absolute().parent.is_dir():
        raise typer.BadParameter(f"{to} cannot be written: there is no folder {to.parent}")
    async with setup.pipeline() as pipeline:
        batch = pipeline.batch(batch_id)
        if sql:
            return await _sql_answer(setup, batch, to)
        if to and suffix == SUMMARY:
            if not await batch.save_summary(to):
                setup.print_message(f"error: batch {batch_id} has no summary: it was never opened")
                return Exit.FLAWED
            _report_written(setup, batch_id, to, None)
            return Exit.DONE
        if to and await batch.save_output(results_name(suffix.removeprefix(".")), to):
            _report_written(setup, batch_id, to, None)
            return Exit.DONE
        frame = await batch.frame()
    if to:
        await asyncio.to_thread(_write, frame, to)
        _report_written(setup, batch_id, to, frame.height)
    elif setup.as_json:
        setup.print_json({"batch_id": batch_id, "rows": frame.height, "first": frame.head(FIRST_ROWS).to_dicts()})
    else:
        show_frame(setup.out, frame)
    return Exit.DONE


async def _sql_answer(setup: Setup, batch: Batch, to: Path | None) -> Exit:
    """Fetch or show the answer to the batch's query."""
    if to and await batch.save_output(f"sql{to.suffix.lower()}", to):
        _report_written(setup, batch.id, to, None)
        return Exit.DONE
    answer = (await batch.status()).sql
    if answer is None:
        setup.print_message(f"error: batch {batch.id} has no SQL query, or has not ended")
    elif to or answer.error is not None:
        setup.print_message(f"error: the query of batch {batch.id} was not answered: {answer.error}")
    elif setup.as_json:
        setup.print_json(answer)
    else:
        show_sql(setup.out, answer)
    return Exit.DONE if answer is not None and answer.error is None and not to else Exit.FLAWED


def _write(frame: pl.DataFrame, path: Path) -> None:
    """Write a frame to a file, which appears whole or not at all."""
    with atomic_write(path) as partial:
        WRITERS[path.suffix.lower()](frame, partial)


def _report_written(setup: Setup, batch_id: str, path: Path, rows: int | None) -> None:
    if setup.as_json:
        setup.print_json({"batch_id": batch_id, "to": str(path), "rows": rows})
    else:
        setup.print_line(f"Wrote {path}" + ("" if rows is None else f": {rows} rows"))
