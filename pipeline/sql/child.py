"""Run one query in a process of its own, which may take too much memory or time, and is then killed.

`python -m pipeline.sql.child` reads an Order as a line of JSON from stdin, and writes an Answer to stdout. It ends
when stdin does: whoever asked is gone then.
"""

import base64
import errno
import io
import json
import os
import resource
import sys
import threading
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

MOST_ROWS = 1_000_000
FIRST_ROWS = 10
FIRST_COLUMNS = 50
CELL = 200
# Whatever reads JSON as doubles, a browser too, knows whole numbers up to here.
EXACT = 2**53
OUTPUTS = ("sql.parquet", "sql.csv", "sql.json")

TYPES: Mapping[str, pl.DataType] = {
    "Boolean": pl.Boolean(),
    "Float64": pl.Float64(),
    "Int64": pl.Int64(),
    "String": pl.String(),
}


class Footer(msgspec.Struct, frozen=True, tag=True):
    """A Parquet file without its rows, whose columns are asked for, as an empty table of IPC; limits as of an Order."""

    parquet: bytes
    memory: int
    size: int
    seconds: int


class Order(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What is to be run: `text` over the Parquet files `pieces`, with the fields' types; the first that fits is taken.

    They fit where all of `planned` can be run over a row of nothing. With `columns`, an empty table as IPC, that is
    all; else the answer, whose columns have these `names`, is written to the folder `into`. `memory` and `size`, of
    each file that is written, are in bytes, `seconds` are of processor time.
    """

    text: str
    planned: list[str]
    names: list[str]
    types: list[dict[str, str]]
    memory: int
    size: int
    seconds: int
    columns: bytes = b""
    pieces: list[str] = []
    into: str = ""


class Answer(msgspec.Struct, frozen=True):
    """What came of it: `first` are at most 10 rows, of at most 50 columns."""

    rows: int = 0
    columns: list[str] = []
    first: list[list[Any]] = []
    error: str | None = None


def main() -> None:
    """Read the order, and answer it."""
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order | Footer)
    threading.Thread(target=_end_with_the_asker, daemon=True).start()
    _limit(order)
    try:
        answer = answered(order) if isinstance(order, Order) else Answer(columns=_columns(order.parquet))
    except BaseException as error:  # noqa: BLE001  # polars panics with one that is no Exception
        answer = Answer(error=_words(error, order.size))
    sys.stdout.buffer.write(msgspec.json.encode(answer))
    sys.stdout.buffer.flush()
    # Not by way of the interpreter's end, which waits for the thread that reads.
    os._exit(0)


def answered(order: Order) -> Answer:
    """Plan the query, and run it where it is to be run; raises what polars raises."""
    if order.columns:
        _fitting(order, pl.read_ipc(order.columns).schema)
        return Answer()
    types = _fitting(order, pl.scan_parquet(order.pieces, glob=False).collect_schema())
    frame = _asked(order.text, _typed(pl.scan_parquet(order.pieces, glob=False), types))
    parquet, csv, whole = (Path(order.into) / name for name in OUTPUTS)
    frame.limit(MOST_ROWS + 1).sink_parquet(parquet, maintain_order=True, engine="streaming")
    written = pl.scan_parquet(parquet, glob=False)
    rows = int(written.select(pl.len()).collect().item())
    if rows > MOST_ROWS:
        return Answer(error=f"the answer has more than {MOST_ROWS} rows: expected LIMIT, or GROUP BY")
    written.with_columns(_as_cells(written.collect_schema())).sink_csv(csv, maintain_order=True, engine="streaming")
    _write_array(written, whole)
    columns = written.collect_schema().names()
    shown = written.head(FIRST_ROWS).select(pl.nth(range(min(len(columns), FIRST_COLUMNS)))).collect()
    return Answer(rows, [name[:CELL] for name in columns[:FIRST_COLUMNS]], [*_first(shown)])


def _fitting(order: Order, schema: Mapping[str, pl.DataType]) -> dict[str, str]:
    """Return the first of the fields' types with which the query can be planned; raises the last one's error."""
    problem: Exception | None = None
    for types in order.types:
        given = {name: TYPES[types[name]] if name in types else dtype for name, dtype in schema.items()}
        try:
            _try(order, given)
        except Exception as error:  # noqa: BLE001  # whatever it is, other types may do
            problem = problem or error
        else:
            return types
    raise problem or ValueError("there are no types to try")


def _try(order: Order, schema: Mapping[str, pl.DataType]) -> None:
    row = pl.DataFrame({name: [None] for name in schema}, schema=schema).lazy()
    for text in order.planned:
        _asked(text, row).collect()
    names = _asked(order.text, row).collect_schema().names()
    unique = len(set(order.names)) == len(order.names)
    if len(names) != len(order.names) or (unique and names != order.names):
        raise ValueError(f"polars gives other columns than were asked for: {', '.join(names)[:200]}")


def _asked(text: str, table: pl.LazyFrame) -> pl.LazyFrame:
    return pl.SQLContext(results=table).execute(text)


def _typed(table: pl.LazyFrame, types: Mapping[str, str]) -> pl.LazyFrame:
    return table.with_columns(
        pl.col(name) == "true" if kind == "Boolean" else pl.col(name).cast(TYPES[kind]) for name, kind in types.items()
    )


def _as_cells(schema: Mapping[str, pl.DataType]) -> list[pl.Expr]:
    """Write as text what a CSV has no cell for."""
    kinds = enumerate(schema.values())
    nested = [pl.nth(place).map_batches(_as_json, pl.String()) for place, dtype in kinds if dtype.is_nested()]
    return [*_as_texts(schema), *nested]


def _as_texts(schema: Mapping[str, pl.DataType]) -> list[pl.Expr]:
    """Write as text what JSON has no value for. By place: a name may be a pattern to polars."""
    kinds = list(enumerate(schema.values()))
    binary = [pl.nth(place).bin.encode("base64") for place, dtype in kinds if dtype == pl.Binary()]
    return [
        *binary,
        *(pl.nth(place).dt.to_string("iso") for place, dtype in kinds if isinstance(dtype, pl.Duration)),
    ]


def _as_json(values: pl.Series) -> pl.Series:
    lines = values.to_frame("value").write_ndjson().splitlines()
    return pl.Series(values.name, [line[len('{"value":') : -1] for line in lines], dtype=pl.String)


def _write_array(table: pl.LazyFrame, path: Path) -> None:
    """Write the rows as one JSON array of objects, some at a time."""
    plain = table.with_columns(_as_texts(table.collect_schema()))
    with path.open("w") as file:
        separator = "[\n"
        for frame in plain.collect_batches(maintain_order=True):
            lines = frame.write_ndjson().rstrip("\n")
            if lines:
                file.write(separator + lines.replace("\n", ",\n"))
                separator = ",\n"
        file.write("[]\n" if separator == "[\n" else "\n]\n")


def _first(frame: pl.DataFrame) -> Iterator[list[Any]]:
    for row in json.loads(frame.with_columns(_as_cells(frame.schema)).write_json()):
        yield [_cell(value) for value in islice(row.values(), FIRST_COLUMNS)]


def _cell(value: Any) -> Any:
    """Return a value as everybody can read it: a number that a double does not hold as text, and no text too long."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > EXACT:
        return str(value)
    return value[: CELL - 1] + "…" if isinstance(value, str) and len(value) > CELL else value


def _words(error: BaseException, size: int) -> str:
    if isinstance(error, MemoryError):
        return "it needs more memory than it may have"
    text = str(error).strip().split("\n", 1)[0][:500]
    if os.strerror(errno.EFBIG) in text:
        return f"the answer has more than {size // 2**20} MiB"
    if "maximum length reached" in text:
        return "it makes more than 4,294,967,295 rows on the way to its answer"
    return text or type(error).__name__


def _columns(parquet: bytes) -> list[str]:
    empty = pl.DataFrame(schema=pl.read_parquet_schema(io.BytesIO(parquet)))
    return [base64.b64encode(empty.write_ipc(None).getvalue()).decode()]


def _limit(order: Order | Footer) -> None:
    """Bound what this process may take; where memory runs out, it is the one to go."""
    resource.setrlimit(resource.RLIMIT_DATA, (order.memory, order.memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (order.size, order.size))
    resource.setrlimit(resource.RLIMIT_CPU, (order.seconds, order.seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    adjustment = Path("/proc/self/oom_score_adj")
    if adjustment.exists():
        adjustment.write_text("1000")


def _end_with_the_asker() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    main()
