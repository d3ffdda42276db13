"""Join a batch's rows and its outcomes into one frame. Pure: bytes in, a frame out.

The frame has one row an item, in input order: the columns of the input as they are called there, then those that
`pipeline.store.columns` lists.
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
    """Make the frame of a batch; `column` is what the input calls the items, where they are no `derived` ones.

    `parts` are the Parquet parts of the whole input in order, `segments` lines of outcomes in the order in which later
    ones overlay earlier ones. Raises PolarsError or msgspec.MsgspecError for what is neither.
    """
    frames = [pl.read_parquet(io.BytesIO(part)) for part in parts]
    rows = pl.concat(frames) if frames else pl.DataFrame(schema={ITEM: pl.String, INDEX: pl.Int64, TASK: pl.Int64})
    found = overlay(segments)
    joined = rows.get_column(INDEX).to_frame().join(found, on=INDEX, how="left", maintain_order="left").drop(INDEX)
    outcomes = joined.with_columns(pl.col("status").fill_null(NOT_RUN))
    inputs = input_columns(rows, column, derived=derived)
    named = dict(zip(table_names(list(inputs)), inputs.values(), strict=True))
    return pl.DataFrame(named | {name: outcomes.get_column(name) for name in OUTCOME_TYPES})


def overlay(segments: Iterable[bytes]) -> pl.DataFrame:
    """Return one outcome an item: its first success, which nothing replaces, or else its last failure."""
    frames = [_outcomes(_DECODER.decode_lines(body)) for body in segments]
    every = pl.concat(frames) if frames else _outcomes([])
    succeeded = pl.col("status") == "succeeded"
    successes = every.filter(succeeded).unique(INDEX, keep="first")
    failures = every.filter(~succeeded).unique(INDEX, keep="last", maintain_order=True)
    return pl.concat([successes, failures.join(successes, on=INDEX, how="anti")])


def _outcomes(outcomes: list[Outcome]) -> pl.DataFrame:
    indices = pl.Series(INDEX, [each.index for each in outcomes], dtype=pl.Int64)
    return pl.DataFrame({INDEX: indices} | outcome_columns(outcomes))
