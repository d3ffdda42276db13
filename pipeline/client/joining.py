"""Join a batch's rows and its outcomes into one frame. Pure: bytes in, a frame out.

The frame has one row an item, in input order: the columns of the input as they are called there, all text, then

| column | type | holds |
|---|---|---|
| `status` | text | `succeeded`, `failed`, or `not run`; all others are null then |
| `status_code` | integer | HTTP status of the item's last call |
| `result` | text | JSON as the model function wrote it, text in its quotes: `str.json_decode` reads every cell |
| `attempts` | integer | calls made |
| `duration` | float | seconds they took |
| `call_id` | text | `X-Call-Id` of the call |
| `result_ref` | text | key of the object that holds a result too large to travel; `result` is null then |
| `encoding` | text | `base64` where `result` is such text of bytes |

These names stay: a column of the input with one of them is called `input.status`, `input.result` and so on, with
`input.` once more while that is taken too.
"""

import io
from collections.abc import Iterable

import msgspec
import polars as pl

from pipeline.cutting import INDEX, ITEM, TASK
from pipeline.models import Outcome

NOT_RUN = "not run"
OUTCOME_TYPES: dict[str, type[pl.DataType]] = {
    "status": pl.String,
    "status_code": pl.Int64,
    "result": pl.String,
    "attempts": pl.Int64,
    "duration": pl.Float64,
    "call_id": pl.String,
    "result_ref": pl.String,
    "encoding": pl.String,
}
_DECODER = msgspec.json.Decoder(Outcome)


def join(parts: Iterable[bytes], segments: Iterable[bytes], column: str) -> pl.DataFrame:
    """Make the frame of a batch; `column` is what the input calls the items.

    `parts` are the Parquet parts of the whole input in order, `segments` lines of outcomes in the order in which later
    ones overlay earlier ones. Raises PolarsError or msgspec.MsgspecError for what is neither.
    """
    frames = [pl.read_parquet(io.BytesIO(part)) for part in parts]
    rows = pl.concat(frames) if frames else pl.DataFrame(schema={ITEM: pl.String, INDEX: pl.Int64, TASK: pl.Int64})
    found = overlay(segments)
    joined = rows.get_column(INDEX).to_frame().join(found, on=INDEX, how="left", maintain_order="left").drop(INDEX)
    outcomes = joined.with_columns(pl.col("status").fill_null(NOT_RUN))
    return pl.DataFrame({**_inputs(rows, column), **outcomes.to_dict()})


def overlay(segments: Iterable[bytes]) -> pl.DataFrame:
    """Return one outcome an item: its first success, which nothing replaces, or else its last failure."""
    frames = [_outcomes(_DECODER.decode_lines(body)) for body in segments]
    every = pl.concat(frames) if frames else _outcomes([])
    succeeded = pl.col("status") == "succeeded"
    successes = every.filter(succeeded).unique(INDEX, keep="first")
    failures = every.filter(~succeeded).unique(INDEX, keep="last", maintain_order=True)
    return pl.concat([successes, failures.join(successes, on=INDEX, how="anti")])


def _outcomes(outcomes: list[Outcome]) -> pl.DataFrame:
    columns = {
        INDEX: [each.index for each in outcomes],
        "status": [each.status for each in outcomes],
        "status_code": [each.status_code for each in outcomes],
        "result": [None if each.ref else bytes(each.result).decode(errors="replace") for each in outcomes],
        "attempts": [each.attempts for each in outcomes],
        "duration": [each.duration for each in outcomes],
        "call_id": [each.call_id for each in outcomes],
        "result_ref": [each.ref for each in outcomes],
        "encoding": [each.encoding for each in outcomes],
    }
    return pl.DataFrame(columns, schema={INDEX: pl.Int64, **OUTCOME_TYPES})


def _inputs(rows: pl.DataFrame, column: str) -> dict[str, pl.Series]:
    """Return the input's own columns, under names that no outcome has."""
    # Items that are made from a column stand beside it.
    hidden = {INDEX, TASK, ITEM} if column in rows.columns else {INDEX, TASK}
    own = [series for series in rows.get_columns() if series.name not in hidden]
    names = [column if series.name == ITEM else series.name for series in own]
    named: dict[str, pl.Series] = {}
    for series, name in zip(own, names, strict=True):
        free = name
        while free in OUTCOME_TYPES or (free != name and (free in names or free in named)):
            free = f"input.{free}"
        named[free] = series
    return named
