"""Start a batch."""

import asyncio
import inspect
import re
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from pipeline.cli.command import Exit, Setup
from pipeline.cli.show import show_dry_run
from pipeline.cli.watch import Watch, checked_id, follow, watch_command
from pipeline.client import BrokenError, Pipeline, Source, SpecFields, UnreachableError
from pipeline.client.pipeline import new_id
from pipeline.spec.batch_spec import BatchSpec
from pipeline.spec.input_format import Format


def parse_chunk(text: str) -> int | str:
    """Read `auto` or a number from 1; raises typer.BadParameter."""
    if text == "auto" or (text.isdecimal() and int(text)):
        return text if text == "auto" else int(text)
    raise typer.BadParameter("expected a number from 1 or `auto`")


Input = Annotated[
    Path | None, typer.Argument(metavar="FILE", help="A CSV, TSV, Parquet, NDJSON or JSON file of this machine.")
]
Key = Annotated[str | None, typer.Option(metavar="KEY", help="In place of FILE: a key or a prefix/ in S3.")]
Id = Annotated[
    str | None,
    typer.Option("--id", metavar="ID", help="The batch's id; by default one is made.", callback=checked_id),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help=BatchSpec.model_fields["dry_run"].description)]


# The type of each field's option, and the name of its value in the help; the rest is in BatchSpec.
_OPTIONS: dict[str, tuple[Any, str | None]] = {
    "function": (str, "NAME"),
    "column": (str, "NAME"),
    "columns": (list[str], "NAME"),
    "format": (Format, None),
    "delimiter": (str, "CHARACTER|NAME"),
    "quote": (str, "CHARACTER"),
    "escape": (str, "CHARACTER"),
    "header": (str, "true|false|NAMES"),
    "encoding": (str, "NAME"),
    "skip": (int, "N"),
    "pointer": (str, "POINTER"),
    "chunk": (Any, "N|auto"),
    "chunk_call": (bool, None),
    "direct": (bool, None),
    "concurrency": (int, "N"),
    "window": (int, "N"),
    "rate": (float, "N"),
    "attempts": (int, "N"),
    "timeout": (float, "SECONDS"),
    "tolerate": (str, "N|N%"),
    "deadline": (float, "SECONDS"),
    "inline_limit": (int, "BYTES"),
    "content_type": (str, "TYPE"),
    "outputs": (list[str], "FORMAT"),
    "csv_safe": (bool, None),
    "sql": (str, "QUERY"),
    "headers": (list[str], "'NAME: VALUE'"),
    "reduce": (str, "NAME"),
    "notify": (list[str], "NAME|URL"),
}
_FLAGS = {"outputs": "--output", "headers": "--header", "header": "--csv-header"}


def spec_fields(**options: Any) -> SpecFields:
    """Return the fields of a specification for the options that have a value."""
    fields = options | {"headers": _headers(options["headers"] or [])}
    return cast("SpecFields", {name: value for name, value in fields.items() if value not in (None, {}, [])})


def _option(name: str) -> inspect.Parameter:
    """Return the option of a field: its help and its default are those that BatchSpec declares."""
    field, (kind, metavar) = BatchSpec.model_fields[name], _OPTIONS[name]
    note = " May be repeated." if kind == list[str] else ""
    # typer would show the default of the option, which is to send nothing.
    default = f"  [default: {field.default}]" if type(field.default) is int else ""
    option = typer.Option(
        _FLAGS.get(name, "--" + name.replace("_", "-")),
        metavar=metavar,
        parser=parse_chunk if name == "chunk" else None,
        help=f"{field.description}{note}{default}",
    )
    kind = Annotated[kind | None, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)


spec_fields.__signature__ = inspect.Signature(list(map(_option, _OPTIONS)))  # type: ignore[attr-defined]


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
    plan = await pipeline.dry_run(source, **fields)
    if setup.as_json:
        setup.print_json(plan)
    else:
        show_dry_run(setup.out, plan)
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
        # Path() joined the two slashes of an address.
        address = re.sub(r"^s3:/(?!/)", "s3://", str(file))
        raise typer.BadParameter(f"there is no file {address} here; for an object of the bucket use --key {address}")
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
