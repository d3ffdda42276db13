"""Polars answers like DuckDB, over a table of some hundred rows with gaps, ties and several types."""

import contextlib
import datetime as dt
import decimal
import math
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from pipeline.errors import BadRequestError
from tests.rigs.sql_tables import ask, ask_duckdb, result_of, table

ROWS = 400
QUERIES = [line for line in (Path(__file__).parent / "answers.sql").read_text().splitlines() if line[:2] != "--"]


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    return table(ROWS, [result_of(row) for row in range(ROWS)])


@pytest.fixture(scope="module")
def parquet(frame: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sql") / "results.parquet"
    frame.write_parquet(path)
    return path


def plain(value: Any) -> Any:
    """Return a comparable value: fractions to nine digits, and a date for a midnight."""
    if isinstance(value, (float, decimal.Decimal)):
        return "NaN" if math.isnan(value) else round(float(value), 9)
    if isinstance(value, dt.date):
        return value.isoformat().removesuffix("T00:00:00")
    return value


def compared(rows: list[tuple[Any, ...]], text: str) -> list[tuple[Any, ...]]:
    found = [tuple(map(plain, row)) for row in rows]
    return found if "ORDER BY" in text.rpartition(")")[2] else sorted(found, key=repr)


@pytest.mark.parametrize("text", QUERIES)
def test_polars_answers_like_duckdb(text: str, frame: pl.DataFrame, parquet: Path, tmp_path: Path) -> None:
    answer, found = ask(tmp_path, text, frame)
    expected = compared(ask_duckdb(parquet, text), text)
    assert answer.error is None
    assert answer.rows == len(expected)
    assert compared(found.rows(), text) == expected


def test_almost_every_query_has_an_answer(parquet: Path) -> None:
    """Empty answers would compare equal whatever the query is."""
    empty = [text for text in QUERIES if not ask_duckdb(parquet, text)]
    assert all("false" in text or "NOT IN (SELECT rank FROM results)" in text for text in empty), empty


PATHS = {
    "result.label": "result ->> '$.label'",
    "results.result.label": "result ->> '$.label'",
    "result.deep.a[0].b": "CAST(result ->> '$.deep.a[0].b' AS BIGINT)",
    "deep -> 'a' -> 0 ->> 'b'": "CAST(result ->> '$.deep.a[0].b' AS BIGINT)",
    "json_extract_path_text(result, 'deep', 'a')": "result ->> '$.deep.a'",
    "result -> 'deep'": "result ->> '$.deep'",
    "json_extract(result, '$.nothing.there')": "NULL",
}


@pytest.mark.parametrize(("path", "oracle"), PATHS.items(), ids=list(PATHS))
def test_path_returns_what_duckdb_returns(
    path: str, oracle: str, frame: pl.DataFrame, parquet: Path, tmp_path: Path
) -> None:
    _, found = ask(tmp_path, f"SELECT {path} AS x FROM results ORDER BY url", frame)
    expected = ask_duckdb(parquet, f"SELECT {oracle} AS x FROM results ORDER BY url")
    assert [plain(value) for value in found.to_series()] == [plain(value) for (value,) in expected]


# Differences that polars keeps; pipeline/docs/results.md lists them.
DIFFERENCES = {
    "SELECT CAST(2.5 AS INT), CAST(-1.5 AS INT)": [(2, -1)],
    "SELECT DATE '2024-01-03' - DATE '2024-01-01'": [(dt.timedelta(days=2),)],
    "SELECT 9223372036854775807 + rank FROM results WHERE url LIKE '%/0001.jpg'": [(-(2**63),)],
    "SELECT greatest(CAST('NaN' AS DOUBLE), 1)": [(1.0,)],
}


@pytest.mark.parametrize(("text", "rows"), DIFFERENCES.items(), ids=list(DIFFERENCES))
def test_known_difference_to_duckdb_is_unchanged(
    text: str, rows: list[tuple[Any, ...]], frame: pl.DataFrame, parquet: Path, tmp_path: Path
) -> None:
    _, found = ask(tmp_path, text, frame)
    assert found.rows() == rows
    with contextlib.suppress(duckdb.OutOfRangeException):
        assert repr(ask_duckdb(parquet, text)) != repr(rows)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT url FROM results WHERE size = 7",
        "SELECT url FROM results WHERE 7 <> size",
        "SELECT url FROM results WHERE size IN ('1', -7)",
        "SELECT url FROM results WHERE label = 7",
        "SELECT url FROM results WHERE mixed = 1",
    ],
)
def test_comparing_text_with_a_number_is_refused(text: str, frame: pl.DataFrame, tmp_path: Path) -> None:
    """Polars would compare the digits as text: '07' would differ from 7, and '1.0' from 1."""
    with pytest.raises(
        BadRequestError, match=r"is text, and -?[17] a number: write CAST\((size|label|mixed) AS DOUBLE"
    ):
        ask(tmp_path, text, frame)
