"""Open the input of a batch: its columns, the items a task, and its rows, read with bounded memory through a folder."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from pipeline.capacity import Caller
from pipeline.context import Context
from pipeline.errors import UnavailableError
from pipeline.inputs.csv_rows import SEPARATORS, count_lines, open_rows, read_lines
from pipeline.inputs.items import (
    PREFERRED_COLUMN,
    as_json,
    as_objects,
    as_text,
    check_columns,
    check_names,
    check_split,
    choose_column,
    with_items,
)
from pipeline.inputs.s3_prefix import list_prefix
from pipeline.inputs.typed_reader import Table, open_table
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


@dataclass(frozen=True)
class _Rows:
    """The rows of an input before their items are made.

    `missing` is the item of a missing cell of text, None for none. `separator` divides the cells of a line of text.
    """

    schema: dict[str, pl.DataType]
    json_columns: frozenset[str]
    frames: Callable[[], AsyncIterator[pl.DataFrame]]
    count: Callable[[], Awaitable[int]]
    missing: str | None = None
    separator: str = ""


@asynccontextmanager
async def open_input(
    context: Context, submission: Submission, caller: Caller, body: bytes | None = None, *, share: float = 1.0
) -> AsyncIterator[Input]:
    """Open a submission's input and check its query; `body` is the input when it is not in the bucket yet.

    `share` is the part of the replica's temporary space that the input may take. Raises BadRequestError when the input
    cannot be read or the query does not fit it, MissingObjectError when the object is gone, and UnavailableError.
    """
    async with context.temporary.folder(share) as folder:
        rows = await _read(context, submission, body, folder, caller)
        opened = await _input(context, submission.spec, rows)
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


async def _read(context: Context, submission: Submission, body: bytes | None, folder: Folder, caller: Caller) -> _Rows:
    """Read an input by way of files in a folder."""
    path = folder.path / "input"
    spec, max_rows = submission.spec, context.settings.max_rows
    address, form = spec.address.without_bucket(context.store.bucket), spec.input_format
    store = context.store.elsewhere(address.bucket)
    if address.is_prefix:
        async with folder.watched():
            return _table_rows(await list_prefix(store, address, path, max_rows))
    folder.charge(submission.size)
    if body is None:
        await store.download(address.key, submission.etag, path)
    else:
        await asyncio.to_thread(_write, path, body)
    if form not in SEPARATORS:
        async with context.readers.part(1, caller), folder.watched():
            return _table_rows(await open_table(path, form, max_rows))
    lines = await asyncio.to_thread(open_rows, path, form, folder.charge)
    if lines is None:
        return _table_rows(Table(path, {}, frozenset(), rows=0))
    read, count = partial(read_lines, lines, form), partial(count_lines, lines, form)
    return _Rows(dict(lines.collect_schema()), frozenset(), read, count, "", SEPARATORS[form].decode())


def _table_rows(table: Table) -> _Rows:
    async def count() -> int:
        return table.rows

    return _Rows(table.schema, table.json_columns, table.frames, count)


def _write(path: Path, body: bytes) -> None:
    try:
        path.write_bytes(body)
    except OSError as error:
        raise UnavailableError(f"the input cannot be stored under {path.parent}: {error.strerror}") from error


async def _input(context: Context, spec: BatchSpec, rows: _Rows) -> Input:
    if not rows.schema:
        column = OBJECTS if spec.columns else spec.column or PREFERRED_COLUMN
        return Input(Shape(column), {}, 1, rows.frames())
    check_names(list(rows.schema))
    shape, make_items = _shape(spec, rows)
    chunk = auto_chunk(await rows.count(), spec, context.settings) if spec.chunk == "auto" else spec.chunk
    return Input(shape, rows.schema, chunk, with_items(rows.frames(), make_items, context.settings.max_rows))


def _shape(spec: BatchSpec, rows: _Rows) -> tuple[Shape, Callable[[pl.DataFrame], pl.DataFrame]]:
    """Return the shape of the snapshot and the function that makes its items.

    Raises BadRequestError for columns that cannot be used.
    """
    json_columns, json_names = rows.json_columns, tuple(name for name in rows.schema if name in rows.json_columns)
    if spec.columns:
        columns = spec.columns
        check_columns(rows.schema, columns)
        shape = Shape(OBJECTS, derived=True, json_items=True, json_columns=json_names)
        return shape, lambda frame: frame.with_columns(as_objects(frame, columns, json_columns))
    if rows.separator and not spec.column:
        check_split(list(rows.schema), rows.separator)
    column = choose_column(list(rows.schema), spec.column)
    check_columns(rows.schema, [column])
    if column in json_columns:
        return Shape(column, json_items=True, json_columns=json_names), partial(as_text, column=column)
    if rows.schema[column] == pl.String:
        return Shape(column, json_columns=json_names), partial(as_text, column=column, missing=rows.missing)
    shape = Shape(column, derived=True, json_items=True, json_columns=json_names)
    return shape, lambda frame: frame.with_columns(as_json(frame, column, json_columns).alias(ITEM))
