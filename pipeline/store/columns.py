"""The columns of the joined table: those of the input under names of their own, then those of an item's outcome.

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

from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from pipeline.answers.outcome import Outcome

# The columns that a snapshot has besides those of the input.
TASK = "pipeline.task"
INDEX = "pipeline.index"
ITEM = "pipeline.item"
NOT_RUN = "not run"
OUTCOME_TYPES: dict[str, pl.DataType] = {
    "status": pl.String(),
    "status_code": pl.Int64(),
    "result": pl.String(),
    "attempts": pl.Int64(),
    "duration": pl.Float64(),
    "call_id": pl.String(),
    "result_ref": pl.String(),
    "encoding": pl.String(),
}


def nameless(cells: pl.Series) -> pl.Series:
    """Return a column without its name: the methods of polars' columns take a name such as `^a$` for a pattern."""
    return cells.rename("")


def table_names(names: Sequence[str]) -> list[str]:
    """Return what the input's columns are called in the joined table."""
    named: dict[str, None] = {}
    for name in names:
        free = name
        while free in OUTCOME_TYPES or (free != name and (free in names or free in named)):
            free = f"input.{free}"
        named[free] = None
    return list(named)


def table_schema(input_schema: Mapping[str, pl.DataType]) -> dict[str, pl.DataType]:
    """Return the joined table's columns, in order, for the input's own."""
    return dict(zip(table_names(list(input_schema)), input_schema.values(), strict=True)) | OUTCOME_TYPES


def input_columns(part: pl.DataFrame, column: str, *, derived: bool = False) -> dict[str, pl.Series]:
    """Return the input's own columns, by their own names, of a snapshot's part or some rows of it.

    `column` is what the input calls the items, where they are no `derived` ones, which are none of its columns.
    """
    hidden = {INDEX, TASK, ITEM} if derived else {INDEX, TASK}
    own = [series for series in part.get_columns() if series.name not in hidden]
    return {column if series.name == ITEM else series.name: series for series in own}


def outcome_columns(outcomes: Sequence[Outcome | None]) -> dict[str, pl.Series]:
    """Return the columns of these items' outcomes; None is an item that never ran."""
    values: dict[str, Iterable[object]] = {
        "status": [each.status if each else NOT_RUN for each in outcomes],
        "status_code": [each.status_code if each else None for each in outcomes],
        "result": [bytes(each.result).decode(errors="replace") if each and not each.ref else None for each in outcomes],
        "attempts": [each.attempts if each else None for each in outcomes],
        "duration": [each.duration if each else None for each in outcomes],
        "call_id": [each.call_id if each else None for each in outcomes],
        "result_ref": [each.ref if each else None for each in outcomes],
        "encoding": [each.encoding if each else None for each in outcomes],
    }
    return {name: pl.Series(name, values[name], dtype=kind) for name, kind in OUTCOME_TYPES.items()}
