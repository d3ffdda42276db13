"""Open the input of a batch: its columns, the items a task, and its rows, read with bounded memory through a folder."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from pipeline.context import Context
from pipeline.errors import UnavailableError
from pipeline.inputs.csv_rows import count_lines, open_rows, read_lines
from pipeline.inputs.decompress import SEPARATORS
from pipeline.inputs.items import (
    PREFERRED_COLUMN,
    as_json,
    as_objects,
    as_text,
    check_columns,
    check_names,
    check_split,
    choose_column,
    numbered,
)
from pipeline.inputs.s3_prefix import list_prefix
from pipeline.inputs.typed_reader import Table, open_table
from pipeline.spec.batch_spec import BatchSpec
from pipeline.spec.chunk_size import auto_chunk
from pipeline.spec.submission import Submission
from pipeline.store.columns import ITEM
from pipeline.store.snapshot import Shape

# What the items are called where each is an object of several columns.
OBJECTS = "item"


@dataclass(frozen=True)
class Input:
    """How its items are made, the types of its own columns, the items a task, and its rows as `numbered` has them."""

    shape: Shape
    schema: dict[str, pl.DataType]
    chunk: int
    frames: AsyncIterator[pl.DataFrame]


@dataclass(frozen=True)
class _Rows:
    """What was read of an input: `missing` is the item of a missing cell of text, None for none.

    `separator` stands between the cells of a line, '' where there are none.
    """

    schema: dict[str, pl.DataType]
    json_columns: frozenset[str]
    frames: Callable[[], AsyncIterator[pl.DataFrame]]
    count: Callable[[], Awaitable[int]]
    missing: str | None = None
    separator: str = ""


@asynccontextmanager
async def open_input(context: Context, submission: Submission, body: bytes | None = None) -> AsyncIterator[Input]:
    """Open a submission's input; `body` is the input where it is not in the bucket yet.

    Raises BadRequestError when it cannot be read, MissingObjectError when it is gone, UnavailableError.
    """
    spec = submission.spec
    # A thread that still unpacks when its caller gives up may write into the folder while it is removed.
    with tempfile.TemporaryDirectory(prefix="pipeline-", ignore_cleanup_errors=True) as folder:
        rows = await _open(context, submission, body, Path(folder) / "input")
        if not rows.schema:
            column = OBJECTS if spec.columns else spec.column or PREFERRED_COLUMN
            yield Input(Shape(column), {}, 1, rows.frames())
            return
        check_names(list(rows.schema))
        shape, make_items = _items(spec, rows)
        chosen = spec.chunk
        chunk = auto_chunk(await rows.count(), spec, context.settings) if chosen == "auto" else chosen
        yield Input(shape, rows.schema, chunk, numbered(rows.frames(), make_items, context.settings.max_rows))


async def _open(context: Context, submission: Submission, body: bytes | None, path: Path) -> _Rows:
    spec, most = submission.spec, context.settings.max_rows
    address, form = spec.address.without_bucket(context.store.bucket), spec.input_format
    store = context.store.elsewhere(address.bucket)
    if address.is_prefix:
        return _of_table(await list_prefix(store, address, path, most))
    if body is None:
        await store.download(address.key, submission.etag, path)
    else:
        await asyncio.to_thread(_write, path, body)
    if form not in SEPARATORS:
        return _of_table(await open_table(path, form, most))
    lines = await asyncio.to_thread(open_rows, path, form)
    if lines is None:
        return _Rows({}, frozenset(), _nothing, _none)
    schema = dict(lines.collect_schema())
    read, count = partial(read_lines, lines, form), partial(count_lines, lines, form)
    return _Rows(schema, frozenset(), read, count, "", SEPARATORS[form].decode())


def _of_table(table: Table) -> _Rows:
    async def count() -> int:
        return table.rows

    return _Rows(table.schema, table.json_columns, table.frames, count)


def _items(spec: BatchSpec, rows: _Rows) -> tuple[Shape, Callable[[pl.DataFrame], pl.DataFrame]]:
    """Return how the items are made; raises BadRequestError for columns that cannot be used."""
    json_columns, kept = rows.json_columns, tuple(name for name in rows.schema if name in rows.json_columns)
    if spec.columns:
        columns = spec.columns
        check_columns(rows.schema, columns)
        shape = Shape(OBJECTS, derived=True, json_items=True, json_columns=kept)
        return shape, lambda frame: frame.with_columns(as_objects(frame, columns, json_columns))
    if rows.separator and not spec.column:
        check_split(list(rows.schema), rows.separator)
    column = choose_column(list(rows.schema), spec.column)
    check_columns(rows.schema, [column])
    if column in json_columns:
        return Shape(column, json_items=True, json_columns=kept), partial(as_text, column=column)
    if rows.schema[column] == pl.String:
        return Shape(column, json_columns=kept), partial(as_text, column=column, missing=rows.missing)
    shape = Shape(column, derived=True, json_items=True, json_columns=kept)
    return shape, lambda frame: frame.with_columns(as_json(frame, column, json_columns).alias(ITEM))


def _write(path: Path, body: bytes) -> None:
    try:
        path.write_bytes(body)
    except OSError as error:
        raise UnavailableError(f"the input cannot be kept under {path.parent}: {error.strerror}") from error


async def _nothing() -> AsyncIterator[pl.DataFrame]:
    return
    yield


async def _none() -> int:
    return 0
