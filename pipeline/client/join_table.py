"""Join a batch's rows and its outcomes into one frame. Pure: bytes in, a frame out.

The frame has one row an item, in input order: first the columns of the input, then those listed in
`pipeline.store.columns`.
"""

import io
from collections.abc import Iterable

import msgspec
import polars as pl

from pipeline.answers.outcome import Outcome
from pipeline.store.columns import (
    INDEX,
    ITEM,
    NOT_RUN,
    OUTCOME_TYPES,
    TASK,
    input_columns,
    outcome_columns,
    table_names,
)

_DECODER = msgspec.json.Decoder(Outcome)


def join(parts: Iterable[bytes], segments: Iterable[bytes], column: str, *, derived: bool = False) -> pl.DataFrame:
    """Make the frame of a batch. `column` is the input's name for the items; `derived` items have none.

    `parts` are the Parquet parts of the whole input in order. `segments` are lines of outcomes; later segments overlay
    earlier ones. Raises PolarsError or msgspec.MsgspecError for parts and segments that cannot be read.
    """
    frames = [pl.read_parquet(io.BytesIO(part)) for part in parts]
    rows = pl.concat(frames) if frames else pl.DataFrame(schema={ITEM: pl.String, INDEX: pl.Int64, TASK: pl.Int64})
    latest = overlay(segments)
    joined = rows.get_column(INDEX).to_frame().join(latest, on=INDEX, how="left", maintain_order="left").drop(INDEX)
    outcomes = joined.with_columns(pl.col("status").fill_null(NOT_RUN))
    inputs = input_columns(rows, column, derived=derived)
    input_table = dict(zip(table_names(list(inputs)), inputs.values(), strict=True))
    return pl.DataFrame(input_table | {name: outcomes.get_column(name) for name in OUTCOME_TYPES})


def overlay(segments: Iterable[bytes]) -> pl.DataFrame:
    """Return one outcome per item: its first success, or else its last failure."""
    frames = [_outcomes(_DECODER.decode_lines(body)) for body in segments]
    outcomes = pl.concat(frames) if frames else _outcomes([])
    succeeded = pl.col("status") == "succeeded"
    successes = outcomes.filter(succeeded).unique(INDEX, keep="first")
    failures = outcomes.filter(~succeeded).unique(INDEX, keep="last", maintain_order=True)
    return pl.concat([successes, failures.join(successes, on=INDEX, how="anti")])


def _outcomes(outcomes: list[Outcome]) -> pl.DataFrame:
    indices = pl.Series(INDEX, [outcome.index for outcome in outcomes], dtype=pl.Int64)
    return pl.DataFrame({INDEX: indices} | outcome_columns(outcomes))
