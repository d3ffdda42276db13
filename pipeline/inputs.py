"""Open the input of a batch: its columns, the items a task, and its rows, read with bounded memory through a folder."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipeline.batchspec import Submission
from pipeline.context import Context
from pipeline.errors import UnavailableError
from pipeline.planning import auto_chunk
from pipeline.rows import PREFERRED_COLUMN, choose_column, count_lines, open_rows, read_rows
from pipeline.snapshot import Shape


@dataclass(frozen=True)
class Input:
    """A CSV: the column of the items, all columns there are, the items a task, and the rows as `read_rows` has them."""

    shape: Shape
    columns: list[str]
    chunk: int
    frames: AsyncIterator[pl.DataFrame]


@asynccontextmanager
async def open_input(context: Context, submission: Submission, body: bytes | None = None) -> AsyncIterator[Input]:
    """Open a submission's input; `body` is the CSV where it is not in the bucket yet.

    Raises BadRequestError when it cannot be read, MissingObjectError when it is gone, UnavailableError.
    """
    spec = submission.spec
    # A thread that still unpacks when its caller gives up may write into the folder while it is removed.
    with tempfile.TemporaryDirectory(prefix="pipeline-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "input"
        if body is None:
            await context.store.download(spec.input, submission.etag, path)
        else:
            await asyncio.to_thread(_write, path, body)
        rows = await asyncio.to_thread(open_rows, path)
        if rows is None:
            yield Input(Shape(spec.column or PREFERRED_COLUMN), [], 1, _nothing())
            return
        column = choose_column(rows, spec.column)
        chosen = spec.chunk
        chunk = auto_chunk(await count_lines(rows), spec, context.settings) if chosen == "auto" else chosen
        columns = rows.collect_schema().names()
        yield Input(Shape(column), columns, chunk, read_rows(rows, column, context.settings.max_rows))


def _write(path: Path, body: bytes) -> None:
    try:
        path.write_bytes(body)
    except OSError as error:
        raise UnavailableError(f"the input cannot be kept under {path.parent}: {error.strerror}") from error


async def _nothing() -> AsyncIterator[pl.DataFrame]:
    return
    yield
