"""What DuckDB gives over the same table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl

if TYPE_CHECKING:
    from pathlib import Path

FIELDS = "result ->> '$.label' AS label, CAST(result ->> '$.confidence' AS DOUBLE) AS confidence"


def is_duckdbs(folder: Path, text: str) -> bool:
    """Say whether `sql.parquet` has the rows that DuckDB finds in `results.parquet`, in the same order."""
    with duckdb.connect() as connection:
        connection.execute(
            f"CREATE VIEW results AS SELECT *, {FIELDS} FROM read_parquet('{folder / 'results.parquet'}')"
        )
        expected = connection.execute(text).fetchall()
    found = pl.read_parquet(folder / "sql.parquet").rows()
    return [_plain(row) for row in found] == [_plain(row) for row in expected]


def _plain(row: tuple[Any, ...]) -> list[Any]:
    """Sums of fractions depend on their order in the last digits."""
    return [round(value, 9) if isinstance(value, float) else value for value in row]
