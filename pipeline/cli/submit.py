"""Start a batch."""

import asyncio
import re
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from pipeline.cli.command import Exit, Setup
from pipeline.cli.show import show_dry_run
from pipeline.cli.watch import Watch, checked_id, follow, watch_command
from pipeline.client import BrokenError, Pipeline, Source, SpecFields, UnreachableError
from pipeline.client.pipeline import new_id
from pipeline.spec.input_format import Format


def parse_chunk(given: str) -> int | str:
    """Read `auto` or a number from 1; raises typer.BadParameter."""
    if given == "auto" or (given.isdecimal() and int(given)):
        return given if given == "auto" else int(given)
    raise typer.BadParameter("expected a number from 1 or `auto`")


Input = Annotated[
    Path | None, typer.Argument(metavar="FILE", help="A CSV, TSV, Parquet, NDJSON or JSON file of this machine.")
]
Key = Annotated[str | None, typer.Option(metavar="KEY", help="In place of FILE: a key or a prefix/ in S3.")]
Function = Annotated[str | None, typer.Option(metavar="NAME", help="The model function that is called for each item.")]
Column = Annotated[
    str | None, typer.Option(metavar="NAME", help="The items' column; by default `url` or the only one.")
]
Columns = Annotated[
    list[str] | None,
    typer.Option("--columns", metavar="NAME", help="Send a JSON object of these columns; may be repeated."),
]
InputFormat = Annotated[
    Format | None, typer.Option("--format", help="What FILE or KEY is; by default what its name tells, or a CSV.")
]
Chunk = Annotated[Any, typer.Option(parser=parse_chunk, metavar="N|auto", help="Items a task.")]
ChunkCall = Annotated[bool | None, typer.Option("--chunk-call", help="One call a chunk, with a JSON array of items.")]
Direct = Annotated[bool | None, typer.Option("--direct", help="The queue-workers call the model function themselves.")]
Concurrency = Annotated[int | None, typer.Option(metavar="N", help="Items of a task that are called side by side.")]
Window = Annotated[int | None, typer.Option(metavar="N", help="Tasks in the queue or under way, at most.")]
Rate = Annotated[float | None, typer.Option(metavar="N", help="Calls to the model function a second, at most.")]
Attempts = Annotated[int | None, typer.Option(metavar="N", help="Tries of an item that fails in a way that may pass.")]
Timeout = Annotated[float | None, typer.Option(metavar="SECONDS", help="For one call.")]
Tolerate = Annotated[str | None, typer.Option(metavar="N|N%", help="Failed items that are tolerated, or their share.")]
Deadline = Annotated[float | None, typer.Option(metavar="SECONDS", help="After which it ends with what there is.")]
InlineLimit = Annotated[int | None, typer.Option(metavar="BYTES", help="Of results that a task's answer carries.")]
Outputs = Annotated[
    list[str] | None,
    typer.Option("--output", metavar="FORMAT", help="Of the joined table: parquet, csv or ndjson; may be repeated."),
]
ContentType = Annotated[str | None, typer.Option(metavar="TYPE", help="Content-Type of a call.")]
Sql = Annotated[str | None, typer.Option(metavar="QUERY", help="A SELECT over `results`, answered when it ends.")]
Headers = Annotated[
    list[str] | None,
    typer.Option("--header", metavar="'NAME: VALUE'", help="A further header of a call; may be repeated."),
]
Reduce = Annotated[
    str | None, typer.Option(metavar="NAME", help="A function that is called at the end; its answer is kept.")
]
Notify = Annotated[
    list[str] | None,
    typer.Option("--notify", metavar="NAME|URL", help="Who is told of the end: a function or a URL; may be repeated."),
]
Id = Annotated[
    str | None,
    typer.Option("--id", metavar="ID", help="The batch's id; by default one is made.", callback=checked_id),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what it would do.")]


def spec_fields(  # noqa: PLR0913 - each is an option
    *,
    function: Function = None,
    column: Column = None,
    columns: Columns = None,
    format: InputFormat = None,  # noqa: A002 - the field's name
    chunk: Chunk = None,
    chunk_call: ChunkCall = None,
    direct: Direct = None,
    concurrency: Concurrency = None,
    window: Window = None,
    rate: Rate = None,
    attempts: Attempts = None,
    timeout: Timeout = None,
    tolerate: Tolerate = None,
    deadline: Deadline = None,
    inline_limit: InlineLimit = None,
    content_type: ContentType = None,
    outputs: Outputs = None,
    sql: Sql = None,
    headers: Headers = None,
    reduce: Reduce = None,
    notify: Notify = None,
) -> SpecFields:
    """Make the fields of a specification of those options that are given."""
    given: dict[str, Any] = {**locals(), "headers": _headers(headers or [])}
    return cast("SpecFields", {name: value for name, value in given.items() if value not in (None, {}, [])})


async def submit(
    setup: Setup,
    fields: SpecFields,
    file: Input = None,
    *,
    key: Key = None,
    batch_id: Id = None,
    dry_run: DryRun = False,
    watch: Watch = False,
) -> Exit:
    """Start a batch: run a function over each row of a file, or over each object under a prefix.

    The same --id with the same input and options is the same batch, so that a submission can be repeated.
    """
    source = _source(file, key)
    async with setup.pipeline() as pipeline:
        if dry_run:
            return await _dry_run(setup, pipeline, source, fields)
        return await _submit(setup, pipeline, source, fields, batch_id or new_id(), watch=watch)


async def _dry_run(setup: Setup, pipeline: Pipeline, source: Source, fields: SpecFields) -> Exit:
    found = await pipeline.dry_run(source, **fields)
    if setup.as_json:
        setup.print_json(found)
    else:
        show_dry_run(setup.out, found)
    return Exit.DONE


async def _submit(
    setup: Setup, pipeline: Pipeline, source: Source, fields: SpecFields, name: str, *, watch: bool
) -> Exit:
    try:
        batch = await pipeline.submit(source, batch_id=name, **fields)
    except asyncio.CancelledError:
        setup.print_message(f"Batch {name} may have been started. See: {watch_command(setup, name)}")
        raise
    except (BrokenError, UnreachableError):
        setup.print_message(f"Submit again with --id {name}: if the batch was started, it is not started twice.")
        raise
    if setup.as_json and not watch:
        setup.print_json({"batch_id": batch.id, "page": batch.page})
    elif not setup.as_json:
        setup.print_line(f"Batch {batch.id}")
        setup.print_line(f"Watch it: {batch.page}" + ("" if watch else f" or {watch_command(setup, batch.id)}"))
    return await follow(setup, batch) if watch else Exit.DONE


def _source(file: Path | None, key: str | None) -> Source:
    if file is None and key is None:
        raise typer.BadParameter("there is no input: give a file, or --key KEY for an object of the bucket")
    if file is not None and key is not None:
        raise typer.BadParameter("there are two inputs: give a file, or --key KEY for an object of the bucket")
    if file is not None and file.is_dir():
        raise typer.BadParameter(f"{file} is a folder: give a file, or --key KEY for an object of the bucket")
    if file is not None and not file.is_file():
        # A path has no two slashes in a row.
        given = re.sub(r"^s3:/(?!/)", "s3://", str(file))
        raise typer.BadParameter(f"there is no file {given} here; for an object of the bucket say --key {given}")
    return file or key or ""


def _headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise typer.BadParameter("--header is not understood: expected 'NAME: VALUE'")
        if name.strip() in headers:
            raise typer.BadParameter(f"the header {name.strip()} is given twice")
        headers[name.strip()] = value.strip()
    return headers
