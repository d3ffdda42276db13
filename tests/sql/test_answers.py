"""A query over the joined table answers as DuckDB does over a table with typed fields."""

import datetime as dt
import decimal
import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest

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
    """Return a value as it compares: fractions to nine digits, and times as text."""
    if isinstance(value, (float, decimal.Decimal)):
        return "NaN" if math.isnan(value) else round(float(value), 9)
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, dt.timedelta):
        return f"{value.days} day{'s' * (value.days != 1)} {dt.datetime.fromtimestamp(value.seconds, dt.UTC):%H:%M:%S}"
    return value


def sorted_rows(rows: list[tuple[Any, ...]], text: str) -> list[tuple[Any, ...]]:
    """Return rows as they compare; those of a query without ORDER BY may come in any order."""
    compared = [tuple(map(plain, row)) for row in rows]
    return compared if "ORDER BY" in text.rpartition(")")[2] else sorted(compared, key=repr)


@pytest.mark.parametrize("text", QUERIES)
def test_answer_is_that_of_duckdb(text: str, frame: pl.DataFrame, parquet: Path, tmp_path: Path) -> None:
    answer, rows = ask(tmp_path, text, frame)
    expected = sorted_rows(ask_duckdb(parquet, text), text)
    assert answer.rows == len(expected)
    assert sorted_rows(rows.rows(), text) == expected


def test_queries_have_answers(parquet: Path) -> None:
    empty = [text for text in QUERIES if not ask_duckdb(parquet, text)]
    assert all("false" in text or "NOT IN (SELECT rank FROM results)" in text for text in empty), empty


PATHS = {
    "result.label": "result ->> '$.label'",
    "results.result.label": "result ->> '$.label'",
    "result.deep.a[0].b": "CAST(result ->> '$.deep.a[0].b' AS BIGINT)",
    "result.deep.a[-1].b": "CAST(result ->> '$.deep.a[0].b' AS BIGINT)",
    "deep -> 'a' -> 0 ->> 'b'": "result ->> '$.deep.a[0].b'",
    "result ->> '$.deep.a[0].b'": "result ->> '$.deep.a[0].b'",
    "json_extract_string(result, '$.deep.a')": "result ->> '$.deep.a'",
    "CAST(result -> 'deep' AS VARCHAR)": "result ->> '$.deep'",
    "result.nothing.there": "NULL",
}


@pytest.mark.parametrize(("expression", "expected"), PATHS.items(), ids=list(PATHS))
def test_path_into_a_result(expression: str, expected: str, frame: pl.DataFrame, parquet: Path, tmp_path: Path) -> None:
    _, rows = ask(tmp_path, f"SELECT {expression} AS x FROM results ORDER BY url", frame)
    wanted = ask_duckdb(parquet, f"SELECT {expected} AS x FROM results ORDER BY url")
    assert rows["x"].to_list() == [value for (value,) in wanted]


def test_same_query_gives_the_same_bytes(frame: pl.DataFrame, tmp_path: Path) -> None:
    text = "SELECT label, sum(score) AS s, list(url) AS urls FROM results GROUP BY label"
    answers = []
    for run in ("first", "second"):
        (tmp_path / run).mkdir()
        ask(tmp_path / run, text, frame)
        answers.append([(tmp_path / run / f"sql.{form}").read_bytes() for form in ("parquet", "csv", "json")])
    assert answers[0] == answers[1]


def test_whole_numbers_are_whole_unless_one_of_their_column_is_beyond_64_bits(
    frame: pl.DataFrame, tmp_path: Path
) -> None:
    text = f"SELECT sum(n) AS s, sum(n) * 0 + {2**63} AS large, sum(n) AS s FROM results"
    total = frame["n"].sum()
    assert ask(tmp_path, text, frame)[1].rows() == [(total, 2.0**63, total)]
