"""Open the input of a batch: its columns, the items a task, and its rows, read with bounded memory through a folder."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from pipeline.capacity import Caller
from pipeline.context import Context
from pipeline.errors import UnavailableError
from pipeline.inputs.items import (
    PREFERRED_COLUMN,
    as_json,
    as_objects,
    as_text,
    check_columns,
    check_names,
    choose_column,
    with_items,
)
from pipeline.inputs.reader import Source, Table, is_small, open_table
from pipeline.inputs.s3_prefix import list_prefix
from pipeline.spec.batch_spec import BatchSpec
from pipeline.spec.chunk_size import auto_chunk
from pipeline.spec.submission import Submission
from pipeline.store.columns import ITEM, table_schema
from pipeline.store.snapshot import Shape
from pipeline.temporary import Folder

# The name of the items when each is an object of several columns.
OBJECTS = "item"


@dataclass(frozen=True)
class Input:
    """An open input: how its items are made, the types of its own columns, the items a task, and its frames of rows.

    The frames are those of `with_items`.
    """

    shape: Shape
    schema: dict[str, pl.DataType]
    chunk: int
    frames: AsyncIterator[pl.DataFrame]


@asynccontextmanager
async def open_input(
    context: Context, submission: Submission, caller: Caller, body: bytes | None = None, *, share: float = 1.0
) -> AsyncIterator[Input]:
    """Open a submission's input and check its query; `body` is the input when it is not in the bucket yet.

    `share` is the part of the replica's temporary space that the input may take. Raises BadRequestError when the input
    cannot be read or the query does not fit it, MissingObjectError when the object is gone, and UnavailableError.
    """
    async with context.temporary.folder(share) as folder:
        table = await _read(context, submission, body, folder, caller)
        opened = _input(context, submission.spec, table)
        await check_query(context, submission.spec, opened.schema, caller)
        yield opened


async def check_query(
    context: Context, spec: BatchSpec, schema: Mapping[str, pl.DataType] | None, caller: Caller
) -> None:
    """Raise BadRequestError unless the query can run over results with these columns of the input.

    Without columns only the query itself is checked. Raises UnavailableError when the check itself cannot run.
    """
    if spec.sql is not None:
        await context.queries.check(spec.sql, None if schema is None else table_schema(schema), caller)


async def _read(context: Context, submission: Submission, body: bytes | None, folder: Folder, caller: Caller) -> Table:
    """Read an input by way of files in a folder."""
    path = folder.path / "input"
    spec, max_rows = submission.spec, context.settings.max_rows
    address = spec.address.without_bucket(context.store.bucket)
    store = context.store.elsewhere(address.bucket)
    if address.is_prefix:
        async with folder.watched():
            return await list_prefix(store, address, path, max_rows)
    folder.charge(submission.size)
    if body is None:
        await store.download(address.key, submission.etag, path)
    else:
        await asyncio.to_thread(_write, path, body)
    source = Source(spec.input_format, str(path), max_rows, spec.dialect, spec.column or "", spec.pointer)
    async with folder.watched():
        if is_small(source):
            return await open_table(source, in_child=False)
        async with context.readers.part(1, caller):
            return await open_table(source)


def _write(path: Path, body: bytes) -> None:
    try:
        path.write_bytes(body)
    except OSError as error:
        raise UnavailableError(f"the input cannot be stored under {path.parent}: {error.strerror}") from error


def _input(context: Context, spec: BatchSpec, table: Table) -> Input:
    if not table.schema:
        column = OBJECTS if spec.columns else spec.column or PREFERRED_COLUMN
        return Input(Shape(column), {}, 1, table.frames())
    check_names(list(table.schema))
    shape, make_items = _shape(spec, table)
    chunk = auto_chunk(table.rows, spec, context.settings) if spec.chunk == "auto" else spec.chunk
    return Input(shape, table.schema, chunk, with_items(table.frames(), make_items, context.settings.max_rows))


def _shape(spec: BatchSpec, table: Table) -> tuple[Shape, Callable[[pl.DataFrame], pl.DataFrame]]:
    """Return the shape of the snapshot and the function that makes its items.

    Raises BadRequestError for columns that cannot be used.
    """
    json_columns, json_names = table.json_columns, tuple(name for name in table.schema if name in table.json_columns)
    if spec.columns:
        columns = spec.columns
        check_columns(table.schema, columns)
        shape = Shape(OBJECTS, derived=True, json_items=True, json_columns=json_names)
        return shape, lambda frame: frame.with_columns(as_objects(frame, columns, json_columns))
    column = choose_column(list(table.schema), spec.column)
    check_columns(table.schema, [column])
    if column in json_columns:
        return Shape(column, json_items=True, json_columns=json_names), partial(as_text, column=column)
    if table.schema[column] == pl.String:
        # A missing cell of a CSV is an empty text.
        missing = "" if table.dialect else None
        return Shape(column, json_columns=json_names), partial(as_text, column=column, missing=missing)
    shape = Shape(column, derived=True, json_items=True, json_columns=json_names)
    return shape, lambda frame: frame.with_columns(as_json(frame, column, json_columns).alias(ITEM))
