"""Check one query within limits: the work of a child process, which starts faster without polars."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import msgspec

from pipeline.errors import BadRequestError
from pipeline.sandbox.child import Limits
from pipeline.sql.session import Session
from pipeline.sql.tree import parse
from pipeline.units import MIB


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A query to check or to run in a process with these limits.

    To check it, `empty` is its table as a Parquet file without rows, b"" for a table that is not known yet, and
    `durations` are the units of the columns that are durations. To run it, `pieces` are the Parquet files of its table,
    and the answer goes into `folder`, with `csv_safe` without formulas of a spreadsheet in its CSV.
    """

    sql: str
    limits: Limits
    empty: bytes = b""
    durations: dict[str, str] = {}
    pieces: list[str] = []
    folder: str = ""
    csv_safe: bool = False


def check_query(order: Order) -> None:
    """Bind a query to its empty table; raises BadRequestError in the words of DuckDB."""
    # A file without a name: nothing of it stays when this process is killed.
    with errors_in_words(order.limits), tempfile.TemporaryFile() as file:
        if not order.empty:
            parse(duckdb.connect(), order.sql)
            return
        file.write(order.empty)
        file.flush()
        Session([f"/dev/fd/{file.fileno()}"], order.limits, order.durations).bind(order.sql)


@contextmanager
def errors_in_words(limits: Limits, *others: type[Exception]) -> Iterator[None]:
    """Raise BadRequestError for an error of DuckDB or of the `others`, MemoryError where there is too little memory."""
    refused: tuple[type[Exception], ...] = (duckdb.Error, OSError, *others)
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise MemoryError from None
    except RecursionError:
        raise BadRequestError("it is nested too deep") from None
    except refused as error:
        text = str(error).strip()[:1000]
        raise BadRequestError(too_large(limits) if os.strerror(errno.EFBIG) in text else text) from error


def too_large(limits: Limits) -> str:
    """Return the error of an answer that is larger than its limits allow."""
    return f"the answer has more than {(limits.file_bytes or 0) // MIB} MiB"
